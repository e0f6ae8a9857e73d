import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnlayers.functions import regularizers as R
from fnlayers.functions.regularizers import REGULARIZERS, regularizer
from functions_golden import GOLDEN, golden

CASES = golden("regularizer")
WEIGHT = GOLDEN["regularizers weight"]
CLASSES = sorted(set(REGULARIZERS.values()), key=lambda cls: cls.__name__)


@pytest.mark.parametrize("sample", CASES, ids=str)
def test_penalties_and_gradients_are_keras(sample):
    with jax.numpy_dtype_promotion("strict"):
        y, gradient = jax.jit(jax.value_and_grad(REGULARIZERS[sample.name](**sample.arguments)))(WEIGHT)
    assert y.shape == () and y.dtype == jnp.float32
    np.testing.assert_allclose(y, sample.value, rtol=1e-6, atol=1e-7)
    at_zero = WEIGHT == 0
    assert at_zero.sum() == 1
    np.testing.assert_allclose(gradient[~at_zero], sample.gradient[~at_zero], rtol=2e-6, atol=1e-7)
    np.testing.assert_allclose(REGULARIZERS[sample.name](**sample.arguments)(jnp.asarray(WEIGHT)), y, rtol=1e-6)


def test_every_name_of_keras():
    assert set(REGULARIZERS) == {
        *GOLDEN["regularizers names"].tolist(),
        "l1_l2",
    }  # keras.regularizers.l1_l2 is exported


def test_defaults_of_the_names():
    assert regularizer("l1") == R.L1(0.01) and regularizer("l2") == R.L2(0.01)
    assert regularizer("l1_l2") == R.L1L2(0.0, 0.0)
    assert R.L1(None) == R.L1() and R.L1L2(None, 0.1) == R.L1L2(l2=0.1)


def test_a_zero_row_is_orthogonal_to_all():
    w = jnp.asarray(WEIGHT).at[3].set(0)
    y, gradient = jax.jit(jax.value_and_grad(R.OrthogonalRegularizer()))(w)
    np.testing.assert_allclose(y, GOLDEN["orthogonal zero row"], rtol=1e-6)
    assert (gradient[3] == 0).all() and jnp.isfinite(gradient).all()
    assert (jax.jit(jax.grad(R.OrthogonalRegularizer()))(jnp.eye(4)) == 0).all()


@pytest.mark.parametrize("shape", [(1, 4), (0, 4), (3, 0)])
def test_a_matrix_without_pairs(shape):
    """A deviation: Keras divides 0 by 0 for a single row."""
    y, gradient = jax.jit(jax.value_and_grad(R.OrthogonalRegularizer()))(jnp.ones(shape))
    assert y == 0 and jnp.isfinite(gradient).all()


@pytest.mark.parametrize("cls", CLASSES)
def test_gradients_at_zero_are_zero(cls):
    """A deviation: JAX and so Keras give |w| the slope 1 at 0, which pushes zero weights off."""
    chosen = cls() if cls is not R.L1L2 else cls(0.1, 0.1)
    for shape in ((3, 4), (0, 4)):
        assert (jax.grad(chosen)(jnp.zeros(shape)) == 0).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_sums_in_float32(dtype):
    w = jnp.full((300, 300), 30.0, dtype)
    assert R.L2(0.1)(w).dtype == jnp.float32
    np.testing.assert_allclose(R.L2(0.1)(w), 0.1 * 300 * 300 * 900, rtol=1e-5)
    np.testing.assert_allclose(R.L1(0.1)(w), 0.1 * 300 * 300 * 30, rtol=1e-5)
    assert jax.grad(R.L2(0.1))(w).dtype == w.dtype


def test_options_compare_hash_and_print():
    assert R.L2(1) == R.L2(1.0) and hash(R.L2(1)) == hash(R.L2(1.0)) and R.L1() != R.L2()
    assert repr(R.L1L2(l2=0.1)) == "L1L2(l2=0.1)"
    assert R.L2(np.float32(0.5)).l2 == 0.5
    assert len({cls() for cls in CLASSES}) == 4
    w = jnp.ones((2, 2))
    assert jax.jit(lambda w, r: r(w), static_argnums=1)(w, R.L2(0.5)) == 2


def test_regularizer_reads_arguments():
    chosen = R.L2(0.3)
    assert regularizer(None) is None and regularizer(chosen) is chosen
    assert regularizer(R.L1) == R.L1() and regularizer(jnp.sum) is jnp.sum


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: regularizer("L1_L2"), "regularizer='L1_L2' is unknown; did you mean 'L1L2'"),
        (lambda: regularizer("L3"), "regularizer='L3' is unknown; choose from L1, L1L2,"),
        (lambda: regularizer(0.01), "regularizer=0.01 is neither a name nor callable"),
        (lambda: R.L1(-1), "L1: l1=-1 is wrong; l1 must be a finite number, 0 or more"),
        (lambda: R.L2(float("inf")), "L2: l2=inf is wrong"),
        (lambda: R.L1L2(l2="a"), "L1L2: l2='a' is wrong"),
        (lambda: R.OrthogonalRegularizer(mode="entries"), "mode='entries' is unknown; choose from rows, columns"),
        (lambda: R.OrthogonalRegularizer()(jnp.ones(3)), "penalizes matrices; the weight has shape"),
    ],
)
def test_errors_say_what_to_write(make, message):
    with pytest.raises(ValueError, match=message):
        make()
