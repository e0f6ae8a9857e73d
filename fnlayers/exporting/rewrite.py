"""Programs of jax in the operations that jax2onnx converts: the same numbers, by other primitives."""

import contextlib
import contextvars
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn

from fnlayers.ops.jaxprs import run_equation, run_program

# Primitives that call a program, by the name of the parameter that holds it.
CALLS = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "remat2": "jaxpr",
    "checkpoint": "jaxpr",
}


_sources: contextvars.ContextVar[Mapping[Any, tuple]] = contextvars.ContextVar("sources")


@contextlib.contextmanager
def _open_sizes(arrays: tuple) -> Iterator[None]:
    """Within it the inputs say where each symbolic size comes from: {size: (array, axis)}."""
    sizes = [(n, x, axis) for x in arrays for axis, n in enumerate(x.shape) if not isinstance(n, int)]
    token = _sources.set({n: (x, axis) for n, x, axis in reversed(sizes)})
    try:
        yield
    finally:
        _sources.reset(token)


def rewritten(program: ClosedJaxpr) -> Callable[..., list]:
    """The program as a function of arrays, with the calls of RULES in place of their primitives."""

    def run(*arrays: Any) -> list:
        with _open_sizes(arrays):
            # copied, since the converter names each array once: none may be an input and an output, or two outputs
            return [jnp.copy(y) for y in _run(program.jaxpr, program.consts, arrays)]

    return run


def _run(jaxpr: Jaxpr, consts: Any, arrays: Any) -> list:
    return run_program(jaxpr, consts, arrays, _called)


def _called(jaxpr: Jaxpr, equation: JaxprEqn, inputs: list) -> list:
    name, params = equation.primitive.name, equation.params
    if name in CALLS:
        inner = params[CALLS[name]]
        inner, consts = (inner.jaxpr, inner.consts) if isinstance(inner, ClosedJaxpr) else (inner, ())
        return _run(inner, consts, inputs)
    if name in RULES and (results := RULES[name](*inputs, **params)) is not None:
        return results
    return run_equation(jaxpr, equation, inputs)


def _conv(x: jax.Array, kernel: jax.Array, *, dimension_numbers: Any, **params: Any) -> list | None:
    """A convolution with the channels before space, the layout of ONNX."""
    if x.ndim > 5 or params["batch_group_count"] != 1:
        return None
    params = {name: value for name, value in params.items() if name not in ("lhs_shape", "rhs_shape")}
    x_axes, kernel_axes, y_axes = dimension_numbers
    convolved = _conv_of_volumes if x.ndim == 5 else _conv_channels_first
    y = convolved(lax.transpose(x, x_axes), lax.transpose(kernel, kernel_axes), **params)
    places = [y_axes.index(axis) for axis in range(x.ndim)]
    return [lax.transpose(y, places)]


def _conv_channels_first(x: jax.Array, kernel: jax.Array, **params: Any) -> jax.Array:
    plain = lax.ConvDimensionNumbers(*[tuple(range(x.ndim))] * 3)
    return lax.conv_general_dilated_p.bind(x, kernel, dimension_numbers=plain, **params)


def _conv_of_volumes(x: jax.Array, kernel: jax.Array, **params: Any) -> jax.Array:
    """A convolution over (batch, channels, depth, height, width), as a sum of one over images for each tap of depth.

    The converter has none of three spatial axes. The depths of the output are part of the batch meanwhile.
    """
    settings = ("window_strides", "padding", "lhs_dilation", "rhs_dilation")
    stride, padding, spread, dilation = (params[name][0] for name in settings)
    of_images = params | {name: params[name][1:] for name in settings}
    if spread > 1:  # zeros between the depths, and none after the last
        zeros = [(0, 0, 0)] * 3 + [(0, spread - 1, 0)] + [(0, 0, 0)] * 2
        x = _padded(x[:, :, :, None], _zero(x.dtype), zeros).reshape(*x.shape[:2], -1, *x.shape[3:])
        padding = (padding[0], padding[1] - spread + 1)
    x = lax.slice_in_dim(x, max(-padding[0], 0), x.shape[2] - max(-padding[1], 0), axis=2)
    x = _padded(x, _zero(x.dtype), [(0, 0, 0)] * 2 + [(*(max(n, 0) for n in padding), 0)] + [(0, 0, 0)] * 2)
    taps, count = kernel.shape[2], (x.shape[2] - (kernel.shape[2] - 1) * dilation - 1) // stride + 1
    depths = []
    for tap in range(taps):
        first = tap * dilation
        part = lax.slice_in_dim(x, first, first + (count - 1) * stride + 1, stride, axis=2)
        images = jnp.moveaxis(part, 2, 1).reshape(-1, x.shape[1], *x.shape[3:])
        depths.append(_conv_channels_first(images, kernel[:, :, tap], **of_images))
    y = functools.reduce(lax.add, depths)
    return jnp.moveaxis(y.reshape(-1, count, *y.shape[1:]), 1, 2)


def _window(combine: Callable, start: Callable, x: jax.Array, **params: Any) -> list | None:
    """A maximum or sum over windows, axis by axis, as one of slices: sizes may be open on axes without a window."""
    dilations = zip(params["base_dilation"], params["window_dilation"], strict=True)
    if any(pair != (1, 1) for pair in dilations):
        return None
    settings = zip(params["window_dimensions"], params["window_strides"], params["padding"], strict=True)
    for axis, (size, stride, padding) in enumerate(settings):
        if (size, stride, tuple(padding)) == (1, 1, (0, 0)):
            continue
        widths = [(0, 0, 0)] * x.ndim
        widths[axis] = (*padding, 0)
        padded = _padded(x, start(x.dtype), widths) if any(padding) else x
        count = (padded.shape[axis] - size) // stride + 1
        parts = [
            lax.slice_in_dim(padded, first, first + (count - 1) * stride + 1, stride, axis) for first in range(size)
        ]
        x = functools.reduce(combine, parts)
    return [x]


def _pad(x: jax.Array, value: jax.Array, *, padding_config: Any) -> list | None:
    """Padding, axis by axis, as one that puts arrays end to end: the converter's has no open sizes."""
    if any(low < 0 or high < 0 or between for low, high, between in padding_config):
        return None
    return [_padded(x, value, padding_config)]


def _padded(x: jax.Array, value: jax.Array, config: Any) -> jax.Array:
    for axis, (low, high, _) in enumerate(config):
        ends = [_filled(value, (*x.shape[:axis], n, *x.shape[axis + 1 :])) if n else None for n in (low, high)]
        parts = [part for part in (ends[0], x, ends[1]) if part is not None]
        x = lax.concatenate(parts, axis) if len(parts) > 1 else x
    return x


def _filled(value: jax.Array, shape: tuple) -> jax.Array:
    broadcast = _broadcast(value, shape=shape, broadcast_dimensions=(), sharding=None)
    return lax.full(shape, value) if broadcast is None else broadcast[0]


def _broadcast(x: jax.Array, *, shape: tuple, broadcast_dimensions: tuple, **params: Any) -> list | None:
    """A broadcast to open sizes, as one to 1 and a choice next to falses that have the size from an input.

    The converter takes the open sizes of a broadcast from axes that they do not belong to.
    """
    sizes, sources = dict(zip(broadcast_dimensions, x.shape, strict=True)), _sources.get({})
    opened = [axis for axis, n in enumerate(shape) if n in sources and sizes.get(axis) != n]
    if not opened:
        return None
    closed = tuple(1 if axis in opened else n for axis, n in enumerate(shape))
    y = lax.broadcast_in_dim_p.bind(x, shape=closed, broadcast_dimensions=broadcast_dimensions, **params)
    for axis in opened:
        never = lax.reshape(_falses(shape[axis]), tuple(shape[axis] if i == axis else 1 for i in range(len(shape))))
        y = jnp.logical_or(y, never) if y.dtype == bool else jnp.where(never, jnp.ones((), y.dtype), y)
    return [y]


def _falses(size: Any) -> jax.Array:
    """False `size` times, computed from an input that has this open size."""
    x, own_axis = _sources.get({})[size]
    for axis in reversed(range(x.ndim)):
        if axis != own_axis:
            x = lax.index_in_dim(x, 0, axis, keepdims=False)
    return jnp.abs(x.astype("int32")) < 0


def _least(dtype: Any) -> jax.Array:
    limits = jnp.finfo(dtype) if jnp.issubdtype(dtype, jnp.floating) else jnp.iinfo(dtype)
    return lax.full((), limits.min, dtype)


def _zero(dtype: Any) -> jax.Array:
    return lax.full((), 0, dtype)


def _scan(
    *arrays: jax.Array,
    jaxpr: ClosedJaxpr,
    num_consts: int,
    num_carry: int,
    reverse: bool,
    length: int,
    **_: Any,
) -> list:
    """A scan forward in time, its body rewritten as well."""
    consts, carry = arrays[:num_consts], arrays[num_consts : num_consts + num_carry]
    xs = [lax.rev(x, (0,)) if reverse else x for x in arrays[num_consts + num_carry :]]

    def step(carry: tuple, xs: list) -> tuple[tuple, list]:
        results = _run(jaxpr.jaxpr, jaxpr.consts, [*consts, *carry, *xs])
        return tuple(results[:num_carry]), results[num_carry:]

    last, ys = lax.scan(step, tuple(carry), xs, length=length)
    return [*last, *(lax.rev(y, (0,)) if reverse else y for y in ys)]


RULES: dict[str, Callable[..., list | None]] = {
    "broadcast_in_dim": _broadcast,
    "pad": _pad,
    "conv_general_dilated": _conv,
    "reduce_window_max": functools.partial(_window, lax.max, _least),
    "reduce_window_sum": functools.partial(_window, lax.add, _zero),
    "scan": _scan,
}
