import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnlayers.functions import constraints as C
from fnlayers.functions.constraints import CONSTRAINTS, constraint
from functions_golden import GOLDEN, golden

CASES = golden("constraint")
WEIGHT = GOLDEN["constraints weight"]
CLASSES = sorted(set(CONSTRAINTS.values()), key=lambda cls: cls.__name__)


@pytest.mark.parametrize("sample", CASES, ids=str)
def test_values_are_keras(sample):
    chosen = CONSTRAINTS[sample.name](**sample.arguments)
    with jax.numpy_dtype_promotion("strict"):
        np.testing.assert_allclose(jax.jit(chosen)(WEIGHT), sample.value, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(chosen(jnp.asarray(WEIGHT)), sample.value, rtol=1e-6, atol=1e-7)


def test_every_name_of_keras_and_no_other():
    assert sorted(CONSTRAINTS) == GOLDEN["constraints names"].tolist()


@pytest.mark.parametrize("cls", CLASSES)
def test_zero_weights_stay_and_gradients_are_finite(cls):
    for shape in ((3, 4), (0, 4)):
        w = jnp.zeros(shape)
        assert (cls()(w) == 0).all()
        assert jnp.isfinite(jax.jit(jax.grad(lambda w: cls()(w).sum()))(w)).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("cls", CLASSES)
def test_dtypes_stay_and_norms_do_not_overflow(cls, dtype):
    w = jnp.array([[3000.0], [4000.0]], dtype)
    with jax.numpy_dtype_promotion("strict"):
        projected = cls()(w)
    assert projected.dtype == w.dtype
    wanted = {C.NonNeg: [3000, 4000], C.MaxNorm: [1.2, 1.6]}.get(cls, [0.6, 0.8])
    np.testing.assert_allclose(projected[:, 0].astype("float32"), wanted, rtol=1e-2)


def test_weights_inside_the_bound_shrink_a_little():
    """As in Keras: by 1e-7 of a norm of 1 at each step."""
    w = jnp.array([1.0, 0.0])
    assert 1 - 3e-7 < float(C.MaxNorm(2)(w)[0]) < 1


def test_norms_end_where_they_should():
    w = jnp.asarray(WEIGHT)
    norm = np.linalg.norm(C.MaxNorm(0.5, axis=(0, 1, 2))(w).reshape(-1, 5), axis=0)
    np.testing.assert_allclose(norm, 0.5, rtol=1e-5)
    np.testing.assert_allclose(C.MinMaxNorm(rate=0.0)(w), w, rtol=1e-5)


def test_options_compare_hash_and_print():
    assert C.MaxNorm(axis=[0, 1]) == C.MaxNorm(axis=(0, 1)) != C.MaxNorm()
    assert hash(C.UnitNorm(axis=[0, 1])) == hash(C.UnitNorm(axis=(0, 1)))
    assert repr(C.MaxNorm(3, axis=[0, 1])) == "MaxNorm(max_value=3, axis=(0, 1))"
    assert repr(C.MaxNorm()) == "MaxNorm()" and len({cls() for cls in CLASSES}) == 4


def test_constraint_reads_arguments():
    chosen = C.MaxNorm(3)
    assert constraint(None) is None and constraint(chosen) is chosen
    assert constraint("non_neg") == constraint(C.NonNeg) == C.NonNeg()
    assert constraint(jnp.abs) is jnp.abs


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: constraint("maxnorm"), "constraint='maxnorm' is unknown; did you mean 'max_norm'"),
        (lambda: constraint(2), "constraint=2 is neither a name nor callable"),
        (lambda: C.MaxNorm(-1), "MaxNorm: max_value=-1 is wrong; max_value must be a number, 0 or more"),
        (lambda: C.MinMaxNorm(2.0), "max_value must be a number, min_value=2.0 or more"),
        (lambda: C.MinMaxNorm(rate="fast"), "rate='fast' is wrong; rate must be a finite number"),
        (lambda: C.UnitNorm(axis=1.0), "axis=1.0 is wrong; axis must be an axis or a tuple of axes"),
    ],
)
def test_errors_say_what_to_write(make, message):
    with pytest.raises(ValueError, match=message):
        make()
