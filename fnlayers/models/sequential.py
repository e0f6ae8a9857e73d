"""Sequential: layers one after the other."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from fnlayers.core.context import Context, Out
from fnlayers.core.errors import ConfigError, within
from fnlayers.core.layer import Layer, Shape, layerclass
from fnlayers.core.naming import fix_shared_names, named
from fnlayers.core.symbol import Symbol
from fnlayers.core.threading import Thread, same_weights


@layerclass
class Sequential(Layer):
    """Layers one after the other: each is given what the one before it returned.

    A layer that occurs twice (the same object) shares its weights. Masks, state and losses are threaded through.

    Arguments:
        layers: the layers, in order.

    Shapes: the first layer's input -> the last layer's output.
    Weights: those of its layers, by name ("dense", "dense_1", ...). State: likewise.
    Mask: given to the first layer, and from each to the next.

    Example:
        >>> import jax
        >>> from fnlayers.layers.dense import Dense
        >>> model = Sequential([Dense(8, activation="relu"), Dense(2)])
        >>> params = model.init(jax.random.key(0), (None, 4))
        >>> jax.tree.map(lambda a: a.shape, params["dense_1"])
        {'bias': (2,), 'kernel': (8, 2)}
    """

    layers: Sequence[Layer]

    casts_inputs: ClassVar[str] = "none"
    casts_params: ClassVar[bool] = False

    def check(self) -> None:
        """The layers must be layers, with names that do not collide."""
        if not isinstance(self.layers, tuple):
            raise ConfigError(f"Sequential takes a list of layers, got {type(self.layers).__name__}")
        for layer in self.layers:
            if isinstance(layer, Symbol):
                raise ConfigError(
                    "Sequential takes no Input: give the shape to init, as in model.init(rng, (None, 28, 28, 1))"
                )
            if not isinstance(layer, Layer):
                raise ConfigError(
                    f"Sequential takes layers, got {layer!r}; wrap a function in fnlayers.Lambda, an (init, apply) "
                    "pair in fnlayers.Pair"
                )
        object.__setattr__(self, "layers", fix_shared_names(self.layers))

    @property
    def in_dtype(self) -> Any:
        """The first layer's."""
        return self.layers[0].in_dtype if self.layers else "float32"

    def children(self, shape: Shape) -> Mapping[str, tuple[Layer, Shape]]:
        """Each layer with the shape that the ones before it make."""
        found: dict[str, tuple[Layer, Shape]] = {}
        steps = named(self.layers)
        for position, (name, layer) in enumerate(steps):
            with within(name):
                same_weights(layer, found.setdefault(name, (layer, shape))[1], shape)
                if position + 1 < len(steps):
                    shape = layer.out_shape(shape)
        return found

    def forward(self, params: Any, x: Any, ctx: Context) -> Out:
        """Thread x, mask, state and losses through the layers."""
        thread, mask = Thread(params, ctx), ctx.mask
        for name, layer in named(self.layers):
            x, mask = thread.step(name, layer, x, mask)
        return thread.out(x, mask)
