"""Which algorithm is taken for which problem on CPUs, and what the programs are that they make."""

import functools

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

from fnlayers import ops
from fnlayers.ops import compose, program, reference
from fnlayers.ops.cpu import table
from fnlayers.ops.cpu.limits import Limits
from fnlayers.ops.problem import HAS_YNNPACK, ConvProblem, ConvTransposeProblem, DotProblem, PoolProblem
from fnlayers.ops.reference import PoolWindow, TransposedWindow, Window

NONE = (0, 0)
# So that some of im2col's matrices are cut into parts, and some are not
SMALL = Limits(im2col_elements=1000, im2col_tile_elements=300)


def composed(problem, *names):
    """The function of the rows of those names, whether they would be taken or not."""
    rows = [row for row in table.TABLES[problem.operation] if row.name in names]
    assert {row.name for row in rows} == set(names)
    return compose.composed(problem, compose.first_of_each_pass(rows), SMALL)


def test_pools_of_integers_and_infinities():
    window = PoolWindow((1, 2, 1), (1, 1, 1), (NONE, (0, 1), NONE))
    x = jnp.array([[[-5], [3], [-7]]], "int32")
    largest = composed(PoolProblem.of("max_pool", x, window), "max_by_taps")
    assert largest(x).ravel().tolist() == [3, 3, -7]
    x = jnp.array([[[-jnp.inf], [jnp.nan], [1.0]]])
    assert np.array_equal(largest(x).ravel(), [np.nan, np.nan, 1.0], equal_nan=True)


def conv_problem(x, kernel, window, dtype="float32"):
    return ConvProblem.of(jax.ShapeDtypeStruct(x, dtype), jax.ShapeDtypeStruct(kernel, dtype), window)


def taken(problem, **limits):
    """The names of the rows that are taken, by pass."""
    return {which: row.name for which, row in compose.chosen(problem, limits=Limits(**limits)).items()}


def test_a_row_is_not_taken_from_that_version_of_jax_on_that_makes_it_needless(monkeypatch):
    problem, (row, *_) = DotProblem(3, 2, 1), table.TABLES["dot"]
    for until, names in (((99,), {"one_matrix_product"}), (jax.__version_info__, set())):
        monkeypatch.setitem(table.TABLES, "dot", (row._replace(until=until),))
        assert set(taken(problem).values()) == names


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
        ((1, 14, 14, 64), (3, 3, 16, 64), SAME._replace(groups=4), {"forward": "grouped", "training": "grouped"}),
        ((2, 9, 9, 9, 8), (3, 3, 3, 8, 16), Window((1,) * 3, (NONE,) * 3, (1,) * 3), {"forward": "conv3d_as_conv2d"}),
        ((8, 30, 30, 8), (3, 3, 8, 32), TWO, {"kernel_gradient": "im2col"}),
        ((8, 30, 30, 8), (3, 3, 8, 16), TWO, {"kernel_gradient": None}),  # copies would take longer than products
        ((1, 30, 30, 8), (3, 3, 8, 32), TWO, {"kernel_gradient": None}),  # a short sum
        ((16, 30, 30, 64), (3, 3, 64, 64), TWO, {"forward": "pad_past_input", "kernel_gradient": "im2col"}),
        ((16, 30, 30, 64), (3, 3, 64, 64), TWO._replace(padding=((3, 3), (1, 1))), {"forward": None}),  # y is larger
        (
            (16, 30, 30, 64),
            (3, 3, 64, 64),
            TWO._replace(strides=(1, 2)),
            {"forward": None, "kernel_gradient": "im2col"},
        ),
        ((64, 30, 3), (3, 3, 16), ONE, {"forward": "thin_line", "input_gradient": "thin_im2col"}),
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
        ((4, 30, 16), (3, 16, 16), ONE, "line_im2col"),
        ((64, 30, 3), (3, 3, 16), ONE, "line_im2col"),
        ((16, 30, 30, 3), (3, 3, 3, 128), TWO, "thin_im2col_to_many"),
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
        rows = taken(conv_problem((sizes[0], *x[1:]), kernel, window))
    assert rows.get("kernel_gradient") == row
    assert rows.get("input_gradient") == ("thin_im2col" if x[-1] == 3 else None)


def test_what_is_light_is_the_plain_call_forward_alone():
    names = "light_product", "pointwise"
    x, kernel = (jax.ShapeDtypeStruct(shape, "float32") for shape in ((1, 4, 4, 4), (1, 1, 4, 4)))

    def texts(f):
        trained = jax.grad(lambda *a: jnp.sum(f(*a) ** 2), argnums=(0, 1))
        return [jax.jit(g).lower(x, kernel).as_text().split("func.func")[1:] for g in (f, trained)]

    ours = texts(composed(ConvProblem.of(x, kernel, TWO), *names))
    plain = texts(functools.partial(reference.conv, window=TWO))
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
    """As if `ops/cpu` had no algorithms."""
    for operation in table.TABLES:
        monkeypatch.setitem(table.TABLES, operation, ())


def test_without_rows_there_is_only_the_reference(monkeypatch):
    without_rows(monkeypatch)
    x = jnp.arange(8.0).reshape(1, 8, 1)
    text = str(jax.make_jaxpr(jax.grad(lambda x: ops.average_pool(x, (3,), (1,), "same").sum()))(x))
    assert "reduce_window_sum" in text and "platform" not in text and "custom_jvp" not in text
