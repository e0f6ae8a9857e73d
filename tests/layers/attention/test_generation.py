"""Generation: a sequence given bit by bit is the sequence given whole; positions."""

import functools

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

import fnlayers as fl
from fnlayers import ops

close = functools.partial(np.testing.assert_allclose, atol=1e-5, rtol=1e-5)


def array(*shape, seed=0):
    return jnp.asarray(np.random.RandomState(seed).normal(size=shape), "float32")


def tokens(*shape, below=7, seed=0):
    return jnp.asarray(np.random.RandomState(seed).randint(0, below, shape), "int32")


def quick_jit(function):
    """Compiled as one program, hardly optimized: for tests, which run it a few times."""
    return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})


def started(layer, shape):
    return quick_jit(lambda key: layer.init(key, shape))(jax.random.key(0))


def language_model():
    entrance = fl.TokenAndPositionEmbedding(7, 12, 8)
    blocks = [fl.TransformerDecoder(16, 2), fl.TransformerDecoder(16, 4, normalize_first=True)]
    return fl.Sequential([entrance, *blocks, fl.Dense(7)])


def repeated_model():
    block = fl.TransformerDecoder(16, 2, activation="gelu", normalize_first=True, rotary_wavelength=100)
    return fl.Sequential([fl.Embedding(7, 8), fl.Repeat(block, 3), fl.LayerNormalization(), fl.Dense(7)])


def graph_model():
    ids = fl.Input((None,), dtype="int32")
    x = fl.Embedding(7, 8)(ids)
    x = fl.Add()(x, fl.SinePositionEncoding()(x))
    x = fl.Add()(x, fl.GroupQueryAttention(4, 4, 2, use_causal_mask=True)(x))
    turned = fl.RotaryEmbedding()(x)
    return fl.functional(ids, fl.ReversibleEmbedding(7, 8, name="exit")(fl.Add()(x, turned)))


@functools.cache
def drawn(make):
    """The params of a model, drawn once for all tests."""
    return started(make(), (None, 5))


MODELS = {"sequential": language_model, "repeat": repeated_model, "graph": graph_model}
ATTENTION = [
    fl.MultiHeadAttention(2, 3, use_causal_mask=True),
    fl.MultiHeadAttention(2, 4, 3, use_causal_mask=True, use_gate=True, rotary_wavelength=10),
    fl.MultiHeadAttention(2, 4, use_causal_mask=True, sliding_window=3),
    fl.GroupQueryAttention(4, 4, 2, use_causal_mask=True, rotary_wavelength=10),
    fl.GroupQueryAttention(3, 2, 1, use_causal_mask=True, use_bias=False),
]
PLACES = [fl.PositionEmbedding(12), fl.SinePositionEncoding(), fl.RotaryEmbedding(), fl.RotaryEmbedding(10, 2.0)]
BITS = [(6, 1, 1, 1), (3, 5, 1), (0, 9)]
over_bits = pytest.mark.parametrize("bits", BITS, ids=str)
over_models = pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)


def in_bits(model, params, x, bits, masks=None):
    """The outputs of one run after the other, side by side, and the last state."""
    run = quick_jit(lambda p, x, s, m: model.run(p, x, state=s, mask=m)[:2])
    state, outputs, start = model.init_state((x.shape[0], 1, *x.shape[2:])), [], 0
    for bit in bits:
        mask = None if masks is None else masks[:, start : start + bit]
        y, state = run(params, x[:, start : start + bit], state, mask)
        outputs, start = [*outputs, y], start + bit
    return jnp.concatenate(outputs, axis=1), state


# Bit by bit


@over_bits
@pytest.mark.parametrize("layer", ATTENTION + PLACES, ids=str)
def test_a_layer_given_bits_gives_what_it_gives_for_the_whole(layer, bits):
    x = array(2, 9, 6)
    params = started(layer, x.shape)
    y, state = in_bits(fl.cached(layer, 12), params, x, bits)
    close(y, quick_jit(layer.apply)(params, x))
    assert state["place"] == 9


@over_bits
@over_models
def test_a_model_given_bits_gives_what_it_gives_for_the_whole(make, bits):
    model, x, params = make(), tokens(2, 9), drawn(make)
    decoder = fl.cached(model, 9)
    y, _ = in_bits(decoder, params, x, bits)
    close(y, quick_jit(model.apply)(params, x))
    abstract = jax.eval_shape(lambda key: decoder.init(key, (1, 1)), jax.random.key(0))
    assert jax.tree.structure(abstract) == jax.tree.structure(params)


@over_models
def test_one_step_is_compiled_once(make):
    model, x, params, traced = fl.cached(make(), 9), tokens(2, 9), drawn(make), []

    @jax.jit
    def step(params, state, token):
        traced.append(1)
        out = model.run(params, token, state=state)
        return out.y, out.state

    state, outputs = model.init_state((2, 1)), []
    for at in range(9):
        y, state = step(params, state, x[:, at : at + 1])
        outputs.append(y)
    close(jnp.concatenate(outputs, 1), quick_jit(make().apply)(params, x))
    assert len(traced) == 1


@over_models
def test_steps_in_a_scan(make):
    model, x, params = fl.cached(make(), 9), tokens(2, 9), drawn(make)

    def step(state, token):
        out = model.run(params, token[:, None], state=state)
        return out.state, out.y[:, 0]

    _, y = jax.lax.scan(step, model.init_state((2, 1)), x.T)
    close(jnp.moveaxis(y, 0, 1), quick_jit(make().apply)(params, x))


def test_training_and_gradients_go_through_a_cache():
    layer, x = fl.MultiHeadAttention(2, 3, use_causal_mask=True), array(2, 6, 4)
    params = started(layer, x.shape)

    def in_two(params):
        first = fl.cached(layer, 8).run(params, x[:, :2], state=fl.cached(layer, 8).init_state(x.shape), train=True)
        rest = fl.cached(layer, 8).run(params, x[:, 2:], state=first.state, train=True)
        return jnp.concatenate([first.y, rest.y], axis=1)

    def gradient(function):
        return quick_jit(jax.grad(lambda p: jnp.sum(jnp.sin(function(p)))))(params)

    jax.tree.map(close, gradient(in_two), gradient(lambda p: layer.apply(p, x)))


# Batches


def test_vmap_gives_each_sequence_a_place_of_its_own():
    model, x, params = fl.cached(language_model(), 12), tokens(2, 9), drawn(language_model)
    lengths = (3, 6)
    run, start = quick_jit(lambda t: model.run(params, t, state=start).state), model.init_state((1, 1))
    states = [run(x[i : i + 1, :n]) for i, n in enumerate(lengths)]
    both = jax.tree.map(lambda *a: jnp.stack(a), *states)
    step = quick_jit(jax.vmap(lambda s, t: model.run(params, t[None], state=s).y))
    y = step(both, jnp.stack([x[0, 3:4], x[1, 6:7]]))
    for i, n in enumerate(lengths):
        close(y[i, 0, 0], quick_jit(language_model().apply)(params, x[i : i + 1, : n + 1])[0, n])


@pytest.mark.parametrize("junk", [3.0, np.nan])
def test_prompts_of_two_lengths_padded_on_the_left(junk):
    block = fl.TransformerDecoder(16, 2, rotary_wavelength=100)
    model, x = fl.cached(block, 12), array(2, 9, 8)
    params = started(block, x.shape)
    mask = jnp.arange(9) >= jnp.array([[0], [4]])
    padded = jnp.where(mask[..., None], x, junk)
    y, _ = in_bits(model, params, padded, (6, 1, 1, 1), mask)
    close(y[0], quick_jit(block.apply)(params, x[:1])[0])
    close(y[1, 4:], quick_jit(block.apply)(params, x[1:, 4:])[0])


def test_a_step_exports_with_an_open_batch():
    layer = fl.cached(fl.GroupQueryAttention(4, 4, 2, use_causal_mask=True, rotary_wavelength=10), 6)
    params, state = started(layer, (3, 1, 8)), layer.init_state((3, 1, 8))
    (batch,) = jax.export.symbolic_shape("batch")

    def opened(a):
        return jax.ShapeDtypeStruct((batch, *a.shape[1:]) if a.ndim else (), a.dtype)

    step = jax.jit(lambda p, s, x: layer.run(p, x, state=s)[:2])
    exported = jax.export.export(step, platforms=("cpu", "cuda", "tpu"))(
        params, jax.tree.map(opened, state), jax.ShapeDtypeStruct((batch, 1, 8), "float32")
    )
    x = array(3, 1, 8)
    close(exported.call(params, state, x)[0], step(params, state, x)[0])


# The cache


@pytest.mark.parametrize("layer", ATTENTION + PLACES, ids=str)
@pytest.mark.parametrize("jit", [False, True])
def test_more_steps_than_there_is_room_for_give_nan(layer, jit):
    layer, x = fl.cached(layer, 3), array(1, 1, 6)
    params, state = started(layer, x.shape), layer.init_state(x.shape)
    run = jax.jit(layer.run) if jit else layer.run
    for finite in (True, True, True, False, False):
        out = run(params, x, state=state)
        state = out.state
        assert jnp.isfinite(out.y).all() if finite else jnp.isnan(out.y).all()


def test_the_cache_has_the_compute_dtype():
    state = fl.GroupQueryAttention(4, 4, 2, use_causal_mask=True, cache=6, dtype="mixed_bfloat16").init_state((3, 1, 8))
    shapes = {name: (a.shape, a.dtype.name) for name, a in state.items()}
    assert shapes == {
        "cached_key": ((3, 6, 2, 4), "bfloat16"),
        "cached_value": ((3, 6, 2, 4), "bfloat16"),
        "cached_mask": ((3, 6), "bool"),
        "place": ((), "int32"),
    }


@over_models
def test_a_generation_is_saved_and_goes_on(make, tmp_path):
    model, x, params = fl.cached(make(), 9), tokens(2, 9), drawn(make)
    state = quick_jit(lambda x, s: model.run(params, x, state=s).state)(x[:, :5], model.init_state((2, 1)))
    fl.save(tmp_path / "m.safetensors", model, params, state, shape=(2, 1))
    loaded, params, state = fl.load(tmp_path / "m.safetensors")
    assert loaded == model
    y = quick_jit(lambda x, s: loaded.apply(params, x, state=s))(x[:, 5:], state)
    close(y, quick_jit(make().apply)(params, x)[:, 5:])


def test_cached_changes_nothing_but_the_cache():
    shared = fl.MultiHeadAttention(2, 3, name="shared")  # no causal attention
    model = fl.Sequential([fl.Dense(4), shared, shared, fl.PositionEmbedding(9), fl.Dropout(0.1)])
    changed = fl.cached(model, 7)
    assert changed.layers[1] is changed.layers[2] and changed.layers[1] == shared
    assert changed.layers[3] == fl.PositionEmbedding(9, cache=7, name="position_embedding")
    assert fl.cached(changed, 5) == fl.cached(model, 5)
    assert (
        repr(fl.cached(fl.TransformerDecoder(4, 2), 5))
        == "TransformerDecoder(intermediate_dim=4, num_heads=2, cache=5)"
    )


# Positions


def test_waves_and_turns_are_those_of_ops():
    x = array(2, 6, 4)
    close(fl.SinePositionEncoding(50).apply({}, x), jnp.stack([ops.waves(6, 4, wavelength=50)] * 2))
    close(fl.RotaryEmbedding(50, 2.0, 2, 1).apply({}, x), ops.rotate(x, 0, 50, 2.0, 2, 1))


def test_positions_move_what_attention_without_them_cannot_tell():
    x, turn = array(1, 4, 6), jnp.array([2, 0, 3, 1])
    for wavelength, same in ((None, True), (100, False)):
        layer = fl.MultiHeadAttention(2, 4, rotary_wavelength=wavelength)
        params = started(layer, x.shape)
        assert np.allclose(layer.apply(params, x)[:, turn], layer.apply(params, x[:, turn]), atol=1e-5) is same


def test_attention_rotates_as_the_layer_does():
    layer, x = fl.MultiHeadAttention(2, 4, rotary_wavelength=20, return_attention_scores=True), array(1, 5, 6)
    params = started(layer, x.shape)
    q, k = (jnp.einsum("btf,fhd->bthd", x, params[name]["kernel"]) for name in ("query", "key"))
    q, k = (fl.RotaryEmbedding(20).apply({}, a) for a in (q, k))
    close(layer.apply(params, x)[1], jax.nn.softmax(jnp.einsum("bqhd,bkhd->bhqk", q, k) / 2, -1))


def test_a_graph_with_positions_leaves_the_number_of_steps_open():
    x = fl.TokenAndPositionEmbedding(7, 5, 8)(fl.Input((None,), dtype="int32"))
    assert x.shape == (None, None, 8)
    assert fl.PositionEmbedding(5)(fl.Input((None, 4))).shape == (None, None, 4)


@over_models
def test_no_gradient_reaches_the_future(make):
    model, x, params = make(), tokens(1, 6), drawn(make)
    y, changed = (quick_jit(model.apply)(params, a) for a in (x, x.at[0, 3].set((x[0, 3] + 1) % 7)))
    differs = jnp.any(y != changed, axis=(0, 2))
    assert differs.tolist() == [False] * 3 + [True] * 3


# Errors

CAUSAL = {"use_causal_mask": True}
ERRORS = [
    (lambda: fl.MultiHeadAttention(2, 3, cache=4), "cache needs use_causal_mask=True, since later steps are not there"),
    (lambda: fl.MultiHeadAttention(2, 3, cache=0, **CAUSAL), "cache=0 is wrong; give a whole number of at least 1"),
    (lambda: fl.MultiHeadAttention(2, 3, cache=4, return_attention_scores=True, **CAUSAL), "cache has no return_attent"),
    (lambda: fl.MultiHeadAttention(2, 3, cache=4, flash_attention=True, **CAUSAL), "or flash_attention=True"),
    (lambda: fl.MultiHeadAttention(2, 3, rotary_wavelength=10), "rotates pairs of features; make those of a head an even"),
    (lambda: fl.MultiHeadAttention(2, 4, rotary_wavelength=0), "rotary_wavelength=0 is wrong; give a number above 0"),
    (
        lambda: fl.MultiHeadAttention(2, 4, rotary_wavelength=9).out_shape((2, 4, 3, 3)),
        "several axes (1, 2) have no order",
    ),
    (
        lambda: fl.MultiHeadAttention(2, 3, cache=4, **CAUSAL).init_state((None, 1, 3)),
        "so the batch size must be known; write it in the shape given to init_state",
    ),
    (
        lambda: fl.MultiHeadAttention(2, 3, cache=4, **CAUSAL).init_state((2, 5, 3)),
        "has no room for 5 steps; give cache=5 or more, or fewer steps",
    ),
    (
        lambda: fl.MultiHeadAttention(2, 3, cache=4, **CAUSAL).init_state(((2, 2, 3), (2, 3, 3))),
        "with a cache the inputs are new steps (batch, steps, features), as many queries as values",
    ),
    (
        lambda: run_cached(fl.MultiHeadAttention(2, 3, cache=4, **CAUSAL), (2, 1, 3), (3, 1, 3)),
        "expected a cache of (batch, steps) (3, 4), got (2, 4); make it with state = model.init_state(shape)",
    ),
    (lambda: other_length(), "expected a cache of (batch, steps) (1, 8), got (1, 4)"),
    (
        lambda: fl.MultiHeadAttention(2, 3, cache=4, **CAUSAL).run({}, array(1, 1, 3)),
        "in its params",
    ),
    (lambda: shared_twice(), "is called twice in one run, and has one cache; use two layers"),
    (lambda: fl.cached(fl.Dense(3), 4), "cached: no layer in Dense(units=3) keeps keys and values, or its position"),
    (lambda: fl.PositionEmbedding(4).out_shape((None, 5, 3)), "has no position for 5 steps; give no more, or a larger"),
    (lambda: fl.cached(fl.PositionEmbedding(4), 5), "has no position for 5 steps; give cache=4 or less"),
    (lambda: fl.PositionEmbedding(4).out_shape((4,)), "takes 2 or 3"),
    (lambda: fl.SinePositionEncoding(-1), "SinePositionEncoding: max_wavelength=-1 is wrong; give a number above 0"),
    (lambda: fl.RotaryEmbedding().out_shape((2, 4, 3)), "rotates pairs of features, so their number must be even, got 3"),
    (lambda: fl.RotaryEmbedding(sequence_axis=-1).out_shape((2, 4, 4)), "lie along two axes behind the batch"),
    (lambda: fl.RotaryEmbedding(sequence_axis=3).out_shape((2, 4, 4)), "names axis 3"),
]  # fmt: skip


def run_cached(layer, shape, other):
    layer.run(started(layer, shape), array(*other), state=layer.init_state(shape))


def other_length():
    layer = fl.TransformerDecoder(4, 2, cache=4)
    params, state = started(layer, (1, 1, 4)), layer.init_state((1, 1, 4))
    fl.cached(layer, 8).run(params, array(1, 1, 4), state=state)


def shared_twice():
    layer = fl.TransformerDecoder(4, 2, cache=4)
    run_cached(fl.Sequential([layer, layer]), (1, 1, 4), (1, 1, 4))


@pytest.mark.parametrize("act, text", ERRORS, ids=[text[:40] for _, text in ERRORS])
def test_errors_say_what_to_write(act, text):
    with pytest.raises(fl.LayerError) as error:
        act()
    assert text in str(error.value), str(error.value)
