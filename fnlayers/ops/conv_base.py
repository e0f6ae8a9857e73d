"""What the formulations of convolutions share: windows, their cells, the plain call, and what rules look at.

Shapes: x (batch, *space, channels), kernel (*window, channels / groups, out), y (batch, *new_space, out).
"""

import functools
import itertools
import math
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from fnlayers.ops.layout import channel_axis

MOST_CELLS = 64  # of a window that is gone through one by one
WIDE = (jnp.float32, jnp.float64)  # in others each of several parts would be rounded before they are added


class Window(NamedTuple):
    """How a kernel goes over x: numbers for each axis of space."""

    strides: tuple[int, ...]
    padding: Any  # (before, after) in cells for each; or lax's word for them, where sizes are not known
    dilation: tuple[int, ...]
    groups: int = 1

    def sizes(self, space: Sequence[int], window: Sequence[int]) -> tuple[int, ...]:
        """The cells of y along each axis of space, for those of x, which is padded."""
        spans = ((k - 1) * d + 1 for k, d in zip(window, self.dilation, strict=True))
        return tuple((n - span) // s + 1 for n, span, s in zip(space, spans, self.strides, strict=True))


def plain(x: jax.Array, kernel: jax.Array, w: Window, data_format: str = "channels_last") -> jax.Array:
    """The reference: one call."""
    return lax.conv_general_dilated(
        x,
        kernel,
        window_strides=w.strides,
        padding=w.padding,
        rhs_dilation=w.dilation,
        dimension_numbers=dimension_numbers(x.ndim - 2, data_format, "IO"),
        feature_group_count=w.groups,
    )


def padded(x: jax.Array, w: Window) -> jax.Array:
    """X with zeros around it."""
    return jnp.pad(x, [(0, 0), *w.padding, (0, 0)]) if any(map(any, w.padding)) else x


def padded_space(space: Sequence[int], w: Window) -> list[int]:
    """The axes of space with the zeros around."""
    return [n + sum(pads) for n, pads in zip(space, w.padding, strict=True)]


def shifts(x: jax.Array, window: Sequence[int], w: Window) -> Iterator[tuple[tuple[int, ...], jax.Array]]:
    """For each cell q of the window: q, and what it meets in x, which is padded; of y's size."""
    sizes = w.sizes(x.shape[1:-1], window)
    for q in itertools.product(*map(range, window)):
        yield q, shifted(x, q, sizes, w)


def shifted(x: jax.Array, q: Sequence[int], sizes: Sequence[int], w: Window) -> jax.Array:
    """What the cell q of the window meets in x."""
    for axis, (n, size, stride, dilation) in enumerate(zip(q, sizes, w.strides, w.dilation, strict=True), 1):
        start = n * dilation
        x = lax.slice_in_dim(x, start, start + (size - 1) * stride + 1, stride, axis)
    return x


def total(terms: Iterable[jax.Array]) -> jax.Array:
    """Their sum."""
    return functools.reduce(operator.add, terms)


def dimension_numbers(rank: int, data_format: str, kernel: str) -> tuple[str, str, str]:
    """The letters of x, kernel and y for lax: N batch, C channels, I and O the kernel's channels in and out."""
    space = "DHW"[-rank:]
    x = f"N{space}C" if channel_axis(data_format) == -1 else f"NC{space}"
    return x, space + kernel, x


class Case(NamedTuple):
    """What the rules look at: sizes, of which 0 is one that is not known."""

    batch: int
    space: tuple[int, ...]  # cells of x
    sizes: tuple[int, ...]  # cells of y
    channels: int  # of x
    out: int  # channels of y
    cells: int  # of the window
    w: Window
    wide: bool  # whether numbers are of a dtype in which sums may be rounded part by part

    @classmethod
    def of(cls, shape: Sequence[int], kernel: Any, w: Window) -> "Case | None":
        """For x of that shape; None where a kernel is empty, or padding is not known."""
        if 0 in kernel.shape or isinstance(w.padding, str):
            return None
        *window, _, out = kernel.shape
        batch, *space, channels = shape
        sizes = w.sizes(padded_space(space, w), window)
        known = [n if isinstance(n, int) else 0 for n in (batch, *space, *sizes)]
        rank = len(space)
        space, sizes = (*known[1 : 1 + rank],), (*known[1 + rank :],)
        return cls(known[0], space, sizes, channels, out, math.prod(window), w, kernel.dtype in WIDE)

    @property
    def rank(self) -> int:
        """Axes of space."""
        return len(self.space)

    @property
    def places(self) -> int:
        """Cells of y, over the batch and space."""
        return self.batch * math.prod(self.sizes)

    @property
    def work(self) -> int:
        """How many multiplications it takes."""
        return self.places * self.channels * self.out * self.cells


Form = Callable[[jax.Array, jax.Array, Window], jax.Array]


class Rule(NamedTuple):
    """A formulation, and the cases for which it is taken."""

    form: Form
    holds: Callable[[Case], bool]


def first(rules: Sequence[Rule], case: Case | None) -> Rule | None:
    """The first rule that holds."""
    return None if case is None else next((rule for rule in rules if rule.holds(case)), None)
