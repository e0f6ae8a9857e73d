"""Numbers drawn on the host are those of jax.random."""

import tracemalloc

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.random import threefry_2x32

import fnlayers as fl
from fnlayers.functions import draws
from fnlayers.functions.initializers import INITIALIZERS

KEY = jax.random.key(42)
HOST = draws.host_key(KEY)
FLOAT = np.dtype("float32")
SHAPES = [(), (0,), (5,), (3, 4), (draws.BLOCK + 3,), (2 * draws.PER_THREAD + draws.BLOCK + 1,)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(
    "draw",
    [draws.normal, draws.truncated_normal, lambda *args: draws.uniform(*args, -0.3, 0.5)],
    ids=["normal", "truncated_normal", "uniform"],
)
def test_draws_are_those_of_jax_random(draw, shape):
    here, there = draw(HOST, shape, FLOAT), draw(KEY, shape, FLOAT)
    assert not isinstance(here, jax.Array) and isinstance(there, jax.Array)
    assert here.dtype == FLOAT and here.shape == shape
    np.testing.assert_allclose(here, there, rtol=2e-5, atol=3e-7)  # XLA rounds a square where a logarithm is steep


def test_keys_fold_and_split_as_jax_keys_do():
    for data in (0, 1, 77, 2**32 - 1):
        assert HOST.fold_in(data) == draws.host_key(jax.random.fold_in(KEY, data))
    assert [HOST.fold_in(i) for i in range(4)] == [draws.host_key(key) for key in jax.random.split(KEY, 4)]
    assert draws.host_key(HOST.key()) == HOST == draws.host_key(jax.random.PRNGKey(42))


def test_counters_beyond_32_bits():
    words = [int(word[0]) for word in draws._threefry(HOST, 2**32 + 5, 1)]
    assert words == threefry_2x32(jnp.array(HOST, "uint32"), jnp.array([1, 5], "uint32")).tolist()


def test_other_keys_stay_with_jax():
    other = jax.random.key(0, impl="rbg")
    assert draws.host_key(other) is other
    several = jax.random.split(KEY, 2)
    assert draws.host_key(several) is several
    assert jax.jit(lambda: isinstance(draws.host_key(KEY), draws.HostKey) * jnp.int32(1))() == 0


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", sorted(name for name in INITIALIZERS if name.islower() and name != "stft"))
def test_initializers_draw_the_same_on_both_sides(name, dtype):
    make = INITIALIZERS[name]()
    here, there = make(HOST, (7, 9), dtype), make(KEY, (7, 9), dtype)
    assert here.dtype == there.dtype == dtype
    tolerance = 1e-5 if dtype == "float32" else 1e-2
    np.testing.assert_allclose(np.float32(here), np.float32(there), rtol=tolerance, atol=tolerance)


MODELS = [
    fl.Sequential([fl.Dense(3, kernel_initializer="he_normal"), fl.BatchNormalization(renorm=True), fl.PReLU()]),
    fl.Repeat(fl.Dense(4, kernel_initializer="orthogonal"), 3),
    fl.Repeat(fl.Repeat(fl.Dense(4), 3), 2),
    fl.Sequential([fl.Dense(4, kernel_initializer=lambda key, shape, dtype: jax.random.normal(key, shape, dtype))]),
    fl.Sequential([fl.Reshape((2, 2)), fl.LSTM(3)]),
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: repr(model)[:40])
def test_a_model_starts_alike_eagerly_under_jit_and_under_vmap(model):
    eager = model.init(KEY, (None, 4))
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(eager))
    jitted = jax.jit(lambda key: model.init(key, (None, 4)))(KEY)
    mapped = jax.vmap(lambda key: model.init(key, (None, 4)))(KEY[None])
    for other in (jitted, jax.tree.map(lambda a: a[0], mapped)):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), eager, other)


def test_wide_weights_are_drawn_by_jax(x64):
    params = fl.Dense(3, dtype="float64").init(KEY, (None, 4))
    assert params["kernel"].dtype == "float64"
    assert not np.array_equal(params["kernel"], np.float32(params["kernel"]))  # more digits than float32 has


def test_host_values_are_not_written_to_later():
    params = fl.Dense(300).init(KEY, (None, 300))
    before = np.array(params["kernel"])
    fl.Dense(300).init(jax.random.key(1), (None, 300))
    np.testing.assert_array_equal(params["kernel"], before)


LARGE = ["zeros", "constant", "uniform", "normal", "truncated_normal", "glorot_uniform", "he_normal"]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", LARGE)
def test_a_large_weight_is_drawn_in_its_own_memory(name, dtype, monkeypatch):
    """No second array of its size, here or in jax: 10 million rows of an embedding fill a good part of a machine."""
    monkeypatch.setattr(draws.os, "cpu_count", lambda: 1)  # each thread has blocks of its own
    layer = fl.Embedding(2**16, 32, embeddings_initializer=name, dtype=dtype)
    tracemalloc.start()
    try:
        table = layer.init(KEY, (None, 3))["embeddings"]
        current, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak <= 1.2 * table.nbytes
    if jax.default_backend() == "cpu":
        assert current >= table.nbytes  # jax holds the memory that NumPy took, and made no copy


def test_the_memory_of_an_initializers_own_table_is_not_shared():
    table = draws.empty((300, 300), FLOAT).view(np.ndarray)  # aligned, so that jax would take it as it is
    table[...] = 1
    layer = fl.Dense(300, kernel_initializer=lambda key, shape, dtype: table)
    kernel = layer.init(KEY, (None, 300))["kernel"]
    table[...] = 2
    assert float(jnp.max(kernel)) == 1


def test_a_step_that_donates_weights_takes_what_was_drawn():
    params = fl.Dense(300).init(KEY, (None, 300))
    before = np.array(params["kernel"])
    after = jax.jit(lambda params: jax.tree.map(lambda a: a + 1, params), donate_argnums=0)(params)
    np.testing.assert_array_equal(after["kernel"], before + 1)
