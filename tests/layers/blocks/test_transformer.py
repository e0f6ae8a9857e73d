"""Transformer blocks: their public layers one after the other, with the masks of both inputs."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnlayers as fl

close = functools.partial(np.testing.assert_allclose, atol=1e-5, rtol=1e-5)


def array(*shape, seed=0):
    return jnp.asarray(np.random.RandomState(seed).normal(size=shape), "float32")


def quick_jit(function):
    """Compiled as one program, hardly optimized: for tests, which run it a few times."""
    return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})


def started(layer, shape):
    return quick_jit(lambda key: layer.init(key, shape))(jax.random.key(0))


def by_hand(params, x, layers, first):
    """The sublayers of a block, one after the other."""

    def run(name, *inputs):
        return layers[name].apply(params.get(name, {}), inputs[0] if len(inputs) == 1 else inputs)

    x, encoded = x if isinstance(x, tuple) else (x, None)
    parts = ["self_attention", *(["cross_attention"] if encoded is not None else []), "feedforward"]
    for part in parts:
        norm, inputs = f"{part}_layer_norm", run(f"{part}_layer_norm", x) if first else x
        if part == "feedforward":
            branch = run("feedforward_output_dense", run("feedforward_intermediate_dense", inputs))
        else:
            branch = run(part, inputs) if part == "self_attention" else run(part, inputs, encoded)
        x = x + branch if first else run(norm, x + branch)
    return x


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("kind", ["encoder", "decoder", "both"])
def test_a_block_is_its_public_layers(kind, first):
    x = (array(2, 5, 6), array(2, 4, 3, seed=1)) if kind == "both" else array(2, 5, 6)
    options = dict(activation="gelu", normalize_first=first, rotary_wavelength=50)
    block = (fl.TransformerEncoder if kind == "encoder" else fl.TransformerDecoder)(7, 3, **options)
    params = jax.tree.map(lambda a: a + 0.1, block.init(jax.random.key(0), jax.tree.map(jnp.shape, x)))
    starts = dict(rotary_wavelength=50, use_causal_mask=kind != "encoder")
    layers = {
        "self_attention": fl.MultiHeadAttention(3, 2, **starts),
        "cross_attention": fl.MultiHeadAttention(3, 2),
        "feedforward_intermediate_dense": fl.Dense(7, "gelu"),
        "feedforward_output_dense": fl.Dense(6),
    }
    names = ("self_attention", "cross_attention", "feedforward")
    layers |= {f"{name}_layer_norm": fl.LayerNormalization(epsilon=1e-5) for name in names}
    close(block.apply(params, x), by_hand(params, x, layers, first))


def test_weights_of_a_block_in_their_order():
    paths = fl.weight_paths(fl.TransformerDecoder(7, 3), ((None, 5, 6), (None, 4, 3)))
    names = list(dict.fromkeys(path.split("/")[0] for path in paths))
    assert names == [
        "self_attention", "self_attention_layer_norm", "cross_attention", "cross_attention_layer_norm",
        "feedforward_intermediate_dense", "feedforward_output_dense", "feedforward_layer_norm",
    ]  # fmt: skip


@pytest.mark.parametrize("junk", [7.0, np.inf, np.nan])
def test_padding_changes_nothing_in_a_block(junk):
    block, x, encoded = fl.TransformerDecoder(7, 3, use_causal_mask=False), array(2, 5, 6), array(2, 4, 3, seed=1)
    params = started(block, (x.shape, encoded.shape))
    longer = tuple(jnp.pad(a, ((0, 0), (0, 2), (0, 0)), constant_values=junk) for a in (x, encoded))
    masks = tuple(jnp.broadcast_to(jnp.arange(a.shape[1]) < a.shape[1] - 2, a.shape[:2]) for a in longer)

    def loss(params, x, mask):
        return jnp.sum(jnp.sin(block.apply(params, x, mask=mask)[:, :5]))

    gradient = quick_jit(jax.value_and_grad(loss))
    jax.tree.map(close, gradient(params, longer, masks), gradient(params, (x, encoded), None))


ERRORS = [
    (lambda: fl.TransformerEncoder(0, 2), "intermediate_dim=0 is wrong"),
    (lambda: fl.TransformerEncoder(4, 0), "num_heads=0 is wrong"),
    (lambda: fl.TransformerEncoder(4, 2, dropout=2), "dropout=2 is wrong; give a number from 0 to 1"),
    (lambda: fl.TransformerEncoder(4, 2, activation="rel"), "TransformerEncoder: "),
    (lambda: fl.TransformerEncoder(4, 4).out_shape((2, 5, 6)), "num_heads does not divide the 6 features"),
    (lambda: fl.TransformerEncoder(4, 2).out_shape(((2, 5, 6), (2, 5, 6))), "takes (batch, steps, features); got"),
    (lambda: fl.TransformerDecoder(4, 2).out_shape((2, 6)), "or this and the encoded (batch, steps, any); got (2, 6)"),
    (lambda: fl.TransformerDecoder(4, 2, use_causal_mask=False, cache=4), "cache needs use_causal_mask=True"),
    (lambda: fl.TokenAndPositionEmbedding(5, 4, 3).out_shape((2, 3, 4)), "takes 2 axes (batch, steps)"),
]  # fmt: skip


@pytest.mark.parametrize("act, text", ERRORS, ids=[text[:40] for _, text in ERRORS])
def test_errors_say_what_to_write(act, text):
    with pytest.raises(fl.LayerError) as error:
        act()
    assert text in str(error.value), str(error.value)
