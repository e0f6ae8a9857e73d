"""The scan over time against a Python loop, with masks, in both directions, and at its edges."""

import functools
import itertools

import chex
import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

from fnlayers import ops
from ops_cases import quick_jit

LENGTH, BATCH, UNITS = 5, 3, 2
OPTIONS = [
    dict(reverse=reverse, zero_output=zero, return_all=every)
    for reverse, zero, every in itertools.product((False, True), repeat=3)
]


def step(carry, x):
    h, c = carry
    c = c + 0.5 * jnp.tanh(x + h)
    return (jnp.sin(c), c), {"y": c * h}


def loop(carry, xs, mask, reverse=False, zero_output=False, return_all=True):
    """What `scan_time` does, a step at a time."""
    last, ys = {"y": jnp.zeros((BATCH, UNITS))}, []
    for t in reversed(range(len(xs))) if reverse else range(len(xs)):
        new, y = step(carry, xs[t])
        if mask is not None:
            valid = mask[t][:, None]
            carry = tuple(jnp.where(valid, a, b) for a, b in zip(new, carry, strict=True))
            y = {"y": jnp.where(valid, y["y"], 0 if zero_output else last["y"])}
        else:
            carry = new
        last = y
        ys.append(y["y"])
    return carry, last, {"y": jnp.stack(ys)} if return_all else None


def data(seed=0):
    random = np.random.RandomState(seed)
    carry = tuple(jnp.asarray(random.normal(size=(BATCH, UNITS)), "float32") for _ in range(2))
    mask = np.array([[0, 1, 0], [1, 1, 0], [0, 1, 0], [1, 0, 0], [0, 1, 0]], bool)
    return carry, jnp.asarray(random.normal(size=(LENGTH, BATCH, UNITS)), "float32"), jnp.asarray(mask)


def assert_same(masked, one, other):
    """Two functions of (carry, xs, mask) give the same, and the same gradients of a sum over all that they give."""
    carry, xs, mask = data()

    def outcome(run):
        def total(carry, xs):
            results = run(carry, xs, mask if masked else None)
            return sum(jnp.sum(jnp.cos(a + i)) for i, a in enumerate(jax.tree.leaves(results))), results

        return jax.value_and_grad(total, argnums=(0, 1), has_aux=True)(carry, xs)

    result, expected = quick_jit(lambda: (outcome(one), outcome(other)))()
    assert jax.tree.structure(result) == jax.tree.structure(expected)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), result, expected)


def scanned(**options):
    return lambda carry, xs, mask: ops.scan_time(step, carry, xs, mask=mask, **options)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_scan_is_the_loop(options, masked):
    assert_same(masked, scanned(**options), lambda *args: loop(*args, **options))


@pytest.mark.parametrize("unroll", [2, 9])
@pytest.mark.parametrize("every", [False, True])
def test_unrolling_changes_nothing(unroll, every):
    assert_same(True, scanned(return_all=every, unroll=unroll), scanned(return_all=every))


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("every", [False, True])
@pytest.mark.parametrize("unroll", [1, 4])
def test_an_empty_sequence_returns_the_carry(masked, every, unroll):
    carry, xs, mask = data()
    empty_mask = mask[:0] if masked else None
    end, last, ys = ops.scan_time(step, carry, xs[:0], mask=empty_mask, unroll=unroll, return_all=every)
    jax.tree.map(np.testing.assert_array_equal, end, carry)
    assert last["y"].shape == (BATCH, UNITS) and not last["y"].any()
    assert ys["y"].shape == (0, BATCH, UNITS) if every else ys is None


@pytest.mark.parametrize("masked", [False, True])
def test_the_program_does_not_grow_with_length(masked):
    carry, xs, mask = data()

    def equations(times):
        mask_ = jnp.tile(mask, (times, 1)) if masked else None
        program = jax.make_jaxpr(jax.grad(lambda x: ops.scan_time(step, carry, x, mask=mask_)[1]["y"].sum()))
        return str(program(jnp.tile(xs, (times, 1, 1)))).count(" = ")

    assert equations(1) == equations(20)


@pytest.mark.parametrize("masked", [pytest.param(False, marks=pytest.mark.slow), True])
@pytest.mark.parametrize("cell", ["lstm", pytest.param("gru", marks=pytest.mark.slow)])
def test_where_x_is_projected_changes_nothing(cell, masked, x64):
    random, gates = np.random.RandomState(0), {"lstm": 4, "gru": 3}[cell]
    x, kernel, inner = (jnp.asarray(random.normal(size=s)) for s in ((5, 3, 2), (2, 2 * gates), (2, 2 * gates)))
    mask = jnp.asarray(random.rand(5, 3) > 0.4) if masked else None
    zeros = jnp.zeros((3, 2))

    def run(before, x, kernel, inner):
        def lstm(carry, projected):
            return ops.lstm_gates(carry[1], projected + ops.dot(carry[0], inner), jnp.tanh, jax.nn.sigmoid)

        def gru(carry, projected):
            u = ops.dot(carry, inner)
            z, r = jnp.split(projected[:, :4] + u[:, :4], 2, -1)
            return ops.gru_gates(carry, z, r, lambda r: projected[:, 4:] + r * u[:, 4:], jnp.tanh, jax.nn.sigmoid)

        step, start = (lstm, (zeros, zeros)) if cell == "lstm" else (gru, zeros)
        return ops.scan_time(step, start, x, mask=mask, project=lambda x: ops.dot(x, kernel), before=before)

    def all_of(before):
        y, back = jax.vjp(lambda *a: run(before, *a), x, kernel, inner)
        return (
            y,
            back(jax.tree.map(jnp.cos, y)),
            jax.jvp(lambda *a: run(before, *a), (x, kernel, inner), (x, kernel, inner)),
        )

    for before in (False, None):
        chex.assert_trees_all_close(jax.jit(all_of, static_argnums=0)(before), all_of(True), rtol=1e-12, atol=1e-12)


def test_a_program_for_a_gpu_projects_before_the_scan():
    x, kernel = jnp.ones((5, 3, 2)), jnp.ones((2, 4))

    def run(x, kernel):
        return ops.scan_time(lambda c, p: (c + p, c), jnp.zeros((3, 4)), x, project=lambda x: ops.dot(x, kernel))[0]

    def products(platform):
        text = jax.export.export(jax.jit(run), platforms=[platform])(x, kernel).mlir_module()
        return [line for line in text.splitlines() if "dot_general" in line]

    assert any("(tensor<5x3x2xf32>" in line for line in products("cuda"))
    assert any("(tensor<3x2xf32>" in line for line in products("cpu"))


def test_outputs_that_are_not_returned_are_not_stored():
    carry, xs, _ = data()
    program = jax.make_jaxpr(lambda x: ops.scan_time(step, carry, x, return_all=False)[:2])(xs)
    assert not any(a.shape[:1] == (LENGTH,) for eqn in program.eqns for v in eqn.outvars for a in [v.aval])


def test_a_counter_in_the_carry_counts_masked_steps_too():
    def counted(carry, x):
        return (carry[0] + 1, carry[1] + x), x

    xs, mask = jnp.ones((4, 2, 1)), jnp.asarray([[1, 0]] * 4, bool)
    (count, total), _, _ = ops.scan_time(counted, (jnp.int32(0), jnp.zeros((2, 1))), xs, mask=mask)
    assert count == 4 and total.tolist() == [[4], [0]]


def test_masks_reach_states_of_any_rank():
    xs, mask = jnp.ones((3, 2, 4, 4, 1)), jnp.asarray([[1, 0], [0, 0], [1, 1]], bool)
    carry, last, ys = ops.scan_time(lambda c, x: (c + x, c + x), jnp.zeros((2, 4, 4, 1)), xs, mask=mask)
    assert carry[:, 0, 0, 0].tolist() == [2, 1] and ys[:, :, 0, 0, 0].tolist() == [[1, 0], [1, 0], [2, 1]]
    assert np.array_equal(last, ys[-1])


def test_before_any_kept_step_the_output_is_zero():
    # Even where the carry starts elsewhere.
    xs, mask = jnp.ones((2, 1, 1)), jnp.asarray([[False], [True]])
    _, _, ys = ops.scan_time(lambda c, x: (c + x, c + x), jnp.full((1, 1), 7.0), xs, mask=mask)
    assert ys[:, 0, 0].tolist() == [0, 8]


def test_trees_of_inputs():
    xs = {"a": jnp.ones((3, 2)), "b": (jnp.full((3, 2), 2.0),)}
    carry, _, ys = ops.scan_time(lambda c, x: (c + x["a"] * x["b"][0], None), jnp.zeros(2), xs)
    assert carry.tolist() == [6, 6] and ys is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c, x, m: ops.scan_time(step, c, x, unroll=0), "unroll=0"),
        (lambda c, x, m: ops.scan_time(step, c, x, unroll=True), "unroll=True"),
        (lambda c, x, m: ops.scan_time(step, c, {}), "no array"),
        (lambda c, x, m: ops.scan_time(step, c, x, mask=m[:2]), "disagree"),
    ],
)
def test_what_makes_no_sense_is_an_error(call, message):
    with pytest.raises(ValueError, match=message):
        call(*data())


def test_lstm_by_hand():
    units, (h, c) = 2, (np.array([[0.1, -0.2]]), np.array([[0.3, 0.4]]))
    random = np.random.RandomState(3)
    projected, kernel = random.normal(size=(1, 4 * units)), random.normal(size=(units, 4 * units))
    i, f, g, o = np.split(projected + h @ kernel, 4, -1)

    def sigmoid(z):
        return 1 / (1 + np.exp(-z))

    c_new = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    h_new = sigmoid(o) * np.tanh(c_new)
    arrays = [jnp.asarray(a, "float32") for a in (c, projected + h @ kernel)]
    (h_, c_), y = ops.lstm_gates(*arrays, jnp.tanh, jax.nn.sigmoid)
    for a, b in ((h_, h_new), (c_, c_new), (y, h_new)):
        np.testing.assert_allclose(a, b, rtol=1e-5)


OPTIONS = [{}, {"reverse": True}, {"zero_output": True}, {"return_all": False}, {"before": True}, {"unroll": 2}]


@pytest.mark.parametrize(
    "options", [*OPTIONS[:2], *(pytest.param(o, marks=pytest.mark.slow) for o in OPTIONS[2:])], ids=str
)
@pytest.mark.parametrize("masked", [pytest.param(False, marks=pytest.mark.slow), True])
@pytest.mark.parametrize("length", [pytest.param(1, marks=pytest.mark.slow), 5])
def test_gates_are_scanned_as_steps_are(options, masked, length, x64):
    random = np.random.RandomState(0)
    x, kernel, inner = (jnp.asarray(random.normal(size=s)) for s in ((length, 3, 2), (2, 8), (2, 8)))
    start = jnp.asarray(random.normal(size=(3, 2))), jnp.asarray(random.normal(size=(3, 2)))
    mask = jnp.asarray(random.rand(length, 3) > 0.4) if masked else None
    options = options | {"mask": mask, "output": lambda carry: carry[0]}

    def feed(params, carry, projected):
        return projected + ops.dot(carry[0], params[1])

    def gates(carry, preactivations):
        return ops.lstm_gates(carry[1], preactivations, jnp.tanh, jax.nn.sigmoid)

    def project(params, x):
        return ops.dot(x, params[0])

    def by_gates(params, start, x):
        return ops.scan_gates(feed, gates, params, start, x, project=project, **options)

    def by_steps(params, start, x):
        def step(carry, projected):
            return gates(carry, feed(params, carry, projected))

        return ops.scan_time(step, start, x, project=lambda x: project(params, x), **options)

    arguments = ((kernel, inner), start, x)
    tangents = jax.tree.map(jnp.cos, arguments)

    def derivatives(run):
        """Outputs, gradients, and tangents of both; and outputs for two recurrent kernels."""

        def loss(*arguments):
            return sum(jnp.sum(jnp.sin(leaf)) for leaf in jax.tree.leaves(run(*arguments)))

        batched = jax.vmap(run, in_axes=((None, 0), None, None))((kernel, jnp.stack([inner, -inner])), start, x)
        return jax.jvp(run, arguments, tangents), jax.jvp(jax.grad(loss, (0, 1, 2)), arguments, tangents), batched

    def checkpointed(run):
        y, back = jax.vjp(jax.checkpoint(run), *arguments)
        return y, back(jax.tree.map(jnp.cos, y))

    @jax.jit
    def everything():
        return derivatives(by_gates), derivatives(by_steps), checkpointed(by_gates)

    result, expected, (y, gradients) = everything()
    close = functools.partial(chex.assert_trees_all_close, rtol=1e-9, atol=1e-12)
    close(result, expected)
    close((y, gradients), (expected[0][0], expected[1][0]))
