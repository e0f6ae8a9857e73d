import functools
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnlayers.functions import initializers as I
from fnlayers.functions.draws import HostKey
from fnlayers.functions.initializers import INITIALIZERS, initializer
from fnlayers.functions.initializers.variance_scaling import TRUNCATED_STDDEV
from functions_golden import GOLDEN, with_prefix

KEY = jax.random.key(7)
RANDOM = with_prefix("random ")
FILLED = ("Zeros", "Ones", "Constant", "Identity", "STFT")
DRAWN = sorted({cls.__name__ for cls in INITIALIZERS.values()} - set(FILLED))


def test_every_name_of_keras_and_no_other():
    assert sorted(INITIALIZERS) == GOLDEN["initializers names"].tolist()


@functools.cache
def draws():
    """One draw for each golden case, from one compilation."""

    def one(key, text):
        name, rest = text.split(" ", 1)
        arguments, size = json.JSONDecoder().raw_decode(rest)
        return INITIALIZERS[name](**arguments)(key, json.loads(rest[size:]))

    return jax.jit(lambda key: {text: one(key, text) for text in RANDOM})(KEY)


@pytest.mark.parametrize("key", RANDOM)
def test_distributions_are_keras(key):
    name, draw = key.split(" ")[0], np.asarray(draws()[key], "float64")
    mean, std, low, high = RANDOM[key]
    assert abs(draw.mean() - mean) < 6 * std / math.sqrt(draw.size)  # both means err by std / sqrt(n)
    np.testing.assert_allclose(draw.std(), std, rtol=0.015)
    within_bounds = (
        "uniform" in key.lower() or "truncated" in key.lower() or not name.lower().startswith(("random", "orth"))
    )
    if within_bounds and "untruncated" not in key:
        np.testing.assert_allclose([draw.min(), draw.max()], [low, high], rtol=0.01)


@pytest.mark.parametrize(
    "name, variance", [("glorot", 2 / (72 + 144)), ("he", 2 / 72), ("lecun", 1 / 72)], ids=["glorot", "he", "lecun"]
)
def test_variances_follow_the_fans(name, variance):
    shape = (3, 3, 8, 16)
    for law, bound in (("uniform", math.sqrt(3 * variance)), ("normal", 2 * math.sqrt(variance) / TRUNCATED_STDDEV)):
        draws = np.stack([initializer(f"{name}_{law}")(HostKey(7, seed), shape) for seed in range(20)])
        np.testing.assert_allclose(draws.var(), variance, rtol=0.03)
        assert 0.97 * bound < np.abs(draws).max() <= bound * (1 + 1e-6)


def test_fans_are_keras():
    fans = with_prefix("fans [")
    for shape, wanted in fans.items():
        assert I.fans(tuple(json.loads("[" + shape))) == tuple(wanted), shape
    assert len(fans) == 8
    assert I.fans((3, 4, 6), (0, 1), (2,)) == tuple(GOLDEN["fans axes [3, 4, 6] [0, 1] [2]"])
    assert I.fans((3, 4, 6), (0, 1)) == I.fans((3, 4, 6))
    assert I.fans((3, 3, 8, 2)) == (72, 18)  # a depthwise kernel as it stands


@pytest.mark.parametrize("shape", [(3, 3), (2, 4), (4, 2)])
def test_identity_is_keras(shape):
    np.testing.assert_array_equal(I.Identity(gain=1.5)(None, shape), GOLDEN[f"identity {list(shape)}"])


@functools.cache
def stft_kernels():
    texts = [text for text in with_prefix("stft ") if text != "long"]
    return jax.jit(lambda: {text: I.STFT(**json.loads(text))(None, (7, 1, 5)) for text in texts})()


@pytest.mark.parametrize("text", [text for text in with_prefix("stft ") if text != "long"])
def test_stft_is_keras(text):
    np.testing.assert_allclose(stft_kernels()[text], GOLDEN[f"stft {text}"], rtol=1e-6, atol=2e-7)


def test_stft_of_long_frames():
    np.testing.assert_allclose(I.STFT()(None, (256, 1, 9)), GOLDEN["stft long"], rtol=1e-5, atol=2e-7)
    assert I.STFT(window=None)(None, (4, 1, 1)).tolist() == [[[1.0]]] * 4  # one bin: the sum; Keras divides 0 by 0


def test_orthogonal():
    shapes = [(6, 6), (8, 3), (3, 8), (2, 2, 3, 5), (2, 2, 2, 20)]
    for w in jax.jit(lambda key: [I.Orthogonal(gain=2.0)(key, shape) for shape in shapes])(KEY):
        w = np.asarray(w).reshape(-1, w.shape[-1])
        w = w if w.shape[0] >= w.shape[1] else w.T
        np.testing.assert_allclose(w.T @ w, 4 * np.eye(w.shape[1]), atol=1e-5)


def test_orthogonal_favors_no_rotation():
    signs = jax.vmap(lambda key: jnp.sign(jnp.diagonal(I.Orthogonal()(key, (3, 3)))))(jax.random.split(KEY, 2000))
    assert (jnp.abs(signs.mean(0)) < 0.1).all()


@pytest.mark.parametrize("name", DRAWN)
def test_draws_in_every_dtype_and_shape(name):
    chosen, shapes = INITIALIZERS[name](), [(0, 3), (3, 0), (2, 0, 4), *([(), (5,)] if name != "Orthogonal" else [])]

    @jax.jit
    def everything(key):
        return [chosen(key, (12, 7), d) for d in ("float32", "float16", jnp.bfloat16)], [chosen(key, s) for s in shapes]

    with jax.numpy_dtype_promotion("strict"):
        (single, half, brain), rest = everything(KEY)
    assert (single.dtype, half.dtype, brain.dtype) == (jnp.float32, jnp.float16, jnp.bfloat16)
    np.testing.assert_allclose(half, single, rtol=2e-3, atol=1e-6)
    np.testing.assert_allclose(brain.astype("float32"), single, rtol=8e-3, atol=1e-6)
    assert [w.shape for w in rest] == shapes and all(jnp.isfinite(w).all() for w in rest)


@pytest.mark.parametrize("name", DRAWN)
def test_keys_and_seeds(name):
    cls, shape = INITIALIZERS[name], (4, 3)
    plain, one, two = (cls(seed=seed)(KEY, shape) for seed in (None, 1, 2))
    np.testing.assert_array_equal(cls()(KEY, shape), plain)
    np.testing.assert_array_equal(cls(seed=1)(KEY, shape), one)
    np.testing.assert_array_equal(cls()(jax.random.fold_in(KEY, 1), shape), one)
    assert not (plain == one).all() and not (one == two).all()
    assert not (cls(seed=1)(jax.random.key(8), shape) == one).all()


def test_seeds_beyond_32_bits_and_raw_keys():
    for seed in (-1, 2**40 + 3):
        assert jnp.isfinite(I.RandomNormal(seed=seed)(KEY, (2,))).all()
    old, new = (I.HeNormal(seed=1)(key, (2, 2)) for key in (jax.random.PRNGKey(3), jax.random.key(3)))
    np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("name", ["glorot_uniform", "orthogonal", "stft"])
def test_jit_is_eager(name):
    chosen, shape = initializer(name), (6, 1, 4)
    compiled = jax.jit(chosen, static_argnums=(1, 2))(KEY, shape, "float32")
    np.testing.assert_allclose(compiled, chosen(KEY, shape), rtol=1e-5, atol=1e-6)
    assert jax.vmap(lambda key: chosen(key, shape))(jax.random.split(KEY, 3)).shape == (3, *shape)


def test_filled_values():
    assert I.Zeros()(None, (2,), "int32").tolist() == [0, 0]
    assert I.Ones()(None, [2], "bool").tolist() == [True, True]
    assert I.Constant(3)(None, (2,), "float16").tolist() == [3.0, 3.0]
    assert I.Constant(3)(None, (2,), "float16").dtype == jnp.float16
    assert I.Constant([1.0, 2.0])(None, (2, 2)).tolist() == [[1, 2], [1, 2]]
    assert I.Constant(np.float32(0.5)) == I.Constant(0.5)
    assert I.Constant().value == 0.0 and I.Constant(2)(None, (0, 3)).shape == (0, 3)


def test_options_compare_hash_and_print():
    assert I.HeNormal() == I.HeNormal() != I.HeUniform()
    assert hash(I.Constant([[1, 2]])) == hash(I.Constant(((1, 2),)))
    assert I.GlorotUniform(input_axes=[0], output_axes=[1]).input_axes == (0,)
    assert repr(I.VarianceScaling(2.0, seed=1)) == "VarianceScaling(scale=2.0, seed=1)"
    assert repr(I.STFT(window=None)) == "STFT(window=None)"
    assert I.VarianceScaling(distribution="Normal") == I.VarianceScaling()
    assert len({cls() for cls in INITIALIZERS.values()}) == 16
    assert all(eval(repr(cls()), vars(I)) == cls() for cls in INITIALIZERS.values())


def test_initializer_reads_arguments():
    chosen = I.RandomUniform(0.0, 1.0)
    assert initializer(chosen) is chosen
    assert initializer(I.Ones) == initializer("one") == I.Ones()
    assert initializer(jax.nn.initializers.zeros) is jax.nn.initializers.zeros


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: initializer("glorot"), "initializer='glorot' is unknown; did you mean 'glorot_"),
        (lambda: initializer(None), r"initializer=None is neither a name nor callable; .* \(key, shape, dtype\)"),
        (lambda: I.VarianceScaling(mode="fan"), "mode='fan' is unknown; choose from fan_in, fan_out, fan_avg"),
        (lambda: I.VarianceScaling(distribution="beta"), "distribution='beta' is unknown; choose from uniform,"),
        (lambda: I.VarianceScaling(scale=0), "scale=0 is wrong; scale must be a positive number"),
        (lambda: I.HeNormal(seed=1.5), "HeNormal: seed=1.5 is wrong; seed must be an integer or None"),
        (lambda: I.HeNormal(input_axes=1), "input_axes must be a tuple of axes or None"),
        (lambda: I.RandomNormal(stddev=-1), "stddev must be a number, 0 or more"),
        (lambda: I.RandomNormal(mean=math.nan), "mean must be a finite number"),
        (lambda: I.RandomUniform(1, 0), "maxval must be a number, minval=1 or more"),
        (lambda: I.Constant(np.ones(3)), r"Constant: value: an array of shape \(3,\).*array.tolist\(\)"),
        (lambda: I.Constant([1, 2])(None, (3,)), r"Constant: the weight has shape \(3,\), the value \(2,\)"),
        (lambda: I.Identity()(None, (2, 2, 2)), "Identity fills matrices, and the weight has shape"),
        (lambda: I.Orthogonal()(KEY, (3,)), "Orthogonal fills weights of rank 2 or more"),
        (lambda: I.HeNormal()(None, (3,)), r"HeNormal\(\) draws random numbers and got no key; pass one"),
        (lambda: I.HeNormal()(KEY, (3,), "int32"), "draws floats, and the weight is int32; choose zeros"),
        (lambda: I.STFT(side="left"), "side='left' is unknown; choose from real, imag"),
        (lambda: I.STFT(scaling="x"), "scaling='x' is unknown; choose from None, density, spectrum"),
        (lambda: I.STFT(window="kaiser"), "window='kaiser' is unknown; choose from barthann,"),
        (lambda: I.STFT(window=[1.0])(None, (3, 1, 2)), r"the window has shape \(1,\), and a frame 3 values"),
        (lambda: I.STFT()(None, (3, 2, 2)), r"STFT fills kernels of shape \(frame_length, 1, bins\)"),
    ],
)
def test_errors_say_what_to_write(make, message):
    with pytest.raises(ValueError, match=message):
        make()
