"""Over which axes of a mesh the arrays of a traced program are split, followed from its inputs forward."""

import math
from collections.abc import Sequence
from typing import Any

Names = tuple[str, ...]
Axes = tuple[Names, ...]  # for each axis of an array, the axes of the mesh that it is split over
Rows = tuple[int, Names]


def of_results(name: str, params: dict, reads: Sequence[Any], avals: Sequence[Any], rows: Rows) -> list[Axes]:
    """The axes of each result.

    Arguments:
        name, params: the operation.
        reads: what it reads, with `aval` and `axes`.
        avals: the types of its results.
        rows: (how many examples a batch has, their axes of the mesh): of results that come from no split array, such as
            zeros and random numbers, the first axis is split so, if it is as long.
    """
    rule = _RULES.get(name)
    out = []
    for aval in avals:
        shape = getattr(aval, "shape", ())
        axes = rule(params, reads, shape) if rule else _like(params, reads, shape)
        if not any(axes) and not any(any(value.axes) for value in reads) and shape[:1] == (rows[0],):
            axes = (rows[1], *axes[1:])
        out.append(_once(axes))
    return out


def _once(axes: Sequence[Names]) -> Axes:
    """Each axis of the mesh where it is first."""
    taken: set[str] = set()
    out = []
    for names in axes:
        out.append(tuple(name for name in names if name not in taken))
        taken.update(names)
    return tuple(out)


def _like(params: dict, reads: Sequence[Any], shape: tuple[int, ...]) -> Axes:
    """As in what is read, where an axis is as long."""
    out: list[Names] = [()] * len(shape)
    for value in reads:
        if len(value.axes) == len(shape):
            same = zip(value.aval.shape, value.axes, strict=True)
            for i, (size, names) in enumerate(same):
                if size == shape[i] and not out[i]:
                    out[i] = names
    return tuple(out)


def _broadcast(params: dict, reads: Sequence[Any], shape: tuple[int, ...]) -> Axes:
    out: list[Names] = [()] * len(shape)
    for i, size, names in zip(params["broadcast_dimensions"], reads[0].aval.shape, reads[0].axes, strict=True):
        out[i] = names if size == shape[i] else ()
    return tuple(out)


def _transpose(params: dict, reads: Sequence[Any], shape: tuple[int, ...]) -> Axes:
    return tuple(reads[0].axes[i] for i in params["permutation"])


def _reduce(params: dict, reads: Sequence[Any], shape: tuple[int, ...]) -> Axes:
    return tuple(names for i, names in enumerate(reads[0].axes) if i not in params["axes"])


def _reshape(params: dict, reads: Sequence[Any], shape: tuple[int, ...]) -> Axes:
    """The first axis of those that become one, or of those that one becomes, has the axes of the mesh."""
    old, out = reads[0].aval.shape, [()] * len(shape)
    if not math.prod(shape):
        return tuple(out)
    i = j = 0
    while i < len(old) and j < len(shape):
        first, target, a, b = i, j, old[i], shape[j]
        while a != b:
            if a < b:
                i += 1
                a *= old[i]
            else:
                j += 1
                b *= shape[j]
        i, j = i + 1, j + 1
        while target < j - 1 and shape[target] == 1:
            target += 1
        out[target] = next((reads[0].axes[k] for k in range(first, i) if reads[0].axes[k]), ())
    return tuple(out)


def _dot(params: dict, reads: Sequence[Any], shape: tuple[int, ...]) -> Axes:
    (of_left, of_right), (left_batch, right_batch) = params["dimension_numbers"]
    left, right = (value.axes for value in reads[:2])
    batch = [left[i] or right[j] for i, j in zip(left_batch, right_batch, strict=True)]
    free = [names for i, names in enumerate(left) if i not in (*of_left, *left_batch)]
    free += [names for i, names in enumerate(right) if i not in (*of_right, *right_batch)]
    summed = {name for i in of_left for name in left[i]} & {name for i in of_right for name in right[i]}
    return tuple(tuple(name for name in names if name not in summed) for names in (*batch, *free))


def _conv(params: dict, reads: Sequence[Any], shape: tuple[int, ...]) -> Axes:
    numbers = params["dimension_numbers"]
    out: list[Names] = [()] * len(shape)
    out[numbers.out_spec[0]] = reads[0].axes[numbers.lhs_spec[0]]
    out[numbers.out_spec[1]] = reads[1].axes[numbers.rhs_spec[0]]
    return tuple(out)


def _gather(params: dict, reads: Sequence[Any], shape: tuple[int, ...]) -> Axes:
    numbers, indices = params["dimension_numbers"], reads[1]
    out: list[Names] = [()] * len(shape)
    batch = [i for i in range(len(shape)) if i not in numbers.offset_dims]
    for i, names in zip(batch, indices.axes, strict=False):
        out[i] = names
    return tuple(out)


def _first(params: dict, reads: Sequence[Any], shape: tuple[int, ...]) -> Axes:
    return reads[0].axes if len(reads[0].axes) == len(shape) else _like(params, reads, shape)


def _squeeze(params: dict, reads: Sequence[Any], shape: tuple[int, ...]) -> Axes:
    return tuple(names for i, names in enumerate(reads[0].axes) if i not in params["dimensions"])


_RULES = {
    "broadcast_in_dim": _broadcast,
    "conv_general_dilated": _conv,
    "dot_general": _dot,
    "gather": _gather,
    "reshape": _reshape,
    "scatter": _first,
    "scatter-add": _first,
    "squeeze": _squeeze,
    "transpose": _transpose,
    **dict.fromkeys(
        ("argmax", "argmin", "reduce_and", "reduce_max", "reduce_min", "reduce_or", "reduce_prod", "reduce_sum"),
        _reduce,
    ),
}
