"""Initializers whose variance follows from how many inputs and outputs a unit has."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np

from fnlayers.functions import draws
from fnlayers.functions.initializers.base import Key, RandomInitializer, Shape
from fnlayers.functions.options import check_axes, is_axes, is_number
from fnlayers.kinds import Seed
from fnlayers.plain_data import recordclass

Axes = Sequence[int] | None
Mode = Literal["fan_in", "fan_out", "fan_avg"]
Distribution = Literal["uniform", "truncated_normal", "untruncated_normal", "normal"]
DISTRIBUTIONS = ("uniform", "truncated_normal", "untruncated_normal")
TRUNCATED_STDDEV = 0.87962566103423978  # of a unit normal that is cut at -2 and 2


def fans(shape: Sequence[int], input_axes: Axes = None, output_axes: Axes = None) -> tuple[int, int]:
    """How many inputs and how many outputs a unit of a weight of that shape has.

    A vector of n counts as n and n. A kernel (*space, in, out) has in * prod(space) and out * prod(space), a depthwise
    one (*space, channels, multiplier) accordingly. Where both `input_axes` and `output_axes` are given, the fans are
    the products of those axes.

    >>> fans((20, 30)), fans((3, 3, 8, 16)), fans((8, 4, 16), input_axes=(0,), output_axes=(1, 2))
    ((20, 30), (72, 144), (8, 64))
    """
    if input_axes is not None and output_axes is not None:  # Keras: one without the other is ignored
        return math.prod(shape[axis] for axis in input_axes), math.prod(shape[axis] for axis in output_axes)
    if len(shape) < 2:
        return (shape[0], shape[0]) if shape else (1, 1)
    space = math.prod(shape[:-2])
    return space * shape[-2], space * shape[-1]


class _ByFans(RandomInitializer):
    """Base of the initializers that look at a unit's fans; a subclass says its scale, mode and distribution."""

    input_axes: Axes
    output_axes: Axes

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("input_axes", "output_axes"):
            axes = getattr(self, name)
            self._check(axes is None or (isinstance(axes, tuple) and is_axes(axes)), name, "a tuple of axes or None")

    def _law(self) -> tuple[float, str, str]:
        raise NotImplementedError

    def _sample(self, key: Key, shape: Shape, dtype: np.dtype) -> Any:
        scale, mode, distribution = self._law()
        for axes in (self.input_axes, self.output_axes):
            check_axes(type(self).__name__, axes or (), len(shape))
        fan_in, fan_out = fans(shape, self.input_axes, self.output_axes)
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[mode]
        stddev = math.sqrt(scale / max(1.0, fan))
        if distribution == "uniform":
            limit = math.sqrt(3) * stddev
            return draws.uniform(key, shape, dtype, -limit, limit)
        if distribution == "untruncated_normal":
            return draws.normal(key, shape, dtype, lambda x: stddev * x)
        return draws.truncated_normal(key, shape, dtype, lambda x: stddev / TRUNCATED_STDDEV * x)


@recordclass
class VarianceScaling(_ByFans):
    """Numbers of mean 0 and variance scale / n, where n is the number of units that a unit is connected with.

    Arguments:
        scale: a positive number.
        mode: what n is: "fan_in" the inputs of a unit, "fan_out" its outputs, "fan_avg" their mean. See `fans`.
        distribution: "truncated_normal" (or "normal"; cut at two standard deviations, and scaled so that the
            variance is right after the cut), "untruncated_normal" or "uniform".
        seed: an integer folded into the key, or None.
        input_axes, output_axes: the axes of the weight that count as inputs and as outputs; give both or neither.

    Reference: K. He, X. Zhang, S. Ren, J. Sun, "Delving deep into rectifiers", 2015.

    >>> VarianceScaling(2.0, mode="fan_out")
    VarianceScaling(scale=2.0, mode='fan_out')
    """

    scale: float = 1.0
    mode: Mode = "fan_in"
    distribution: Distribution = "truncated_normal"
    seed: Seed = None
    input_axes: Axes = None
    output_axes: Axes = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check(is_number(self.scale) and self.scale > 0, "scale", "a positive number")
        name = str(self.distribution).lower()
        self._store("distribution", "truncated_normal" if name == "normal" else name)
        self._choose("distribution", DISTRIBUTIONS)

    def _law(self) -> tuple[float, str, str]:
        return self.scale, self.mode, self.distribution


@recordclass
class _NamedScaling(_ByFans):
    """Base of the six cases of VarianceScaling that have names of their own."""

    seed: Seed = None
    input_axes: Axes = None
    output_axes: Axes = None
    law: ClassVar[tuple[float, str, str]]

    def _law(self) -> tuple[float, str, str]:
        return self.law


@recordclass
class GlorotUniform(_NamedScaling):
    """Uniform over [-limit, limit), limit = sqrt(6 / (fan_in + fan_out)). Arguments as in VarianceScaling.

    Reference: X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010.
    """

    law: ClassVar = (1.0, "fan_avg", "uniform")


@recordclass
class GlorotNormal(_NamedScaling):
    """Truncated normal of standard deviation sqrt(2 / (fan_in + fan_out)). Arguments as in VarianceScaling.

    Reference: X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010.
    """

    law: ClassVar = (1.0, "fan_avg", "truncated_normal")


@recordclass
class HeUniform(_NamedScaling):
    """Uniform over [-limit, limit), limit = sqrt(6 / fan_in). Arguments as in VarianceScaling.

    Reference: K. He, X. Zhang, S. Ren, J. Sun, "Delving deep into rectifiers", 2015.
    """

    law: ClassVar = (2.0, "fan_in", "uniform")


@recordclass
class HeNormal(_NamedScaling):
    """Truncated normal of standard deviation sqrt(2 / fan_in). Arguments as in VarianceScaling.

    Reference: K. He, X. Zhang, S. Ren, J. Sun, "Delving deep into rectifiers", 2015.
    """

    law: ClassVar = (2.0, "fan_in", "truncated_normal")


@recordclass
class LecunUniform(_NamedScaling):
    """Uniform over [-limit, limit), limit = sqrt(3 / fan_in). Arguments as in VarianceScaling.

    Reference: Y. LeCun, L. Bottou, G. Orr, K.-R. Müller, "Efficient backprop", 1998.
    """

    law: ClassVar = (1.0, "fan_in", "uniform")


@recordclass
class LecunNormal(_NamedScaling):
    """Truncated normal of standard deviation sqrt(1 / fan_in). Arguments as in VarianceScaling.

    Reference: Y. LeCun, L. Bottou, G. Orr, K.-R. Müller, "Efficient backprop", 1998.
    """

    law: ClassVar = (1.0, "fan_in", "truncated_normal")
