"""Pipeline: preprocessing layers one after the other, as one layer."""

from collections.abc import Mapping
from typing import Any, ClassVar

from fnlayers.core.context import Context, Out
from fnlayers.core.errors import ConfigError, brief, within
from fnlayers.core.inherited import inherit_dtype
from fnlayers.core.layer import Layer, Shape, layerclass
from fnlayers.core.naming import refuse_shared, with_names
from fnlayers.core.shapes import shape_of, with_dtype
from fnlayers.core.trace import trace
from fnlayers.models.container import Container
from fnlayers.plain_data import freeze


@layerclass
class Pipeline(Container):
    """Preprocessing layers one after the other, as one layer: each is given what the one before it returned.

    Arguments:
        layers: the layers, in order.

    Shapes: the first layer's input -> the last layer's output.
    Weights, state: those of its layers, by name.
    Mask: given to the first layer, and from each to the next.

    Example:
        >>> import jax, fnlayers as fl
        >>> layer = Pipeline([fl.Rescaling(1 / 255), fl.RandomFlip(), fl.CenterCrop(4, 4)])
        >>> layer.apply({}, jax.numpy.ones((2, 6, 6, 3)), rng=jax.random.key(0), train=True).shape
        (2, 4, 4, 3)
    """

    casts_inputs: ClassVar[str] = "none"
    casts_params: ClassVar[bool] = False

    def check(self) -> None:
        """The layers must be layers, with names that do not collide."""
        layers = self.layers
        if not isinstance(layers, tuple) or not layers:
            raise ConfigError(f"Pipeline takes a list of layers, got {layers!r}; write Pipeline([layer, layer, ...])")
        for layer in layers:
            if not isinstance(layer, Layer):
                raise ConfigError(f"Pipeline takes layers, got {brief(layer)}; write fnlayers.Lambda for a function")
        object.__setattr__(self, "layers", with_names(layers))
        inherit_dtype(self)
        refuse_shared(self, self.layers)

    @property
    def in_dtype(self) -> Any:
        """The first layer's."""
        return self.layers[0].in_dtype

    def in_types(self, shape: Shape) -> Any:
        """The first layer's."""
        return self.layers[0].in_types(shape)

    def children(self, shape: Shape) -> Mapping[str, tuple[Layer, Shape]]:
        """Each layer with the shape that the ones before it make."""
        children: dict[str, tuple[Layer, Shape]] = {}
        types = freeze(with_dtype(shape, self.in_dtype))
        for layer in self.layers:
            children[str(layer.name)] = layer, shape_of(types)
            if layer is not self.layers[-1]:
                with within(str(layer.name)):
                    types = freeze(trace(layer, types))
        return children

    def forward(self, params: Any, x: Any, ctx: Context) -> Out:
        """Each layer on what the one before it made."""
        out = Out(x, mask=ctx.mask)
        for layer in self.layers:
            out = ctx.run(str(layer.name), layer, params, out.y, out.mask)
        return out
