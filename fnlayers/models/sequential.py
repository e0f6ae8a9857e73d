"""Sequential: layers one after the other."""

from collections.abc import Mapping, Sequence
from dataclasses import field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

from fnlayers.core.context import Context, Out
from fnlayers.core.dtypes import PolicyName
from fnlayers.core.errors import ConfigError, ShapeError, within
from fnlayers.core.inherited import inherit_dtype
from fnlayers.core.layer import Layer, Shape, layerclass
from fnlayers.core.naming import refuse_shared, same_weights, with_names, without_automatic_names
from fnlayers.core.one_step import refuse_cell, refuse_cell_after
from fnlayers.core.shapes import is_shape, shape_of, with_dtype
from fnlayers.core.symbol import Symbol
from fnlayers.core.trace import trace
from fnlayers.core.verbs import Verb
from fnlayers.models.container import (
    Container,
    InputNode,
    as_declared,
    check_input,
    completed,
    type_as_declared,
)
from fnlayers.plain_data import freeze, nest_leaves


@layerclass
class Sequential(Container):
    """Layers one after the other: each is given what the one before it returned.

    A layer that occurs twice (the same object) shares its weights. Masks, state and losses are threaded through.
    Without layers it is the identity, such as a branch of a block that does nothing.
    Each layer in `model.layers` has the name of its weights, so that a model of some of them keeps them.

    Arguments:
        layers: the layers, in order. An Input before them declares the shape and dtype, which then need not be given
            to init, init_state and summary; it is not a layer, and stands in `input`.
        input: the declared input.
        dtype: the policy of the layers that have none of their own; likewise of layers in these.

    Shapes: the first layer's input -> the last layer's output.
    Weights: those of its layers, by name ("dense", "dense_1", ...). State: likewise.
    Mask: given to the first layer, and from each to the next.

    Example:
        >>> import jax, fnlayers as fl
        >>> model = Sequential([fl.Input((4,)), fl.Dense(8, activation="relu"), fl.Dense(2)])
        >>> params = model.init(jax.random.key(0))
        >>> jax.tree.map(lambda a: a.shape, params["dense_1"])
        {'bias': (2,), 'kernel': (8, 2)}
        >>> model["dense_1"], len(model), model[0].name
        (Dense(units=2), 2, 'dense')
    """

    input: InputNode | None = field(default=None, kw_only=True)

    if TYPE_CHECKING:  # the fields say what a model holds; here, what it is made from

        def __init__(
            self,
            layers: Sequence[Layer | Symbol],
            *,
            input: InputNode | None = None,
            name: str | None = None,
            trainable: bool = True,
            dtype: PolicyName | None = None,
        ) -> None: ...

    written_as: ClassVar[str] = "Sequential([layer, layer, ...])"

    casts_inputs: ClassVar[str] = "none"
    casts_params: ClassVar[bool] = False

    def check(self) -> None:
        """The layers must be layers, with names that do not collide."""
        if not isinstance(self.layers, tuple):
            raise ConfigError(f"Sequential takes a list of layers, got {type(self.layers).__name__}")
        layers = self.layers
        if layers and isinstance(layers[0], Symbol):
            object.__setattr__(self, "input", _declared_by(layers[0]))
            layers = layers[1:]
        if not (self.input is None or isinstance(self.input, InputNode)):
            raise ConfigError(f"Sequential: input={self.input!r}; write fnlayers.Input(shape) as the first layer")
        for layer in layers:
            _check_layer(layer)
        if self.input is not None and layers:
            refuse_cell(layers[0], self.input.shape)
        for before, layer in pairwise(layers):
            refuse_cell_after(before, layer)
        object.__setattr__(self, "layers", with_names(layers))
        inherit_dtype(self)
        refuse_shared(self, self.layers)

    @property
    def in_dtype(self) -> Any:
        """The declared one, or the first layer's."""
        if self.input is not None:
            return self.input.dtype
        return self.layers[0].in_dtype if self.layers else "float32"

    def in_types(self, shape: Shape) -> Any:
        """The declared one, or the first layer's."""
        if self.input is None and self.layers:
            return self.layers[0].in_types(shape)
        return with_dtype(shape, self.in_dtype)

    @property
    def in_shape(self) -> Shape | None:
        """The declared one, or what the first layer knows."""
        if self.input is not None:
            return self.input.shape
        return self.layers[0].in_shape if self.layers else None

    @property
    def takes_strings(self) -> bool:
        """Whether the first layer does."""
        return bool(self.layers) and self.layers[0].takes_strings

    def check_shape(self, shape: Shape) -> None:
        """The declared shape."""
        if self.input is not None:
            if not is_shape(shape):
                raise ShapeError(f"one input of shape {self.input.shape} was declared, got {shape!r}")
            check_input(self.input, shape)

    def children(self, shape: Shape) -> Mapping[str, tuple[Layer, Shape]]:
        """Each layer with the shape that the ones before it make."""
        children: dict[str, tuple[Layer, Shape]] = {}
        if self.input is not None:
            shape = completed(self.input, shape)
        types = self.in_types(shape)
        for position, layer in enumerate(self.layers):
            name = str(layer.name)
            with within(name):
                refuse_cell(layer, shape)
                same_weights(layer, children.setdefault(name, (layer, shape))[1], shape)
                # the last layer's own output does not matter here, only whether it takes the mask that reaches it
                if position + 1 < len(self.layers) or any(t.masked for t in nest_leaves(types)):
                    types = freeze(trace(layer, types))
                    shape = shape_of(types)
        return children

    def forward(self, params: Any, x: Any, ctx: Context) -> Out:
        """Each layer on what the one before it made."""
        out = Out(x if self.input is None else as_declared(self.input, x), mask=ctx.mask)
        for layer in self.layers:
            out = ctx.run(str(layer.name), layer, params, out.y, out.mask)
        return out

    def _compose(self, types: Any) -> Any:
        self.check_shape(shape_of(types))
        self.children(shape_of(types))  # for its checks
        current = types if self.input is None else type_as_declared(self.input, types)
        for layer in self.layers:
            with within(str(layer.name)):
                current = trace(layer, freeze(current))
        return current

    def __repr__(self) -> str:
        layers = list(map(repr, without_automatic_names(self.layers)))
        if self.input is not None:
            layers.insert(0, _written(self.input))
        options = [f"name={self.name!r}"] * (self.name is not None)
        options += ["trainable=False"] * (not self.trainable) + [f"dtype={self.dtype!r}"] * (self.dtype is not None)
        listed = f"[{', '.join(layers)}]"
        return f"Sequential({', '.join([listed, *options])})"


def _declared_by(symbol: Symbol) -> InputNode:
    if symbol.call is not None:
        raise ConfigError(
            f"Sequential: {symbol!r} was made by a layer, and a Sequential begins with an Input or a layer; for a "
            "graph write fnlayers.functional(inputs, outputs)"
        )
    return InputNode(symbol.name or "input", symbol.shape, symbol.dtype)


def _check_layer(layer: Any) -> None:
    if isinstance(layer, Symbol):
        raise ConfigError("Sequential takes one Input, before its layers; for several inputs write fnlayers.functional")
    if isinstance(layer, type) and issubclass(layer, Layer):
        raise ConfigError(f"Sequential takes layers, got the class {layer.__name__}; write {layer.__name__}(...)")
    kind = type(layer)
    if kind.__module__.split(".")[0] in ("keras", "tensorflow", "tf_keras"):
        raise ConfigError(
            f"Sequential takes layers of fnlayers, got Keras's {kind.__name__}; write fnlayers.{kind.__name__}(...) "
            "with the same arguments, or read a whole model with fnlayers.load_keras(path)"
        )
    if isinstance(layer, Verb):
        raise ConfigError(f"Sequential takes layers, got {layer!r}; the layers of a model are model.layers")
    if not isinstance(layer, Layer):
        raise ConfigError(
            f"Sequential takes layers, got {layer!r}; wrap a function in fnlayers.Lambda, an (init, apply) "
            "pair in fnlayers.Pair"
        )


def _written(declared: InputNode) -> str:
    batch, *sizes = declared.shape
    options = [f"batch_size={batch}"] * (batch is not None) + [f"dtype={declared.dtype!r}"] * (
        declared.dtype != "float32"
    )
    name = [f"name={declared.name!r}"] * (declared.name != "input")
    return f"Input({', '.join([str(tuple(sizes)), *options, *name])})"
