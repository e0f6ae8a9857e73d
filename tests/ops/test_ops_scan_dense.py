"""The algorithms of `scan_dense` for CPUs against the scan of single steps, with all derivatives."""

import functools

import chex
import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

from fnlayers import ops
from fnlayers.ops import compose
from fnlayers.ops.cpu import table
from fnlayers.ops.cpu.limits import Limits
from fnlayers.ops.loop import Loop
from fnlayers.ops.problem import DenseScanProblem
from fnlayers.ops.recurrent import DenseScan
from ops_cases import quick_jit

UNITS, FEATURES, BATCH = 3, 2, 5
LIMITS = Limits()
OPTIONS = [
    {},
    {"reverse": True},
    {"zero_output": True},
    {"return_all": False},
    {"return_all": False, "zero_output": True, "reverse": True},
    {"unroll": 8},
]


def lstm_join(of_x, of_h, axis):
    return of_x + of_h


def lstm_gates(carry, preactivations, axis):
    return ops.lstm_gates(carry[1], preactivations, jnp.tanh, jax.nn.sigmoid, axis)


def gru_join(of_x, of_h, axis):
    (z, r, x), (uz, ur, u) = jnp.split(of_x, 3, axis), jnp.split(of_h, 3, axis)
    return jnp.concatenate((z + uz, r + ur, x, u), axis)


def gru_gates(carry, preactivations, axis):
    z, r, x, u = jnp.split(preactivations, 4, axis)
    return ops.gru_gates(carry, z, r, lambda r: x + r * u, jnp.tanh, jax.nn.sigmoid)


def rnn_gates(carry, preactivations, axis):
    return jnp.tanh(preactivations), jnp.tanh(preactivations)


CELLS = {"lstm": (4, lstm_join, lstm_gates), "gru": (3, gru_join, gru_gates), "rnn": (1, lstm_join, rnn_gates)}


def data(cell, length, *, bias=True):
    random, gates = np.random.RandomState(0), CELLS[cell][0]
    shapes = [(FEATURES, gates * UNITS), (UNITS, gates * UNITS), *[(gates * UNITS,)] * (2 if bias else 0)]
    weights = ops.DenseWeights(*(jnp.asarray(random.normal(size=shape)) for shape in shapes))
    carry = tuple(jnp.asarray(random.normal(size=(BATCH, UNITS))) for _ in range(2))
    xs = jnp.asarray(random.normal(size=(length, BATCH, FEATURES)))
    return weights, carry if cell == "lstm" else carry[0], xs, jnp.asarray(random.rand(length, BATCH) > 0.4)


@pytest.fixture
def for_all_sizes(monkeypatch):
    """Lets CPUs put features first for the tiny arrays of the tests."""
    names = [name for name in LIMITS._fields if name.startswith("least_scanned")]
    small = Limits(**dict.fromkeys([*names, "large_scanned_batch"], 1))
    monkeypatch.setattr(compose, "Limits", lambda: small)


@pytest.mark.parametrize(
    ("cell", "length", "masked", "options"),
    [
        pytest.param("lstm", 8, True, options, marks=[pytest.mark.slow] if i > 1 else [])
        for i, options in enumerate(OPTIONS)
    ]
    + [("gru", 5, masked, {"return_all": False}) for masked in (False, True)]
    + [("gru", 5, True, {"reverse": True})],  # projected before, in training
)
def test_it_is_the_scan_of_single_steps(cell, length, masked, options, for_all_sizes, monkeypatch, x64):
    weights, carry, xs, mask = data(cell, length, bias=not masked)
    dropout_mask = jnp.asarray(np.random.RandomState(1).rand(BATCH, UNITS)) if masked else None
    options = options | {"mask": mask if masked else None, "recurrent_dropout_mask": dropout_mask}

    def run(weights, carry, xs):
        return ops.scan_dense(*CELLS[cell][1:], weights, carry, xs, **options)

    arguments = weights, carry, xs

    def loss(*arguments):
        return sum(jnp.sum(jnp.sin(leaf)) for leaf in jax.tree.leaves(run(*arguments)))

    gradients = jax.grad(loss, argnums=(0, 1, 2))

    def derivatives():
        tangents = jax.tree.map(jnp.cos, arguments)
        several = weights._replace(recurrent=jnp.stack([weights.recurrent, -weights.recurrent]))
        axes = ops.DenseWeights(*(None if leaf is None else 0 if i == 1 else None for i, leaf in enumerate(weights)))
        batched = jax.vmap(run, in_axes=(axes, None, None))(several, carry, xs)
        return jax.jvp(run, arguments, tangents), jax.jvp(gradients, arguments, tangents), batched

    def by_itself():
        return run(*arguments), gradients(*arguments), jax.grad(jax.checkpoint(loss), argnums=(0, 1, 2))(*arguments)

    results, single = quick_jit(lambda: (derivatives(), by_itself()))()
    monkeypatch.setitem(table.TABLES, "scan_dense", ())
    expected = quick_jit(lambda: derivatives())()
    close = functools.partial(chex.assert_trees_all_close, rtol=1e-9, atol=1e-12)
    close(results, expected)
    (y, _), (of_arguments, _), _ = expected
    close(single, (y, of_arguments, of_arguments))


def program(platform, cell, batch, *, train, **options):
    """The text of a program for a platform, of the least size but for the batch."""
    gates, features, units = CELLS[cell][0], LIMITS.least_scanned_features, LIMITS.least_scanned_units
    shapes = (features, gates * units), (units, gates * units), (batch, units), (10, batch, features)
    kernel, recurrent, h, xs = (jax.ShapeDtypeStruct(shape, "float32") for shape in shapes)
    run = functools.partial(ops.scan_dense, *CELLS[cell][1:], **options)
    function = jax.grad(lambda *arguments: run(*arguments)[1].sum()) if train else run
    arguments = ops.DenseWeights(kernel, recurrent), (h, h) if cell == "lstm" else h, xs
    return jax.export.export(jax.jit(function), platforms=[platform])(*arguments).mlir_module()


@pytest.mark.parametrize(
    ("cell", "batch", "options", "taken"),
    [
        ("lstm", LIMITS.large_scanned_batch, {"train": False}, True),
        ("lstm", LIMITS.large_scanned_batch - 1, {"train": False}, False),
        ("gru", LIMITS.least_scanned_batch, {"train": True, "return_all": False}, True),
        ("gru", LIMITS.least_scanned_batch, {"train": True}, False),
        ("lstm", LIMITS.least_scanned_batch - 1, {"train": True}, False),
        ("lstm", LIMITS.least_scanned_elements // LIMITS.least_scanned_units, {"train": True}, True),
        ("lstm", LIMITS.least_scanned_elements // LIMITS.least_scanned_units - 1, {"train": True}, False),
        ("rnn", LIMITS.large_scanned_batch, {"train": True, "return_all": False}, False),
    ],
    ids=str,
)
def test_cpus_alone_take_it(cell, batch, options, taken):
    turn = f"<{LIMITS.least_scanned_features}x{5 * batch}xf32"  # x of five steps, features first
    assert (turn in program("cpu", cell, batch, **options)) == taken
    assert turn not in program("cuda", cell, batch, **options)


@pytest.mark.parametrize(
    ("cell", "batch", "features", "units", "dtype", "forward", "training"),
    [
        ("lstm", 1, 32, 128, "float32", "projected_before", "projected_before"),
        ("lstm", 2, 32, 128, "float32", "projected_inside", "projected_before"),
        ("lstm", 16, 32, 128, "float32", "projected_inside", "features_major"),
        ("lstm", 15, 256, 128, "float32", "projected_before", "projected_before"),  # as many features as two units
        ("lstm", 16, 256, 128, "float32", "projected_inside", "projected_before"),
        ("lstm", 16, 256, 128, "bfloat16", "projected_before", "projected_before"),
        ("lstm", 64, 128, 128, "bfloat16", "features_major", "features_major"),
        ("gru", 2, 32, 128, "float32", "projected_inside", "projected_before"),
        ("gru", 2, 256, 128, "float32", "projected_before", "projected_before"),
        ("gru", 16, 64, 256, "float32", "projected_inside", "projected_before"),
        ("gru", 17, 64, 256, "float32", "projected_inside", "projected_inside"),
        ("rnn", 1, 512, 128, "float32", "projected_before", "projected_before"),
        ("rnn", 64, 64, 255, "float32", "projected_before", "projected_before"),
        ("rnn", 16, 64, 256, "float32", "projected_before", "features_major"),
    ],
)
def test_the_table_says_which_is_taken(cell, batch, features, units, dtype, forward, training):
    gates = CELLS[cell][0]
    kernel, recurrent = (jax.ShapeDtypeStruct((n, gates * units), dtype) for n in (features, units))
    xs = jax.ShapeDtypeStruct((10, batch, features), dtype)
    call = DenseScan(*CELLS[cell][1:], Loop(return_all=True))
    problem = DenseScanProblem.of(ops.DenseWeights(kernel, recurrent), xs, xs, False, call, False)
    rows = compose.chosen(problem)
    assert [rows[name].passes[name].__name__ for name in ("forward", "training")] == [forward, training]


def test_a_choice_is_of_programs_with_derivatives_or_without():
    projected = "<10x2x384xf32"  # all steps of a GRU of 128 units, of two rows
    assert projected in program("cpu", "gru", 2, train=True)
    assert projected not in program("cpu", "gru", 2, train=False)
    assert projected not in program("cpu", "gru", 17, train=True)


def test_a_single_row_of_an_lstm_is_projected_before_the_scan():
    projected = "<10x1x512xf32"
    assert projected in program("cpu", "lstm", 1, train=False)
    assert projected not in program("cpu", "lstm", 2, train=False)


def test_a_batch_that_is_not_known_is_scanned_step_by_step():
    weights, carry, _, _ = data("rnn", 2)
    weights, carry = jax.tree.map(lambda a: jnp.asarray(a, "float32"), (weights, carry))
    (batch,) = jax.export.symbolic_shape("b")
    shapes = [(4, batch, FEATURES), (batch, UNITS)]
    xs, start = (jax.ShapeDtypeStruct(shape, "float32") for shape in shapes)

    def run(xs, start):
        return ops.scan_dense(*CELLS["rnn"][1:], weights, start, xs)[1]

    x = jnp.ones((4, BATCH, FEATURES))
    np.testing.assert_allclose(jax.export.export(jax.jit(run))(xs, start).call(x, carry), run(x, carry), rtol=1e-6)
