"""Preprocessing of numbers: scaled by constants, or brought to mean 0 and variance 1 by statistics of a data set."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np

from fnlayers.core.context import Context, Out
from fnlayers.core.errors import ConfigError, ShapeError, brief
from fnlayers.core.layer import Layer, Shape, layerclass
from fnlayers.core.options import Numbers
from fnlayers.core.shapes import known
from fnlayers.core.spec import State
from fnlayers.half_precision import accumulation_dtype
from fnlayers.layers.common import check_rank, normal_axis
from fnlayers.layers.preprocessing.host import finite_numbers
from fnlayers.layers.preprocessing.learning import adapted
from fnlayers.layers.preprocessing.moments import Moments

__all__ = ["Rescaling", "Normalization"]

SMALLEST_DEVIATION = 1e-7  # Keras's epsilon: what x is divided by at least


@layerclass
class Rescaling(Layer):
    """y = scale x + offset, in the compute dtype: integers, as of images, become floating numbers.

    Arguments:
        scale, offset: a number, or nested numbers that broadcast over the last axes of x: one for each channel.

    Shapes: unchanged.
    Mask: passed on.

    Example:
        >>> Rescaling(1 / 127.5, offset=-1.0).apply({}, jnp.array([0, 51, 255])).round(3).tolist()
        [-1.0, -0.6000000238418579, 1.0]
    """

    scale: Numbers
    offset: Numbers = 0.0

    passes_mask: ClassVar[bool] = True
    casts_inputs: ClassVar[str] = "all"

    def check(self) -> None:
        for name in ("scale", "offset"):
            _shape_of(self, name)

    def check_shape(self, shape: Shape) -> None:
        """A scale and an offset that broadcast to the input."""
        check_rank(self, shape, *range(16))
        for name in ("scale", "offset"):
            _check_broadcasts(self, name, shape)

    def call(self, params: Any, x: Any) -> Any:
        return x * jnp.asarray(self.scale, x.dtype) + jnp.asarray(self.offset, x.dtype)


@layerclass
class Normalization(Layer):
    """y = (x - mean) / sqrt(variance), by statistics of a data set: given as options, or held as state.

    `adapt` gives a layer with the statistics of some data as options. Without options they are state, mean 0 and
    variance 1 to begin with, and no pass changes them: a file of Keras whose layer was adapted brings them.

    Arguments:
        axis: the axis, or axes, along which each position has statistics of its own; None: one pair for all numbers.
        mean, variance: numbers, or tuples of them along the last ones of these axes; None: they are state.
        invert: whether to go back, y = mean + sqrt(variance) x.

    Shapes: unchanged.
    State: mean, variance (one number for each position along the axes), count (), which Keras's files hold and nothing
        reads; none where the statistics are options.
    Mask: passed on.

    Example:
        >>> Normalization(mean=[2.0, 0.0], variance=[4.0, 1.0]).apply({}, jnp.array([[4.0, 3.0]])).tolist()
        [[1.0, 3.0]]
        >>> Normalization().adapt(np.array([[0.0, 1.0], [4.0, 1.0]], "float32"))
        Normalization(mean=(2.0, 1.0), variance=(4.0, 0.0))
    """

    axis: int | Sequence[int] | None = -1
    mean: Numbers | None = None
    variance: Numbers | None = None
    invert: bool = False

    passes_mask: ClassVar[bool] = True
    casts_inputs: ClassVar[str] = "all"

    def check(self) -> None:
        """Both statistics or none, of one shape, for the axes that are named."""
        axes = _axes(self)
        if len(set(axes)) < len(axes):
            raise ConfigError(f"Normalization: axis={self.axis!r} names an axis twice")
        if (self.mean is None) != (self.variance is None):
            raise ConfigError(
                f"Normalization: mean={self.mean!r}, variance={self.variance!r}: give both, or neither for state"
            )
        if self.mean is None:
            return
        sizes = _shape_of(self, "mean")
        if sizes != _shape_of(self, "variance"):
            raise ConfigError(
                f"Normalization: mean has the shape {sizes}, variance {_shape_of(self, 'variance')}; give one of each "
                "for each position"
            )
        if len(sizes) > len(axes):
            raise ConfigError(
                f"Normalization: mean has {len(sizes)} axes and axis={self.axis!r} names {len(axes)}; name an axis of "
                "the input for each"
            )
        if np.min(np.asarray(self.variance), initial=0) < 0:
            raise ConfigError(f"Normalization: variance={self.variance!r} is wrong; give numbers of at least 0")

    def check_shape(self, shape: Shape) -> None:
        """Axes that the input has, of the sizes of the statistics."""
        check_rank(self, shape, *range(16))
        sizes = () if self.mean is None else _shape_of(self, "mean")
        for axis, size in zip(reversed(self._kept(len(shape))), reversed(sizes), strict=False):
            if size != 1 and shape[axis] not in (None, size):
                raise ShapeError(f"{self!r} has {size} means along axis {axis}, got {tuple(shape)}; give as many")

    def weights(self, shape: Shape) -> dict:
        """The statistics, where they are not options."""
        if self.mean is not None:
            return {}
        check_rank(self, shape, *range(16))
        sizes = tuple(known(shape, axis) for axis in self._kept(len(shape)))
        return {"mean": State(sizes), "variance": State(sizes, "ones"), "count": State((), "zeros", dtype="int32")}

    def forward(self, params: Any, x: Any, ctx: Context) -> Out:
        """In float32, as all normalizations."""
        names, state = ("mean", "variance"), {}
        if self.mean is None:
            state = {name: ctx.read(self, name) for name in (*names, "count")}
        source = state or {name: getattr(self, name) for name in names}
        wide = accumulation_dtype(x.dtype)
        mean, variance = (self._across(jnp.asarray(source[name], wide), x.ndim) for name in names)
        deviation = jnp.maximum(jnp.sqrt(variance), SMALLEST_DEVIATION)
        wide_x = x.astype(wide)
        y = mean + wide_x * deviation if self.invert else (wide_x - mean) / deviation
        return Out(y.astype(x.dtype), state, ctx.mask)

    def adapt(self, data: Any, *, verbose: bool = True, steps: int | None = None) -> "Normalization":
        """The layer with the mean and variance of some data as options: variance of all numbers, not of a sample.

        The data are read once, and no more than the statistics is held.

        Arguments:
            data: an array, or any iterable of batches; a list is batches, as in Keras.
            verbose: whether to show a bar where someone looks at it.
            steps: how many batches to read; None: all.

        Raises:
            ConfigError: for a layer that has statistics, for no numbers, and for NaN or infinity among them.
        """
        return adapted(self, data, verbose, steps, lists_are_arrays=False)

    def learner(self) -> "Statistics":
        """Mean and variance so far."""
        if self.mean is not None:
            raise ConfigError(f"{brief(self)} has statistics; make a layer without mean and variance to adapt it")
        return Statistics(self)

    def moments(self, numbers: np.ndarray) -> Moments:
        """Of some numbers, at each position along the axes."""
        own = self._kept(numbers.ndim)
        return Moments.of(numbers, tuple(axis for axis in range(numbers.ndim) if axis not in own))

    def _kept(self, rank: int) -> list[int]:
        """The axes with statistics of their own, in order."""
        return sorted(normal_axis(self, axis, rank) for axis in _axes(self))

    def _across(self, statistics: Any, rank: int) -> Any:
        """Statistics with an axis for each of x's; those of fewer axes are along the last ones of the layer's."""
        sizes = [1] * rank
        for axis, size in zip(reversed(self._kept(rank)), reversed(statistics.shape), strict=False):
            sizes[axis] = size
        return statistics.reshape(sizes)


class Statistics:
    """The mean and variance of the batches so far: a Learner.

    Arguments:
        layer: a Normalization.
    """

    def __init__(self, layer: Normalization) -> None:
        self.layer = layer
        self.moments: Moments | None = None

    def add(self, batch: np.ndarray, whole: bool) -> None:
        """Add the moments of a batch, in its own dtype where it is all the data, as in Keras."""
        self.layer.check_shape(batch.shape)
        numbers = finite_numbers(self.layer, batch)
        new = self.layer.moments(numbers if whole else numbers.astype(np.float64))
        if self.moments is not None and np.shape(self.moments.mean) != np.shape(new.mean):
            sizes = f"{np.shape(self.moments.mean)} and {np.shape(new.mean)}"
            raise ShapeError(f"{brief(self.layer)}: adapt got batches of {sizes} positions")
        self.moments = new if self.moments is None else self.moments.joined(new)

    def learned(self) -> Normalization:
        """The layer with them as options."""
        if self.moments is None or not self.moments.count:
            raise ConfigError(f"{brief(self.layer)}: adapt found no numbers; give data that hold some")
        mean, variance = (np.asarray(a, np.float32).tolist() for a in (self.moments.mean, self.moments.variance))
        return replace(self.layer, mean=mean, variance=variance)


def _axes(layer: Normalization) -> tuple[int, ...]:
    """The layer's axis or axes, as a tuple."""
    if layer.axis is None:
        return ()
    return tuple(layer.axis) if isinstance(layer.axis, tuple) else (layer.axis,)  # type: ignore[return-value]


def _shape_of(layer: Layer, name: str) -> tuple[int, ...]:
    """The shape of nested numbers; ConfigError where rows differ in length."""
    try:
        return np.shape(getattr(layer, name))
    except ValueError:
        raise ConfigError(
            f"{type(layer).__name__}: {name}={getattr(layer, name)!r} has rows of several lengths"
        ) from None


def _check_broadcasts(layer: Layer, name: str, shape: Shape) -> None:
    """Raise ShapeError for an option that has more axes than the input, or other sizes."""
    sizes = _shape_of(layer, name)
    last = tuple(shape)[len(shape) - len(sizes) :] if len(sizes) <= len(shape) else None
    if last is None or any(a != 1 and b not in (None, a) for a, b in zip(sizes, last, strict=True)):
        raise ShapeError(f"{layer!r}: a {name} of the shape {sizes} does not broadcast to the input's {tuple(shape)}")
