"""Files as `fnlayers.save` wrote them at one time: tests/saving/test_golden_files.py holds that `load` still reads them.

    python tests/golden/make_files.py [NAME ...]

writes tests/golden/files: NAME.safetensors for each model, NAME.npz with an input and what the model made of it, and
configs.json.gz, the config of every layer of the table of cases. Files that are there are never written again: what was
written once is to be read for good. A new kind of file is a new entry in MODELS.
"""

import gzip
import json
import pathlib
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import fnlayers as fl
from fnlayers.core.operation import Cut, Slot
from fnlayers.saving import config

FILES = pathlib.Path(__file__).parent / "files"


@fl.layerclass
class Scale(fl.Layer):
    """A layer of one's own, with an option, a weight and another layer inside."""

    inner: fl.Layer
    start: str = "ones"

    def weights(self, shape: Any) -> Any:
        return {"gamma": fl.Param((shape[-1],), self.start)}

    def children(self, shape: Any) -> Any:
        return {"inner": (self.inner, shape)}

    def forward(self, params: Any, x: Any, ctx: Any) -> Any:
        return fl.Out(params["gamma"] * self.inner.apply(params["inner"], x))


def double(x: Any) -> Any:
    """For a Lambda."""
    return 2 * x


def draw(rng: Any, shape: Any) -> Any:
    """Init, for a Pair."""
    return (jax.random.normal(rng, shape[-1:]), {"shift": jnp.ones(())})


def use(params: Any, x: Any) -> Any:
    """Apply, for a Pair."""
    return params[0] * x + params[1]["shift"]


GIVEN = (Scale, double, draw, use)  # what load is given


def sequential() -> fl.Layer:
    return fl.Sequential(
        [
            fl.Conv2D(3, 3, padding="same", kernel_regularizer=fl.regularizers.L2(1e-3), use_bias=False),
            fl.BatchNormalization(momentum=0.9),
            fl.PReLU(shared_axes=(1, 2)),
            fl.MaxPooling2D(2),
            fl.SeparableConv2D(4, (2, 1), activation="gelu"),
            fl.SpectralNormalization(fl.Dense(3, kernel_constraint=fl.constraints.MaxNorm(2))),
            fl.SpatialDropout2D(0.2, seed=3),
            fl.Flatten(),
            fl.Dense(2, activation=fl.activations.softmax, kernel_initializer=fl.initializers.HeNormal(), name="head"),
        ],
        name="classifier",
    )


def functional() -> fl.Layer:
    left, right = fl.Input((4,), name="left"), fl.Input((4,), name="right")
    encoder = fl.Sequential([fl.Dense(3, "tanh"), fl.LayerNormalization()], name="encoder")
    joined = fl.Concatenate()(encoder(left), encoder(right))
    cut = fl.Operation("GetItem", (Slot(0), ("...", Cut(1, None, 2))))(joined)
    product = fl.Operation("Multiply", (Slot(0), 2.0))(cut)
    outputs = {"same": fl.Dense(1, trainable=False)(joined), "cut": fl.Lambda(double)(product)}
    return fl.functional({"left": left, "right": right}, outputs, name="twins")


def nested() -> fl.Layer:
    a = fl.Input((6,))
    block = fl.Sequential([fl.Dense(6, "relu"), fl.Sequential([fl.Dense(6), fl.UnitNormalization()])])
    inner = fl.functional(a, (fl.Add()(a, block(a)), fl.ReLU(negative_slope=0.1)(a)))
    return fl.Sequential([fl.Dense(6), inner, fl.Multiply(), fl.ELU()])


def recurrent() -> fl.Layer:
    cells = fl.StackedRNNCells([fl.LSTMCell(3), fl.GRUCell(2, reset_after=False)])
    return fl.Sequential(
        [
            fl.Embedding(9, 4, mask_zero=True),
            fl.Bidirectional(fl.LSTM(3, return_sequences=True), merge_mode="sum"),
            fl.RNN(cells, return_sequences=True),
            fl.TimeDistributed(fl.Dense(3)),
            fl.GRU(2, stateful=True, recurrent_dropout=0.1),
        ]
    )


def repeat() -> fl.Layer:
    block = fl.TransformerDecoder(8, num_heads=2, normalize_first=True, rotary_wavelength=1000)
    return fl.Sequential(
        [fl.TokenAndPositionEmbedding(7, 6, 4), fl.Repeat(block, 2), fl.RMSNormalization(), fl.Dense(7)]
    )


def attention() -> fl.Layer:
    query, value = fl.Input((3, 4)), fl.Input((5, 4))
    mixed = fl.MultiHeadAttention(2, 3, dropout=0.1)(query, value)
    grouped = fl.GroupQueryAttention(2, 4, 2)(query, value)
    return fl.functional((query, value), fl.Average()(mixed, grouped))


def custom() -> fl.Layer:
    return fl.Sequential([Scale(fl.Dense(3), start="zeros"), Scale(fl.Dense(3)), fl.Pair(draw, use)])


def half() -> fl.Layer:
    return fl.Sequential([fl.Dense(3, dtype="bfloat16"), fl.Dense(2, dtype="mixed_float16"), fl.GroupNormalization(1)])


def time_and_space() -> fl.Layer:
    return fl.Sequential([fl.ConvLSTM1D(2, 2), fl.Conv1DTranspose(3, 2, strides=2), fl.Cropping1D(1)])


# name -> (the model, the shape of its input)
MODELS: dict[str, tuple[Any, Any]] = {
    "sequential": (sequential, (2, 6, 6, 2)),
    "functional": (functional, {"left": (2, 4), "right": (2, 4)}),
    "nested": (nested, (2, 5)),
    "recurrent": (recurrent, (2, 4)),
    "repeat": (repeat, (2, 6)),
    "attention": (attention, ((2, 3, 4), (2, 5, 4))),
    "custom": (custom, (2, 3)),
    "half": (half, (2, 3)),
    "time_and_space": (time_and_space, (2, 3, 4, 2)),
}


def some(tree: Any, seed: int) -> Any:
    """The same tree with other numbers, near 1, so that nothing is at its initial value."""
    random = np.random.default_rng(seed)

    def other(a: Any) -> Any:
        if not jnp.issubdtype(a.dtype, jnp.floating):
            return a
        return jnp.asarray(np.asarray(a, "float32") + random.uniform(0.1, 0.9, a.shape), a.dtype)

    return jax.tree.map(other, tree)


def write(name: str) -> None:
    """One model, its input and its output."""
    build, shape = MODELS[name]
    model, random = build(), np.random.default_rng(1)
    integers = name in ("recurrent", "repeat")
    leaf = lambda s: random.integers(0, 7, s) if integers else random.normal(size=s)  # noqa: E731
    x = jax.tree.map(lambda s: np.asarray(leaf(s), "int32" if integers else "float32"), shape, is_leaf=is_shape)
    params = some(model.init(jax.random.key(0), shape), 2)
    state = some(model.init_state(shape), 3)
    y = model.apply(params, jax.tree.map(jnp.asarray, x), state=state)
    fl.save(FILES / f"{name}.safetensors", model, params, state, shape=shape)
    leaves = {"x": jax.tree.leaves(x), "y": [np.asarray(a, "float32") for a in jax.tree.leaves(y)]}
    arrays = {f"{key}{i}": a for key, group in leaves.items() for i, a in enumerate(group)}
    np.savez_compressed(FILES / f"{name}.npz", **arrays)


def is_shape(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(n, int) for n in value)


def write_configs() -> None:
    """The configs of all layers of the table of cases that can be saved."""
    sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
    from cases import CASES

    configs = {}
    for case in CASES:
        try:
            configs[str(case)] = config.to_config(case.layer)
        except fl.ConfigError:
            continue  # a lambda, which no file can hold
    text = json.dumps(configs, separators=(",", ":"))
    (FILES / "configs.json.gz").write_bytes(gzip.compress(text.encode(), mtime=0))


if __name__ == "__main__":
    FILES.mkdir(exist_ok=True)
    for chosen in sys.argv[1:] or MODELS:
        if not (FILES / f"{chosen}.safetensors").exists():
            write(chosen)
    if not (FILES / "configs.json.gz").exists():
        write_configs()
