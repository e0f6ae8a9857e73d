"""Each row of the tables of algorithms gives the reference's numbers, with all derivatives."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnlayers import ops
from fnlayers.ops import compose, reference
from fnlayers.ops.cpu.limits import Limits
from fnlayers.ops.loop import Loop, Scan
from fnlayers.ops.problem import (
    AttentionProblem,
    ConvProblem,
    ConvTransposeProblem,
    DenseScanProblem,
    DotProblem,
    IdentityProblem,
    PoolProblem,
    ScanProblem,
)
from fnlayers.ops.recurrent import DenseScan, DenseWeights, join_lstm, standard_lstm_gates
from fnlayers.ops.reference import Attention, PoolWindow, TransposedWindow, Window
from ops_cases import quick_jit

NONE = (0, 0)
POOLS = [
    ((2, 7, 3), PoolWindow((1, 2, 1), (1, 2, 1), (NONE, NONE, NONE))),
    ((2, 7, 3), PoolWindow((1, 3, 1), (1, 2, 1), (NONE, (1, 1), NONE))),
    ((2, 5, 6, 2), PoolWindow((1, 3, 2, 1), (1, 1, 3, 1), (NONE, (1, 1), NONE, NONE))),
    ((2, 2, 5, 6), PoolWindow((1, 1, 2, 2), (1, 1, 2, 2), (NONE, NONE, (0, 1), NONE))),
    ((2, 4, 5, 2), PoolWindow((1, 2, 2, 1), (1, 1, 1, 1), (NONE, (0, 1), (0, 1), NONE))),
    ((2, 6, 5, 2), PoolWindow((1, 3, 3, 1), (1, 1, 1, 1), (NONE, (1, 1), (1, 1), NONE))),
    ((2, 9, 7, 2), PoolWindow((1, 5, 4, 1), (1, 2, 2, 1), (NONE, (1, 1), NONE, NONE))),
    ((1, 4, 3, 5, 2), PoolWindow((1, 2, 3, 2, 1), (1, 2, 1, 3, 1), (NONE, NONE, (1, 1), (0, 1), NONE))),
]


X1, X2, X3 = (2, 7, 4), (2, 6, 5, 4), (2, 4, 3, 5, 2)
CONVS = [
    (("pointwise",), X1, (1, 4, 3), Window((1,), ((0, 0),), (1,))),
    (("pointwise",), X2, (1, 1, 4, 3), Window((2, 3), ((0, 0), (0, 0)), (1, 1))),
    (("pointwise",), X3, (1, 1, 1, 2, 3), Window((1, 2, 1), ((0, 0),) * 3, (1, 1, 1))),
    (("pointwise",), (2, 3, 64), (1, 64, 3), Window((1,), ((0, 0),), (1,))),
    (("depthwise_by_rows", "depthwise"), X1, (3, 1, 4), Window((1,), ((2, 0),), (1,), 4)),
    (("depthwise_by_rows", "depthwise"), X1, (2, 1, 8), Window((2,), ((0, 1),), (1,), 4)),
    (("depthwise_by_rows", "depthwise"), X2, (3, 2, 1, 4), Window((1, 1), ((1, 1), (0, 1)), (1, 1), 4)),
    (("depthwise_by_rows", "depthwise"), X2, (3, 2, 1, 8), Window((2, 1), ((1, 0), (0, 0)), (1, 1), 4)),
    (("depthwise_by_rows", "depthwise"), X2, (2, 3, 1, 4), Window((1, 1), ((0, 0), (2, 2)), (3, 2), 4)),
    (
        ("depthwise_by_rows", "depthwise"),
        X3,
        (2, 2, 3, 1, 4),
        Window((1, 2, 1), ((0, 1), (0, 0), (1, 1)), (1, 1, 1), 2),
    ),
    (("grouped",), X1, (2, 2, 6), Window((1,), ((0, 1),), (1,), 2)),
    (("grouped",), X2, (1, 1, 2, 6), Window((1, 2), ((0, 0), (0, 0)), (1, 1), 2)),
    (("grouped",), (1, 4, 34), (2, 17, 34), Window((1,), ((1, 0),), (1,), 2)),  # each group by itself
    (("grouped",), (1, 4, 3, 40), (2, 2, 2, 20), Window((2, 1), ((1, 0), (0, 1)), (1, 1), 20)),
    (("conv3d_as_conv2d",), X3, (2, 2, 3, 2, 3), Window((1, 1, 1), ((0, 1), (0, 1), (1, 1)), (1, 1, 1))),
    (("conv3d_as_conv2d",), X3, (3, 1, 2, 2, 3), Window((2, 1, 2), ((1, 1), (0, 0), (0, 1)), (1, 1, 1))),
    (("conv3d_as_conv2d",), X3, (2, 2, 2, 2, 1), Window((1, 1, 1), ((0, 0), (0, 0), (0, 0)), (2, 1, 3))),
    (("pad_past_input",), X2, (3, 3, 4, 2), Window((1, 1), ((1, 1), (1, 1)), (1, 1))),
    (("pad_past_input",), (2, 5, 6, 2), (2, 3, 2, 32), Window((1, 1), ((0, 1), (0, 0)), (2, 1))),
    (("half_products", "pointwise"), X2, (1, 1, 4, 3), Window((1, 2), ((0, 0), (0, 0)), (1, 1))),
    (("depthwise",), X2, (3, 2, 1, 8), Window((2, 1), ((1, 0), (0, 0)), (1, 1), 4)),
    (("single_channel",), (2, 9, 8, 1), (3, 3, 1, 3), Window((2, 1), ((0, 1), (1, 1)), (1, 1))),
    (("single_channel", "thin_im2col", "line_im2col"), (2, 12, 1), (3, 1, 4), Window((2,), ((0, 1),), (1,))),
    (
        ("pad_past_input", "xla_convolution", "thin_im2col_to_many"),
        X2,
        (3, 3, 4, 2),
        Window((1, 1), ((1, 1), (1, 1)), (1, 1)),
    ),
    (("xla_convolution", "half_im2col"), (4, 9, 8, 8), (3, 3, 8, 5), Window((1, 1), ((1, 1), (1, 1)), (1, 1))),
    (("thin_line", "thin_im2col", "im2col"), X1, (3, 4, 2), Window((2,), ((1, 1),), (1,))),
    (("thin_line", "thin_im2col", "im2col"), (2, 6, 5, 1), (3, 3, 1, 4), Window((1, 1), ((1, 1), (1, 1)), (1, 1))),
    (("thin_line", "thin_im2col", "im2col"), (2, 6, 5, 2), (2, 3, 2, 4), Window((2, 1), ((0, 0), (2, 2)), (1, 2))),
    (
        ("thin_line", "thin_im2col", "im2col"),
        (6, 6, 5, 3),
        (3, 3, 3, 4),
        Window((1, 1), ((1, 1), (1, 1)), (1, 1)),
    ),  # in six parts
    (
        ("thin_line", "thin_im2col", "im2col"),
        (2, 3, 40, 2),
        (2, 3, 2, 4),
        Window((1, 1), ((0, 0), (1, 1)), (1, 1)),
    ),  # a tile for each row
    (("light_product", "pointwise"), X2, (1, 1, 4, 3), Window((1, 2), ((0, 0), (0, 0)), (1, 1))),
    (("grouped",), X2, (2, 2, 2, 6), Window((1, 1), ((0, 1), (0, 0)), (1, 1), 2)),
    (("half_im2col",), X2, (3, 3, 4, 2), Window((1, 1), ((1, 1), (1, 1)), (1, 1))),
    (("half_im2col",), X2, (2, 3, 4, 3), Window((2, 1), ((0, 1), (2, 0)), (1, 2))),
    (("half_im2col",), X2, (3, 1, 4, 3), Window((1, 2), ((1, 0), (0, 0)), (2, 1))),
    (("row_tiles",), X1, (3, 4, 2), Window((1,), ((2, 0),), (1,))),
    (("row_tiles",), X2, (3, 3, 4, 2), Window((1, 1), ((1, 1), (1, 1)), (1, 1))),
    (("row_tiles",), (3, 11, 5, 2), (3, 2, 2, 4), Window((2, 1), ((0, 1), (0, 1)), (2, 1))),  # the last tile is short
    (
        ("row_tiles",),
        (1, 5, 4, 2),
        (2, 2, 2, 3),
        Window((3, 1), ((0, 0), (0, 0)), (1, 1)),
    ),  # positions that no tap meets
]


TRANSPOSED = [
    ((X1, (4, 3, 4)), TransposedWindow((2,), ((2, 2),), (1,))),
    ((X1, (5, 3, 4)), TransposedWindow((2,), ((3, 1),), (1,))),
    ((X1, (6, 4, 4)), TransposedWindow((2,), ((4, 5),), (1,))),  # all at once
    ((X2, (4, 3, 2, 4)), TransposedWindow((2, 3), ((2, 1), (4, 0)), (1, 1))),  # all at once
    ((X2, (2, 2, 3, 4)), TransposedWindow((2, 1), ((1, 3), (0, 1)), (1, 1))),
    ((X1, (2, 3, 4)), TransposedWindow((3,), ((1, 2),), (1,))),  # phases that meet no tap
    ((X2, (2, 2, 3, 4)), TransposedWindow((2, 2), ((1, 1), (1, 1)), (1, 1))),  # nothing overlaps
    ((X2, (3, 3, 1, 4)), TransposedWindow((2, 2), ((2, 1), (0, 3)), (1, 1))),  # a single channel out
    ((X2, (4, 5, 1, 4)), TransposedWindow((2, 3), ((2, 1), (0, 5)), (1, 1))),
    ((X2, (3, 5, 2, 4)), TransposedWindow((2, 3), ((1, 2), (3, 4)), (1, 1))),
    ((X3, (2, 3, 2, 3, 2)), TransposedWindow((2, 1, 2), ((1, 1), (1, 1), (0, 1)), (1, 1, 1))),
]
# Rows of kernels that each phase meets as many taps of, and of all
EVEN = ("subpixel", "overlap_add_of_few_outputs"), ("subpixel", "subpixel_by_row_tiles")
ANY = ("overlap_add", "phase_by_phase"), ("overlap_add_of_fewer_outputs",)


def transposed_cases():
    for case, window in TRANSPOSED:
        even = all(size % stride == 0 for size, stride in zip(case[1], window.strides, strict=False))
        yield from ((names, *case, window) for names in (EVEN if even else ANY[:1]))
    yield ANY[1], *TRANSPOSED[0][0], TRANSPOSED[0][1]


class Example(NamedTuple):
    """Rows, whether they would be taken or not, and arrays for their operation: nests of shapes, then arrays as given."""

    names: tuple[str, ...]
    problem: Any
    shapes: tuple[Any, ...]
    rest: tuple[Any, ...] = ()
    platform: str = "cpu"

    def __str__(self) -> str:
        return f"{self.platform} {self.problem.operation} {' '.join(self.names)} {self.shapes}"


def struct(shape: tuple[int, ...]) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, "float32")


def convolutions():
    for names, x, kernel, window in CONVS:
        yield Example(names, ConvProblem.of(struct(x), struct(kernel), window), (x, kernel))
    for names, x, kernel, window in transposed_cases():
        yield Example(names, ConvTransposeProblem.of(struct(x), struct(kernel), window), (x, kernel))


def pools():
    for shape, window in POOLS:
        for operation, names in (("max_pool", MAX), ("sum_pool", SUM), ("sum_pool", SUM[:1])):
            yield Example(names, PoolProblem.of(operation, struct(shape), window), (shape,))


MAX, SUM = ("max_by_taps", "max_tangent_by_taps"), ("sum_by_taps", "sum_tangent_by_taps")


def identities():
    rows = {"mean_operand": "fusion_barrier", "gradient_once": "materialized_gradient"}
    return (Example((name,), IdentityProblem(operation), ((2, 3, 4),)) for operation, name in rows.items())


def dots():
    for x, kernel, axes in (((2, 3, 4), (4, 5), 1), ((2, 3, 4), (3, 4, 2, 2), 2), ((4,), (4, 3, 2), 1)):
        yield Example(("one_matrix_product",), DotProblem(len(x), len(kernel), axes), (x, kernel))


def attentions():
    shapes = (2, 5, 4, 8), (2, 5, 2, 8), (2, 5, 2, 8)
    seen = ops.nearby(5, 5, True, None)
    for platform, name, call in (
        ("cpu", "divided_weights", Attention(0.3, empty="shifted", return_weights=True)),
        ("cpu", "divided_weights", Attention(1.0, score=lambda q, k: ops.additive_score(q[..., :2, :, :], k))),
        ("cuda", "cudnn_attention", Attention(0.3, causal=True)),
    ):
        problem = AttentionProblem(
            *shapes, ("float64",) * 3, is_plain=True, allows_fused=True, is_traced=True, call=call
        )
        yield Example((name,), problem, shapes, (seen,), platform)


def scans():
    call = Scan(lambda carry, x: (jnp.tanh(carry + x), carry * x, None), jnp.sin, Loop())
    yield Example(("projected_inside",), ScanProblem(None, call), ((3, 2), (4, 3, 2)), (None,))


def dense_scans():
    rows = [("features_major_forward", "features_major"), ("few_rows", "small_steps"), ("projected_inside",)]
    rows += [("half_precision_steps", "few_rows_in_training"), ("features_major_of_one_gate", "single_gate")]
    for names in [("cudnn_lstm",), *rows]:
        call = DenseScan(join_lstm, standard_lstm_gates, Loop(reverse=names == ("cudnn_lstm",)))
        weights, carry, xs = DenseWeights((2, 12), (3, 12), (12,)), ((2, 3), (2, 3)), (4, 2, 2)
        structs = jax.tree.map(struct, (weights, carry, xs), is_leaf=is_shape)
        problem = DenseScanProblem.of(*structs, False, call, True)
        yield Example(names, problem, (weights, carry, xs), (None, None), "cuda" if names[0] == "cudnn_lstm" else "cpu")


def is_shape(nest):
    return isinstance(nest, tuple) and all(isinstance(n, int) for n in nest)


EXAMPLES = [
    example for group in (convolutions, pools, identities, dots, attentions, scans, dense_scans) for example in group()
]
# So that some of im2col's matrices are cut into parts, and some are not
SMALL = Limits(im2col_elements=1000, im2col_tile_elements=300)


def functions(example):
    """(by the rows, by the reference), of the arrays that are differentiated."""
    problem = example.problem
    rows = [row for row in compose.tables()[example.platform][problem.operation] if row.name in example.names]
    assert {row.name for row in rows} == set(example.names)
    composed = compose.composed(problem, compose.first_of_each_pass(rows), SMALL)
    call = [getattr(problem, name) for name in ("window", "call") if hasattr(problem, name)]
    plain = getattr(reference, problem.operation)
    return lambda *arrays: composed(*arrays, *example.rest), lambda *arrays: plain(*arrays, *example.rest, *call)


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_every_row_gives_the_numbers_of_the_reference_with_all_derivatives(example, cuda_kernels, x64):
    random = np.random.RandomState(0)

    def normal(tree):
        return jax.tree.map(lambda shape: jnp.asarray(random.normal(size=shape)), tree, is_leaf=is_shape)

    arrays, tangents = normal(example.shapes), normal(example.shapes)
    actual, expected = (quick_jit(functools.partial(all_of, f))(arrays, tangents) for f in functions(example))
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    limit = 1e-9 if example.platform == "cpu" else 1e-5  # XLA's attention, which stands in for cuDNN's, has float32
    for a, b in zip(*map(jax.tree.leaves, (actual, expected)), strict=True):
        np.testing.assert_allclose(a, b, rtol=limit, atol=limit)


def all_of(f, arrays, tangents):
    """Output, tangent, gradients, how these change along a direction, under vmap and checkpoint."""

    def cost(*arrays):
        leaves = jax.tree.leaves(f(*arrays))
        return sum(jnp.vdot(jnp.sin(y), jnp.cos(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape)) for y in leaves)

    gradients = jax.grad(cost, argnums=tuple(range(len(arrays))))
    *others, last = arrays
    stacked = jax.tree.map(lambda a, b: jnp.stack([a, b]), last, tangents[-1])
    return (
        jax.jvp(f, arrays, tangents),
        gradients(*arrays),
        jax.jvp(gradients, arrays, tangents),
        jax.vmap(lambda last: f(*others, last))(stacked),
        jax.checkpoint(f)(*arrays),
    )


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def max_pool_by_gradients(x, window):
    """With tangents by its gradients: of equal elements XLA's tangent follows another one, in pairs that are padded."""
    return reference.max_pool(x, window)


@max_pool_by_gradients.defjvp
def _(window, primals, tangents):
    (x,), (dx,), plain = primals, tangents, functools.partial(reference.max_pool, window=window)
    return plain(x), jnp.tensordot(jax.jacrev(plain)(x), dx, x.ndim)


@pytest.mark.parametrize("shape, window", POOLS)
def test_maxima_of_equal_elements_have_the_gradient_of_the_first(shape, window, x64):
    random = np.random.RandomState(0)
    arrays = (jnp.asarray(random.randint(0, 3, shape).astype(float)),)
    tangents = (jnp.asarray(random.normal(size=shape)),)
    by_rows, _ = functions(Example(MAX, PoolProblem.of("max_pool", struct(shape), window), (shape,)))
    plain = functools.partial(max_pool_by_gradients, window=window)
    actual, expected = (quick_jit(functools.partial(all_of, f))(arrays, tangents) for f in (by_rows, plain))
    for a, b in zip(*map(jax.tree.leaves, (actual, expected)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "platform, operation", [(name, operation) for name, table in compose.tables().items() for operation in table]
)
def test_every_row_has_an_example(platform, operation):
    tried = {n for e in EXAMPLES if (e.platform, e.problem.operation) == (platform, operation) for n in e.names}
    assert tried == {row.name for row in compose.tables()[platform][operation]}
