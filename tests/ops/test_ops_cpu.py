"""Each row of the table of algorithms for CPUs gives the reference's numbers, with all derivatives."""

import functools

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

from fnlayers import ops
from fnlayers.ops import program, reference
from fnlayers.ops.cpu import compose, table
from fnlayers.ops.cpu.problem import HAS_YNNPACK, ConvProblem, ConvTransposeProblem, PoolProblem
from fnlayers.ops.cpu.table import Limits
from fnlayers.ops.reference import PoolWindow, TransposedWindow, Window
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


# So that some columns are cut into parts, and some are not
SMALL = Limits(column_elements=1000, column_tile_elements=300)


def composed(problem, *names):
    """The function of the rows of those names, whether they would be taken or not."""
    rows = [row for row in table.TABLES[problem.operation] if row.name in names]
    assert {row.name for row in rows} == set(names)
    return compose.composed(problem, compose.first_of_each_pass(rows), SMALL)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def max_pool_by_gradients(x, window):
    """With tangents by its gradients: of equal elements XLA's tangent follows another one, in pairs that are padded."""
    return reference.max_pool(x, window)


@max_pool_by_gradients.defjvp
def _(window, primals, tangents):
    (x,), (dx,), plain = primals, tangents, functools.partial(reference.max_pool, window=window)
    return plain(x), jnp.tensordot(jax.jacrev(plain)(x), dx, x.ndim)


MAX, SUM = ("max_by_taps", "max_tangent_by_taps"), ("sum_by_taps", "sum_tangent_by_taps")


@pytest.mark.parametrize(
    "operation, names, ties",
    [("max_pool", MAX, False), ("max_pool", MAX, True), ("sum_pool", SUM, False), ("sum_pool", SUM[:1], False)],
)
@pytest.mark.parametrize("shape, window", POOLS)
def test_pools(shape, window, operation, names, ties, x64):
    random = np.random.RandomState(0)
    x = jnp.asarray(random.randint(0, 3, shape).astype(float) if ties else random.normal(size=shape))
    dx = jnp.asarray(random.normal(size=shape))
    plain = functools.partial(max_pool_by_gradients if ties else getattr(reference, operation), window=window)
    cotangent = jnp.asarray(random.normal(size=jax.eval_shape(plain, x).shape))

    def all_of(f):
        def gradient(x):
            return jax.vjp(f, x)[1](cotangent * f(x))[0]

        return quick_jit(
            lambda x: (
                jax.jvp(f, (x,), (dx,)),
                gradient(x),
                jax.jvp(gradient, (x,), (dx,)),
                jax.vmap(f)(jnp.stack([x, dx])),
            )
        )(x)

    found = all_of(composed(PoolProblem.of(operation, x, window), *names))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(all_of(plain)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def test_pools_of_integers_and_infinities():
    window = PoolWindow((1, 2, 1), (1, 1, 1), (NONE, (0, 1), NONE))
    x = jnp.array([[[-5], [3], [-7]]], "int32")
    largest = composed(PoolProblem.of("max_pool", x, window), "max_by_taps")
    assert largest(x).ravel().tolist() == [3, 3, -7]
    x = jnp.array([[[-jnp.inf], [jnp.nan], [1.0]]])
    assert np.array_equal(largest(x).ravel(), [np.nan, np.nan, 1.0], equal_nan=True)


X1, X2, X3 = (2, 7, 4), (2, 6, 5, 4), (2, 4, 3, 5, 2)
CONVS = [
    (("pointwise",), X1, (1, 4, 3), Window((1,), ((0, 0),), (1,))),
    (("pointwise",), X2, (1, 1, 4, 3), Window((2, 3), ((0, 0), (0, 0)), (1, 1))),
    (("pointwise",), X3, (1, 1, 1, 2, 3), Window((1, 2, 1), ((0, 0),) * 3, (1, 1, 1))),
    (("pointwise",), (2, 3, 64), (1, 64, 3), Window((1,), ((0, 0),), (1,))),
    (
        (
            "depthwise_by_rows",
            "depthwise",
        ),
        X1,
        (3, 1, 4),
        Window((1,), ((2, 0),), (1,), 4),
    ),
    (
        (
            "depthwise_by_rows",
            "depthwise",
        ),
        X1,
        (2, 1, 8),
        Window((2,), ((0, 1),), (1,), 4),
    ),
    (
        (
            "depthwise_by_rows",
            "depthwise",
        ),
        X2,
        (3, 2, 1, 4),
        Window((1, 1), ((1, 1), (0, 1)), (1, 1), 4),
    ),
    (
        (
            "depthwise_by_rows",
            "depthwise",
        ),
        X2,
        (3, 2, 1, 8),
        Window((2, 1), ((1, 0), (0, 0)), (1, 1), 4),
    ),
    (
        (
            "depthwise_by_rows",
            "depthwise",
        ),
        X2,
        (2, 3, 1, 4),
        Window((1, 1), ((0, 0), (2, 2)), (3, 2), 4),
    ),
    (
        (
            "depthwise_by_rows",
            "depthwise",
        ),
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
    (("single_channel", "thin_columns", "line_columns"), (2, 12, 1), (3, 1, 4), Window((2,), ((0, 1),), (1,))),
    (("pad_past_input", "xla_convolution", "wide_columns"), X2, (3, 3, 4, 2), Window((1, 1), ((1, 1), (1, 1)), (1, 1))),
    (("xla_convolution", "half_im2col"), (4, 9, 8, 8), (3, 3, 8, 5), Window((1, 1), ((1, 1), (1, 1)), (1, 1))),
    (
        (
            "thin_line",
            "thin_columns",
            "columns",
        ),
        X1,
        (3, 4, 2),
        Window((2,), ((1, 1),), (1,)),
    ),
    (
        (
            "thin_line",
            "thin_columns",
            "columns",
        ),
        (2, 6, 5, 1),
        (3, 3, 1, 4),
        Window((1, 1), ((1, 1), (1, 1)), (1, 1)),
    ),
    (
        (
            "thin_line",
            "thin_columns",
            "columns",
        ),
        (2, 6, 5, 2),
        (2, 3, 2, 4),
        Window((2, 1), ((0, 0), (2, 2)), (1, 2)),
    ),
    (
        (
            "thin_line",
            "thin_columns",
            "columns",
        ),
        (6, 6, 5, 3),
        (3, 3, 3, 4),
        Window((1, 1), ((1, 1), (1, 1)), (1, 1)),
    ),  # in six parts
    (
        (
            "thin_line",
            "thin_columns",
            "columns",
        ),
        (2, 3, 40, 2),
        (2, 3, 2, 4),
        Window((1, 1), ((0, 0), (1, 1)), (1, 1)),
    ),  # a tile for each row
    (
        (
            "light_product",
            "pointwise",
        ),
        X2,
        (1, 1, 4, 3),
        Window((1, 2), ((0, 0), (0, 0)), (1, 1)),
    ),
    (
        (
            "small_groups",
            "grouped",
        ),
        X2,
        (2, 2, 2, 6),
        Window((1, 1), ((0, 1), (0, 0)), (1, 1), 2),
    ),
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


def conv_problem(x, kernel, window, dtype="float32"):
    return ConvProblem.of(jax.ShapeDtypeStruct(x, dtype), jax.ShapeDtypeStruct(kernel, dtype), window)


@pytest.mark.parametrize("names, x, kernel, window", CONVS, ids=str)
def test_convolutions(names, x, kernel, window, x64):
    derivatives_agree(composed(conv_problem(x, kernel, window), *names), reference.conv, x, kernel, window)


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


@pytest.mark.parametrize("names, x, kernel, window", list(transposed_cases()), ids=str)
def test_transposed_convolutions(names, x, kernel, window, x64):
    arrays = (jax.ShapeDtypeStruct(shape, "float64") for shape in (x, kernel))
    problem = ConvTransposeProblem.of(*arrays, window)
    derivatives_agree(composed(problem, *names), reference.conv_transpose, x, kernel, window)


@pytest.mark.parametrize("operation", table.TABLES)
def test_every_row_is_tried(operation):
    tried = {"conv": {name for names, *_ in CONVS for name in names}, "max_pool": set(MAX), "sum_pool": set(SUM)}
    tried |= {"mean_operand": {"fusion_barrier"}, "gradient_once": {"materialized_gradient"}}  # in test_ops_fusion
    tried["conv_transpose"] = {name for names in EVEN + ANY for name in names}
    assert tried[operation] == {row.name for row in table.TABLES[operation]}


def derivatives_agree(function, plain, x_shape, kernel_shape, window):
    """Output, tangent, gradients, and how these change along a direction: the reference's."""
    random = np.random.RandomState(0)
    shapes = (x_shape, kernel_shape, x_shape, kernel_shape)
    x, kernel, dx, dkernel = (jnp.asarray(random.normal(size=shape)) for shape in shapes)
    plain = functools.partial(plain, window=window)
    cotangent = jnp.asarray(random.normal(size=jax.eval_shape(plain, x, kernel).shape))

    def all_of(f):
        def gradients(x, kernel):
            return jax.grad(lambda *a: jnp.sum(jnp.sin(f(*a)) * cotangent), argnums=(0, 1))(x, kernel)

        def run(x, kernel):
            batched = jax.vmap(f, in_axes=(None, 0))(x, jnp.stack([kernel, dkernel]))
            return (
                *jax.jvp(f, (x, kernel), (dx, dkernel)),
                jax.vjp(f, x, kernel)[1](cotangent),
                jax.jvp(gradients, (x, kernel), (dx, dkernel)),
                batched,
                jax.checkpoint(f)(x, kernel),
            )

        return quick_jit(run)(x, kernel)

    for found, expected in zip(jax.tree.leaves(all_of(function)), jax.tree.leaves(all_of(plain)), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def taken(problem, **limits):
    """The names of the rows that are taken, by pass."""
    return {which: row.name for which, row in compose.chosen(problem, Limits(**limits)).items()}


def test_which_pools_go_tap_by_tap():
    def pool(operation, size, stride, pads=NONE, **limits):
        window = PoolWindow((1, size, 1), (1, stride, 1), (NONE, pads, NONE))
        return taken(PoolProblem.of(operation, jnp.ones((1, 100, 1)), window), **limits)

    both = {"forward": "max_by_taps", "input_gradient": "max_tangent_by_taps"}
    assert pool("max_pool", 3, 1) == both
    assert pool("max_pool", 2, 2) == {"input_gradient": "max_tangent_by_taps"}  # no windows overlap
    assert pool("max_pool", 17, 1) == {"forward": "max_by_taps"}
    assert pool("max_pool", 65, 1) == pool("max_pool", 1, 2) == {}
    assert pool("max_pool", 65, 1, unrolled_taps=100, compared_taps=100) == both
    both = {"forward": "sum_by_taps", "input_gradient": "sum_tangent_by_taps"}
    assert pool("sum_pool", 3, 2) == pool("sum_pool", 5, 1) == both
    assert pool("sum_pool", 3, 1) == pool("sum_pool", 5, 1, summed_elements=99) == {"forward": "sum_by_taps"}
    assert pool("sum_pool", 3, 1, (1, 1)) == pool("sum_pool", 2, 2) == {}


ONE, TWO = Window((1,), (NONE,), (1,)), Window((1, 1), (NONE, NONE), (1, 1))
SAME = TWO._replace(padding=((1, 1), (1, 1)))


@pytest.mark.parametrize(
    ("x", "kernel", "window", "rows"),
    [
        ((8, 30, 30, 8), (1, 1, 8, 3), TWO, {"forward": "pointwise", "kernel_gradient": "pointwise"}),
        ((16, 28, 28, 3), (1, 1, 3, 16), TWO, {"forward": "light_product", "training": "pointwise"}),
        ((16, 28, 28, 64), (1, 1, 64, 16), TWO._replace(strides=(2, 2)), {"forward": "light_product"}),
        ((16, 28, 28, 64), (1, 1, 64, 64), TWO, {"forward": "pointwise", "kernel_gradient": "half_products"}),
        ((8, 30, 30, 8), (3, 3, 1, 16), TWO._replace(groups=8), {"forward": "depthwise"}),
        ((8, 30, 30, 8), (3, 3, 4, 16), TWO._replace(groups=2), {"forward": "grouped", "training": "grouped"}),
        ((1, 14, 14, 64), (3, 3, 16, 64), SAME._replace(groups=4), {"forward": "small_groups", "training": "grouped"}),
        ((2, 9, 9, 9, 8), (3, 3, 3, 8, 16), Window((1,) * 3, (NONE,) * 3, (1,) * 3), {"forward": "conv3d_as_conv2d"}),
        ((8, 30, 30, 8), (3, 3, 8, 32), TWO, {"kernel_gradient": "columns"}),
        ((8, 30, 30, 8), (3, 3, 8, 16), TWO, {"kernel_gradient": None}),  # copies would take longer than products
        ((1, 30, 30, 8), (3, 3, 8, 32), TWO, {"kernel_gradient": None}),  # a short sum
        ((16, 30, 30, 64), (3, 3, 64, 64), TWO, {"forward": "pad_past_input", "kernel_gradient": "columns"}),
        ((16, 30, 30, 64), (3, 3, 64, 64), TWO._replace(padding=((3, 3), (1, 1))), {"forward": None}),  # y is larger
        (
            (16, 30, 30, 64),
            (3, 3, 64, 64),
            TWO._replace(strides=(1, 2)),
            {"forward": None, "kernel_gradient": "columns"},
        ),
        ((64, 30, 3), (3, 3, 16), ONE, {"forward": "thin_line", "input_gradient": "thin_columns"}),
        ((8, 30, 30, 8), (3, 3, 8, 32), TWO._replace(padding="SAME"), None),  # sizes are not known
        ((8, 30, 30, 0), (3, 3, 0, 32), TWO, None),
    ],
)
@pytest.mark.skipif(not HAS_YNNPACK, reason="this XLA has only its own convolutions")
def test_which_convolutions_in_programs_with_ynnpack(x, kernel, window, rows):
    problem = conv_problem(x, kernel, window)
    assert (problem is None) == (rows is None)
    assert all(taken(problem).get(which) == name for which, name in (rows or {}).items())


@pytest.mark.parametrize(
    ("x", "kernel", "window", "row"),
    [
        ((4, 30, 30, 16), (3, 3, 16, 16), TWO, "half_im2col"),
        ((4, 30, 30, 16), (3, 3, 16, 32), TWO, "row_tiles"),
        ((4, 30, 30, 16), (3, 3, 16, 16), TWO._replace(strides=(2, 2)), "row_tiles"),
        ((4, 30, 16), (3, 16, 16), ONE, "line_columns"),
        ((64, 30, 3), (3, 3, 16), ONE, "line_columns"),
        ((16, 30, 30, 3), (3, 3, 3, 128), TWO, "wide_columns"),
        ((16, 30, 30, 3), (3, 3, 3, 64), TWO, None),
        ((8, 30, 30, 16), (3, 3, 16, 16), TWO, None),  # examples enough
        ((4, 60, 60, 64), (3, 3, 64, 32), TWO, None),  # too large to copy
        ((4, 1, 30, 16), (1, 3, 16, 32), TWO, None),  # a single row
        (("b", 30, 30, 16), (3, 3, 16, 16), TWO, None),  # a size that is not known
    ],
)
def test_which_gradients_of_kernels_in_programs_with_convolutions_of_xla(x, kernel, window, row):
    sizes = jax.export.symbolic_shape("b, c") if x[0] == "b" else x
    with program.traced(program.Program()):
        found = taken(conv_problem((sizes[0], *x[1:]), kernel, window))
    assert found.get("kernel_gradient") == row
    assert found.get("input_gradient") == ("thin_columns" if x[-1] == 3 else None)


@pytest.mark.parametrize(
    "names, groups", [(("light_product", "pointwise"), 1), (("small_groups", "grouped"), 2)], ids=str
)
def test_what_is_light_is_the_plain_call_forward_alone(names, groups):
    x, kernel = (jax.ShapeDtypeStruct(shape, "float32") for shape in ((1, 4, 4, 4), (1, 1, 4 // groups, 4)))
    window = TWO._replace(groups=groups)

    def texts(f):
        trained = jax.grad(lambda *a: jnp.sum(f(*a) ** 2), argnums=(0, 1))
        return [jax.jit(g).lower(x, kernel).as_text().split("func.func")[1:] for g in (f, trained)]

    ours = texts(composed(ConvProblem.of(x, kernel, window), *names))
    plain = texts(functools.partial(reference.conv, window=window))
    assert ours[0] == plain[0] and ours[1] != plain[1]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_stays(dtype):
    x, kernel = jnp.ones((1, 3, 3, 4), dtype), jnp.full((3, 3, 1, 4), 1e4, dtype)
    window = TWO._replace(groups=4)
    y = composed(ConvProblem.of(x, kernel, window), "depthwise")(x, kernel)
    assert y.dtype == dtype and y.shape == (1, 1, 1, 4)


@pytest.mark.parametrize("names", [(), ("pad_past_input",)])
def test_a_mean_takes_no_convolution_that_is_padded_past_its_input_into_ynnpack(names):
    x, kernel = (jax.ShapeDtypeStruct(shape, "float32") for shape in ((4, 24, 24, 32), (3, 3, 32, 32)))
    function = composed(ConvProblem.of(x, kernel, SAME), *names) or functools.partial(reference.conv, window=SAME)
    compiled = jax.jit(lambda x, kernel: jnp.mean(jax.nn.relu(function(x, kernel)), (1, 2))).lower(x, kernel)
    parts = compiled.compile().as_text().split("\n\n")
    within = [part.split()[0] for part in parts if " convolution(" in part]
    assert within and (all(name == "ENTRY" for name in within) or (not names and HAS_YNNPACK))


@pytest.mark.parametrize(
    ("x", "kernel", "stride", "own", "rows"),
    [
        ((2, 4, 4, 8), (3, 3, 16, 8), 2, False, {"forward": "overlap_add", "kernel_gradient": "phase_by_phase"}),
        ((2, 14, 14, 64), (4, 4, 64, 64), 2, False, {"forward": "subpixel", "kernel_gradient": "phase_by_phase"}),
        ((2, 14, 14, 64), (4, 4, 64, 64), 2, True, {"kernel_gradient": "subpixel_by_row_tiles"}),
        ((2, 7, 7, 64), (4, 4, 64, 64), 2, False, {"forward": None}),  # too few positions
        ((2, 7, 7, 64), (4, 4, 16, 64), 2, False, {"kernel_gradient": "overlap_add_of_fewer_outputs"}),
        ((2, 7, 7, 64), (4, 4, 8, 64), 2, False, {"input_gradient": "overlap_add_of_few_outputs"}),
        ((2, 7, 7, 64), (4, 4, 8, 64), 1, False, {"forward": None, "kernel_gradient": None}),
    ],
)
@pytest.mark.skipif(not HAS_YNNPACK, reason="this XLA has only its own convolutions")
def test_which_transposed_convolutions(x, kernel, stride, own, rows):
    window = TransposedWindow((stride, stride), SAME.padding, (1, 1))
    with program.traced(program.Program() if own else None):
        problem = ConvTransposeProblem.of(*(jax.ShapeDtypeStruct(shape, "float32") for shape in (x, kernel)), window)
    assert all(taken(problem).get(which) == name for which, name in rows.items())


def without_rows(monkeypatch):
    """As if `ops/cpu` held no algorithms."""
    monkeypatch.setattr(table, "TABLES", dict.fromkeys(table.TABLES, ()))


def test_without_rows_there_is_only_the_reference(monkeypatch):
    without_rows(monkeypatch)
    x = jnp.arange(8.0).reshape(1, 8, 1)
    text = str(jax.make_jaxpr(jax.grad(lambda x: ops.average_pool(x, (3,), (1,), "same").sum()))(x))
    assert "reduce_window_sum" in text and "platform" not in text and "custom_jvp" not in text
