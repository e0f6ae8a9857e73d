"""Reshaping: the same numbers in another shape."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import jax.numpy as jnp

from fnlayers import ops
from fnlayers.core.checks import check_numbers
from fnlayers.core.errors import ConfigError, ShapeError
from fnlayers.core.layer import Layer, Shape, layerclass
from fnlayers.core.options import DataFormat, Interpolation
from fnlayers.core.shapes import known, per_axis
from fnlayers.layers.common import channel_axis, check_count, check_rank, layout_of, space_of

__all__ = [
    "Flatten", "Reshape", "Permute", "RepeatVector", "ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D",
    "Cropping1D", "Cropping2D", "Cropping3D", "UpSampling1D", "UpSampling2D", "UpSampling3D",
]  # fmt: skip


@layerclass
class Flatten(Layer):
    """All axes but the batch in one.

    Arguments:
        data_format: "channels_first" moves the channels to the end first, so that both formats flatten alike.

    Shapes: (batch, ...) -> (batch, product); (batch,) -> (batch, 1). All axes but the batch must be known.
    Mask: refused; it would have no steps left.
    """

    data_format: DataFormat | None = None

    def check(self) -> None:
        """A known format."""

    def check_shape(self, shape: Shape) -> None:
        check_rank(self, shape, *range(1, 16))
        for axis in range(1, len(shape)):
            known(shape, axis)

    def call(self, params: Any, x: Any) -> Any:
        if channel_axis(self) == 1 and x.ndim > 2:
            x = jnp.moveaxis(x, 1, -1)
        return x.reshape(x.shape[0], math.prod(x.shape[1:]))


@layerclass
class Reshape(Layer):
    """The same numbers, in order, in another shape.

    Arguments:
        target_shape: the new shape without the batch axis; one size may be -1: what is left.

    Shapes: (batch, ...) -> (batch, *target_shape).
    Mask: refused.
    """

    target_shape: Sequence[int]

    def check(self) -> None:
        """Positive sizes, one of them -1 at most."""
        sizes = self.target_shape
        if not isinstance(sizes, tuple) or not all(isinstance(n, int) and (n > 0 or n == -1) for n in sizes):
            raise ConfigError(
                f"Reshape: target_shape={sizes!r} is wrong; give a tuple of positive sizes, one may be -1"
            )
        if sizes.count(-1) > 1:
            raise ConfigError(f"Reshape: target_shape={sizes!r} has -1 more than once; only one size can be computed")

    def check_shape(self, shape: Shape) -> None:
        """As many numbers after as before."""
        check_rank(self, shape, *range(1, 16))
        count = None if None in shape[1:] else math.prod(shape[1:])
        expected = math.prod(n for n in self.target_shape if n != -1)
        if count is not None and (count % expected if -1 in self.target_shape else count != expected):
            raise ShapeError(
                f"{self!r}: an input of {tuple(shape)} has {count} elements for each example, which do not fit"
            )

    def call(self, params: Any, x: Any) -> Any:
        sizes, example = self.target_shape, x.shape[1:]
        if -1 in sizes and all(isinstance(n, int) for n in example):  # a batch of 0 does not say what is left
            left = math.prod(example) // math.prod(n for n in sizes if n != -1)
            sizes = tuple(left if n == -1 else n for n in sizes)
        return x.reshape(x.shape[0], *sizes)


@layerclass
class Permute(Layer):
    """The axes in another order.

    Arguments:
        dims: the old position, counted from 1, of each new axis; the batch axis stays.

    Shapes: (batch, a1, ..., an) -> (batch, a[dims[0]], ..., a[dims[n-1]]).
    Mask: refused.
    """

    dims: Sequence[int]

    def check(self) -> None:
        """A permutation of 1 to n."""
        if not isinstance(self.dims, tuple) or sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ConfigError(f"Permute: dims={self.dims!r} is wrong; give the numbers 1 to n in a new order")

    def check_shape(self, shape: Shape) -> None:
        """An axis for each number."""
        check_rank(self, shape, len(self.dims) + 1)

    def call(self, params: Any, x: Any) -> Any:
        return jnp.transpose(x, (0, *self.dims))


@layerclass
class RepeatVector(Layer):
    """The same vector n times.

    Arguments:
        n: how many times.

    Shapes: (batch, features) -> (batch, n, features).
    Mask: refused.
    """

    n: int

    def check(self) -> None:
        check_count(self, "n")

    def check_shape(self, shape: Shape) -> None:
        check_rank(self, shape, 2, layout="(batch, features)")

    def call(self, params: Any, x: Any) -> Any:
        return jnp.repeat(x[:, None], self.n, axis=1)


@layerclass
class ZeroPad(Layer):
    """Zeros around the spatial axes. Base of ZeroPadding1D to 3D.

    Arguments:
        padding: how many elements: one number for all sides, one for each axis, or a pair (before, after) for each.
        data_format: "channels_last" (the default) or "channels_first".

    Shapes: space -> space + before + after.
    Mask: refused.
    """

    padding: int | tuple
    data_format: DataFormat | None = None

    rank: ClassVar[int]

    def check(self) -> None:
        """Pairs of counts, and a known format."""
        pairs_of(self, self.padding, "padding")

    def check_shape(self, shape: Shape) -> None:
        """The right number of axes."""
        check_rank(self, shape, self.rank + 2, layout=layout_of(self, self.rank))

    def call(self, params: Any, x: Any) -> Any:
        return ops.zero_pad(x, pairs_of(self, self.padding, "padding"), self.data_format or "channels_last")


@layerclass
class ZeroPadding1D(ZeroPad):
    """Zeros before and after the steps. See `ZeroPad`."""

    padding: int | tuple = 1

    rank: ClassVar[int] = 1


@layerclass
class ZeroPadding2D(ZeroPad):
    """Zeros around height and width. See `ZeroPad`."""

    padding: int | tuple = (1, 1)

    rank: ClassVar[int] = 2


@layerclass
class ZeroPadding3D(ZeroPad):
    """Zeros around depth, height and width. See `ZeroPad`."""

    padding: int | tuple = ((1, 1), (1, 1), (1, 1))

    rank: ClassVar[int] = 3


@layerclass
class Crop(Layer):
    """The spatial axes with elements cut off at their ends. Base of Cropping1D to 3D.

    Arguments:
        cropping: how many elements: one number for all sides, one for each axis, or a pair (before, after) for each.
        data_format: "channels_last" (the default) or "channels_first".

    Shapes: space -> space - before - after, at least 1.
    Mask: refused.
    """

    cropping: int | tuple
    data_format: DataFormat | None = None

    rank: ClassVar[int]

    def check(self) -> None:
        """Pairs of counts, and a known format."""
        pairs_of(self, self.cropping, "cropping")

    def check_shape(self, shape: Shape) -> None:
        check_rank(self, shape, self.rank + 2, layout=layout_of(self, self.rank))
        for size, cut in zip(space_of(self, shape), pairs_of(self, self.cropping, "cropping"), strict=True):
            if size is not None and size <= sum(cut):
                raise ShapeError(f"{self!r} cuts {sum(cut)} of {size} elements, which leaves none; cut fewer")

    def call(self, params: Any, x: Any) -> Any:
        return ops.crop(x, pairs_of(self, self.cropping, "cropping"), self.data_format or "channels_last")


@layerclass
class Cropping1D(Crop):
    """Steps cut off at both ends. See `Crop`."""

    cropping: int | tuple = (1, 1)

    rank: ClassVar[int] = 1


@layerclass
class Cropping2D(Crop):
    """Height and width cut at both ends. See `Crop`."""

    cropping: int | tuple = ((0, 0), (0, 0))

    rank: ClassVar[int] = 2


@layerclass
class Cropping3D(Crop):
    """Depth, height and width cut at both ends. See `Crop`."""

    cropping: int | tuple = ((1, 1), (1, 1), (1, 1))

    rank: ClassVar[int] = 3


@layerclass
class UpSample(Layer):
    """Each spatial axis made `size` times as long. Base of UpSampling1D to 3D.

    Arguments:
        size: how many times, one number for all axes or one for each.
        data_format: "channels_last" (the default) or "channels_first".

    Shapes: space -> space * size.
    Mask: refused.
    """

    size: int | Sequence[int] = 2
    data_format: DataFormat | None = None

    rank: ClassVar[int]
    interpolation: ClassVar[Interpolation] = "nearest"  # a field of UpSampling2D

    def check(self) -> None:
        """Whole factors, and a known format."""
        per_axis(self.size, self.rank, f"{type(self).__name__}: size")

    def check_shape(self, shape: Shape) -> None:
        """The right number of axes."""
        check_rank(self, shape, self.rank + 2, layout=layout_of(self, self.rank))

    def call(self, params: Any, x: Any) -> Any:
        if self.interpolation != "nearest":
            check_numbers(self, x)
        return ops.upsample(x, per_axis(self.size, self.rank), self.interpolation, self.data_format or "channels_last")


@layerclass
class UpSampling1D(UpSample):
    """Each step repeated `size` times. See `UpSample`."""

    rank: ClassVar[int] = 1


@layerclass
class UpSampling2D(UpSample):
    """Height and width enlarged by repeating or resampling. See `UpSample`.

    Arguments:
        interpolation: "nearest" (repeats elements), "bilinear", "bicubic", "lanczos3" or "lanczos5".
    """

    interpolation: Interpolation = "nearest"

    rank: ClassVar[int] = 2


@layerclass
class UpSampling3D(UpSample):
    """Depth, height and width enlarged by repeating. See `UpSample`."""

    rank: ClassVar[int] = 3


def pairs_of(layer: Any, value: Any, name: str) -> tuple[tuple[int, int], ...]:
    """How many elements (before, after) on each axis: (1, 2) -> ((1, 1), (2, 2)), but in 1-D (1, 2) is a pair."""
    rank = layer.rank
    pair = isinstance(value, tuple) and len(value) == 2 and rank == 1 and all(isinstance(n, int) for n in value)
    sides = (value,) if pair else value if isinstance(value, tuple) else (value,) * rank
    pairs = tuple((side, side) if isinstance(side, int) else side for side in sides)
    good = len(pairs) == rank and all(isinstance(p, tuple) and len(p) == 2 for p in pairs)
    if not good or not all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for p in pairs for n in p):
        raise ConfigError(
            f"{type(layer).__name__}: {name}={value!r} is wrong; give a whole number, or (before, after) for "
            f"each of the {rank} axes"
        )
    return pairs
