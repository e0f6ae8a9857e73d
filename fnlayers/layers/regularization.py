"""Regularization: noise in training, and losses on activations."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from fnlayers import ops
from fnlayers.core.context import Context, Out
from fnlayers.core.errors import ShapeError
from fnlayers.core.layer import Layer, Shape, layerclass
from fnlayers.core.shapes import is_shape
from fnlayers.functions.regularizers import L1L2
from fnlayers.layers.bases import check_share, configured


@layerclass
class Dropout(Layer):
    """In training, y = x / (1 - rate) with probability 1 - rate and 0 otherwise; in inference, y = x.

    Arguments:
        rate: the share that is dropped, 0 to 1.
        noise_shape: the shape of the coins thrown; None in it means x's size, 1 that one coin serves that axis.
        seed: a number folded into the layer's key, to tell layers apart that a rng would treat alike.

    Shapes: unchanged.
    Random: in training, unless rate is 0.
    Mask: passed on.

    Reference: Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, Dropout, 2014.
    """

    rate: float
    noise_shape: tuple[int | None, ...] | None = None
    seed: int | None = None

    passes_mask: ClassVar[bool] = True

    def check(self) -> None:
        """A share."""
        check_share(self, "rate")

    def check_shape(self, shape: Shape) -> None:
        """One coin shape for the input's axes."""
        if self.noise_shape is not None and is_shape(shape) and len(self.noise_shape) != len(shape):
            raise ShapeError(f"{self!r}: noise_shape has {len(self.noise_shape)} axes, its input {len(shape)}")

    def forward(self, params: Any, x: Any, ctx: Context) -> Out:
        """Drop in training."""
        check_float(self, x)
        if not ctx.train or self.rate == 0:
            return Out(x, mask=ctx.mask)
        return Out(ops.dropout(seeded(self, ctx), x, self.rate, self.noise_shape), mask=ctx.mask)


@layerclass
class ActivityRegularization(Layer):
    """y = x, with the loss (l1 sum |x| + l2 sum x^2) / batch size.

    Arguments:
        l1, l2: the factors.

    Shapes: unchanged.
    Mask: passed on.
    """

    l1: float = 0.0
    l2: float = 0.0

    passes_mask: ClassVar[bool] = True

    def check(self) -> None:
        """Factors that a regularizer takes."""
        configured(self, L1L2, self.l1, self.l2)

    @property
    def activity_regularizer(self) -> L1L2:
        """The rule that `Layer.run` applies to the output."""
        return L1L2(self.l1, self.l2)

    def call(self, params: Any, x: Any) -> Any:
        """X as it is."""
        return x


def seeded(layer: Any, ctx: Context) -> Any:
    """The layer's key, with its seed folded in where it has one."""
    key = ctx.key(layer)
    return key if layer.seed is None else jax.random.fold_in(key, layer.seed)


def check_float(layer: Layer, x: Any) -> None:
    """Raise ShapeError for integers, which cannot be scaled."""
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise ShapeError(
            f"{layer!r} takes floating numbers, got {x.dtype}; cast them, or put the layer after an Embedding"
        )
