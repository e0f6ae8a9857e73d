"""Normalization: activations brought to mean 0 and variance 1, by the batch or by the example, in float32."""

from typing import Any, ClassVar

import jax.numpy as jnp

from fnlayers import ops
from fnlayers.core.context import Context, Out
from fnlayers.core.errors import ShapeError
from fnlayers.core.layer import Layer, Shape, layerclass
from fnlayers.core.shapes import known
from fnlayers.core.spec import Param, State
from fnlayers.functions.constraints import Constraint
from fnlayers.functions.initializers import Initializer
from fnlayers.functions.regularizers import Regularizer
from fnlayers.layers.bases import (
    check_axes,
    check_count,
    check_rank,
    check_share,
    normal_axes,
    normal_axis,
    option_param,
)


@layerclass
class BatchNormalization(Layer):
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta, for each channel.

    In training, mean and (population) variance are those of the batch, and the moving ones follow them: new = momentum
    old + (1 - momentum) batch's. In inference, and where trainable is False, they are the moving ones.

    Arguments:
        axis: the channels' axis.
        momentum: how much of the moving statistics stays in each step.
        epsilon: added to the variance.
        center, scale: whether there is a beta, a gamma.
        beta_initializer, gamma_initializer, moving_mean_initializer, moving_variance_initializer: where they start.
        beta_regularizer, gamma_regularizer, beta_constraint, gamma_constraint: of the weights.

    Shapes: unchanged.
    Weights: gamma, beta (channels,).
    State: moving_mean, moving_variance (channels,).
    Mask: used and passed on: masked steps count in no mean. A batch that is masked whole leaves the state as it was.

    Reference: Ioffe and Szegedy, Batch Normalization, 2015.
    """

    axis: int = -1
    momentum: float = 0.99
    epsilon: float = 1e-3
    center: bool = True
    scale: bool = True
    beta_initializer: Initializer = "zeros"
    gamma_initializer: Initializer = "ones"
    moving_mean_initializer: Initializer = "zeros"
    moving_variance_initializer: Initializer = "ones"
    beta_regularizer: Regularizer = None
    gamma_regularizer: Regularizer = None
    beta_constraint: Constraint = None
    gamma_constraint: Constraint = None

    passes_mask: ClassVar[bool] = True
    casts_inputs: ClassVar[str] = "all"
    casts_params: ClassVar[bool] = False

    def check(self) -> None:
        """A momentum between 0 and 1."""
        check_share(self, "momentum")

    def weights(self, shape: Shape) -> dict:
        """One number of each kind for a channel."""
        check_rank(self, shape, *range(2, 16))
        size = (known(shape, normal_axis(self, self.axis, len(shape)), "channels"),)
        return _affine(self, size) | {
            "moving_mean": State(size, self.moving_mean_initializer),
            "moving_variance": State(size, self.moving_variance_initializer),
        }

    def forward(self, params: Any, x: Any, ctx: Context) -> Out:
        """Normalize by the batch's statistics or by the moving ones."""
        axis = normal_axis(self, self.axis, x.ndim)
        mean, variance, state = ctx.read(self, "moving_mean"), ctx.read(self, "moving_variance"), ctx.state
        if ctx.train and not ctx.frozen:
            axes = tuple(a for a in range(x.ndim) if a != axis)
            mean, variance = ops.moments(x, axes, ctx.mask)
            batch = {"moving_mean": mean, "moving_variance": variance}
            seen = True if ctx.mask is None else jnp.any(ctx.mask)
            state = {name: _follow(ctx.state[name], batch[name], self.momentum, seen) for name in ctx.state}
        across = [1] * x.ndim
        across[axis] = -1
        gamma, beta = (params[name].reshape(across) if name in params else None for name in ("gamma", "beta"))
        y = ops.normalize(x, mean.reshape(across), variance.reshape(across), gamma, beta, self.epsilon)
        return Out(y, state, ctx.mask)


@layerclass
class LayerNormalization(Layer):
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta, with each example's own mean and variance.

    Arguments:
        axis: the axis, or axes, that the mean is taken over.
        epsilon: added to the variance.
        center, scale: whether there is a beta, a gamma.
        beta_initializer, gamma_initializer, beta_regularizer, gamma_regularizer, beta_constraint, gamma_constraint: of
            the weights.

    Shapes: unchanged.
    Weights: gamma, beta, with the sizes of the axes.
    Mask: passed on.

    Reference: Ba, Kiros, Hinton, Layer Normalization, 2016.
    """

    axis: int | tuple[int, ...] = -1
    epsilon: float = 1e-3
    center: bool = True
    scale: bool = True
    beta_initializer: Initializer = "zeros"
    gamma_initializer: Initializer = "ones"
    beta_regularizer: Regularizer = None
    gamma_regularizer: Regularizer = None
    beta_constraint: Constraint = None
    gamma_constraint: Constraint = None

    passes_mask: ClassVar[bool] = True
    casts_inputs: ClassVar[str] = "all"
    casts_params: ClassVar[bool] = False

    def check(self) -> None:
        """An axis or several."""
        check_axes(self)

    def weights(self, shape: Shape) -> dict:
        """One number for each cell along the axes."""
        check_rank(self, shape, *range(1, 16))
        return _affine(self, tuple(known(shape, axis) for axis in normal_axes(self, len(shape))))

    def call(self, params: Any, x: Any) -> Any:
        """Normalize by x's own moments."""
        axes = normal_axes(self, x.ndim)
        across = [size if axis in axes else 1 for axis, size in enumerate(x.shape)]
        gamma, beta = (params[name].reshape(across) if name in params else None for name in ("gamma", "beta"))
        mean, variance = ops.moments(x, axes, keepdims=True)
        return ops.normalize(x, mean, variance, gamma, beta, self.epsilon)


@layerclass
class GroupNormalization(Layer):
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta, over each example's groups of channels.

    Arguments:
        groups: how many groups the channels are cut into; -1: each channel is one (instance normalization).
        axis: the channels' axis.
        epsilon: added to the variance.
        center, scale: whether there is a beta, a gamma.
        beta_initializer, gamma_initializer, beta_regularizer, gamma_regularizer, beta_constraint, gamma_constraint: of
            the weights.

    Shapes: unchanged.
    Weights: gamma, beta (channels,).
    Mask: passed on.

    Reference: Wu and He, Group Normalization, 2018.
    """

    groups: int = 32
    axis: int = -1
    epsilon: float = 1e-3
    center: bool = True
    scale: bool = True
    beta_initializer: Initializer = "zeros"
    gamma_initializer: Initializer = "ones"
    beta_regularizer: Regularizer = None
    gamma_regularizer: Regularizer = None
    beta_constraint: Constraint = None
    gamma_constraint: Constraint = None

    passes_mask: ClassVar[bool] = True
    casts_inputs: ClassVar[str] = "all"
    casts_params: ClassVar[bool] = False

    def check(self) -> None:
        """Some groups."""
        if self.groups != -1:
            check_count(self, "groups")

    def check_shape(self, shape: Shape) -> None:
        """Groups that divide the channels."""
        check_rank(self, shape, *range(2, 16))
        channels = known(shape, normal_axis(self, self.axis, len(shape)), "channels")
        if self.groups != -1 and channels % self.groups:
            divisors = ", ".join(str(n) for n in range(1, channels + 1) if channels % n == 0)
            raise ShapeError(f"{self!r} does not divide {channels} channels; choose groups from {divisors}")

    def weights(self, shape: Shape) -> dict:
        """One number of each kind for a channel."""
        return _affine(self, (known(shape, self.axis, "channels"),))

    def call(self, params: Any, x: Any) -> Any:
        """Normalize by the groups' moments."""
        return ops.group_normalize(x, self.groups, self.axis, params.get("gamma"), params.get("beta"), self.epsilon)


@layerclass
class RMSNormalization(Layer):
    """y = scale x / sqrt(mean(x^2) + epsilon).

    Arguments:
        axis: the axis, or axes, that the mean is taken over.
        epsilon: added to the mean; 1e-6, unlike the other normalizations' 1e-3.

    Shapes: unchanged.
    Weights: scale, with the sizes of the axes.
    Mask: passed on.

    Reference: Zhang and Sennrich, Root Mean Square Layer Normalization, 2019.
    """

    axis: int | tuple[int, ...] = -1
    epsilon: float = 1e-6

    passes_mask: ClassVar[bool] = True
    casts_inputs: ClassVar[str] = "all"
    casts_params: ClassVar[bool] = False

    def check(self) -> None:
        """An axis or several."""
        check_axes(self)

    def weights(self, shape: Shape) -> dict:
        """One number for each cell along the axes."""
        check_rank(self, shape, *range(1, 16))
        sizes = tuple(known(shape, axis) for axis in normal_axes(self, len(shape)))
        return {"scale": Param(sizes, "ones", decay=False)}

    def call(self, params: Any, x: Any) -> Any:
        """Divide by x's own root mean square."""
        axes = normal_axes(self, x.ndim)
        across = [size if axis in axes else 1 for axis, size in enumerate(x.shape)]
        return ops.rms_normalize(x, params["scale"].reshape(across), axes, self.epsilon)


@layerclass
class UnitNormalization(Layer):
    """y = x / norm(x), the Euclidean norm; a vector of zeros stays as it is, with gradient 0.

    Arguments:
        axis: the axis, or axes, of the vectors.

    Shapes: unchanged.
    Mask: passed on.
    """

    axis: int | tuple[int, ...] = -1

    passes_mask: ClassVar[bool] = True
    casts_inputs: ClassVar[str] = "all"

    def check(self) -> None:
        """An axis or several."""
        check_axes(self)

    def check_shape(self, shape: Shape) -> None:
        """Axes that the input has."""
        check_rank(self, shape, *range(1, 16))
        normal_axes(self, len(shape))

    def call(self, params: Any, x: Any) -> Any:
        """Divide by the norm."""
        return ops.l2_normalize(x, normal_axes(self, x.ndim))


def _affine(layer: Any, size: tuple[int, ...]) -> dict[str, Param]:
    """The gamma and beta that a layer asks for."""
    wanted = (("gamma", layer.scale), ("beta", layer.center))
    return {name: option_param(layer, name, size, decay=False) for name, want in wanted if want}


def _follow(old: Any, new: Any, momentum: float, seen: Any) -> Any:
    """The moving average one step on; unchanged where nothing was seen."""
    moved = old * momentum + new.astype(old.dtype) * (1 - momentum)
    return moved if seen is True else jnp.where(seen, moved, old)
