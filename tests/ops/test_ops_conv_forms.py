"""Each formulation of a convolution gives what the plain call gives, with all its derivatives."""

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

from fnlayers.ops import conv_forms as forms
from fnlayers.ops import conv_gradients as gradients
from fnlayers.ops import tracing, transposed_forms
from fnlayers.ops.conv_base import Window, plain
from fnlayers.ops.transposed_forms import Transposed
from ops_cases import quick_jit

X1, X2, X3 = (2, 7, 4), (2, 6, 5, 4), (2, 4, 3, 5, 2)
FORMS = [
    (forms.pointwise, X1, (1, 4, 3), Window((1,), ((0, 0),), (1,))),
    (forms.pointwise, X2, (1, 1, 4, 3), Window((2, 3), ((0, 0), (0, 0)), (1, 1))),
    (forms.pointwise, X3, (1, 1, 1, 2, 3), Window((1, 2, 1), ((0, 0),) * 3, (1, 1, 1))),
    (forms.pointwise, (2, 3, 64), (1, 64, 3), Window((1,), ((0, 0),), (1,))),
    (forms.depthwise, X1, (3, 1, 4), Window((1,), ((2, 0),), (1,), 4)),
    (forms.depthwise, X1, (2, 1, 8), Window((2,), ((0, 1),), (1,), 4)),
    (forms.depthwise, X2, (3, 2, 1, 4), Window((1, 1), ((1, 1), (0, 1)), (1, 1), 4)),
    (forms.depthwise, X2, (3, 2, 1, 8), Window((2, 1), ((1, 0), (0, 0)), (1, 1), 4)),
    (forms.depthwise, X2, (2, 3, 1, 4), Window((1, 1), ((0, 0), (2, 2)), (3, 2), 4)),
    (forms.depthwise, X3, (2, 2, 3, 1, 4), Window((1, 2, 1), ((0, 1), (0, 0), (1, 1)), (1, 1, 1), 2)),
    (forms.grouped, X1, (2, 2, 6), Window((1,), ((0, 1),), (1,), 2)),
    (forms.grouped, X2, (1, 1, 2, 6), Window((1, 2), ((0, 0), (0, 0)), (1, 1), 2)),
    (forms.grouped, (1, 4, 34), (2, 17, 34), Window((1,), ((1, 0),), (1,), 2)),  # each group by itself
    (forms.grouped, (1, 4, 3, 40), (2, 2, 2, 20), Window((2, 1), ((1, 0), (0, 1)), (1, 1), 20)),
    (forms.planes, X3, (2, 2, 3, 2, 3), Window((1, 1, 1), ((0, 1), (0, 1), (1, 1)), (1, 1, 1))),
    (forms.planes, X3, (3, 1, 2, 2, 3), Window((2, 1, 2), ((1, 1), (0, 0), (0, 1)), (1, 1, 1))),
    (forms.planes, X3, (2, 2, 2, 2, 1), Window((1, 1, 1), ((0, 0), (0, 0), (0, 0)), (2, 1, 3))),
    (forms.overhanging, X2, (3, 3, 4, 2), Window((1, 1), ((1, 1), (1, 1)), (1, 1))),
    (forms.overhanging, (2, 5, 6, 2), (2, 3, 2, 32), Window((1, 1), ((0, 1), (0, 0)), (2, 1))),
    (gradients.columns, X1, (3, 4, 2), Window((2,), ((1, 1),), (1,))),
    (gradients.columns, (2, 6, 5, 1), (3, 3, 1, 4), Window((1, 1), ((1, 1), (1, 1)), (1, 1))),
    (gradients.columns, (2, 6, 5, 2), (2, 3, 2, 4), Window((2, 1), ((0, 0), (2, 2)), (1, 2))),
    (gradients.columns, (6, 6, 5, 3), (3, 3, 3, 4), Window((1, 1), ((1, 1), (1, 1)), (1, 1))),  # in six parts
    (gradients.columns, (2, 3, 40, 2), (2, 3, 2, 4), Window((1, 1), ((0, 0), (1, 1)), (1, 1))),  # a band for each row
    (forms.in_training(forms.pointwise), X2, (1, 1, 4, 3), Window((1, 2), ((0, 0), (0, 0)), (1, 1))),
    (forms.in_training(forms.grouped), X2, (2, 2, 2, 6), Window((1, 1), ((0, 1), (0, 0)), (1, 1), 2)),
    (gradients.halves, X2, (3, 3, 4, 2), Window((1, 1), ((1, 1), (1, 1)), (1, 1))),
    (gradients.halves, X2, (2, 3, 4, 3), Window((2, 1), ((0, 1), (2, 0)), (1, 2))),
    (gradients.halves, X2, (3, 1, 4, 3), Window((1, 2), ((1, 0), (0, 0)), (2, 1))),
    (gradients.bands, X1, (3, 4, 2), Window((1,), ((2, 0),), (1,))),
    (gradients.bands, X2, (3, 3, 4, 2), Window((1, 1), ((1, 1), (1, 1)), (1, 1))),
    (gradients.bands, (3, 11, 5, 2), (3, 2, 2, 4), Window((2, 1), ((0, 1), (0, 1)), (2, 1))),  # the last band is short
    (gradients.bands, (1, 5, 4, 2), (2, 2, 2, 3), Window((3, 1), ((0, 0), (0, 0)), (1, 1))),  # cells that none meets
    (forms.direct, (4, 9, 8, 8), (3, 3, 8, 5), Window((1, 1), ((1, 1), (1, 1)), (1, 1))),
    (forms.direct, (2, 9, 8, 3), (3, 3, 3, 32), Window((2, 2), ((0, 1), (0, 1)), (1, 1))),
    (forms.direct, (2, 12, 8), (3, 8, 17), Window((2,), ((0, 1),), (1,))),
    (forms.direct, (2, 12, 3), (3, 3, 4), Window((1,), ((1, 1),), (1,))),
    (forms.direct, (2, 9, 8, 1), (3, 3, 1, 3), Window((2, 1), ((0, 1), (1, 1)), (1, 1))),
    (forms.direct, (2, 12, 1), (3, 1, 4), Window((2,), ((0, 1),), (1,))),
    (forms.on_cpu, (2, 12, 1), (4, 1, 1), Window((1,), ((0, 1),), (2,))),
    (forms.on_cpu, X2, (2, 2, 4, 3), Window((1, 1), ((0, 0), (0, 0)), (1, 1))),
]
STRETCHED = [
    (transposed_forms.phases, X1, (4, 3, 4), Transposed((2,), ((2, 2),), (1,))),
    (transposed_forms.phases, X1, (5, 3, 4), Transposed((2,), ((3, 1),), (1,))),
    (transposed_forms.phases, X1, (6, 4, 4), Transposed((2,), ((4, 5),), (1,))),  # all at once
    (transposed_forms.phases, X2, (4, 3, 2, 4), Transposed((2, 3), ((2, 1), (4, 0)), (1, 1))),  # all at once
    (transposed_forms.phases, X2, (2, 2, 3, 4), Transposed((2, 1), ((1, 3), (0, 1)), (1, 1))),
    (transposed_forms.phases, X1, (2, 3, 4), Transposed((3,), ((1, 2),), (1,))),  # phases that meet no cell
    (transposed_forms.phases, X2, (2, 2, 3, 4), Transposed((2, 2), ((1, 1), (1, 1)), (1, 1))),  # nothing overlaps
    (transposed_forms.phases, X2, (3, 3, 1, 4), Transposed((2, 2), ((2, 1), (0, 3)), (1, 1))),  # a single channel out
    (transposed_forms.phases, X2, (4, 5, 1, 4), Transposed((2, 3), ((2, 1), (0, 5)), (1, 1))),
    (transposed_forms.phases, X2, (3, 5, 2, 4), Transposed((2, 3), ((1, 2), (3, 4)), (1, 1))),
    (transposed_forms.phases, X3, (2, 3, 2, 3, 2), Transposed((2, 1, 2), ((1, 1), (1, 1), (0, 1)), (1, 1, 1))),
]
CASES = [(form, plain, *rest, None) for form, *rest in FORMS]
CASES += [(form, transposed_forms.plain_transpose, *rest, None) for form, *rest in STRETCHED]
# In a program whose convolutions are XLA's own
CASES += [(form, plain, *rest, tracing.Program()) for form, *rest in FORMS if form is forms.direct]
CASES += [(form, transposed_forms.plain_transpose, *rest, tracing.Program()) for form, *rest in STRETCHED[:5]]


def name(case):
    form, _, x, kernel, window, own = case
    return f"{form.__name__} {x} {kernel} {window.strides} {window.dilation}" + " own" * (own is not None)


@pytest.mark.parametrize("given", CASES, ids=map(name, CASES))
def test_a_formulation_is_the_plain_call(given, x64, monkeypatch):
    form, reference, *shapes, window, own = given
    # So that some are cut into parts, and some are not
    monkeypatch.setattr(gradients, "CELLS_AT_ONCE", 1000)
    monkeypatch.setattr(gradients, "CELLS_IN_BAND", 300)
    monkeypatch.setattr(gradients, "MANY_PLACES", 1)
    monkeypatch.setattr(forms, "LEAST_PRODUCT", 1)
    monkeypatch.setattr(transposed_forms, "LEAST_SPACE", 1)
    monkeypatch.setattr(transposed_forms, "FEW_CHANNELS", 1)
    monkeypatch.setattr(transposed_forms, "LEAST_CHANNELS", 1)
    random = np.random.RandomState(0)
    x, kernel, dx, dkernel = (jnp.asarray(random.normal(size=shape)) for shape in (*shapes, *shapes))
    y_shape = jax.eval_shape(lambda x, kernel: reference(x, kernel, window), x, kernel).shape
    cotangent = jnp.asarray(random.normal(size=y_shape))

    def all_of(function):
        """Output, tangent, gradients, and how these change along a direction: one program."""

        def f(x, kernel):
            with tracing.traced(own):
                return function(x, kernel, window)

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

    for got, want in zip(jax.tree.leaves(all_of(form)), jax.tree.leaves(all_of(reference)), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_types_stay(dtype):
    x, kernel = jnp.ones((1, 3, 3, 4), dtype), jnp.full((3, 3, 1, 4), 1e4, dtype)
    y = forms.depthwise(x, kernel, Window((1, 1), ((0, 0), (0, 0)), (1, 1), 4))
    assert y.dtype == dtype and y.shape == (1, 1, 1, 4)


def test_the_table_says_which_is_taken():
    def taken(x, kernel, w):
        rule = forms.rule_for(x, jax.ShapeDtypeStruct(kernel, "float32"), w)
        return rule and rule.form.__name__

    x, two = (8, 30, 30, 8), Window((1, 1), ((0, 0), (0, 0)), (1, 1))
    assert taken(x, (1, 1, 8, 3), two) == "pointwise"
    assert taken(x, (3, 3, 1, 16), two._replace(groups=8)) == "depthwise"
    assert taken(x, (3, 3, 4, 16), two._replace(groups=2)) == "grouped"
    columns = "direct" if gradients.HAS_LIBRARY else None
    assert taken(x, (3, 3, 8, 32), two) == columns
    assert taken(x, (3, 3, 8, 16), two) is None  # copies would take longer than products
    assert taken((1, 30, 30, 8), (3, 3, 8, 32), two) == (None if gradients.HAS_LIBRARY else "direct")  # a short sum
    large = (16, 30, 30, 64)
    assert taken(large, (3, 3, 64, 64), two) == columns
    assert taken(large, (3, 3, 64, 64), two._replace(padding=((3, 3), (1, 1)))) == columns  # y is larger than x
    assert taken(large, (3, 3, 64, 64), two._replace(strides=(1, 2))) == columns
    assert taken((2, 9, 9, 9, 8), (3, 3, 3, 8, 16), Window((1,) * 3, ((0, 0),) * 3, (1,) * 3)) == "planes"
    assert taken(x, (3, 3, 8, 32), two._replace(padding="SAME")) is None  # sizes are not known
    assert transposed_forms.has_phases((4, 4), jnp.ones((3, 3, 2, 2)), Transposed((2, 2), ((1, 1), (1, 1)), (1, 1)))
    assert not transposed_forms.has_phases((4, 4), jnp.ones((3, 3, 2, 2)), Transposed((1, 1), ((1, 1), (1, 1)), (1, 1)))


@pytest.mark.parametrize(
    ("x", "kernel", "w"),
    [
        ((16, 28, 28, 3), (1, 1, 3, 16), Window((1, 1), ((0, 0), (0, 0)), (1, 1))),  # few channels
        ((16, 28, 28, 64), (1, 1, 64, 16), Window((2, 2), ((0, 0), (0, 0)), (1, 1))),  # cells to be gathered
        ((1, 14, 14, 64), (3, 3, 16, 64), Window((1, 1), ((1, 1), (1, 1)), (1, 1), 4)),  # few places of several groups
    ],
)
@pytest.mark.skipif(not gradients.HAS_LIBRARY, reason="XLA's own convolutions of these are slower than products")
def test_what_is_small_is_the_plain_call_forward_alone(x, kernel, w):
    def text(function):
        arrays = (jax.ShapeDtypeStruct(shape, "float32") for shape in (x, kernel))
        return jax.jit(function).lower(*arrays).as_text()

    def ours(x, kernel):
        return forms.on_cpu(x, kernel, w)

    def trained(form):
        return lambda x, kernel: jax.grad(lambda *a: jnp.sum(form(*a) ** 2), argnums=(0, 1))(x, kernel)

    assert text(ours).split("func")[1:] == text(lambda x, kernel: plain(x, kernel, w)).split("func")[1:]
    assert text(trained(ours)) != text(trained(lambda x, kernel: plain(x, kernel, w)))


@pytest.mark.parametrize(
    ("x", "kernel", "w", "taken"),
    [
        ((4, 30, 30, 16), (3, 3, 16, 16), Window((1, 1), ((0, 0), (0, 0)), (1, 1)), "halves"),
        ((4, 30, 30, 16), (3, 3, 16, 32), Window((1, 1), ((0, 0), (0, 0)), (1, 1)), "bands"),
        ((4, 30, 30, 16), (3, 3, 16, 16), Window((2, 2), ((0, 0), (0, 0)), (1, 1)), "bands"),
        ((4, 30, 16), (3, 16, 16), Window((1,), ((0, 0),), (1,)), "columns"),
        ((64, 30, 3), (3, 3, 16), Window((1,), ((0, 0),), (1,)), "columns"),
        ((16, 30, 30, 3), (3, 3, 3, 128), Window((1, 1), ((0, 0), (0, 0)), (1, 1)), "columns"),
        ((16, 30, 30, 3), (3, 3, 3, 64), Window((1, 1), ((0, 0), (0, 0)), (1, 1)), None),
        ((8, 30, 30, 16), (3, 3, 16, 16), Window((1, 1), ((0, 0), (0, 0)), (1, 1)), None),  # examples enough
        ((4, 60, 60, 64), (3, 3, 64, 32), Window((1, 1), ((0, 0), (0, 0)), (1, 1)), None),  # too large to copy
        ((4, 1, 30, 16), (1, 3, 16, 32), Window((1, 1), ((0, 0), (0, 0)), (1, 1)), None),  # a single row
        (("b", 30, 30, 16), (3, 3, 16, 16), Window((1, 1), ((0, 0), (0, 0)), (1, 1)), None),  # a size not known
    ],
)
def test_the_table_of_gradients_says_which_is_taken(x, kernel, w, taken):
    sizes = jax.export.symbolic_shape("b, c") if x[0] == "b" else x
    case = gradients.Case.of((sizes[0], *x[1:]), jax.ShapeDtypeStruct(kernel, "float32"), w)
    with tracing.traced(tracing.Program()):
        rule = gradients.gradient_rule(case)
        few = gradients.has_few_channels(case)
    assert (rule and rule.form.__name__) == taken
    assert few == (x[-1] == 3)


@pytest.mark.parametrize("form", ["plain", "overhanging"])
def test_a_mean_takes_no_convolution_that_hangs_over_into_the_library(form):
    x, kernel = (jax.ShapeDtypeStruct(shape, "float32") for shape in ((4, 24, 24, 32), (3, 3, 32, 32)))
    w, function = Window((1, 1), ((1, 1), (1, 1)), (1, 1)), {"plain": plain, "overhanging": forms.overhanging}[form]
    program = jax.jit(lambda x, kernel: jnp.mean(jax.nn.relu(function(x, kernel, w)), (1, 2))).lower(x, kernel)
    parts = program.compile().as_text().split("\n\n")
    within = [part.split()[0] for part in parts if " convolution(" in part]
    assert within and (all(name == "ENTRY" for name in within) or (form == "plain" and gradients.HAS_LIBRARY))
