"""Layers that only the networks of keras.applications have, under Keras's names."""

from typing import Any, ClassVar

from fnlayers.core.context import Context, Out
from fnlayers.core.errors import ShapeError
from fnlayers.core.layer import Layer, Shape, layerclass
from fnlayers.core.shapes import is_shape
from fnlayers.core.spec import Param
from fnlayers.functions.initializers import Constant
from fnlayers.layers.common import check_count, check_rank

__all__ = ["LayerScale", "CustomScaleLayer"]


@layerclass
class LayerScale(Layer):
    """y = gamma x, with a gamma for each channel that is small to begin with. Of ConvNeXt.

    Arguments:
        init_values: the initial value of gamma.
        projection_dim: the number of channels.

    Shapes: unchanged.
    Weights: gamma (channels,).
    Mask: passed on.

    Reference: Touvron, Cord, Sablayrolles, Synnaeve, Jegou, Going Deeper with Image Transformers, 2021.
    """

    init_values: float
    projection_dim: int

    passes_mask: ClassVar[bool] = True

    def check(self) -> None:
        check_count(self, "projection_dim")

    def check_shape(self, shape: Shape) -> None:
        """The declared number of channels."""
        check_rank(self, shape, *range(1, 16))
        if shape[-1] not in (None, self.projection_dim):
            raise ShapeError(f"{self!r} takes {self.projection_dim} channels, got the shape {tuple(shape)}")

    def weights(self, shape: Shape) -> dict:
        return {"gamma": Param((self.projection_dim,), Constant(self.init_values), decay=False)}

    def call(self, params: Any, x: Any) -> Any:
        return x * params["gamma"]


@layerclass
class CustomScaleLayer(Layer):
    """Of (x, residual): x + scale residual. Of InceptionResNetV2.

    Arguments:
        scale: what the residual is multiplied with.

    Shapes: two equal ones -> that one.
    Mask: ended.
    """

    scale: float

    def check_shape(self, shape: Shape) -> None:
        two = isinstance(shape, tuple) and len(shape) == 2 and all(map(is_shape, shape)) and not is_shape(shape)
        if not two or not fit_together(*shape):
            raise ShapeError(f"{self!r} takes two inputs of one shape, got {shape!r}; give (x, residual)")

    def forward(self, params: Any, x: Any, ctx: Context) -> Out:
        return Out(x[0] + x[1] * self.scale)


def fit_together(first: Shape, second: Shape) -> bool:
    """Whether arrays of two shapes broadcast; unknown sizes may."""
    return len(first) == len(second) and all(a == b or {a, b} & {1, None} for a, b in zip(first, second, strict=True))
