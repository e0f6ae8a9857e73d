"""Merging: several inputs, one output."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import field
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from fnlayers import ops
from fnlayers.core.checks import check_numbers
from fnlayers.core.context import Context, Mask, Out
from fnlayers.core.errors import ConfigError, ShapeError
from fnlayers.core.layer import Layer, Shape, layerclass
from fnlayers.core.shapes import is_shape
from fnlayers.core.symbol import Symbol
from fnlayers.layers.common import normal_axis

__all__ = [
    "Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate", "Dot", "add", "subtract",
    "multiply", "average", "maximum", "minimum", "concatenate", "dot",
]  # fmt: skip


@layerclass
class Merge(Layer):
    """Inputs of one shape combined element by element.

    An axis of size 1 is broadcast to the others' size. An input with fewer axes gets axes of size 1 after its batch
    axis, as in Keras: (batch, features) with (batch, time, features).

    Shapes: a tuple of shapes -> their common shape.
    Mask: used: a step of the output is valid where that of any input that has a mask is; inputs without a mask, such as
        gates and positions, do not unmask the others. Multiply, Maximum and Minimum leave masked steps out; where
        all are masked, Multiply gives 0 and the others the first input.

    Arguments:
        keras_masks: whether to drop the mask as Keras does where one of the inputs has none.
    """

    keras_masks: bool = field(default=False, kw_only=True)

    combine: ClassVar[Callable]  # of the arrays, and where skips_masked of their masks
    skips_masked: ClassVar[bool] = False
    most: ClassVar[int | None] = None

    def check_shape(self, shape: Shape) -> None:
        """Two inputs or more, that fit."""
        check_several(self, shape, most=self.most)
        rank = max(map(len, shape))
        if () in shape or len({s[0] for s in shape} - {1, None}) > 1:
            raise ShapeError(f"{self!r}: the shapes {_listed(shape)} are not of one batch; give inputs of equal length")
        for axis in range(1, rank):  # from the end; the batch axis is the first
            sizes = {s[-axis] for s in shape if len(s) > axis} - {1, None}
            if len(sizes) > 1:
                raise ShapeError(
                    f"{self!r}: the shapes {_listed(shape)} do not fit on axis {rank - axis}; give equal sizes, or 1"
                )

    def forward(self, params: Any, x: Any, ctx: Context) -> Out:
        """Fold the inputs into one."""
        rank = max(a.ndim for a in x)
        aligned, step_masks = [self._aligned(a, rank) for a in x], ctx.mask or (None,) * len(x)
        masks = [
            m if m is None else self._aligned(ops.expand_trailing(m, a.ndim), rank)
            for m, a in zip(step_masks, x, strict=True)
        ]
        y = type(self).combine(aligned, masks) if self.skips_masked else type(self).combine(aligned)
        covered = max((rank - a.ndim + m.ndim for m, a in zip(step_masks, x, strict=True) if m is not None), default=0)
        return Out(y, mask=self._merged(masks, y.shape[:covered]))

    @staticmethod
    def _aligned(a: Any, rank: int) -> Any:
        return a.reshape(a.shape[0], *(1,) * (rank - a.ndim), *a.shape[1:])

    def _merged(self, masks: list, shape: tuple[int, ...]) -> Mask:
        """The valid steps of the output, in a mask of that shape."""
        present = [m for m in masks if m is not None]
        if not present or (self.keras_masks and len(present) < len(masks)):
            return None
        merged = functools.reduce(jnp.logical_or, present)
        return jnp.broadcast_to(merged.reshape(merged.shape[: len(shape)]), shape)


@layerclass
class Add(Merge):
    """The sum of the inputs. See `Merge`."""

    combine: ClassVar[Callable] = staticmethod(ops.sum_arrays)


@layerclass
class Subtract(Merge):
    """The first of two inputs less the second. See `Merge`."""

    combine: ClassVar[Callable] = staticmethod(functools.partial(functools.reduce, jnp.subtract))
    takes: ClassVar[str] = "ordered"
    most: ClassVar[int | None] = 2


@layerclass
class Multiply(Merge):
    """The product of the inputs, element by element. See `Merge`."""

    combine: ClassVar[Callable] = staticmethod(lambda xs, masks: _product(xs, masks))
    skips_masked: ClassVar[bool] = True


@layerclass
class Average(Merge):
    """The mean of the inputs. See `Merge`."""

    combine: ClassVar[Callable] = staticmethod(ops.average_arrays)


@layerclass
class Maximum(Merge):
    """The largest of the inputs, element by element. See `Merge`."""

    combine: ClassVar[Callable] = staticmethod(lambda xs, masks: _chosen(jnp.maximum, xs, masks))
    takes: ClassVar[str] = "real"
    skips_masked: ClassVar[bool] = True


@layerclass
class Minimum(Merge):
    """The smallest of the inputs, element by element. See `Merge`."""

    combine: ClassVar[Callable] = staticmethod(lambda xs, masks: _chosen(jnp.minimum, xs, masks))
    takes: ClassVar[str] = "real"
    skips_masked: ClassVar[bool] = True


@layerclass
class Concatenate(Layer):
    """The inputs one after the other along an axis.

    Arguments:
        axis: which; all other axes must agree.

    Shapes: a tuple of shapes -> the first, with the sizes along the axis added up.
    Mask: used: masks are concatenated likewise; an input without one counts as valid. None if no input has one.
    """

    axis: int = -1

    def check_shape(self, shape: Shape) -> None:
        """One number of axes, one size off the axis."""
        check_several(self, shape, least=1)
        if len(set(map(len, shape))) > 1:
            raise ShapeError(f"{self!r}: the shapes {_listed(shape)} differ in their number of axes")
        axis = normal_axis(self, self.axis, len(shape[0]))
        for other in set(range(len(shape[0]))) - {axis}:
            if len({s[other] for s in shape} - {None}) > 1:
                raise ShapeError(
                    f"{self!r}: the shapes {_listed(shape)} differ on axis {other}, and may only on axis {axis}; give "
                    "equal sizes"
                )

    def forward(self, params: Any, x: Any, ctx: Context) -> Out:
        """One concatenation, and one of the masks."""
        return Out(jnp.concatenate(x, self.axis), mask=self._joined(x, ctx.mask))

    def _joined(self, x: Any, masks: Mask) -> Mask:
        if masks is None or all(m is None for m in masks):
            return None

        def expand(a: Any, m: Any) -> Any:  # Keras: over every element, so that any axis can be joined
            return jnp.ones(a.shape, bool) if m is None else jnp.broadcast_to(ops.expand_trailing(m, a.ndim), a.shape)

        return jnp.any(jnp.concatenate([expand(a, m) for a, m in zip(x, masks, strict=True)], self.axis), axis=-1)


@layerclass
class Dot(Layer):
    """The sum over one axis of the product of two inputs, example by example.

    Arguments:
        axes: the axis to sum over, in both inputs, or a pair of axes; not the batch axis.
        normalize: whether to bring the vectors along the axes to length 1 first: the cosine of their angle.

    Shapes: ((batch, *a), (batch, *b)) -> (batch, *a without its axis, *b without its axis), or (batch, 1) where nothing
        is left.
    Mask: ended.
    """

    axes: int | Sequence[int]
    normalize: bool = False

    def check(self) -> None:
        pair = self.axes if isinstance(self.axes, tuple) else (self.axes,) * 2
        if len(pair) != 2 or not all(isinstance(axis, int) for axis in pair):
            raise ConfigError(f"Dot: axes={self.axes!r} is wrong; give an integer, or two of them")

    def check_shape(self, shape: Shape) -> None:
        check_several(self, shape, most=2)
        if any(len(s) < 2 for s in shape):
            raise ShapeError(f"{self!r} takes inputs with at least a batch axis and one more, got {_listed(shape)}")
        a, b = self._pair(*map(len, shape))
        if a == 0 or b == 0:
            raise ShapeError(f"{self!r}: the batch axis cannot be summed over")
        if None not in (shape[0][0], shape[1][0]) and shape[0][0] != shape[1][0]:
            raise ShapeError(f"{self!r}: the batch sizes differ: {_listed(shape)}; give inputs of one batch")
        if None not in (shape[0][a], shape[1][b]) and shape[0][a] != shape[1][b]:
            raise ShapeError(
                f"{self!r}: the sizes differ, {shape[0][a]} on axis {a} and {shape[1][b]} on axis {b}; give axes of "
                "one size"
            )

    def forward(self, params: Any, x: Any, ctx: Context) -> Out:
        a, b = self._pair(x[0].ndim, x[1].ndim)
        if self.normalize:
            check_numbers(self, x)
        left, right = (ops.l2_normalize(v, axis) for v, axis in zip(x, (a, b), strict=True)) if self.normalize else x
        y = jax.lax.dot_general(left, right, (((a,), (b,)), ((0,), (0,))))
        return Out(y[:, None] if y.ndim == 1 else y)

    def _pair(self, first: int, second: int) -> tuple[int, int]:
        a, b = (self.axes,) * 2 if isinstance(self.axes, int) else self.axes
        return normal_axis(self, a, first), normal_axis(self, b, second)


def add(inputs: Any, *others: Any) -> Any:
    """The sum of a list of Symbols or of arrays: `Add` in one call, as all of these."""
    return _merge(Add(), inputs, *others)


def subtract(inputs: Any, *others: Any) -> Any:
    """The first of two Symbols or arrays less the second. See `Subtract`."""
    return _merge(Subtract(), inputs, *others)


def multiply(inputs: Any, *others: Any) -> Any:
    """The product of several Symbols or arrays. See `Multiply`."""
    return _merge(Multiply(), inputs, *others)


def average(inputs: Any, *others: Any) -> Any:
    """The mean of several Symbols or arrays. See `Average`."""
    return _merge(Average(), inputs, *others)


def maximum(inputs: Any, *others: Any) -> Any:
    """The largest of several Symbols or arrays, element by element. See `Maximum`."""
    return _merge(Maximum(), inputs, *others)


def minimum(inputs: Any, *others: Any) -> Any:
    """The smallest of several Symbols or arrays, element by element. See `Minimum`."""
    return _merge(Minimum(), inputs, *others)


def concatenate(inputs: Sequence, axis: int = -1) -> Any:
    """Several Symbols or arrays along an axis. See `Concatenate`."""
    return _merge(Concatenate(axis), inputs)


def dot(inputs: Sequence, axes: int | tuple[int, int] = -1) -> Any:
    """The sum over axes of the product of two Symbols or arrays. See `Dot`."""
    return _merge(Dot(axes), inputs)


def _merge(layer: Layer, inputs: Any, *others: Any) -> Any:
    """The layer on a list, or on arguments one by one."""
    inputs = (inputs, *others) if others else inputs
    if not isinstance(inputs, (list, tuple)):
        name = type(layer).__name__.lower()
        raise ConfigError(f"{name} takes a list of Symbols or arrays, got {inputs!r}; write {name}([a, b])")
    symbols = any(isinstance(x, Symbol) for x in inputs)
    return layer(tuple(inputs)) if symbols else layer.apply({}, tuple(inputs))


def check_several(layer: Layer, shape: Shape, least: int = 2, most: int | None = None) -> None:
    """Raise ShapeError unless there are several inputs."""
    if is_shape(shape) or not isinstance(shape, tuple) or not least <= len(shape) <= (most or len(shape)):
        expected = f"exactly {most}" if most else f"at least {least}"
        raise ShapeError(
            f"{layer!r} takes a tuple of {expected} inputs, got {shape!r}; write layer(a, b), or "
            "layer.apply(params, (a, b))"
        )
    if any(not is_shape(s) for s in shape):
        raise ConfigError(f"{layer!r} takes a flat tuple of inputs, got {shape!r}")


def _product(xs: list, masks: list) -> Any:
    """The product of the valid steps; 0 where every input is masked."""
    xs = [x if mask is None else jnp.where(mask, x, 1) for x, mask in zip(xs, masks, strict=True)]
    y = functools.reduce(jnp.multiply, xs)
    return y if any(mask is None for mask in masks) else jnp.where(functools.reduce(jnp.logical_or, masks), y, 0)


def _chosen(choose: Callable, xs: list, masks: list) -> Any:
    """The larger (or smaller) of the valid steps, input by input; the first input's where every one is masked."""
    y, valid = xs[0], masks[0]
    for x, mask in zip(xs[1:], masks[1:], strict=True):
        other = x if mask is None else jnp.where(mask, x, y)
        y = choose(y if valid is None else jnp.where(valid, y, other), other)
        valid = None if valid is None or mask is None else valid | mask
    return y


def _listed(shapes: Shape) -> str:
    return " and ".join(map(str, shapes))
