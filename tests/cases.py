"""THE TABLE: one line a layer variant. Every law in tests/laws runs over it, and Keras wrote golden numbers from it.

A new layer needs a line for each of its options here, and nothing else, for all laws to cover it.
"""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import fnlayers as fl
from fnlayers.core.operation import Cut, Slot
from fnlayers.core.shapes import canonical, is_shape
from fnlayers.core.spec import is_spec, only
from fnlayers.plain_data import FrozenDict, map_nest

FIRST = "channels_first"
HALVES = ("float16", "bfloat16", "mixed_float16", "mixed_bfloat16")


@dataclass(frozen=True, eq=False)
class Case:
    """A layer variant, the input that the laws give it, and what is special about it.

    Arguments:
        layer: the layer.
        shape: of the input, batch axis included; a tuple or dict of shapes where there are several.
        mask: of the input, as nested lists of 0 and 1; a tuple of those where there are several inputs.
        below: 0 for floating inputs; else the inputs are integers from 0 to below - 1.
        random: whether training draws numbers, so that it needs a key and has no Keras numbers.
        keras: why Keras has no numbers for this case, or other ones.
        exempt: the laws that cannot hold, each with the reason; such a test must fail.
        name: the test's name, where the layer's repr is too long for one.
    """

    layer: fl.Layer
    shape: Any
    mask: Any = None
    below: int = 0
    random: bool = False
    keras: str | None = None
    exempt: Mapping[str, str] = field(default_factory=dict)
    name: str = ""

    def __str__(self) -> str:
        return (self.name or f"{self.layer!r} {self.shape}") + _shown(self.mask)

    # Arrays. RandomState's numbers are frozen for all versions of numpy, so files need to hold only results.

    def spread(self, what: str, shape: tuple[int, ...], low: float = -1.0, high: float = 1.0) -> np.ndarray:
        """Numbers from low to high at equal distances, so that none tie, in an order that `what` decides."""
        size = int(np.prod(shape))
        order = np.random.RandomState(zlib.crc32(f"{self} {what}".encode())).permutation(size)
        return (low + (high - low) * (order + 0.49) / max(size, 1)).reshape(shape).astype("float32")

    def inputs(self, what: str = "x") -> Any:
        """An array, or a tuple or dict of them; the seventh integer is 0, so that masks of zeros are seen."""

        def make(shape: tuple[int, ...]) -> np.ndarray:
            if not self.below:
                return self.spread(f"{what} {shape}", shape, -2.0, 2.1)
            ids = np.random.RandomState(zlib.crc32(f"{self} {what}".encode())).randint(0, self.below, shape, "int32")
            ids.reshape(-1)[3::4] = 0
            return ids

        inputs = map_nest(make, canonical(self.shape), is_leaf=is_shape)
        if isinstance(inputs, Mapping) and "attention_mask" in inputs:
            inputs = {**inputs, "attention_mask": inputs["attention_mask"] > 0}
        return inputs

    def weights(self, kind: type, layer: fl.Layer | None = None) -> Any:
        """Params (or state) for the layer: values away from 0, positive in the state; an array for each declaration."""
        low = -1.0 if kind is fl.Param else 0.5

        def make(path: Any, spec: Any) -> jax.Array:
            value = self.spread(jax.tree_util.keystr(path), spec.full_shape, low, low + 1.9)
            return jnp.asarray(value, spec.dtype or "float32")

        specs = only((layer or self.layer).specs(self.shape), kind)
        return jax.tree_util.tree_map_with_path(make, specs, is_leaf=is_spec)

    @property
    def params(self) -> Any:
        return self.weights(fl.Param)

    @property
    def state(self) -> Any:
        return self.weights(fl.State)

    @property
    def masks(self) -> Any:
        """The mask as boolean arrays, nested like the inputs."""
        if isinstance(self.mask, tuple):
            return tuple(None if m is None else np.array(m, bool) for m in self.mask)
        return None if self.mask is None else np.array(self.mask, bool)

    def like_outputs(self, y: Any, what: str = "cotangent") -> Any:
        """A number between -1 and 1 for each element of a nest of arrays, in the arrays' dtypes."""
        leaves, structure = jax.tree.flatten(y)
        cotangents = [jnp.asarray(self.spread(f"{what} {i}", a.shape), a.dtype) for i, a in enumerate(leaves)]
        return jax.tree.unflatten(structure, cotangents)

    # Runs

    def run(self, train: bool = False, x: Any = None, layer: fl.Layer | None = None, **replaced: Any) -> fl.Out:
        """One pass with this case's arrays, any of which `given` replaces."""
        key = jax.random.key(7) if train and self.random else None
        arrays = dict(params=self.params, state=self.state, rng=key, mask=self.masks) | replaced
        return (layer or self.layer).run(x=self.inputs() if x is None else x, train=train, **arrays)

    @property
    def tolerance(self) -> dict[str, float]:
        """1e-5; in half precision two units in the last place, since sums are rounded there in another order."""
        names = {policy for layer in layers_in(self.layer) if (policy := layer.dtype) in HALVES}
        if not names:
            return dict(rtol=1e-5, atol=1e-5)
        unit = 2.0**-7 if any("bfloat16" in name for name in names) else 2.0**-10
        return dict(rtol=2 * unit, atol=2 * unit)


def layers_in(layer: fl.Layer) -> list[fl.Layer]:
    """The layer and all layers in its fields."""
    return [layer, *(inner for value in _parts(layer) for inner in layers_in(value))]


def with_policy(layer: fl.Layer, dtype: str) -> fl.Layer:
    """The layer, and all layers in its fields, under a dtype policy; what is one object stays one."""
    done: dict[int, fl.Layer] = {}

    def change(value: Any) -> Any:
        if isinstance(value, fl.Layer):
            if id(value) not in done:
                changed = {f.name: change(getattr(value, f.name)) for f in fields(value)}
                done[id(value)] = replace(value, **(changed | {"dtype": dtype}))
            return done[id(value)]
        return tuple(map(change, value)) if type(value) is tuple else value

    return change(layer)


def _shown(mask: Any) -> str:
    """[[1, 0], [1, 1]] as " masked 10-11"; nothing for None."""
    if mask is None:
        return ""
    return " masked " + str(mask).replace("], ", "-").translate(str.maketrans("", "", "[](), "))


def _parts(layer: fl.Layer) -> list[fl.Layer]:
    layers: list[fl.Layer] = []

    def look(value: Any) -> None:
        if isinstance(value, fl.Layer):
            layers.append(value)
        elif type(value) is tuple:
            any(map(look, value))

    any(look(getattr(layer, f.name)) for f in fields(layer))
    return layers


OURS = "not in Keras"
UNPICKLED = {"a_layer_pickles": "jax's own functions do not pickle"}
DTYPE_LAWS = ("outputs_have_the_compute_dtype", "float64")


def plus_one(x: jax.Array, by: float = 1.0) -> jax.Array:
    return x + jnp.asarray(by, x.dtype)


def difference(xs: Any) -> jax.Array:
    return xs[0] - xs[1]


def keep_mask(x: Any, mask: Any) -> Any:
    return mask


def draw_scale(rng: Any, shape: tuple[int, ...]) -> Any:
    return jax.random.normal(rng, (shape[-1],)), ()


def apply_scale(params: Any, x: jax.Array) -> jax.Array:
    return x * params[0].astype(x.dtype)


def graph(build: Callable, *shapes: tuple[int, ...], **options: Any) -> fl.Functional:
    """The Functional whose inputs have those shapes, without the batch axis, and whose outputs `build` makes."""
    starts = tuple(fl.Input(shape, name=f"in_{i}") for i, shape in enumerate(shapes))
    return fl.functional(starts if len(starts) > 1 else starts[0], build(*starts), **options)


def residual(a: fl.Symbol) -> fl.Symbol:
    b = fl.Dense(3, "relu")(a)
    return fl.Dense(2)(fl.Add()(b, fl.Dense(3)(b)))


def two_in_two_out(a: fl.Symbol, b: fl.Symbol) -> tuple[fl.Symbol, ...]:
    joined = fl.Concatenate()(fl.Dense(2)(a), fl.Dense(3)(b))
    return fl.BatchNormalization()(joined), fl.Activation("tanh")(joined)


def siamese(a: fl.Symbol, b: fl.Symbol) -> fl.Symbol:
    encoder = fl.Sequential([fl.Dense(3), fl.BatchNormalization(momentum=0.5)])
    return fl.Add()(encoder(a), encoder(b))


def carry_and_output(a: fl.Symbol) -> Any:
    y, h, c = fl.LSTM(2, return_state=True)(a)
    return {"y": fl.Dense(1)(y), "carry": fl.Concatenate()(h, c)}


def dict_graph() -> fl.Functional:
    left, right = fl.Input((3,), name="left"), fl.Input((2,), name="right")
    y = fl.Concatenate()(fl.Dense(2)(right), left)
    return fl.functional({"left": left, "right": right}, {"sum": fl.Dense(1)(y), "joined": y})


def shared_twice() -> fl.Sequential:
    layer = fl.Dense(3, "tanh")
    return fl.Sequential([layer, fl.BatchNormalization(), layer])


def penalized(cls: type, *args: Any, **options: Any) -> fl.Layer:
    """The layer with every regularizer and constraint that it takes."""
    names = {f.name for f in fields(cls)}
    rules = {name: "l2" for name in names if name.endswith("_regularizer") and not name.startswith("activity")}
    bounds = {name: "max_norm" for name in names if name.endswith("_constraint")}
    activity = {"activity_regularizer": fl.regularizers.L1L2(0.1, 0.2)} if "activity_regularizer" in names else {}
    return cls(*args, **{**rules, **bounds, **activity, **options})


def operation(
    function: str, arguments: tuple = (Slot(0),), options: Mapping = FrozenDict(), shape: Any = (2, 4)
) -> Case:
    layer = fl.Operation(function, arguments, options)
    return Case(layer, shape, keras=OURS, name=f"Operation({function})")


L2 = fl.regularizers.L2
ALL4 = [[1, 1, 1, 1], [1, 1, 1, 1]]
LEFT = [[0, 0, 1, 1], [1, 1, 1, 1]]
GAPS = [[1, 0, 1, 0], [0, 1, 1, 0]]
RIGHT = [[1, 1, 0, 0], [1, 0, 0, 0]]
EMPTY = [[0, 0, 0, 0], [1, 1, 1, 0]]
STATELESS = {"adding_a_layer_moves_no_other_numbers": "in a graph a cell has to be given its states"}
ONE_STEP = "a cell of Keras takes its carry as a second argument; the layers that scan it hold the numbers"
CARRIED = {
    "inference_returns_the_state_it_was_given": "a carry goes on in inference too",
    "the_batch_axis_may_be_unknown": "a carry has a row for each of the batch",
    "exports_for_all_platforms_with_an_open_batch": "a carry has a row for each of the batch",
}
PLACED = {"inference_returns_the_state_it_was_given": "a cache's position moves on in inference, too"}
ROWS_MIXED = "Keras's mask meets the wrong axes of a step's image (docs/deviations.md)"
ENDED_EARLY = "Keras: NaN for a sequence that is masked whole; ours is 0 (docs/deviations.md)"
APPLICATIONS = "a layer of keras.applications: tests/keras_files/test_applications.py compares whole networks"
ADAPTED = "Keras's adapted statistics are constants of the layer: tests/keras_files/test_legacy.py loads adapted files"
CLIPPING = {"rmin": 0.8, "rmax": 1.2, "dmax": 0.3}
SIGMA = "Keras overwrites the kernel in training and uses it undivided elsewhere (docs/deviations.md)"
ORDER = "Keras sums the masked statistics of one channel, or of another axis, with an error (docs/deviations.md)"

DENSE = [
    Case(fl.Dense(3), (2, 4)),
    Case(fl.Dense(3, activation="relu"), (2, 3, 4), mask=[[1, 1, 0], [1, 0, 0]]),
    Case(fl.Dense(3, use_bias=False), (2, 4)),
    Case(fl.Dense(3, activation="softmax"), (2, 2, 2, 4)),
    Case(fl.Dense(3, activation=jnp.tanh), (2, 4), exempt=UNPICKLED, name="Dense(3, activation=jnp.tanh)"),
    Case(fl.Dense(3, activation=fl.LeakyReLU(0.1)), (2, 4)),
    Case(fl.Dense(1), (1, 1)),
    Case(fl.Dense(3, kernel_initializer="he_normal", bias_initializer="ones"), (2, 4)),
    Case(penalized(fl.Dense, 3), (2, 4), name="Dense(3) with rules"),
    Case(fl.Dense(3, kernel_regularizer="orthogonal_regularizer", kernel_constraint="unit_norm"), (2, 4)),
    Case(fl.Dense(3, kernel_constraint="non_neg", bias_constraint=fl.constraints.MinMaxNorm(0.5, 0.9)), (2, 4)),
    Case(fl.Dense(3, trainable=False), (2, 4)),
    Case(fl.Dense(3, "tanh", dtype="bfloat16"), (2, 4)),
    Case(fl.Dense(3, "tanh", dtype="float16"), (2, 4)),
    Case(fl.Dense(3, "tanh", dtype="mixed_bfloat16"), (2, 4)),
    Case(fl.Dense(3, "tanh", dtype="mixed_float16"), (2, 4)),
    Case(fl.Embedding(5, 3), (2, 4), below=5),
    Case(fl.Embedding(5, 3, mask_zero=True), (2, 4), below=5),
    Case(fl.Embedding(5, 3, mask_zero=True), (3,), below=5),
    Case(penalized(fl.Embedding, 5, 3), (2, 4), below=5, name="Embedding(5, 3) with rules"),
    Case(fl.Embedding(5, 3, dtype="mixed_bfloat16"), (2, 4), below=5),
    Case(fl.EinsumDense("ab,bc->ac", 5), (2, 4)),
    Case(fl.EinsumDense("abc,cd->abd", (None, 5), bias_axes="d", activation="relu"), (2, 3, 4)),
    Case(fl.EinsumDense("abc,cde->abde", (None, 2, 3), bias_axes="de"), (2, 3, 4)),
    Case(fl.EinsumDense("abde,dec->abc", (None, 5), bias_axes="c"), (2, 3, 2, 2)),
    Case(fl.EinsumDense("...x,xy->...y", 5, bias_axes="y"), (2, 3, 4)),
    Case(fl.EinsumDense("ab...,bc->ac...", 5, bias_axes="c"), (2, 3, 4)),
    Case(penalized(fl.EinsumDense, "ab,bc->ac", 3, bias_axes="c"), (2, 4), name="EinsumDense with rules"),
    Case(fl.EinsumDense("ab,bc->ac", 5, dtype="mixed_bfloat16"), (2, 4)),
    Case(fl.ReversibleEmbedding(5, 3), (2, 4), below=5),
    Case(fl.ReversibleEmbedding(5, 3, tie_weights=False, mask_zero=True), (2, 4), below=5),
]

BASIC = [
    Case(fl.Identity(), (2, 4), mask=GAPS),
    Case(fl.Lambda(plus_one), (2, 4), name="Lambda(plus_one)"),
    Case(fl.Lambda(plus_one, arguments={"by": 2.0}), (2, 4), name="Lambda(plus_one, arguments)"),
    Case(fl.Lambda(plus_one, mask=keep_mask), (2, 4, 3), mask=GAPS, name="Lambda(plus_one, mask)"),
    Case(fl.Lambda(difference), ((2, 4), (2, 4)), name="Lambda(difference)"),
    Case(fl.Masking(), (2, 4, 3)),
    Case(fl.Masking(mask_value=-1.5), (2, 4)),
    Case(fl.CopyMask(), ((2, 4), (2, 4, 3)), mask=(None, GAPS), keras=OURS),
    Case(fl.CopyMask(), ((2, 4), (2, 4)), mask=(GAPS, None), keras=OURS),
    Case(fl.DropMask(), (2, 4, 3), mask=GAPS, keras=OURS),
    Case(fl.Rescaling(1 / 127.5, offset=-1.0), (2, 3, 2), mask=[[1, 0, 1], [1, 1, 0]]),
    Case(fl.Rescaling([1.0, 2.0], offset=[0.5, -0.5]), (2, 3, 2)),
    Case(fl.Activation("relu"), (2, 5), mask=[[1, 0, 1, 1, 0], [1, 1, 1, 1, 1]]),
    Case(fl.Activation("softmax"), (2, 5)),
    Case(fl.Activation(jnp.sin), (2, 5), exempt=UNPICKLED, name="Activation(jnp.sin)"),
    Case(fl.Activation("gelu"), (2, 5)),
    Case(fl.ReLU(), (2, 5), mask=[[1, 0, 1, 1, 0], [1, 1, 1, 1, 1]]),
    Case(fl.ReLU(max_value=1.0), (2, 5)),
    Case(fl.ReLU(negative_slope=0.1), (2, 5)),
    Case(fl.ReLU(threshold=0.5), (2, 5)),
    Case(fl.ReLU(max_value=1.0, negative_slope=0.1, threshold=0.5), (2, 5)),
    Case(fl.LeakyReLU(), (2, 5)),
    Case(fl.LeakyReLU(0.2), (2, 5), mask=[[1, 0, 1, 1, 0], [1, 1, 1, 1, 1]]),
    Case(fl.ELU(), (2, 5)),
    Case(fl.ELU(alpha=0.5), (2, 5), mask=[[1, 0, 1, 1, 0], [1, 1, 1, 1, 1]]),
    Case(fl.PReLU(), (2, 5)),
    Case(fl.PReLU(shared_axes=[1, 2]), (2, 3, 3, 2)),
    Case(fl.PReLU(shared_axes=[1]), (2, 4, 3), mask=GAPS),
    Case(penalized(fl.PReLU), (2, 5), name="PReLU() with rules"),
    Case(fl.Softmax(), (2, 5)),
    Case(fl.Softmax(axis=1), (2, 4, 3)),
    Case(fl.Softmax(axis=(1, 2)), (2, 4, 3)),
    Case(fl.Softmax(), (2, 4), mask=EMPTY),
    Case(fl.Softmax(axis=(1, 2)), (2, 2, 3), mask=[[[1, 0, 1], [0, 0, 1]], [[0, 0, 0], [0, 0, 0]]]),
    Case(fl.Softmax(dtype="float16"), (2, 4), mask=EMPTY),
    Case(fl.ELU(dtype="bfloat16"), (2, 5)),
    operation("Multiply", (Slot(0), 2.0)),
    operation("GetItem", (Slot(0), (Cut(), Cut(1, 3), "...")), shape=(2, 4, 3)),
    operation("Mean", options={"axis": 1, "keepdims": True}),
    operation("Concatenate", ((Slot(1), Slot(0)),), {"axis": -1}, shape=((2, 4), (2, 3))),
]

CONV = [
    Case(fl.Conv1D(3, 2), (2, 5, 2)),
    Case(fl.Conv1D(3, 2, strides=2), (2, 5, 2)),
    Case(fl.Conv1D(3, 3, padding="same", strides=2), (2, 5, 2)),
    Case(fl.Conv1D(3, 2, padding="causal", dilation_rate=2), (2, 5, 2)),
    Case(fl.Conv1D(3, 2, padding="causal", strides=2), (2, 5, 2)),
    Case(fl.Conv1D(3, 2, padding="causal", data_format=FIRST), (2, 2, 5)),
    Case(fl.Conv1D(4, 2, groups=2, activation="relu"), (2, 5, 2)),
    Case(fl.Conv1D(3, [2], use_bias=False), (2, 5, 2)),
    Case(penalized(fl.Conv1D, 3, 2), (2, 5, 2), name="Conv1D(3, 2) with rules"),
    Case(fl.Conv2D(3, 2), (2, 4, 5, 2)),
    Case(fl.Conv2D(3, (2, 3), strides=(1, 2), padding="same"), (2, 4, 5, 2)),
    Case(fl.Conv2D(3, 3, strides=2, padding="same"), (2, 4, 4, 1)),
    Case(fl.Conv2D(3, 2, dilation_rate=(2, 1), padding="valid"), (2, 4, 5, 2)),
    Case(fl.Conv2D(3, 2, dilation_rate=2, padding="same"), (2, 4, 5, 2)),
    Case(fl.Conv2D(4, 2, groups=2), (2, 4, 3, 4)),
    Case(fl.Conv2D(4, 2, groups=4, use_bias=False, activation="tanh"), (2, 4, 3, 4)),
    Case(fl.Conv2D(3, 2, data_format=FIRST), (2, 2, 4, 5)),
    Case(fl.Conv2D(4, 2, data_format=FIRST, groups=2, padding="same", strides=2), (2, 2, 4, 5)),
    Case(fl.Conv2D(3, 2, activation=fl.ReLU(max_value=1.0)), (2, 4, 5, 2)),
    Case(fl.Conv2D(3, 1), (1, 1, 1, 1)),
    Case(penalized(fl.Conv2D, 3, 2), (2, 3, 3, 2), name="Conv2D(3, 2) with rules"),
    Case(fl.Conv2D(3, 2, dtype="bfloat16"), (2, 4, 5, 2)),
    Case(fl.Conv2D(3, 2, dtype="mixed_float16"), (2, 4, 5, 2)),
    Case(fl.Conv3D(3, 2), (2, 3, 4, 3, 2)),
    Case(fl.Conv3D(2, (1, 2, 3), strides=(2, 1, 1), padding="same"), (2, 3, 4, 3, 2)),
    Case(fl.Conv3D(2, 2, dilation_rate=(1, 2, 1), use_bias=False), (2, 3, 4, 3, 2)),
    Case(fl.Conv3D(4, 2, groups=2, activation="relu", data_format=FIRST), (2, 2, 3, 4, 3)),
    Case(penalized(fl.Conv3D, 2, 2), (2, 2, 3, 2, 2), name="Conv3D(2, 2) with rules"),
    Case(fl.Conv1DTranspose(3, 2), (2, 4, 2)),
    Case(fl.Conv1DTranspose(3, 3, strides=2, padding="same", output_padding=1), (2, 4, 2)),
    Case(fl.Conv1DTranspose(3, 2, dilation_rate=2, data_format=FIRST), (2, 2, 4)),
    Case(fl.Conv2DTranspose(3, 2, strides=2), (2, 3, 4, 2)),
    Case(fl.Conv2DTranspose(3, (3, 2), strides=(2, 3), padding="same", activation="relu"), (2, 3, 4, 2)),
    Case(fl.Conv2DTranspose(3, 2, strides=3, output_padding=(1, 2), use_bias=False), (2, 3, 4, 2)),
    Case(fl.Conv2DTranspose(3, 3, strides=2, data_format=FIRST, padding="same"), (2, 2, 3, 4)),
    Case(fl.Conv2DTranspose(3, 1, strides=2), (2, 2, 2, 1)),
    Case(penalized(fl.Conv2DTranspose, 3, 2), (2, 3, 3, 2), name="Conv2DTranspose(3, 2) with rules"),
    Case(fl.Conv2DTranspose(3, 2, dtype="mixed_bfloat16"), (2, 3, 3, 2)),
    Case(fl.Conv3DTranspose(2, 2, strides=2), (2, 2, 3, 2, 2)),
    Case(fl.Conv3DTranspose(2, 3, padding="same", data_format=FIRST), (2, 2, 2, 3, 2)),
    Case(fl.DepthwiseConv1D(2), (2, 5, 3)),
    Case(fl.DepthwiseConv1D(3, strides=2, padding="same", depth_multiplier=2), (2, 5, 3)),
    Case(fl.DepthwiseConv2D(2), (2, 4, 5, 3)),
    Case(fl.DepthwiseConv2D((2, 3), padding="same", depth_multiplier=2, activation="relu"), (2, 4, 5, 2)),
    Case(fl.DepthwiseConv2D(2, strides=2, dilation_rate=2), (2, 5, 5, 2)),
    Case(fl.DepthwiseConv2D(2, data_format=FIRST, use_bias=False), (2, 3, 4, 5)),
    Case(penalized(fl.DepthwiseConv2D, 2), (2, 3, 3, 2), name="DepthwiseConv2D(2) with rules"),
    Case(fl.DepthwiseConv2D(2, dtype="mixed_float16"), (2, 3, 3, 2)),
    Case(fl.SeparableConv1D(3, 2), (2, 5, 2)),
    Case(fl.SeparableConv1D(3, 2, strides=2, depth_multiplier=2, padding="same"), (2, 5, 2)),
    Case(fl.SeparableConv2D(3, 2), (2, 4, 5, 2)),
    Case(fl.SeparableConv2D(3, (3, 2), padding="same", dilation_rate=2, activation="tanh"), (2, 4, 5, 2)),
    Case(fl.SeparableConv2D(3, 2, data_format=FIRST, use_bias=False), (2, 2, 4, 5)),
    Case(penalized(fl.SeparableConv2D, 3, 2), (2, 3, 3, 2), name="SeparableConv2D(3, 2) with rules"),
    Case(fl.SeparableConv2D(3, 2, dtype="bfloat16"), (2, 3, 3, 2)),
]

POOLING = [
    Case(fl.MaxPooling1D(), (2, 5, 2)),
    Case(fl.MaxPooling1D(3, strides=1, padding="same"), (2, 5, 2)),
    Case(fl.MaxPooling1D(2, strides=3, data_format=FIRST), (2, 2, 5)),
    Case(fl.MaxPooling2D(), (2, 4, 5, 2)),
    Case(fl.MaxPooling2D((2, 3), strides=(1, 2), padding="same"), (2, 4, 5, 2)),
    Case(fl.MaxPooling2D(2, padding="same", data_format=FIRST), (2, 2, 4, 5)),
    Case(fl.MaxPooling2D(3, strides=2), (2, 5, 5, 1)),
    Case(fl.MaxPooling2D(dtype="float16"), (2, 4, 4, 2)),
    Case(fl.MaxPooling3D(), (2, 3, 4, 2, 2)),
    Case(fl.MaxPooling3D((1, 2, 2), strides=1, padding="same"), (2, 3, 2, 2, 2)),
    Case(fl.MaxPooling3D(2, data_format=FIRST), (2, 2, 3, 4, 2)),
    Case(fl.AveragePooling1D(2), (2, 5, 2)),
    Case(fl.AveragePooling1D(3, strides=2, padding="same"), (2, 5, 2)),
    Case(fl.AveragePooling1D(3, strides=1, data_format=FIRST), (2, 2, 5)),
    Case(fl.AveragePooling2D(2), (2, 4, 5, 2)),
    Case(fl.AveragePooling2D((2, 3), strides=(2, 1), padding="same"), (2, 4, 5, 2)),
    Case(fl.AveragePooling2D(3, strides=2, padding="same", data_format=FIRST), (2, 2, 4, 5)),
    Case(fl.AveragePooling2D(2, dtype="bfloat16"), (2, 4, 4, 2)),
    Case(fl.AveragePooling3D(2), (2, 3, 4, 2, 2)),
    Case(fl.AveragePooling3D((1, 2, 2), strides=1, padding="same"), (2, 3, 2, 2, 2)),
    Case(fl.AveragePooling3D(2, data_format=FIRST), (2, 2, 3, 4, 2)),
    Case(fl.GlobalMaxPooling1D(), (2, 5, 2)),
    Case(fl.GlobalMaxPooling1D(data_format=FIRST, keepdims=True), (2, 2, 5)),
    Case(fl.GlobalMaxPooling2D(), (2, 3, 4, 2)),
    Case(fl.GlobalMaxPooling2D(keepdims=True), (2, 3, 4, 2)),
    Case(fl.GlobalMaxPooling2D(data_format=FIRST), (2, 2, 3, 4)),
    Case(fl.GlobalMaxPooling3D(), (2, 2, 3, 2, 2)),
    Case(fl.GlobalMaxPooling3D(data_format=FIRST, keepdims=True), (2, 2, 3, 2, 2)),
    Case(fl.GlobalAveragePooling1D(), (2, 5, 2)),
    Case(fl.GlobalAveragePooling1D(keepdims=True), (2, 4, 2), mask=GAPS),
    Case(fl.GlobalAveragePooling1D(data_format=FIRST), (2, 2, 4)),
    Case(fl.GlobalAveragePooling1D(), (2, 4, 2), mask=EMPTY, keras=ENDED_EARLY),
    Case(fl.GlobalAveragePooling2D(), (2, 3, 4, 2)),
    Case(fl.GlobalAveragePooling2D(keepdims=True, data_format=FIRST), (2, 2, 3, 4)),
    Case(fl.GlobalAveragePooling2D(dtype="float16"), (2, 3, 4, 2)),
    Case(fl.GlobalAveragePooling3D(), (2, 2, 3, 2, 2)),
    Case(fl.GlobalAveragePooling3D(keepdims=True), (2, 2, 3, 2, 2)),
    Case(fl.AdaptiveMaxPooling1D(3), (2, 5, 2)),
    Case(fl.AdaptiveMaxPooling2D((2, 3)), (2, 5, 4, 2)),
    Case(fl.AdaptiveMaxPooling2D(2, data_format=FIRST), (2, 2, 5, 3)),
    Case(fl.AdaptiveMaxPooling3D(2), (2, 3, 4, 2, 2)),
    Case(fl.AdaptiveAveragePooling1D(3), (2, 5, 2)),
    Case(fl.AdaptiveAveragePooling1D(4), (2, 2, 2)),
    Case(fl.AdaptiveAveragePooling2D((2, 3)), (2, 5, 4, 2)),
    Case(fl.AdaptiveAveragePooling2D(3, data_format=FIRST, dtype="bfloat16"), (2, 2, 5, 4)),
    Case(fl.AdaptiveAveragePooling3D((2, 1, 2)), (2, 3, 4, 3, 2)),
]

NORMALIZATION = [
    Case(fl.BatchNormalization(), (4, 3)),
    Case(fl.BatchNormalization(momentum=0.5, epsilon=0.1), (2, 3, 2, 2)),
    Case(fl.BatchNormalization(axis=1), (3, 2, 4)),
    Case(fl.BatchNormalization(axis=-2), (3, 2, 4)),
    Case(fl.BatchNormalization(center=False), (4, 3)),
    Case(fl.BatchNormalization(scale=False), (4, 3)),
    Case(fl.BatchNormalization(center=False, scale=False), (4, 3)),
    Case(fl.BatchNormalization(trainable=False), (4, 3)),
    Case(fl.BatchNormalization(momentum=0.5), (2, 4, 3), mask=GAPS),
    Case(fl.BatchNormalization(momentum=0.5), (2, 4, 3), mask=EMPTY),
    Case(fl.BatchNormalization(momentum=0.5), (2, 4, 1), mask=GAPS, keras=ORDER),
    Case(fl.BatchNormalization(axis=1), (2, 4, 3), mask=GAPS, keras=ORDER),
    Case(fl.BatchNormalization(), (4, 1)),
    Case(penalized(fl.BatchNormalization), (4, 3), name="BatchNormalization() with rules"),
    Case(fl.BatchNormalization(dtype="bfloat16"), (4, 3)),
    Case(fl.BatchNormalization(dtype="mixed_float16"), (4, 3)),
    Case(fl.LayerNormalization(), (2, 5), mask=[[1, 0, 1, 1, 0], [1, 1, 1, 1, 1]]),
    Case(fl.LayerNormalization(epsilon=0.1), (2, 3, 4)),
    Case(fl.LayerNormalization(axis=1), (2, 3, 4)),
    Case(fl.LayerNormalization(axis=[1, 2]), (2, 3, 4)),
    Case(
        fl.LayerNormalization(axis=(1, -1)),
        (2, 2, 3, 4),
        keras="Keras's gamma has the sizes of axes -1 and 1 in that order",
    ),
    Case(fl.LayerNormalization(center=False), (2, 5)),
    Case(fl.LayerNormalization(scale=False), (2, 5)),
    Case(fl.LayerNormalization(center=False, scale=False), (2, 5)),
    Case(penalized(fl.LayerNormalization), (2, 5), name="LayerNormalization() with rules"),
    Case(fl.LayerNormalization(dtype="mixed_bfloat16"), (2, 5)),
    Case(fl.BatchNormalization(renorm=True, momentum=0.5), (4, 3)),
    Case(
        fl.BatchNormalization(renorm=True, renorm_clipping={"rmin": 0.8, "rmax": 1.2, "dmax": 0.3}, scale=False),
        (2, 3, 2),
    ),
    Case(fl.GroupNormalization(2), (2, 3, 4), mask=[[1, 1, 0], [1, 0, 0]]),
    Case(fl.GroupNormalization(-1), (2, 3, 3, 4)),
    Case(fl.GroupNormalization(2, axis=1, epsilon=0.1), (2, 4, 3)),
    Case(fl.GroupNormalization(4, center=False), (2, 4)),
    Case(penalized(fl.GroupNormalization, 2, scale=False), (2, 4), name="GroupNormalization with rules"),
    Case(fl.GroupNormalization(2, dtype="mixed_float16"), (2, 3, 4)),
    Case(fl.RMSNormalization(), (2, 4)),
    Case(fl.RMSNormalization(axis=[1, 2], epsilon=0.1), (2, 3, 4)),
    Case(fl.RMSNormalization(axis=1), (2, 3, 4), keras="Keras's scale fits last axes only"),
    Case(fl.RMSNormalization(dtype="bfloat16"), (2, 4)),
    Case(fl.UnitNormalization(), (2, 4), mask=[[1, 0, 1, 0], [1, 1, 1, 1]]),
    Case(fl.UnitNormalization(axis=(1, -1)), (2, 3, 4)),
    Case(fl.UnitNormalization(dtype="float16"), (2, 4)),
    Case(fl.Normalization(mean=[0.5, -1.0, 2.0], variance=[1.0, 4.0, 0.25]), (2, 4, 3), mask=GAPS),
    Case(fl.Normalization(None, 1.5, 2.5, invert=True), (2, 3, 2)),
    Case(fl.Normalization((1, -1), [[0.5], [1.0], [2.0]], [[1.0], [2.0], [3.0]]), (2, 3, 2)),
    Case(fl.Normalization(1), (2, 3, 2), keras=ADAPTED),
    Case(fl.Normalization(mean=1.5, variance=2.5, dtype="mixed_float16"), (2, 4)),
    Case(fl.LayerScale(0.1, 4), (2, 3, 4), keras=APPLICATIONS),
    Case(fl.SpectralNormalization(fl.Dense(3)), (2, 4), keras=SIGMA),
    Case(fl.SpectralNormalization(fl.Conv2D(2, 2), power_iterations=3), (2, 3, 3, 2), keras=SIGMA),
    Case(fl.SpectralNormalization(fl.Dense(3), trainable=False), (2, 4), keras=SIGMA),
]

REGULARIZATION = [
    Case(fl.Dropout(0.5), (3, 4), random=True),
    Case(fl.Dropout(0), (3, 4)),
    Case(fl.Dropout(1), (3, 4), random=True),
    Case(fl.Dropout(0.5, seed=3), (2, 4, 3), mask=GAPS, random=True),
    Case(fl.Dropout(0.5, noise_shape=(None, 1, 3)), (2, 4, 3), random=True),
    Case(fl.Dropout(0.3, dtype="bfloat16"), (3, 4), random=True),
    Case(fl.Dropout(0.5, trainable=False), (3, 4), random=True),
    Case(fl.ActivityRegularization(l1=0.1, l2=0.2), (3, 4)),
    Case(fl.ActivityRegularization(), (2, 4, 3), mask=GAPS),
    Case(fl.SpatialDropout1D(0.5), (2, 4, 3), mask=GAPS, random=True),
    Case(fl.SpatialDropout2D(0.5), (2, 2, 3, 4), random=True),
    Case(fl.SpatialDropout2D(0.5, data_format=FIRST, seed=1), (2, 4, 2, 3), random=True),
    Case(fl.SpatialDropout3D(0.5), (2, 2, 2, 2, 4), random=True),
    Case(fl.SpatialDropout3D(0), (2, 2, 2, 2, 4)),
    Case(fl.AlphaDropout(0.5), (3, 4), random=True),
    Case(fl.AlphaDropout(0.3, noise_shape=(None, 1), seed=2), (3, 4), random=True),
    Case(fl.AlphaDropout(1), (3, 4), random=True),
    Case(fl.GaussianDropout(0.5), (2, 4, 3), mask=GAPS, random=True),
    Case(fl.GaussianDropout(1), (3, 4), random=True),
    Case(fl.GaussianNoise(0.5, seed=2), (3, 4), random=True),
    Case(fl.GaussianNoise(0), (3, 4)),
    Case(fl.GaussianNoise(0.5, dtype="mixed_bfloat16"), (3, 4), random=True),
    Case(fl.StochasticDepth(0.5), (3, 2, 2), random=True, keras=APPLICATIONS),
]

RESHAPING = [
    Case(fl.Flatten(), (2, 3, 4)),
    Case(fl.Flatten(), (2,)),
    Case(fl.Flatten(data_format=FIRST), (2, 3, 4, 2)),
    Case(fl.Reshape((2, 6)), (2, 3, 4)),
    Case(fl.Reshape([3, -1]), (2, 12)),
    Case(fl.Reshape((1,)), (3, 1, 1)),
    Case(fl.Permute((2, 1)), (2, 3, 4)),
    Case(fl.Permute([3, 1, 2]), (2, 3, 4, 2)),
    Case(fl.RepeatVector(3), (2, 4)),
    Case(fl.ZeroPadding1D(), (2, 3, 2)),
    Case(fl.ZeroPadding1D((1, 2)), (2, 3, 2)),
    Case(fl.ZeroPadding1D(2, data_format=FIRST), (2, 2, 3)),
    Case(fl.ZeroPadding2D(), (2, 2, 3, 2)),
    Case(fl.ZeroPadding2D(((1, 0), (2, 1)), data_format=FIRST), (2, 2, 2, 3)),
    Case(fl.ZeroPadding3D(), (2, 2, 1, 2, 1)),
    Case(fl.ZeroPadding3D((0, 1, 2), data_format=FIRST), (1, 2, 1, 2, 1)),
    Case(fl.Cropping1D(), (2, 4, 2)),
    Case(fl.Cropping1D((0, 2)), (2, 4, 2)),
    Case(fl.Cropping2D(), (2, 3, 3, 2)),
    Case(fl.Cropping2D(((1, 0), (2, 1)), data_format=FIRST), (2, 2, 3, 5)),
    Case(fl.Cropping2D((1, 0)), (2, 3, 3, 2)),
    Case(fl.Cropping3D(), (2, 3, 4, 3, 2)),
    Case(fl.Cropping3D(1, data_format=FIRST), (2, 2, 3, 4, 3)),
    Case(fl.UpSampling1D(3), (2, 3, 2)),
    Case(fl.UpSampling2D(), (2, 2, 3, 2)),
    Case(fl.UpSampling2D((2, 3), data_format=FIRST), (2, 2, 2, 3)),
    *(
        Case(fl.UpSampling2D((2, 3), interpolation=way), (2, 3, 4, 2))
        for way in ("bilinear", "bicubic", "lanczos3", "lanczos5")
    ),
    Case(fl.UpSampling2D(2, data_format=FIRST, interpolation="bilinear"), (2, 2, 3, 4)),
    Case(fl.UpSampling3D(), (2, 1, 2, 2, 2)),
    Case(fl.UpSampling3D((1, 2, 3), data_format=FIRST), (1, 2, 1, 2, 2)),
]

MERGING = [
    Case(fl.CustomScaleLayer(0.25), ((2, 4), (2, 4)), keras=APPLICATIONS),
    Case(fl.Add(), ((2, 4), (2, 4))),
    Case(fl.Add(), ((2, 1, 3), (2, 4, 3), (2, 4, 1))),
    Case(fl.Add(), ((2, 3), (2, 4, 3))),
    Case(fl.Add(), ((2, 4, 3), (2, 4, 3)), mask=(GAPS, RIGHT)),
    Case(fl.Add(keras_masks=True), ((2, 4, 3), (2, 4, 3)), mask=(None, RIGHT), name="Add() ((2, 4, 3), (2, 4, 3))"),
    Case(fl.Add(dtype="bfloat16"), ((2, 4), (2, 4))),
    Case(fl.Multiply(), ((2, 4), (2, 4), (2, 4))),
    Case(fl.Multiply(), ((2, 4, 3), (2, 1, 3))),
    Case(fl.Multiply(), ((2, 4, 3), (2, 4, 3)), mask=(GAPS, RIGHT)),
    Case(fl.Concatenate(), ((2, 4), (2, 3))),
    Case(fl.Concatenate(axis=1), ((2, 1, 3), (2, 4, 3))),
    Case(fl.Concatenate(axis=1), ((2, 4, 3), (2, 4, 3)), mask=(GAPS, RIGHT)),
    Case(fl.Concatenate(), ((2, 4, 3), (2, 4, 2)), mask=(GAPS, RIGHT)),
    Case(fl.Concatenate(axis=1), ((2, 4, 3), (2, 4, 3)), mask=(GAPS, None)),
    Case(fl.Subtract(), ((2, 4), (2, 4))),
    Case(fl.Subtract(), ((2, 4, 3), (2, 4, 3)), mask=(GAPS, RIGHT)),
    Case(fl.Average(), ((2, 4), (2, 4), (2, 4))),
    Case(fl.Average(), ((2, 4, 3), (2, 3))),
    Case(fl.Maximum(), ((2, 4), (2, 4))),
    Case(fl.Maximum(), ((2, 4, 3), (2, 1, 3), (2, 4, 3))),
    Case(fl.Maximum(), ((2, 4, 3), (2, 4, 3), (2, 4, 3)), mask=(GAPS, EMPTY, RIGHT)),
    Case(
        fl.Maximum(keras_masks=True), ((2, 4, 3), (2, 4, 3)), mask=(GAPS, None), name="Maximum() ((2, 4, 3), (2, 4, 3))"
    ),
    Case(
        fl.Multiply(keras_masks=True),
        ((2, 4, 3), (2, 4, 3)),
        mask=(None, RIGHT),
        name="Multiply() ((2, 4, 3), (2, 4, 3))",
    ),
    Case(fl.Minimum(), ((2, 4), (2, 4))),
    Case(
        fl.Minimum(keras_masks=True),
        ((2, 4, 3), (2, 4, 3)),
        mask=(None, RIGHT),
        name="Minimum() ((2, 4, 3), (2, 4, 3))",
    ),
    Case(fl.Dot(1), ((2, 4), (2, 4))),
    Case(fl.Dot(-1), ((2, 3, 4), (2, 2, 4))),
    Case(fl.Dot((1, 2)), ((2, 3, 4), (2, 5, 3))),
    Case(fl.Dot((2, 1)), ((2, 3, 4), (2, 4))),
    Case(fl.Dot((2, -1)), ((2, 3, 4, 2), (2, 2, 4))),
    Case(fl.Dot(1, normalize=True), ((2, 4), (2, 4))),
    Case(fl.Dot(2, normalize=True), ((2, 3, 4), (2, 2, 4)), mask=([[1, 1, 0], [1, 0, 1]], [[1, 1], [1, 0]])),
]

QUERY, VALUE, KEY = (2, 4, 3), (2, 5, 3), (2, 5, 2)
OF_QUERY, OF_VALUE = [[1, 1, 0, 1], [1, 0, 1, 1]], [[1, 0, 1, 1, 0], [1, 1, 1, 0, 0]]
NOT_EMPTY = "Keras: with nothing to attend to, the mean of all values; ours is 0 (docs/deviations.md)"
LEAKED = "Keras: the weights carry a mask of their own axes; keras_masks has it"
NAMED = "attention_mask is boolean in earnest; tests/layers/test_attention.py has it"

ATTENTION = [
    Case(fl.Attention(), (QUERY, VALUE)),
    Case(fl.Attention(), QUERY, keras="one input is Keras's twice over"),
    Case(fl.Attention(True), (QUERY, VALUE, VALUE), mask=(OF_QUERY, OF_VALUE, None)),
    Case(fl.Attention(use_causal_mask=True, return_attention_scores=True), (QUERY, VALUE), mask=(OF_QUERY, OF_VALUE),
         keras="Keras gives weights to masked queries too; keras_masks has them"),
    Case(fl.Attention(use_causal_mask=True, return_attention_scores=True, keras_masks=True), (QUERY, VALUE),
         mask=(OF_QUERY, OF_VALUE)),
    Case(fl.Attention(use_causal_mask=True), (QUERY, VALUE), mask=(None, [[0, 0, 1, 1, 1], [0, 0, 0, 0, 0]]),
         keras=NOT_EMPTY),
    Case(fl.Attention(use_causal_mask=True, keras_masks=True), (QUERY, VALUE),
         mask=(None, [[0, 0, 1, 1, 1], [0, 0, 0, 0, 0]])),
    Case(fl.Attention(score_mode="concat", return_attention_scores=True), ((2, 2, 4, 3), (2, 2, 5, 3))),
    Case(fl.Attention(True, "concat"), (QUERY, VALUE), mask=(None, OF_VALUE)),
    Case(fl.Attention(dropout=0.5, seed=3), (QUERY, VALUE), random=True),
    Case(fl.Attention(True, dtype="mixed_bfloat16"), (QUERY, VALUE)),
    Case(fl.AdditiveAttention(), (QUERY, VALUE), mask=(OF_QUERY, OF_VALUE)),
    Case(fl.AdditiveAttention(use_causal_mask=True, return_attention_scores=True), (QUERY, VALUE, VALUE)),
    Case(fl.AdditiveAttention(False, dropout=0.5, seed=3), (QUERY, VALUE), random=True),
    Case(fl.AdditiveAttention(keras_masks=True), (QUERY, VALUE), mask=(None, [[0, 0, 0, 0, 0], [0, 1, 1, 0, 0]])),
    Case(fl.MultiHeadAttention(2, 3), (QUERY, VALUE)),
    Case(fl.MultiHeadAttention(2, 3), QUERY, mask=OF_QUERY, keras="one input is Keras's twice over"),
    Case(fl.MultiHeadAttention(2, 3), {"query": QUERY, "value": VALUE, "attention_mask": (2, 4, 5)}, keras=NAMED),
    Case(fl.MultiHeadAttention(2, 3, 5), (QUERY, VALUE, KEY), mask=(OF_QUERY, OF_VALUE, OF_VALUE),
         keras="Keras's fused path needs value_dim to be key_dim"),
    Case(fl.MultiHeadAttention(2, 3, 5, return_attention_scores=True), (QUERY, VALUE, KEY)),
    Case(fl.MultiHeadAttention(2, 3, 5, return_attention_scores=True, keras_masks=True), (QUERY, VALUE, KEY),
         mask=(OF_QUERY, OF_VALUE, None)),
    Case(fl.MultiHeadAttention(2, 3, use_causal_mask=True), (QUERY, VALUE)),
    Case(fl.MultiHeadAttention(2, 3, use_causal_mask=True, return_attention_scores=True), (QUERY, VALUE), keras=LEAKED),
    Case(fl.MultiHeadAttention(2, 3, keras_masks=True), (QUERY, VALUE), mask=(OF_QUERY, OF_VALUE)),
    Case(fl.MultiHeadAttention(2, 3, use_bias=False, output_shape=(2, 3), use_gate=True), (QUERY, VALUE)),
    Case(fl.MultiHeadAttention(2, 3, sliding_window=2), (QUERY, VALUE)),
    Case(fl.MultiHeadAttention(2, 3, sliding_window=2, use_causal_mask=True, return_attention_scores=True,
                               keras_masks=True), (QUERY, VALUE)),
    Case(fl.MultiHeadAttention(1, 2, return_attention_scores=True), ((2, 2, 3, 4), (2, 1, 4, 4))),
    Case(fl.MultiHeadAttention(1, 2, attention_axes=2), ((2, 2, 3, 4), (2, 2, 4, 4))),
    Case(fl.MultiHeadAttention(1, 2, attention_axes=(1, -2)), ((2, 2, 2, 3, 4), (2, 3, 2, 1, 4)), name="axes (1, -2)"),
    Case(fl.MultiHeadAttention(2, 3, dropout=0.5, seed=3), (QUERY, VALUE), random=True),
    Case(fl.MultiHeadAttention(2, 3, flash_attention=False, dtype="mixed_float16"), (QUERY, VALUE)),
    Case(penalized(fl.MultiHeadAttention, 2, 3), (QUERY, VALUE), name="MultiHeadAttention(2, 3) with rules"),
    Case(fl.GroupQueryAttention(3, 4, 2), (QUERY, VALUE)),
    Case(fl.GroupQueryAttention(3, 4, 2), QUERY, mask=OF_QUERY, keras="one input is Keras's twice over"),
    Case(fl.GroupQueryAttention(3, 3, 1, use_causal_mask=True, use_bias=False, use_gate=True), (QUERY, VALUE, VALUE)),
    Case(fl.GroupQueryAttention(3, 2, 2, sliding_window=1, return_attention_scores=True, keras_masks=True),
         (QUERY, VALUE)),
    Case(fl.GroupQueryAttention(3, 4, 2, keras_masks=True), (QUERY, VALUE), mask=(OF_QUERY, OF_VALUE)),
    Case(fl.GroupQueryAttention(3, 4, 2, dropout=0.5, seed=3), (QUERY, VALUE), random=True),
    Case(penalized(fl.GroupQueryAttention, 3, 4, 2), (QUERY, VALUE), name="GroupQueryAttention(3, 4, 2) with rules"),
]  # fmt: skip

GENERATION = [
    Case(fl.MultiHeadAttention(2, 4, rotary_wavelength=100, use_causal_mask=True), QUERY, mask=OF_QUERY, keras=OURS),
    Case(fl.MultiHeadAttention(1, 2, rotary_wavelength=10, attention_axes=2), ((2, 2, 3, 4), (2, 2, 4, 4)), keras=OURS),
    Case(fl.MultiHeadAttention(2, 3, use_causal_mask=True, cache=6), QUERY, mask=OF_QUERY, keras=OURS, exempt=CARRIED),
    Case(fl.MultiHeadAttention(2, 4, 3, sliding_window=3, use_causal_mask=True, cache=6, rotary_wavelength=10,
                               use_gate=True), (QUERY, QUERY, QUERY), keras=OURS, exempt=CARRIED),
    Case(fl.GroupQueryAttention(2, 4, 2, rotary_wavelength=10), (QUERY, VALUE), keras=OURS),
    Case(fl.GroupQueryAttention(2, 4, 2, use_causal_mask=True, cache=5, rotary_wavelength=10), QUERY, keras=OURS,
         exempt=CARRIED),
    Case(fl.PositionEmbedding(6), QUERY, mask=OF_QUERY, keras=OURS),
    Case(fl.PositionEmbedding(6, "normal", cache=6), (2, 3, 4, 5), keras=OURS, exempt=PLACED),
    Case(fl.SinePositionEncoding(), QUERY, mask=OF_QUERY, keras=OURS),
    Case(fl.SinePositionEncoding(100, cache=6), (1, 4, 5), keras=OURS, exempt=PLACED),
    Case(fl.RotaryEmbedding(), (2, 4, 2, 6), mask=OF_QUERY, keras=OURS),
    Case(fl.RotaryEmbedding(100, 2.0, 2, 1), (2, 6, 3), keras=OURS),
    Case(fl.RotaryEmbedding(cache=6), (2, 4, 2), keras=OURS, exempt=PLACED),
    Case(fl.TokenAndPositionEmbedding(5, 6, 3), (2, 4), below=5, keras=OURS),
    Case(fl.TokenAndPositionEmbedding(5, 6, 3, "normal", mask_zero=True, cache=5), (2, 4), below=5, keras=OURS,
         exempt=PLACED),
    Case(fl.TransformerEncoder(5, 2), (2, 4, 6), mask=OF_QUERY, keras=OURS),
    Case(fl.TransformerEncoder(5, 2, 0.5, "gelu", 1e-3, normalize_first=True), (2, 4, 6), random=True, keras=OURS),
    Case(fl.TransformerEncoder(5, 3, rotary_wavelength=10, dtype="mixed_bfloat16"), (2, 4, 6), keras=OURS),
    Case(fl.TransformerDecoder(5, 2), (2, 4, 6), mask=OF_QUERY, keras=OURS),
    Case(fl.TransformerDecoder(5, 1, 0.5, normalize_first=True), ((2, 4, 6), VALUE), mask=(OF_QUERY, OF_VALUE),
         random=True, keras=OURS),
    Case(fl.TransformerDecoder(5, 2, use_causal_mask=False, kernel_initializer="normal", bias_initializer="ones"),
         ((2, 4, 6), VALUE), keras=OURS),
    Case(fl.TransformerDecoder(5, 3, rotary_wavelength=10, cache=7, normalize_first=True), (2, 4, 6), keras=OURS,
         exempt=CARRIED),
    Case(fl.Repeat(fl.TransformerDecoder(5, 2, cache=7), 2), (2, 4, 6), keras=OURS, exempt=CARRIED),
]  # fmt: skip

RECURRENT = [
    Case(fl.SimpleRNNCell(3), (2, 4), keras=ONE_STEP, exempt=STATELESS),
    Case(fl.GRUCell(3), ((2, 4), (2, 3)), keras=ONE_STEP),
    Case(fl.LSTMCell(3), (2, 4), keras=ONE_STEP, exempt=STATELESS),
    Case(fl.LSTMCell(3, dropout=0.5, recurrent_dropout=0.5), ((2, 4), (2, 3), (2, 3)), random=True, keras=ONE_STEP),
    Case(
        fl.StackedRNNCells([fl.GRUCell(3), fl.LSTMCell(2, dropout=0.5)]),
        (2, 4),
        random=True,
        keras=ONE_STEP,
        exempt=STATELESS,
    ),
    Case(fl.SimpleRNN(3), (2, 4, 2)),
    Case(fl.SimpleRNN(3, "relu", use_bias=False, return_sequences=True), (2, 4, 2), mask=GAPS),
    Case(fl.SimpleRNN(3, return_state=True, go_backwards=True), (2, 4, 2), mask=LEFT),
    Case(fl.SimpleRNN(3, unroll=True, return_sequences=True), (2, 4, 2), mask=EMPTY),
    Case(fl.SimpleRNN(3, stateful=True, return_state=True), (2, 4, 2), mask=LEFT, exempt=CARRIED),
    Case(fl.SimpleRNN(3, dropout=0.5, recurrent_dropout=0.5, seed=1), (2, 4, 2), random=True),
    Case(penalized(fl.SimpleRNN, 3, activity_regularizer=None), (2, 4, 2), name="SimpleRNN(3) with rules"),
    Case(
        fl.SimpleRNN(3, activity_regularizer="l2", zero_output_for_mask=True, return_sequences=True),
        (2, 4, 2),
        mask=GAPS,
        keras="Keras forgets this activity_regularizer (docs/deviations.md)",
    ),
    Case(fl.GRU(3), (2, 4, 2)),
    Case(fl.GRU(3, reset_after=False, return_sequences=True), (2, 4, 2), mask=GAPS),
    Case(fl.GRU(3, use_bias=False, return_state=True), ((2, 4, 2), (2, 3)), mask=(LEFT, None)),
    Case(fl.GRU(3, reset_after=False, use_bias=False, go_backwards=True), (2, 4, 2), mask=RIGHT),
    Case(fl.GRU(3, "relu", "hard_sigmoid", unroll=True), (2, 1, 2)),
    Case(fl.GRU(3, stateful=True), (2, 4, 2), exempt=CARRIED),
    Case(fl.GRU(3, dropout=0.5, recurrent_dropout=0.5, reset_after=False), (2, 4, 2), random=True),
    Case(fl.GRU(3, recurrent_dropout=0.5, zero_output_for_mask=True), (2, 4, 2), mask=RIGHT, random=True),
    Case(penalized(fl.GRU, 3), (2, 4, 2), name="GRU(3) with rules"),
    Case(fl.GRU(3, dtype="mixed_float16"), (2, 4, 2)),
    Case(fl.LSTM(3), (2, 4, 2)),
    Case(fl.LSTM(3, return_sequences=True), (2, 4, 2)),
    Case(fl.LSTM(3, return_sequences=True, time_major=True), (4, 2, 2), keras=OURS),
    Case(fl.LSTM(3, return_state=True), (2, 4, 2)),
    Case(fl.LSTM(3, return_sequences=True, return_state=True), (2, 4, 2), mask=LEFT),
    Case(fl.LSTM(3, go_backwards=True, return_sequences=True), (2, 4, 2)),
    Case(fl.LSTM(3, return_sequences=True), (2, 4, 2), mask=GAPS),
    Case(fl.LSTM(3), (2, 4, 2), mask=RIGHT),
    Case(fl.LSTM(3, go_backwards=True), (2, 4, 2), mask=EMPTY),
    Case(fl.LSTM(3, activation="relu", recurrent_activation="hard_sigmoid", use_bias=False), (2, 4, 2)),
    Case(fl.LSTM(3, unit_forget_bias=False, unroll=True), (2, 4, 2)),
    Case(fl.LSTM(3, unroll=2), (2, 4, 2), keras="unroll is a bool in Keras"),
    Case(fl.LSTM(3, return_sequences=True), ((2, 4, 2), (2, 3), (2, 3)), mask=(LEFT, None, None)),
    Case(fl.LSTM(3, return_state=True, go_backwards=True), ((2, 4, 2), (2, 3), (2, 3))),
    Case(fl.LSTM(3, stateful=True, return_sequences=True), (2, 4, 2), mask=GAPS, exempt=CARRIED),
    Case(fl.LSTM(3, dropout=0.5, recurrent_dropout=0.5, seed=1), (2, 4, 2), random=True),
    Case(penalized(fl.LSTM, 3), (2, 4, 2), name="LSTM(3) with rules"),
    Case(fl.LSTM(3, dtype="mixed_bfloat16"), (2, 4, 2)),
    Case(fl.RNN(fl.LSTMCell(3)), (2, 4, 2)),
    Case(fl.RNN(fl.LSTMCell(3), return_sequences=True, zero_output_for_mask=True), (2, 4, 2), mask=GAPS),
    Case(fl.RNN(fl.LSTMCell(3), zero_output_for_mask=True), (2, 4, 2), mask=RIGHT),
    Case(fl.RNN(fl.LSTMCell(3, dropout=0.5), go_backwards=True, return_state=True), (2, 4, 2), random=True),
    Case(fl.RNN([fl.GRUCell(3), fl.LSTMCell(2)], return_state=True, return_sequences=True), (2, 4, 2), mask=LEFT),
    Case(
        fl.RNN(fl.StackedRNNCells([fl.SimpleRNNCell(3), fl.LSTMCell(2)]), unroll=True, go_backwards=True),
        ((2, 4, 2), (2, 3), ((2, 2), (2, 2))),
    ),
    Case(fl.RNN([fl.LSTMCell(3, dropout=0.5), fl.GRUCell(2, recurrent_dropout=0.5)]), (2, 4, 2), random=True),
    Case(fl.RNN([fl.GRUCell(3), fl.SimpleRNNCell(2)], stateful=True), (2, 4, 2), exempt=CARRIED),
    Case(fl.ConvLSTMCell(2, 2, 3), (2, 4, 5, 2), keras=ONE_STEP, exempt=STATELESS),
    Case(fl.ConvLSTM1D(2, 2), (2, 3, 4, 2)),
    Case(fl.ConvLSTM1D(2, 3, 2, "same", return_sequences=True), (2, 3, 5, 2)),
    Case(fl.ConvLSTM1D(2, 2, data_format=FIRST, dilation_rate=2, return_state=True), (2, 3, 2, 4)),
    Case(fl.ConvLSTM1D(2, 2, go_backwards=True), (2, 3, 3, 1), mask=[[1, 0, 1], [0, 0, 0]], keras=ROWS_MIXED),
    Case(fl.ConvLSTM1D(2, 2, stateful=True, use_bias=False), (2, 3, 3, 1), exempt=CARRIED),
    Case(fl.ConvLSTM1D(2, 2, dropout=0.5, recurrent_dropout=0.5, seed=2), (2, 3, 3, 2), random=True),
    Case(fl.ConvLSTM2D(2, (2, 3), padding="same", return_sequences=True, unit_forget_bias=False), (2, 3, 3, 4, 2)),
    Case(fl.ConvLSTM2D(2, 2, (2, 1), data_format=FIRST, activation="relu"), (2, 2, 2, 4, 3)),
    Case(penalized(fl.ConvLSTM2D, 2, 2), (2, 2, 3, 3, 1), name="ConvLSTM2D(2, 2) with rules"),
    Case(fl.ConvLSTM3D(2, 2, recurrent_activation="hard_sigmoid"), (2, 2, 3, 2, 3, 1)),
    Case(fl.ConvLSTM3D(1, 1), ((1, 2, 2, 2, 2, 1), (1, 2, 2, 2, 1), (1, 2, 2, 2, 1))),
    Case(fl.Bidirectional(fl.LSTM(3)), (2, 4, 2)),
    Case(fl.Bidirectional(fl.GRU(3, return_sequences=True), "sum"), (2, 4, 2), mask=GAPS),
    Case(fl.Bidirectional(fl.SimpleRNN(3), "mul"), (2, 4, 2), mask=LEFT),
    Case(fl.Bidirectional(fl.GRU(3, return_sequences=True, return_state=True), "ave"), (2, 4, 2), mask=RIGHT),
    Case(fl.Bidirectional(fl.GRU(3, return_sequences=True), None), (2, 4, 2), mask=EMPTY),
    Case(fl.Bidirectional(fl.LSTM(2, return_state=True), None), ((2, 4, 2), *4 * [(2, 2)])),
    Case(
        fl.Bidirectional(
            fl.LSTM(3, return_sequences=True), backward_layer=fl.GRU(2, return_sequences=True, go_backwards=True)
        ),
        (2, 4, 2),
        mask=GAPS,
    ),
    Case(fl.Bidirectional(fl.RNN(fl.LSTMCell(2), zero_output_for_mask=True)), (2, 4, 2), mask=RIGHT),
    Case(fl.Bidirectional(fl.LSTM(2, stateful=True)), (2, 4, 2), exempt=CARRIED),
    Case(fl.Bidirectional(fl.LSTM(2, dropout=0.5)), (2, 4, 2), random=True),
    Case(fl.Bidirectional(penalized(fl.GRU, 2)), (2, 4, 2), name="Bidirectional(GRU(2) with rules)"),
    Case(fl.TimeDistributed(fl.Dense(3)), (2, 4, 2), mask=GAPS),
    Case(fl.TimeDistributed(fl.Conv2D(2, 2)), (2, 3, 3, 3, 1)),
    Case(fl.TimeDistributed(fl.Sequential([fl.Dense(3, activity_regularizer="l2")])), (2, 4, 2)),
    Case(fl.TimeDistributed(fl.Dense(3, activity_regularizer="l2")), (2, 4, 2), keras="Keras overlooks the loss"),
    Case(
        fl.TimeDistributed(fl.GRU(2, return_state=True)),
        (2, 3, 2, 2),
        mask=[[1, 1, 0], [0, 0, 0]],
        keras="several outputs are an error in Keras",
    ),
    Case(
        fl.TimeDistributed(fl.BatchNormalization(momentum=0.5)),
        (2, 4, 3),
        mask=GAPS,
        keras="Keras takes each step's statistics by itself (docs/deviations.md)",
    ),
    Case(fl.TimeDistributed(fl.Dropout(0.5)), (2, 4, 3), random=True),
]

MODELS = [
    Case(
        fl.Sequential([]),
        (2, 4),
        keras="a Sequential of Keras has at least one layer",
        exempt=dict.fromkeys(DTYPE_LAWS, "it has no layer that would cast"),
    ),
    Case(
        fl.Sequential([fl.Dense(3, "relu"), fl.Dropout(0.5), fl.Dense(2)]), (2, 4), random=True, name="Sequential mlp"
    ),
    Case(
        fl.Sequential([fl.Conv2D(2, 2, activation="relu"), fl.BatchNormalization(), fl.MaxPooling2D(), fl.Flatten()]),
        (2, 5, 5, 1),
        name="Sequential convnet",
    ),
    Case(
        fl.Sequential([fl.Embedding(5, 3, mask_zero=True), fl.LSTM(2, return_sequences=True), fl.LSTM(2)]),
        (2, 4),
        below=5,
        name="Sequential text",
    ),
    Case(fl.Sequential([fl.Masking(), fl.Dense(3), fl.GlobalAveragePooling1D()]), (2, 4, 2), name="Sequential masking"),
    Case(
        fl.Sequential([fl.Dense(3), fl.Sequential([fl.Dense(3), fl.BatchNormalization()]), fl.Dense(2)]),
        (3, 4),
        name="Sequential nested",
    ),
    Case(
        shared_twice(), (4, 3), name="Sequential shared", keras="Keras's Sequential refuses a layer that occurs twice"
    ),
    Case(
        fl.Sequential([penalized(fl.Dense, 3), fl.ActivityRegularization(0.1)], trainable=False),
        (2, 4),
        name="Sequential frozen",
    ),
    Case(
        fl.Sequential([fl.Dense(3, dtype="mixed_bfloat16"), fl.LayerNormalization(dtype="mixed_bfloat16")]),
        (2, 4),
        name="Sequential mixed",
    ),
    Case(graph(residual, (4,)), (2, 4), name="Functional residual"),
    Case(graph(two_in_two_out, (4,), (2,)), ((3, 4), (3, 2)), name="Functional two in, two out"),
    Case(graph(siamese, (4,), (4,)), ((3, 4), (3, 4)), name="Functional siamese"),
    Case(graph(carry_and_output, (4, 2)), (2, 4, 2), name="Functional carry"),
    Case(dict_graph(), {"left": (2, 3), "right": (2, 2)}, name="Functional dict"),
    Case(fl.Repeat(fl.Dense(3, "tanh"), 3), (2, 3), keras=OURS, name="Repeat(Dense)"),
    Case(
        fl.Repeat(fl.Sequential([penalized(fl.Dense, 3), fl.BatchNormalization(), fl.Dropout(0.2)]), 2, remat=True),
        (4, 3),
        random=True,
        keras=OURS,
        name="Repeat(block, remat)",
    ),
    Case(fl.Repeat(fl.LSTM(2, return_sequences=True), 2), (2, 4, 2), mask=GAPS, keras=OURS, name="Repeat(LSTM)"),
    Case(fl.Pair(draw_scale, apply_scale), (2, 4), keras=OURS, name="Pair(draw_scale, apply_scale)"),
    Case(fl.LoRA(fl.Dense(4), 2, alpha=4), (3, 5), keras=OURS),
]

TEXTGOLD = "tests/layers/preprocessing/test_textgold.py compares it with Keras on TensorFlow"

TABULAR = [
    Case(fl.Discretization([-1.0, 0.0, 1.5]), (2, 3), keras=TEXTGOLD),
    Case(fl.Discretization([-1.0, 0.5], output_mode="one_hot"), (3, 1), keras=TEXTGOLD),
    Case(fl.Discretization([-1.0, 0.5], output_mode="count", dtype="mixed_bfloat16"), (3, 4), keras=TEXTGOLD),
    Case(
        fl.FeatureSpace(
            {
                "a": fl.FeatureSpace.feature("float32", fl.Normalization(mean=0.5, variance=4.0), "float"),
                "b": fl.FeatureSpace.float_discretized(None, [-1.0, 0.5]),
                "c": "float",
            }
        ),
        {"c": (3,), "b": (3, 1), "a": (3, 2)},
        keras="tests/keras_files/golden/feature_spaces.zip holds Keras's numbers",
        name="FeatureSpace of numbers",
    ),
    Case(fl.CategoryEncoding(5), (2, 4), below=5, keras=TEXTGOLD),
    Case(fl.CategoryEncoding(5, "one_hot"), (2, 4), below=6, keras=TEXTGOLD),
    Case(fl.CategoryEncoding(4, "count"), (2, 3, 2), below=5, keras=TEXTGOLD),
]

IMAGE = (2, 4, 5, 3)
SPAN = (-2.0, 2.1)  # of the inputs
PICTURES = "tests/golden/images.npz has Keras's numbers, with factors that are given"
SOUNDS = "tests/golden/images.npz has Keras's numbers of a chirp"
CROPPED = {"out_shape_is_the_shape_that_comes_out": "in Keras, too, images are cropped in training alone"}
IMAGES = [
    Case(fl.Resizing(3, 6), IMAGE, keras=PICTURES),
    Case(fl.Resizing(2, 2, "bicubic", crop_to_aspect_ratio=True, data_format=FIRST), (2, 3, 4, 5), keras=PICTURES),
    Case(fl.Resizing(6, 4, "nearest", pad_to_aspect_ratio=True, fill_value=0.5), IMAGE, keras=PICTURES),
    Case(fl.CenterCrop(2, 3), IMAGE, keras=PICTURES),
    Case(fl.CenterCrop(6, 3), IMAGE, keras=PICTURES),
    Case(fl.RandomCrop(2, 3), IMAGE, random=True, keras=PICTURES, exempt=CROPPED),
    Case(fl.RandomFlip(), IMAGE, random=True, keras=PICTURES),
    Case(fl.RandomTranslation(0.3, 0.2), IMAGE, random=True, keras=PICTURES),
    Case(
        fl.RandomTranslation(0.3, 0.2, "wrap", "nearest", data_format=FIRST), (2, 3, 4, 5), random=True, keras=PICTURES
    ),
    Case(fl.RandomRotation(0.2), IMAGE, random=True, keras=PICTURES),
    Case(
        fl.RandomRotation(0.2, "constant", fill_value=0.5, dtype="mixed_bfloat16"), IMAGE, random=True, keras=PICTURES
    ),
    Case(fl.RandomZoom(0.3, (-0.2, 0.1)), IMAGE, random=True, keras=PICTURES),
    Case(fl.RandomShear(0.2, 0.1, fill_mode="nearest"), IMAGE, random=True, keras=PICTURES),
    Case(fl.RandomPerspective(), IMAGE, random=True, keras=PICTURES),
    Case(fl.RandomElasticTransform(value_range=SPAN), (2, 8, 8, 1), random=True, keras=PICTURES),
    Case(fl.RandomBrightness(0.2, SPAN), IMAGE, random=True, keras=PICTURES),
    Case(fl.RandomContrast(0.5, SPAN), IMAGE, random=True, keras=PICTURES),
    Case(fl.RandomSaturation(0.5, SPAN), IMAGE, random=True, keras=PICTURES),
    Case(fl.RandomHue(0.5, SPAN), IMAGE, random=True, keras=PICTURES),
    Case(fl.RandomColorJitter(SPAN, 0.2, 0.3), IMAGE, random=True, keras=PICTURES),
    Case(fl.RandomColorDegeneration(0.5, SPAN), IMAGE, random=True, keras=PICTURES),
    Case(fl.RandomGrayscale(), IMAGE, random=True, keras=PICTURES),
    Case(fl.RandomPosterization((2, 7), SPAN), IMAGE, random=True, keras=PICTURES),
    Case(fl.RandomInvert((0.3, 0.7), SPAN), IMAGE, random=True, keras=PICTURES),
    Case(fl.Solarization(0.2, 0.5, SPAN), IMAGE, random=True, keras=PICTURES),
    Case(fl.RandomGaussianBlur(value_range=SPAN), IMAGE, random=True, keras=PICTURES),
    Case(fl.RandomSharpness(0.9, SPAN), IMAGE, random=True, keras=PICTURES),
    Case(fl.RandomErasing(value_range=SPAN), IMAGE, random=True, keras=PICTURES),
    Case(fl.AutoContrast(SPAN), IMAGE, keras=PICTURES),
    Case(fl.Equalization(SPAN, bins=16), IMAGE, keras=PICTURES),
    Case(fl.ContrastLimitedAdaptiveHistogramEqualization(SPAN, tile_grid_size=(1, 2)), IMAGE, keras=PICTURES),
    Case(fl.MixUp(), IMAGE, random=True, keras=PICTURES),
    Case(fl.CutMix(), IMAGE, random=True, keras=PICTURES),
    Case(fl.MaxNumBoundingBoxes(3), IMAGE, keras=PICTURES),
    Case(fl.RandAugment(SPAN, num_ops=1), IMAGE, random=True, keras=PICTURES),
    Case(fl.AugMix(SPAN, 2, 1, all_ops=False), IMAGE, random=True, keras=PICTURES),
    Case(fl.Pipeline([fl.Rescaling(2.0), fl.RandomBrightness(0.2, SPAN)]), IMAGE, random=True, keras=PICTURES),
    Case(fl.STFTSpectrogram("magnitude", 4, 2), (2, 7, 2), keras=SOUNDS),
    Case(fl.STFTSpectrogram("psd", 4, fft_length=8, padding="same", data_format=FIRST), (2, 2, 7), keras=SOUNDS),
    Case(fl.STFTSpectrogram("angle", 4, window=None, expand_dims=True), (2, 7, 2), keras=SOUNDS),
    Case(fl.MelSpectrogram(8, 4, sampling_rate=100, num_mel_bins=2, min_freq=1.0), (2, 12), keras=SOUNDS),
    Case(fl.MelSpectrogram(8, 4, 6, None, 100, 2, 1.0, power_to_db=False, mag_exp=1.0), (2, 12), keras=SOUNDS),
]

CASES = [
    *DENSE,
    *BASIC,
    *CONV,
    *POOLING,
    *NORMALIZATION,
    *REGULARIZATION,
    *RESHAPING,
    *MERGING,
    *ATTENTION,
    *GENERATION,
    *RECURRENT,
    *MODELS,
    *TABULAR,
    *IMAGES,
]
NAMES = [str(case) for case in CASES]

# Layers that run on the host, and so are no case of the laws about compiled programs, each with an input.
WORDS = ["the", "cat", "Café", "a"]
COUNTS = [[2, 7, 0], [7, -3, 99]]
STRINGS = [["the", "a", ""], ["dog", "cat", "a"]]
HOST = [
    (fl.StringLookup(vocabulary=WORDS), STRINGS),
    (fl.StringLookup(vocabulary=WORDS, num_oov_indices=3, mask_token="", salt=7), STRINGS),
    (fl.StringLookup(vocabulary=WORDS, output_mode="tf_idf", idf_weights=[0.5, 1.0, 2.0, 0.25]), STRINGS),
    (fl.StringLookup(8, vocabulary=WORDS, output_mode="one_hot", pad_to_max_tokens=True), STRINGS),
    (fl.StringLookup(vocabulary=WORDS, invert=True, mask_token=""), COUNTS),
    (fl.IntegerLookup(vocabulary=[7, -3, 2**40]), COUNTS),
    (fl.IntegerLookup(vocabulary=[7, -3], num_oov_indices=2, mask_token=0), COUNTS),
    (fl.IntegerLookup(vocabulary=[7, -3], output_mode="multi_hot"), COUNTS),
    (fl.IntegerLookup(vocabulary=[7, -3], output_mode="tf_idf", idf_weights=[0.5, 2.0]), COUNTS),
    (fl.IntegerLookup(vocabulary=[7, 2], invert=True), COUNTS),
    (fl.TextVectorization(vocabulary=WORDS, output_sequence_length=4), ["The cat, the dog!", "", "a CAFÉ"]),
    (fl.TextVectorization(vocabulary=WORDS, output_mode="count", ngrams=2), [["the cat"], ["a a dog"]]),
    (fl.TextVectorization(vocabulary=[*"abc"], split="character", output_sequence_length=3), ["abcd", "b"]),
    (fl.TextVectorization(vocabulary=WORDS, split=None, standardize="lower"), STRINGS),
    (fl.Hashing(7), STRINGS),
    (fl.Hashing(7, mask_value=0, salt=(1, 2), dtype="int32"), COUNTS),
    (fl.Hashing(7, output_mode="multi_hot"), STRINGS),
    (fl.HashedCrossing(9), (["a", "b"], [1, 2])),
    (fl.HashedCrossing(9, "one_hot"), ([["a"], ["b"]], [[1], [2]], [["c"], ["d"]])),
]

PLAINEST = set({type(case.layer): case for case in reversed(CASES)}.values())  # the first case of each class of layers

LONG = (fl.RandAugment, fl.AugMix)  # which take long to compile, and whose parts are cases themselves


def runs_by_default(case: Case) -> bool:
    """Whether a case is tried without being asked: the plainest of each layer, and one in 24 of the others.

    The choice is made by name, so that a new case changes nothing for the others.
    """
    plainest = case in PLAINEST and not isinstance(case.layer, LONG)
    return plainest or zlib.crc32(str(case).encode()) % 24 == 0
