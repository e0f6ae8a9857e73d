"""Problems: what the choice of an algorithm depends on, as plain data. A size that is not known counts as 0."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from fnlayers.half_precision import is_half_precision
from fnlayers.ops.loop import Scan
from fnlayers.ops.program import uses_xla_convolutions
from fnlayers.ops.recurrent import Carry, DenseScan, DenseWeights
from fnlayers.ops.reference import Attention, PoolWindow, TransposedWindow, Window

HAS_YNNPACK = jax.__version_info__ >= (0, 10)  # whether XLA hands convolutions on CPUs to YNNPACK, unless told not to


class ConvProblem(NamedTuple):
    """A convolution."""

    batch: int
    space: tuple[int, ...]  # sizes of x along the spatial axes
    sizes: tuple[int, ...]  # sizes of y
    channels: int  # of x
    out: int  # channels of y
    taps: int  # positions of the kernel
    window: Window
    is_half_precision: bool  # whether the kernel is in half precision, in which each partial sum would be rounded
    uses_ynnpack: bool  # whether the program's convolutions go to YNNPACK, and not to XLA's own code
    channel_axis: int = -1

    operation = "conv"

    @classmethod
    def of(cls, x: Any, kernel: Any, window: Window, channel_axis: int = -1) -> "ConvProblem | None":
        """For arrays, or what has their shape and dtype; None where something is empty, or padding is not known."""
        if 0 in x.shape or 0 in kernel.shape or isinstance(window.padding, str):
            return None
        *spans, _, out = kernel.shape
        batch, *rest = x.shape
        channels, space = (rest[-1], rest[:-1]) if channel_axis == -1 else (rest[0], rest[1:])
        sizes = window.sizes(window.padded(space), spans)
        half = kernel.dtype not in (jnp.float32, jnp.float64)
        (batch,), space, sizes = map(_known, ((batch,), space, sizes))
        ynnpack = uses_ynnpack()
        return cls(batch, space, sizes, channels, out, math.prod(spans), window, half, ynnpack, channel_axis)

    @property
    def rank(self) -> int:
        """Spatial axes."""
        return len(self.space)

    @property
    def groups(self) -> int:
        """Runs that the channels are cut into."""
        return self.window.groups

    @property
    def is_padded(self) -> bool:
        """Whether there is padding."""
        return any(map(any, self.window.padding))

    @property
    def is_strided(self) -> bool:
        """Whether the window goes in steps of more than one."""
        return any(stride > 1 for stride in self.window.strides)

    @property
    def elements(self) -> int:
        """Of x."""
        return self.batch * math.prod(self.space) * self.channels

    @property
    def positions(self) -> int:
        """Of y, over the batch and the spatial axes."""
        return self.batch * math.prod(self.sizes)

    @property
    def multiplications(self) -> int:
        """That it takes."""
        return self.positions * self.channels * self.out * self.taps


class ConvTransposeProblem(NamedTuple):
    """A transposed convolution."""

    batch: int
    space: tuple[int, ...]  # sizes of x along the spatial axes
    channels: int  # of x
    out: int  # channels of y
    kernel: tuple[int, ...]  # sizes of the kernel along the spatial axes
    window: TransposedWindow
    is_half_precision: bool  # whether numbers are in half precision, in which each partial sum would be rounded
    uses_ynnpack: bool  # whether the program's convolutions go to YNNPACK, and not to XLA's own code
    channel_axis: int = -1

    operation = "conv_transpose"

    @classmethod
    def of(cls, x: Any, kernel: Any, window: TransposedWindow, channel_axis: int = -1) -> "ConvTransposeProblem | None":
        """For arrays, or what has their shape and dtype; None where something is empty, or a size not known."""
        batch, *rest = x.shape
        space = rest[:-1] if channel_axis == -1 else rest[1:]
        *spans, out, channels = kernel.shape
        if 0 in x.shape or not all(isinstance(n, int) and n for n in (*space, *kernel.shape)):
            return None
        half = x.dtype not in (jnp.float32, jnp.float64)
        (batch,) = _known((batch,))
        return cls(batch, tuple(space), channels, out, tuple(spans), window, half, uses_ynnpack(), channel_axis)

    @property
    def is_even(self) -> bool:
        """Whether each phase meets as many taps."""
        return all(k % s == 0 for k, s in zip(self.kernel, self.window.strides, strict=True))

    @property
    def overlaps(self) -> bool:
        """Whether kernels may overlap in y."""
        return self.kernel != self.window.strides


def _known(sizes: Sequence[Any]) -> tuple[int, ...]:
    return tuple(n if isinstance(n, int) else 0 for n in sizes)


def uses_ynnpack() -> bool:
    """Whether convolutions of the program that is traced go to YNNPACK, which is slow at gradients of kernels."""
    return HAS_YNNPACK and not uses_xla_convolutions()


class PoolProblem(NamedTuple):
    """A pooling, "max_pool" or "sum_pool"."""

    operation: str
    window: PoolWindow
    elements: int  # of x
    is_known: bool  # whether the sizes of all axes are that have windows

    @classmethod
    def of(cls, operation: str, x: jax.Array, window: PoolWindow) -> "PoolProblem":
        """For that x."""
        known = all(isinstance(n, int) for n, size in zip(x.shape, window.sizes, strict=True) if size > 1)
        return cls(operation, window, math.prod(x.shape) if all(isinstance(n, int) for n in x.shape) else 0, known)

    @property
    def taps(self) -> int:
        """Elements in a window."""
        return self.window.taps

    @property
    def is_stepwise(self) -> bool:
        """Whether windows go in steps of one."""
        return max(self.window.strides) == 1

    @property
    def is_padded(self) -> bool:
        """Whether windows reach past x."""
        return any(map(any, self.window.padding))


class IdentityProblem(NamedTuple):
    """An array that is to be computed by itself, "mean_operand" or "gradient_once": nothing depends on its sizes."""

    operation: str


class DotProblem(NamedTuple):
    """A product over the last `call` axes of x and the first of the kernel."""

    x_rank: int
    kernel_rank: int
    call: int

    operation = "dot"

    @property
    def is_of_matrices(self) -> bool:
        """Whether it is a product of two matrices, or of a vector and a matrix, as it stands."""
        return self.x_rank <= self.call + 1 == self.kernel_rank


@dataclass(frozen=True)
class AttentionProblem:
    """Attention. Shapes are those of `ops.attention`."""

    query: tuple[Any, ...]
    key: tuple[Any, ...]
    value: tuple[Any, ...]
    dtypes: tuple[str, ...]  # of query, key and value
    is_plain: bool  # a dot product, without dropout, masks other than the causal one, and weights that are returned
    allows_fused: bool  # whether the caller allows a fused kernel
    is_traced: bool  # whether it is part of a program, and not called by itself
    call: Attention = field(compare=False, repr=False)

    operation: ClassVar[str] = "attention"

    @property
    def has_few_keys(self) -> bool:
        """Whether there are fewer than features."""
        keys = self.key[-3]
        return isinstance(keys, int) and keys < min(self.query[-1], self.value[-1])


@dataclass(frozen=True)
class ScanProblem:
    """A scan of steps over what is made of x."""

    before: bool | None  # whether the caller projects before the scan; None: as is fast
    call: Scan = field(compare=False, repr=False)

    operation: ClassVar[str] = "scan"


@dataclass(frozen=True)
class DenseScanProblem:
    """A scan of a cell with dense weights."""

    length: int
    batch: int
    features: int
    units: int
    gates: int
    is_known: bool  # whether length and batch are known
    is_half_precision: bool
    is_float32: bool  # whether all arrays are
    is_standard_lstm: bool  # with tanh and sigmoid, and gates in the order i, f, candidate, o
    has_masks: bool  # whether steps are masked, or h is dropped
    has_recurrent_bias: bool
    call: DenseScan = field(compare=False, repr=False)

    operation: ClassVar[str] = "scan_dense"

    @classmethod
    def of(
        cls,
        weights: DenseWeights,
        carry: Carry,
        xs: jax.Array,
        has_masks: bool,
        call: DenseScan,
        is_standard_lstm: bool,
    ) -> "DenseScanProblem":
        """For those arrays."""
        (length, batch, features), (units, width) = xs.shape, weights.recurrent.shape
        arrays = (xs, *jax.tree.leaves(carry), weights.kernel, weights.recurrent)
        return cls(
            *_known((length, batch, features)),
            units=units,
            gates=width // units,
            is_known=isinstance(length, int) and isinstance(batch, int),
            is_half_precision=is_half_precision(xs),
            is_float32=all(array.dtype == jnp.float32 for array in arrays),
            is_standard_lstm=is_standard_lstm,
            has_masks=has_masks,
            has_recurrent_bias=weights.recurrent_bias is not None,
            call=call,
        )

    @property
    def elements(self) -> int:
        """Of the gates in one step."""
        return self.batch * self.gates * self.units

    @property
    def has_four_gates(self) -> bool:
        """Whether it is an LSTM, or another cell with as many gates."""
        return self.gates > 3

    @property
    def has_many_features(self) -> bool:
        """Whether x has so many that they make most of a step's work."""
        return self.features >= 2 * self.units


Problem = (
    ConvProblem
    | ConvTransposeProblem
    | PoolProblem
    | IdentityProblem
    | DotProblem
    | AttentionProblem
    | ScanProblem
    | DenseScanProblem
)
