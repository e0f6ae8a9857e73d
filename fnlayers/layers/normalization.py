"""Normalization: activations brought to mean 0 and variance 1, by the batch or by the example, in float32.

Deviations, root mean squares and norms may be up to 1e12, float64 aside. Of larger ones gradients are wrong, and from
about 1e18 on outputs are 0, since float32 holds neither their squares nor the inverse of their third power.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from fnlayers import ops
from fnlayers.core.context import Context, Out
from fnlayers.core.errors import ConfigError, ShapeError
from fnlayers.core.layer import Layer, Shape, layerclass
from fnlayers.core.options import Epsilon
from fnlayers.core.shapes import known
from fnlayers.core.spec import Param, State
from fnlayers.functions.constraints import Constraint
from fnlayers.functions.initializers import Initializer, initializer
from fnlayers.functions.regularizers import Regularizer
from fnlayers.layers.common import (
    check_axes,
    check_count,
    check_fraction,
    check_rank,
    normal_axes,
    normal_axis,
    option_param,
)

__all__ = ["BatchNormalization", "LayerNormalization", "GroupNormalization", "RMSNormalization", "UnitNormalization"]


@layerclass
class BatchNormalization(Layer):
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta, for each channel.

    In training, mean and (population) variance are those of the batch, and the moving ones follow them: new = momentum
    old + (1 - momentum) batch's. In inference, and where trainable is False, they are the moving ones.

    Arguments:
        axis: the channels' axis.
        momentum: the fraction of the moving statistics that stays in each step.
        epsilon: added to the variance. Deviations may be up to 1e12 in float32.
        center, scale: whether there is a beta, a gamma.
        beta_initializer, gamma_initializer, moving_mean_initializer, moving_variance_initializer: where they start.
        beta_regularizer, gamma_regularizer, beta_constraint, gamma_constraint: of the weights.
        renorm: whether to correct the batch's statistics toward slower moving ones, so that training sees what
            inference will; for small batches.
        renorm_clipping: bounds of that correction, a dict with any of rmin, rmax, dmax.
        renorm_momentum: the fraction of those moving statistics that stays in each step.
        synchronized: the name of a mapped axis (of shard_map, pmap or vmap) over which the batch is split and the
            statistics are averaged; True is "batch". Not needed under jit, where a sharded batch is one batch.

    Shapes: unchanged.
    Weights: gamma, beta (channels,).
    State: moving_mean, moving_variance (channels,); with renorm also moving_stddev, renorm_mean, renorm_stddev.
    Mask: used and passed on: masked steps count in no mean. A batch that is empty, or masked
        throughout, leaves the state as it was.

    Reference: Ioffe and Szegedy, Batch Normalization, 2015. Ioffe, Batch Renormalization, 2017.
    """

    axis: int = -1
    momentum: float = 0.99
    epsilon: Epsilon = 1e-3
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

    renorm: bool = False
    renorm_clipping: Mapping[str, float] | None = None
    renorm_momentum: float = 0.99
    synchronized: bool | str = False

    passes_mask: ClassVar[bool] = True
    casts_inputs: ClassVar[str] = "all"
    casts_params: ClassVar[bool] = False

    def check(self) -> None:
        """Momenta between 0 and 1, bounds in order."""
        check_fraction(self, "momentum")
        check_fraction(self, "renorm_momentum")
        if self.synchronized in ("", "True", "False"):
            raise ConfigError(
                f"BatchNormalization: synchronized={self.synchronized!r} is wrong; give True, False, or the name of "
                "the axis of a pmap, vmap or shard_map"
            )
        bounds = self.renorm_clipping or {}
        wrong = f"BatchNormalization: renorm_clipping={bounds!r} is wrong"
        if set(bounds) - {"rmin", "rmax", "dmax"}:
            raise ConfigError(f"{wrong}; give a dict of rmin, rmax and dmax")
        if bounds.get("rmin", -jnp.inf) > bounds.get("rmax", jnp.inf) or bounds.get("dmax", 0) < 0:
            raise ConfigError(f"{wrong}; give rmin <= rmax, and dmax >= 0")

    def weights(self, shape: Shape) -> dict:
        """One number of each kind for a channel."""
        check_rank(self, shape, *range(2, 16))
        size = (known(shape, normal_axis(self, self.axis, len(shape)), "channels"),)
        moving = {
            "moving_mean": State(size, self.moving_mean_initializer),
            "moving_variance": State(size, self.moving_variance_initializer),
        }
        if self.renorm:
            deviation = Root(self.moving_variance_initializer)
            moving["moving_stddev"] = State(size, deviation)
            moving["renorm_mean"] = State(size, self.moving_mean_initializer)
            moving["renorm_stddev"] = State(size, deviation)
        return _affine(self, size) | moving

    def forward(self, params: Any, x: Any, ctx: Context) -> Out:
        """Normalize by the batch's statistics or by the moving ones."""
        axis = normal_axis(self, self.axis, x.ndim)
        mean, variance, state = ctx.read(self, "moving_mean"), ctx.read(self, "moving_variance"), ctx.state
        gamma, beta = _affine_of(self, params)
        if ctx.train and not ctx.frozen:
            x = ops.gradient_once(x)
            axes = tuple(a for a in range(x.ndim) if a != axis)
            mean, variance, any_valid = _batch_moments(x, axes, _counted(ctx), self.synchronized)
            if self.renorm:
                gamma, beta = self._renormed(mean, variance, ctx.state, gamma, beta)
            new_state = self._new_state(mean, variance, ctx.state)
            state = {
                name: jnp.where(any_valid, new_state[name].astype(old.dtype), old) for name, old in ctx.state.items()
            }
        across = [1] * x.ndim
        across[axis] = -1
        gamma, beta = (v if v is None else v.reshape(across) for v in (gamma, beta))
        y = ops.normalize(x, mean.reshape(across), variance.reshape(across), gamma, beta, self.epsilon)
        return Out(y, state, ctx.mask)

    def _new_state(self, mean: Any, variance: Any, state: Any) -> dict:
        """The moving statistics after this batch."""

        def update(name: str, new: Any, momentum: float) -> Any:
            return state[name].astype(new.dtype) * momentum + new * (1 - momentum)

        statistics = {"moving_mean": update("moving_mean", mean, self.momentum)}
        if not self.renorm:
            return statistics | {"moving_variance": update("moving_variance", variance, self.momentum)}
        deviation = jnp.sqrt(variance + self.epsilon)
        smooth = update("moving_stddev", deviation, self.momentum)
        return statistics | {
            "moving_variance": jnp.maximum(jnp.square(smooth) - self.epsilon, 0),
            "moving_stddev": smooth,
            "renorm_mean": update("renorm_mean", mean, self.renorm_momentum),
            "renorm_stddev": update("renorm_stddev", deviation, self.renorm_momentum),
        }

    def _renormed(self, mean: Any, variance: Any, state: Any, gamma: Any, beta: Any) -> tuple[Any, Any]:
        """Gamma and beta with the correction (x r + d) folded into them; no gradient flows through r and d."""
        bounds, dtype = self.renorm_clipping or {}, mean.dtype
        scale = jnp.maximum(state["renorm_stddev"].astype(dtype), self.epsilon**0.5)
        r = jnp.clip(jnp.sqrt(variance + self.epsilon) / scale, bounds.get("rmin"), bounds.get("rmax"))
        d = (mean - state["renorm_mean"].astype(dtype)) / scale
        if "dmax" in bounds:
            d = jnp.clip(d, -bounds["dmax"], bounds["dmax"])
        r, d = jax.lax.stop_gradient(r), jax.lax.stop_gradient(d)
        gamma, shift = (r, d) if gamma is None else (r * gamma.astype(dtype), d * gamma.astype(dtype))
        return gamma, shift if beta is None else shift + beta.astype(dtype)


def _counted(ctx: Context) -> Any:
    """The mask of what the batch's statistics are taken over: valid steps of examples that count."""
    if ctx.mask is None or ctx.examples is None:
        return ctx.examples if ctx.mask is None else ctx.mask
    return ctx.mask & ops.expand_trailing(ctx.examples, ctx.mask.ndim)


@layerclass
class LayerNormalization(Layer):
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta, with each example's own mean and variance.

    Arguments:
        axis: the axis, or axes, that the mean is taken over.
        epsilon: added to the variance. Deviations may be up to 1e12 in float32.
        center, scale: whether there is a beta, a gamma.
        beta_initializer, gamma_initializer, beta_regularizer, gamma_regularizer, beta_constraint, gamma_constraint: of
            the weights.

    Shapes: unchanged.
    Weights: gamma, beta, with the sizes of the axes.
    Mask: passed on.

    Reference: Ba, Kiros, Hinton, Layer Normalization, 2016.
    """

    axis: int | Sequence[int] = -1
    epsilon: Epsilon = 1e-3
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
        check_axes(self)

    def weights(self, shape: Shape) -> dict:
        """One number for each position along the axes."""
        check_rank(self, shape, *range(1, 16))
        return _affine(self, tuple(known(shape, axis) for axis in normal_axes(self, len(shape))))

    def call(self, params: Any, x: Any) -> Any:
        """Normalize by x's own moments."""
        axes = normal_axes(self, x.ndim)
        across = [size if axis in axes else 1 for axis, size in enumerate(x.shape)]
        gamma, beta = (v if v is None else v.reshape(across) for v in _affine_of(self, params))
        mean, variance = ops.moments(x, axes, keepdims=True)
        return ops.normalize(x, mean, variance, gamma, beta, self.epsilon)


@layerclass
class GroupNormalization(Layer):
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta, over each example's groups of channels.

    Arguments:
        groups: how many groups the channels are cut into; -1: each channel is one (instance normalization).
        axis: the channels' axis.
        epsilon: added to the variance. Deviations may be up to 1e12 in float32.
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
    epsilon: Epsilon = 1e-3
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
        return ops.group_normalize(x, self.groups, self.axis, *_affine_of(self, params), self.epsilon)


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

    axis: int | Sequence[int] = -1
    epsilon: Epsilon = 1e-6

    passes_mask: ClassVar[bool] = True
    casts_inputs: ClassVar[str] = "all"
    casts_params: ClassVar[bool] = False

    def check(self) -> None:
        check_axes(self)

    def weights(self, shape: Shape) -> dict:
        """One number for each position along the axes."""
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

    axis: int | Sequence[int] = -1

    passes_mask: ClassVar[bool] = True
    casts_inputs: ClassVar[str] = "all"

    def check(self) -> None:
        check_axes(self)

    def check_shape(self, shape: Shape) -> None:
        """Axes that the input has."""
        check_rank(self, shape, *range(1, 16))
        normal_axes(self, len(shape))

    def call(self, params: Any, x: Any) -> Any:
        return ops.l2_normalize(x, normal_axes(self, x.ndim))


def _affine(layer: Any, size: tuple[int, ...]) -> dict[str, Param]:
    """The gamma and beta that a layer declares."""
    options = (("gamma", layer.scale), ("beta", layer.center))
    return {name: option_param(layer, name, size, decay=False) for name, used in options if used}


def _affine_of(layer: Any, params: Any) -> tuple[Any, Any]:
    """The gamma and beta in params, None where the layer has none."""
    return params["gamma"] if layer.scale else None, params["beta"] if layer.center else None


def _batch_moments(x: Any, axes: tuple[int, ...], mask: Any, mapped: bool | str) -> tuple[Any, Any, Any]:
    """Mean, variance and whether any step is valid, over the whole batch where it is split over a mapped axis."""
    if 0 in x.shape:  # the mean of no numbers is NaN, which the moving statistics would never lose
        channels = tuple(size for axis, size in enumerate(x.shape) if axis not in axes)
        return jnp.zeros(channels), jnp.ones(channels), False
    mean, variance = ops.moments(x, axes, mask)
    any_valid = True if mask is None else jnp.any(mask)
    if not mapped:
        return mean, variance, any_valid
    name = "batch" if mapped is True else mapped
    weight = 1.0 if mask is None else ops.mask_count(x, axes, mask)
    fraction = weight / jnp.maximum(jax.lax.psum(weight, name), 1e-7)
    total_mean = jax.lax.psum(fraction * mean, name)
    variance = jax.lax.psum(fraction * (variance + jnp.square(mean - total_mean)), name)
    return total_mean, variance, any_valid if mask is None else jax.lax.pmax(any_valid, name)


@dataclass(frozen=True)
class Root:
    """The square root of another initializer's values: of a variance's, for a deviation."""

    variance: Initializer

    def __call__(self, key: Any, shape: tuple[int, ...], dtype: Any) -> jax.Array:
        """The square root of the variance's initial values."""
        return jnp.sqrt(initializer(self.variance)(key, shape, dtype))
