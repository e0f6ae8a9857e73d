import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnlayers.functions import activations
from fnlayers.functions.activations import ACTIVATIONS, activation
from functions_golden import GOLDEN, golden

CASES = golden("activation")
OVER_AXIS = ("glu", "softmax", "log_softmax", "sparsemax")
EXTRA = {"threshold": {"threshold": 0.5, "default_value": -1.0}}  # arguments without defaults
LEGACY = {"legacy_hard_sigmoid", "legacy_sparsemax"}  # what some Keras computes by the name of another function
NOT_KERAS = LEGACY  # and here the names of activations that Keras has not
NAMES = sorted(set(ACTIVATIONS) - {"swish", "hard_swish"} - LEGACY)
FAR = [0.0, -0.0, 1e4, -1e4, 1e9, -1e9, 1e20, -1e20, 3e38, -3e38]


def value_and_gradient(function, x, weights):
    y, pull = jax.vjp(function, x)
    return y, pull(weights)[0]


@functools.cache
def results():
    """Values and gradients of all golden cases, from one compilation."""

    def one(sample, x, pull):
        function = functools.partial(ACTIVATIONS[sample.name], **sample.arguments)
        return value_and_gradient(function, x, pull.ravel()[: sample.value.size].reshape(sample.value.shape))

    @jax.jit
    def everything(points, cube, pull):
        ones = jnp.ones_like(points)
        return [one(sample, cube, pull) if sample.name in OVER_AXIS else one(sample, points, ones) for sample in CASES]

    with jax.numpy_dtype_promotion("strict"):
        return everything(*(GOLDEN[f"activations {name}"] for name in ("points", "cube", "pull")))


@pytest.mark.parametrize("index", range(len(CASES)), ids=lambda index: str(CASES[index]))
def test_values_and_gradients_are_keras(index):
    sample, (y, gradient) = CASES[index], results()[index]
    # The tanh formula adds 1 to a tanh near -1: jax.nn.gelu itself differs by that much with and without jit.
    tolerance = 3e-6 if sample.arguments == {"approximate": True} else 1e-7
    np.testing.assert_allclose(y, sample.value, rtol=1e-6, atol=tolerance)
    np.testing.assert_allclose(gradient, sample.gradient, rtol=1e-6, atol=tolerance)


def test_every_name_of_keras_and_no_other():
    assert sorted(set(ACTIVATIONS) - NOT_KERAS) == GOLDEN["activations names"].tolist()
    assert {sample.name for sample in CASES} | {"sparsemax"} == set(NAMES) - NOT_KERAS
    assert all(getattr(activations, name) is function for name, function in ACTIVATIONS.items() if name in NAMES)


def test_sparsemax_is_keras_where_keras_is_right():
    y, gradient = value_and_gradient(
        activations.sparsemax, GOLDEN["sparsemax rows"], GOLDEN["activations pull"].ravel()[:16].reshape(4, 4)
    )
    np.testing.assert_allclose(y, GOLDEN["sparsemax value"], rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(gradient, GOLDEN["sparsemax gradient"], rtol=1e-6, atol=1e-6)


def test_legacy_sparsemax_is_keras_where_keras_is_wrong():
    np.testing.assert_allclose(activations.legacy_sparsemax(jnp.array([[0.0, 0.5, 1.0]])), [[0, 0, 0.25]], atol=1e-6)


@pytest.mark.parametrize("shift", [0.0, 1e4, -1e8])
def test_sparsemax_projects_onto_the_simplex(shift):
    """A deviation: Keras 3.15.1 returns [0, 0, 0.25] for [0, 0.5, 1], keras issue 23425."""
    x = jnp.array([[0.0, 0.5, 1.0], [3.0, 3.0, 1.0], [0.0, 0.0, 0.0]])
    wanted = [[0, 0.25, 0.75], [0.5, 0.5, 0], [1 / 3, 1 / 3, 1 / 3]]
    if shift == -1e8:
        x, wanted = x * 16, [[0, 0, 1], [0.5, 0.5, 0], [1 / 3, 1 / 3, 1 / 3]]  # 8 is the spacing of floats there
    np.testing.assert_allclose(activations.sparsemax(x + shift), wanted, atol=1e-6)
    np.testing.assert_allclose(activations.sparsemax(x.T + shift, axis=0).T, wanted, atol=1e-6)


def test_sparsemax_gradient_is_that_of_the_projection():
    x, wanted = jnp.array([0.1, 0.3, -4.0]), [[0.5, -0.5, 0], [-0.5, 0.5, 0], [0, 0, 0]]
    np.testing.assert_allclose(jax.jacobian(activations.sparsemax)(x), wanted, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_gradients_are_finite_far_out_and_dtypes_stay(dtype):
    limit = 3e4 if dtype == "float16" else 1e38  # the differences that a softmax takes are still finite
    x = jnp.clip(jnp.array(FAR), -limit, limit).astype(dtype)

    @jax.jit
    def everything(x):
        results = {}
        for name in NAMES:
            function = functools.partial(ACTIVATIONS[name], **EXTRA.get(name, {}))
            y, pull = jax.vjp(function, jnp.minimum(x, 10) if name == "exponential" else x)
            results[name] = y, pull(jnp.ones_like(y))[0]
        return results

    with jax.numpy_dtype_promotion("strict"):
        results = everything(x)
    for name, (y, gradient) in results.items():
        assert y.dtype == gradient.dtype == x.dtype, name
        assert jnp.isfinite(y).all() and jnp.isfinite(gradient).all(), (name, y, gradient)


def test_nan_is_not_hidden():
    names = sorted(set(NAMES) - {"threshold", "soft_shrink", "hard_shrink"})  # Keras: these compare, and drop it
    values = jax.jit(lambda x: [ACTIVATIONS[name](x) for name in names])(jnp.array([jnp.nan, 1.0]))
    assert [name for name, y in zip(names, values, strict=True) if not jnp.isnan(y).any()] == []


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "sparsemax"])
def test_low_precision_is_rounded_once(name):
    x = jnp.asarray(GOLDEN["activations cube"][2]).astype("bfloat16")
    single = ACTIVATIONS[name](x.astype("float32")).astype("bfloat16")
    np.testing.assert_array_equal(ACTIVATIONS[name](x).astype("float32"), single.astype("float32"))


@pytest.mark.parametrize("dtype, tolerance", [("float16", 4e-3), ("bfloat16", 3e-2)])
def test_low_precision_is_near_float32(dtype, tolerance):
    @jax.jit
    def everything(x):
        return [ACTIVATIONS[name](x, **EXTRA.get(name, {})).astype("float32") for name in NAMES]

    x = jnp.linspace(-4, 4, 20).astype(dtype)
    for name, near, wanted in zip(NAMES, everything(x), everything(x.astype("float32")), strict=True):
        np.testing.assert_allclose(near, wanted, rtol=tolerance, atol=tolerance, err_msg=name)


@pytest.mark.parametrize(
    "sample", [sample for sample in CASES if sample.name in ("mish", "sparse_plus", "squareplus")], ids=str
)
def test_eager_is_jit(sample):
    y = ACTIVATIONS[sample.name](jnp.asarray(GOLDEN["activations points"]), **sample.arguments)
    np.testing.assert_allclose(y, sample.value, rtol=1e-6, atol=1e-7)


def test_infinity_where_keras_is_finite():
    x = jnp.array([jnp.inf, -jnp.inf])
    for name, wanted in {
        "sigmoid": [1, 0],
        "tanh": [1, -1],
        "relu6": [6, 0],
        "hard_sigmoid": [1, 0],
        "hard_tanh": [1, -1],
        "sparse_sigmoid": [1, 0],
        "elu": [np.inf, -1],
        "softplus": [np.inf, 0],
        "relu": [np.inf, 0],
        "sparse_plus": [np.inf, 0],
        "log_sigmoid": [0, -np.inf],
    }.items():
        np.testing.assert_array_equal(ACTIVATIONS[name](x), wanted, err_msg=name)


def test_softmax_over_some_infinities():
    x = jnp.array([0.0, -jnp.inf, 0.0])
    np.testing.assert_array_equal(activations.softmax(x), [0.5, 0, 0.5])
    assert jnp.isfinite(jax.grad(lambda x: activations.softmax(x)[0])(x)).all()


def test_activation_reads_arguments():
    assert activation(None) is activations.linear
    assert activation("hard_swish") is activations.hard_silu
    assert activation(jnp.sin) is jnp.sin
    x = object()
    assert activation("linear")(x) is x


@pytest.mark.parametrize(
    "identifier, message",
    [
        ("rellu", "activation='rellu' is unknown; did you mean 'relu' or"),
        ("GELU", "did you mean 'gelu' or"),
        ("xyzzy", "choose from celu, elu, exponential,"),
        (3, "activation=3 is neither a name nor callable"),
    ],
)
def test_activation_errors(identifier, message):
    with pytest.raises(ValueError, match=message):
        activation(identifier)


def test_glu_of_an_odd_axis():
    with pytest.raises(ValueError, match=r"glu\(axis=-1\) got an array of shape \(2, 3\).*odd size 3"):
        activations.glu(jnp.ones((2, 3)))
