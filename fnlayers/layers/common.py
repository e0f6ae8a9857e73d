"""Functions for layers of several families: common weights, activations, and checks of arguments and shapes."""

from collections.abc import Sequence
from typing import Any

import jax

from fnlayers import ops
from fnlayers.core.context import Context
from fnlayers.core.errors import ConfigError, ShapeError
from fnlayers.core.layer import Layer, Shape
from fnlayers.core.options import DataFormat
from fnlayers.core.shapes import is_shape, per_axis
from fnlayers.core.spec import Param
from fnlayers.functions.activations import activation
from fnlayers.plain_data import choices


def kernel_and_bias(
    layer: Any,
    shape: tuple[int, ...],
    axes: tuple[str | None, ...] = (),
    bias_axis: int = -1,
) -> dict[str, Param]:
    """A kernel of that shape and a bias along one of its axes, each with the options that the layer has for it."""
    kernel = {"kernel": option_param(layer, "kernel", shape, axes)}
    if not layer.use_bias:
        return kernel
    return kernel | {"bias": option_param(layer, "bias", (shape[bias_axis],), axes and (axes[bias_axis],))}


def option_param(
    layer: Any, name: str, shape: tuple[int, ...], axes: tuple[str | None, ...] = (), decay: bool | None = None
) -> Param:
    """The Param whose initializer, regularizer and constraint are the layer's fields of that name."""
    options = (getattr(layer, f"{name}_{part}") for part in ("initializer", "regularizer", "constraint"))
    return Param(shape, *options, axes=axes, decay=decay)


def add_bias(layer: Any, params: Any, y: Any, data_format: DataFormat | None = None) -> Any:
    """Y with the bias added along its channels, where the layer has one."""
    return ops.add_bias(y, params["bias"], data_format or "channels_last") if layer.use_bias else y


def activate(identifier: Any, x: Any) -> Any:
    """The activation of that name, function, or layer without weights, on x."""
    if identifier is None:
        return x
    return identifier.call({}, x) if isinstance(identifier, Layer) else activation(identifier)(x)


def check_activation(layer: Layer, *names: str) -> None:
    """Raise ConfigError for an activation that does not exist."""
    for name in names:
        value = getattr(layer, name)
        if not isinstance(value, Layer):
            configured(layer, activation, value, called=name)
        elif not _is_function(value):
            raise ConfigError(
                f"{type(layer).__name__}: {name}={value!r} is more than a function of one array (it has weights, state "
                f"or children, or draws numbers); put it after this layer, as in Sequential([..., {value!r}])"
            )


def _is_function(layer: Layer) -> bool:
    """Whether the layer is a function of one array alone: it defines `call`, and neither weights nor children."""
    cls = type(layer)
    return cls.call is not Layer.call and not (cls.has_weights or cls.has_children)


def configured(layer: Layer, resolve: Any, *args: Any, called: str = "activation") -> Any:
    """What resolve(*args) returns; its errors raised again with the layer's name."""
    try:
        return resolve(*args)
    except ValueError as error:
        raise ConfigError(f"{type(layer).__name__}: {str(error).replace('activation=', f'{called}=', 1)}") from None


def check_choice(layer: Layer, name: str, allowed: Sequence[Any]) -> None:
    """Raise ConfigError unless the field has one of these values."""
    if getattr(layer, name) not in allowed:
        raise ConfigError(f"{type(layer).__name__}: {choices(name, getattr(layer, name), allowed)}")


def check_count(layer: Layer, name: str, least: int = 1) -> None:
    """Raise ConfigError unless the field is a whole number of at least `least`."""
    value = getattr(layer, name)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigError(f"{type(layer).__name__}: {name}={value!r} is wrong; give a whole number of at least {least}")


def check_fraction(layer: Layer, name: str) -> None:
    """Raise ConfigError unless the field is a number from 0 to 1."""
    value = getattr(layer, name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise ConfigError(f"{type(layer).__name__}: {name}={value!r} is wrong; give a number from 0 to 1")


def check_positive(layer: Layer, name: str) -> None:
    """Raise ConfigError unless the field is a number above 0."""
    value = getattr(layer, name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        raise ConfigError(f"{type(layer).__name__}: {name}={value!r} is wrong; give a number above 0")


def check_rank(layer: Layer, shape: Shape, *ranks: int, layout: str = "") -> None:
    """Raise ShapeError unless there is one input with one of these numbers of axes."""
    if not is_shape(shape):
        raise ShapeError(f"{layer!r} takes one input, got {len(shape)}: {shape!r}")
    if len(shape) not in ranks:
        expected = " or ".join(map(str, ranks))
        raise ShapeError(f"{layer!r} takes {expected} axes{layout and ' ' + layout}, got the shape {tuple(shape)}")


def normal_axis(layer: Layer, axis: int, rank: int) -> int:
    """The axis counted from the front; ShapeError where the input does not have it."""
    if not -rank <= axis < rank:
        raise ShapeError(f"{layer!r} names axis {axis}, but its input has the axes 0 to {rank - 1}")
    return axis % rank


def check_axes(layer: Any) -> None:
    """Raise ConfigError unless the layer's axis is an integer or some of them."""
    axes = layer.axis if isinstance(layer.axis, tuple) else (layer.axis,)
    if not axes or not all(isinstance(axis, int) for axis in axes):
        raise ConfigError(f"{type(layer).__name__}: axis={layer.axis!r} is wrong; give an integer or a tuple of them")


def normal_axes(layer: Any, rank: int) -> tuple[int, ...]:
    """The layer's axis, or axes, counted from the front and in order."""
    axes = layer.axis if isinstance(layer.axis, tuple) else (layer.axis,)
    return tuple(sorted(normal_axis(layer, axis, rank) for axis in axes))


def channel_axis(layer: Any) -> int:
    """Where the layer's data_format has the channels: -1 or 1."""
    return 1 if layer.data_format == "channels_first" else -1


def space_of(layer: Any, shape: Shape) -> tuple[int | None, ...]:
    """The sizes between batch and channels."""
    return tuple(shape[2:] if channel_axis(layer) == 1 else shape[1:-1])


def layout_of(layer: Any, rank: int) -> str:
    """The order of the axes, for error messages: "(batch, height, width, channels)"."""
    space = {1: ("steps",), 2: ("height", "width"), 3: ("depth", "height", "width")}[rank]
    names = ("channels", *space) if channel_axis(layer) == 1 else (*space, "channels")
    return f"(batch, {', '.join(names)})"


def check_fits(layer: Any, shape: Shape, window: tuple[int, ...], dilation: tuple[int, ...]) -> None:
    """Raise ShapeError where a valid window is larger than the input, so that no output would be left."""
    for size, taps, step in zip(space_of(layer, shape), window, dilation, strict=True):
        span = step * (taps - 1) + 1
        if size is not None and (size < span if layer.padding == "valid" else size == 0):
            raise ShapeError(
                f"{layer!r}: a window of {span} does not fit the input's {size}, so its output would be empty; use "
                "padding='same', a smaller window, or a larger input"
            )


def check_window(layer: Any, both: bool = False) -> None:
    """Raise ConfigError unless kernel_size, strides and dilation_rate fit: not both above 1, except with `both`."""
    window = {name: per_axis(getattr(layer, name), layer.rank, f"{type(layer).__name__}: {name}")
              for name in ("kernel_size", "strides", "dilation_rate")}  # fmt: skip
    if not both and max(window["strides"]) > 1 and max(window["dilation_rate"]) > 1:
        raise ConfigError(f"{layer!r}: strides and dilation_rate cannot both be above 1; use one of them")


def seeded(layer: Any, ctx: Context) -> Any:
    """The layer's key, with its seed folded in where it has one."""
    key = ctx.key(layer)
    return key if layer.seed is None else jax.random.fold_in(key, layer.seed & 0xFFFFFFFF)
