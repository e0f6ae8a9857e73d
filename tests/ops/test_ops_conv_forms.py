"""Each formulation of a convolution gives what the plain call gives, with all its derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnlayers.ops import conv_forms as forms
from fnlayers.ops import transposed_forms
from fnlayers.ops.conv_forms import Window
from fnlayers.ops.transposed_forms import Transposed
from ops_cases import quick_jit

X1, X2, X3 = (2, 7, 4), (2, 6, 5, 4), (2, 4, 3, 5, 2)
FORMS = [
    (forms.pointwise, X1, (1, 4, 3), Window((1,), ((0, 0),), (1,))),
    (forms.pointwise, X2, (1, 1, 4, 3), Window((2, 3), ((0, 0), (0, 0)), (1, 1))),
    (forms.pointwise, X3, (1, 1, 1, 2, 3), Window((1, 2, 1), ((0, 0),) * 3, (1, 1, 1))),
    (forms.depthwise, X1, (3, 1, 4), Window((1,), ((2, 0),), (1,), 4)),
    (forms.depthwise, X1, (2, 1, 8), Window((2,), ((0, 1),), (1,), 4)),
    (forms.depthwise, X2, (3, 2, 1, 4), Window((1, 1), ((1, 1), (0, 1)), (1, 1), 4)),
    (forms.depthwise, X2, (3, 2, 1, 8), Window((2, 1), ((1, 0), (0, 0)), (1, 1), 4)),
    (forms.depthwise, X2, (2, 3, 1, 4), Window((1, 1), ((0, 0), (2, 2)), (3, 2), 4)),
    (forms.depthwise, X3, (2, 2, 3, 1, 4), Window((1, 2, 1), ((0, 1), (0, 0), (1, 1)), (1, 1, 1), 2)),
    (forms.grouped, X1, (2, 2, 6), Window((1,), ((0, 1),), (1,), 2)),
    (forms.grouped, X2, (1, 1, 2, 6), Window((1, 2), ((0, 0), (0, 0)), (1, 1), 2)),
    (forms.grouped, (1, 4, 3, 40), (2, 2, 2, 20), Window((2, 1), ((1, 0), (0, 1)), (1, 1), 20)),
    (forms.planes, X3, (2, 2, 3, 2, 3), Window((1, 1, 1), ((0, 1), (0, 1), (1, 1)), (1, 1, 1))),
    (forms.planes, X3, (3, 1, 2, 2, 3), Window((2, 1, 2), ((1, 1), (0, 0), (0, 1)), (1, 1, 1))),
    (forms.planes, X3, (2, 2, 2, 2, 1), Window((1, 1, 1), ((0, 0), (0, 0), (0, 0)), (2, 1, 3))),
    (forms.overhanging, X2, (3, 3, 4, 2), Window((1, 1), ((1, 1), (1, 1)), (1, 1))),
    (forms.overhanging, (2, 5, 6, 2), (2, 3, 2, 32), Window((1, 1), ((0, 1), (0, 0)), (2, 1))),
    (forms.columns, X1, (3, 4, 2), Window((2,), ((1, 1),), (1,))),
    (forms.columns, (2, 6, 5, 1), (3, 3, 1, 4), Window((1, 1), ((1, 1), (1, 1)), (1, 1))),
    (forms.columns, (2, 6, 5, 2), (2, 3, 2, 4), Window((2, 1), ((0, 0), (2, 2)), (1, 2))),
    (forms.columns, (6, 6, 5, 3), (3, 3, 3, 4), Window((1, 1), ((1, 1), (1, 1)), (1, 1))),  # in six parts
    (forms.on_cpu, X2, (2, 2, 4, 3), Window((1, 1), ((0, 0), (0, 0)), (1, 1))),
]
STRETCHED = [
    (transposed_forms.phases, X1, (4, 3, 4), Transposed((2,), ((2, 2),), (1,))),
    (transposed_forms.phases, X2, (4, 3, 2, 4), Transposed((2, 3), ((2, 1), (4, 0)), (1, 1))),  # all at once
    (transposed_forms.phases, X2, (2, 2, 3, 4), Transposed((2, 1), ((1, 3), (0, 1)), (1, 1))),
    (
        transposed_forms.phases,
        X1,
        (2, 3, 4),
        Transposed((3,), ((1, 2),), (1,)),
    ),  # some phases meet no cell of the kernel
    (transposed_forms.phases, X2, (3, 5, 2, 4), Transposed((2, 3), ((1, 2), (3, 4)), (1, 1))),
    (transposed_forms.phases, X3, (2, 3, 2, 3, 2), Transposed((2, 1, 2), ((1, 1), (1, 1), (0, 1)), (1, 1, 1))),
]
CASES = [(form, forms.plain, *rest) for form, *rest in FORMS]
CASES += [(form, transposed_forms.plain_transpose, *rest) for form, *rest in STRETCHED]


def name(case):
    form, _, x, kernel, window = case
    return f"{form.__name__} {x} {kernel} {window.strides} {window.dilation}"


@pytest.mark.parametrize("given", CASES, ids=map(name, CASES))
def test_a_formulation_is_the_plain_call(given, x64, monkeypatch):
    form, plain, *shapes, window = given
    monkeypatch.setattr(forms, "CELLS_AT_ONCE", 1000)  # so that some are cut into parts, and some are not
    monkeypatch.setattr(forms, "MANY_PLACES", 1)
    random = np.random.RandomState(0)
    x, kernel, dx, dkernel = (jnp.asarray(random.normal(size=shape)) for shape in (*shapes, *shapes))
    y_shape = jax.eval_shape(lambda x, kernel: plain(x, kernel, window), x, kernel).shape
    cotangent = jnp.asarray(random.normal(size=y_shape))

    def all_of(function):
        """Output, tangent, gradients, and how these change along a direction: one program."""

        def f(x, kernel):
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

    for got, want in zip(jax.tree.leaves(all_of(form)), jax.tree.leaves(all_of(plain)), strict=True):
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
    columns = "columns" if forms.HAS_LIBRARY else None
    assert taken(x, (3, 3, 8, 32), two) == columns
    assert taken(x, (3, 3, 8, 16), two) is None  # copies would take longer than products
    assert taken((1, 30, 30, 8), (3, 3, 8, 32), two) is None  # a short sum
    large = (16, 30, 30, 64)
    assert taken(large, (3, 3, 64, 64), two) == ("overhanging" if forms.HAS_LIBRARY else None)
    assert taken(large, (3, 3, 64, 64), two._replace(padding=((3, 3), (1, 1)))) == columns  # y is larger than x
    assert taken(large, (3, 3, 64, 64), two._replace(strides=(1, 2))) == columns
    assert taken((2, 9, 9, 9, 8), (3, 3, 3, 8, 16), Window((1,) * 3, ((0, 0),) * 3, (1,) * 3)) == "planes"
    assert taken(x, (3, 3, 8, 32), two._replace(padding="SAME")) is None  # sizes are not known
    assert transposed_forms.has_phases((4, 4), jnp.ones((3, 3, 2, 2)), Transposed((2, 2), ((1, 1), (1, 1)), (1, 1)))
    assert not transposed_forms.has_phases((4, 4), jnp.ones((3, 3, 2, 2)), Transposed((1, 1), ((1, 1), (1, 1)), (1, 1)))


@pytest.mark.parametrize("form", ["plain", "overhanging"])
def test_a_mean_takes_no_convolution_that_hangs_over_into_the_library(form):
    x, kernel = (jax.ShapeDtypeStruct(shape, "float32") for shape in ((4, 24, 24, 32), (3, 3, 32, 32)))
    w, function = Window((1, 1), ((1, 1), (1, 1)), (1, 1)), getattr(forms, form)
    program = jax.jit(lambda x, kernel: jnp.mean(jax.nn.relu(function(x, kernel, w)), (1, 2))).lower(x, kernel)
    parts = program.compile().as_text().split("\n\n")
    within = [part.split()[0] for part in parts if " convolution(" in part]
    assert within and (all(name == "ENTRY" for name in within) or (form == "plain" and forms.HAS_LIBRARY))
