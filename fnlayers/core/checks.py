"""Checks of a layer's inputs, masks and outputs when it runs, and where its errors come from."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from fnlayers.core.context import Context, Mask, Out, has_mask
from fnlayers.core.declared import missing_error, size_error
from fnlayers.core.errors import ConfigError, LayerError, MissingError, ShapeError, brief, shortened
from fnlayers.core.shapes import ArrayType, canonical, is_shape, shape_of, type_of
from fnlayers.core.strings import is_strings
from fnlayers.core.symbol import Symbol
from fnlayers.core.values import check_values, not_a_key
from fnlayers.functions.draws import is_key
from fnlayers.ops.layout import expand_trailing
from fnlayers.plain_data import map_nest, nest_leaves

if TYPE_CHECKING:
    from fnlayers.core.layer import Layer


_NUMBERS = (bool, int, float, complex)


def check_arrays(layer: "Layer", x: Any) -> None:
    """Raise ConfigError for Symbols, and for arrays that jax would refuse or change."""
    if isinstance(x, jax.Array):
        return
    leaves = nest_leaves(x)
    if x is None or not leaves:
        raise ConfigError(f"{brief(layer)}: x is {x!r}; give an array")
    for leaf in leaves:
        if isinstance(leaf, Symbol):
            raise ConfigError(
                f"{type(layer).__name__}: run and apply take arrays; to build a graph, call the layer itself"
            )
        is_array = hasattr(leaf, "dtype") and hasattr(leaf, "shape") and not isinstance(leaf, type)
        if not is_array and leaf is not None and not isinstance(leaf, _NUMBERS):
            raise ConfigError(f"{brief(layer)}: x is {shortened(leaf)}; give an array")
        if layer.on_host or (layer.takes_strings and is_strings(leaf)):
            continue
        try:
            check_values(leaf, "x")
        except LayerError as error:
            error.of(layer)
            raise


def check_input(layer: "Layer", shape: Any) -> None:
    """Raise ShapeError for inputs of a shape, or of a number, that the layer cannot take."""
    if layer.single_input and not is_shape(shape):
        raise ShapeError(f"{brief(layer)} takes one array, got several: {shape!r}; give one, or call it for each")
    layer.check_shape(shape)


def check_key(layer: "Layer", rng: Any, verb: str = "init") -> None:
    """Raise MissingError for what is not one random key."""
    if not is_key(rng):
        raise MissingError(f"{type(layer).__name__}.{verb} takes a random key, {not_a_key(rng)}")


def checked_train(layer: "Layer", train: Any) -> bool:
    """True or False; ConfigError for anything else, such as the string "False", which counts as true."""
    if not isinstance(train, (bool, np.bool_)):
        raise ConfigError(f"{brief(layer)}: train={train!r} is wrong; give True or False, known while tracing")
    return bool(train)


def checked_children(layer: "Layer", children: Any) -> Mapping:
    """What `children` returned; ConfigError unless it is a dict of (layer, shape of its input)."""
    right = isinstance(children, Mapping) and all(
        type(child) is tuple and len(child) == 2 and hasattr(child[0], "init_state") and not isinstance(child[0], type)
        for child in children.values()
    )
    if not right:
        raise ConfigError(
            f"{brief(layer)}: children(shape) must return {{name: (layer, shape of its input)}}, got {children!r}"
        )
    return children


def checked_output(layer: "Layer", y: Any) -> Any:
    """What `call` returned; ConfigError where it is not an output."""
    if y is None:
        raise ConfigError(f"{brief(layer)}: call returned None; end it with return y")
    if isinstance(y, Out):
        raise ConfigError(
            f"{brief(layer)}: call returned an Out; return y alone, or name it forward(self, params, x, ctx)"
        )
    return y


def checked_out(layer: "Layer", out: Any) -> Out:
    """What `forward` returned; ConfigError where it is not an Out, or holds what an Out cannot."""
    if not isinstance(out, Out):
        raise ConfigError(
            f"{brief(layer)}: forward returned {_kind(out)}; return fnlayers.Out(y), with new state, mask and losses "
            "where there are any, or name it call(self, params, x) and return y"
        )
    has_state = type(out.state) is dict or isinstance(out.state, Mapping)  # asking for a Mapping takes longer
    if out.y is None or not has_state or not isinstance(out.losses, (tuple, list)):
        raise ConfigError(
            f"{brief(layer)}: forward returned Out(y={_kind(out.y)}, state={_kind(out.state)}, "
            f"losses={_kind(out.losses)}); give arrays, a dict of new state ({{}} for none) and a tuple of losses"
        )
    return out


def _kind(value: Any) -> str:
    """A value in a word or two."""
    return _described(value) if hasattr(value, "dtype") else "None" if value is None else type(value).__name__


def check_numbers(layer: "Layer", x: Any, booleans: bool = True) -> None:
    """Raise for complex numbers, whose imaginary part would be lost, and for booleans unless they count as 0 and 1."""
    for leaf in (x,) if hasattr(x, "dtype") else nest_leaves(x):
        dtype = getattr(leaf, "dtype", type(leaf))
        if jnp.issubdtype(dtype, jnp.complexfloating):
            raise ConfigError(
                f"{brief(layer)} computes with real numbers, got {_described(leaf)}: the imaginary part would "
                "be lost; give real and imaginary part as features, "
                "jax.numpy.concatenate([x.real, x.imag], axis=-1), or jax.numpy.abs(x)"
            )
        if not booleans and jnp.issubdtype(dtype, jnp.bool_):
            raise ConfigError(
                f"{brief(layer)} takes numbers, got {_described(leaf)}; write x.astype('float32') if True "
                "counts as 1, x.astype('int32') for ids (a mask is given by mask=)"
            )


def input_shape(x: Any) -> Any:
    """The shapes of x, None for a size that is symbolic (under export)."""
    if isinstance(x, jax.Array):
        return tuple([n if isinstance(n, int) else None for n in x.shape])
    return canonical(shape_of(type_of(x)))


def checked_mask(layer: "Layer", mask: Mask, x: Any) -> Mask:
    """The mask; ShapeError unless it is boolean, nested like x, and its axes are the first ones of x."""

    def check(mask: Any, x: Any) -> None:
        if mask is None:
            return
        if not hasattr(mask, "dtype") or mask.dtype != bool:
            raise ShapeError(
                f"{type(layer).__name__}: a mask is a boolean array, got {getattr(mask, 'dtype', type(mask))}; "
                "write mask = lengths[:, None] > jnp.arange(time), or mask.astype(bool)"
            )
        if tuple(mask.shape) != tuple(x.shape[: mask.ndim]):
            raise ShapeError(
                f"{type(layer).__name__}: the mask has shape {mask.shape}, but x has shape {x.shape}; give a mask of "
                "x's "
                f"first axes, such as {tuple(x.shape[:2])}"
            )

    _check_each(
        check,
        mask,
        x,
        lambda: (
            f"{type(layer).__name__}: masks are nested like the inputs, with None for an "
            f"input that has none, got {type(mask).__name__} for {_described(x)}"
        ),
    )
    return mask


def check_output_mask(layer: "Layer", y: Any, mask: Mask) -> None:
    """Raise ShapeError unless the axes of each mask are the first axes of its output."""

    def check(a: Any, m: Any) -> None:
        if m is not None and m.shape != a.shape[: m.ndim]:
            raise ShapeError(
                f"{layer!r} gives an output of shape {a.shape} with a mask of shape {m.shape}, and a mask's axes "
                "must be the first ones of its array; put fnlayers.DropMask() before the layer if all steps may count"
            )

    _check_each(
        check,
        y,
        mask,
        lambda: (
            f"{layer!r}: masks are nested like the output, with None for an array that has "
            f"none; got {type(mask).__name__} for {type(y).__name__}"
        ),
    )


def _check_each(check: Callable, first: Any, second: Any, mismatch: Callable[[], str]) -> None:
    """Call check for each pair of leaves of two nests; ShapeError where they are not nested alike."""
    if not _same_entries(first, second):
        raise ShapeError(mismatch())
    try:
        map_nest(check, first, second)
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise ShapeError(mismatch()) from error


def _same_entries(first: Any, second: Any) -> bool:
    """Whether two nests have the same names and numbers of entries, as far as both are nests."""
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        return first.keys() == second.keys() and all(_same_entries(first[name], second[name]) for name in first)
    if isinstance(first, (tuple, list)) and isinstance(second, (tuple, list)):
        return len(first) == len(second) and all(map(_same_entries, first, second))
    return True


def refuse_summed(layer: "Layer", x: Any, mask: Mask) -> None:
    """Raise ConfigError for a mask that covers the last axis, which the layer sums over."""
    if has_mask(mask) and mask.ndim == x.ndim:
        raise ConfigError(
            f"{layer!r} sums over the last axis, which the mask that reaches it covers, too; reduce the mask to the "
            "axes before, or put fnlayers.DropMask() before the layer"
        )


def cleaned(mask: Any, x: Any) -> Any:
    """X with 0 for NaN and infinity in masked elements, before any sum: they reach no output and no gradient."""
    if mask is None or not jnp.issubdtype(x.dtype, jnp.inexact):
        return x
    return jnp.where(expand_trailing(mask, x.ndim) | jnp.isfinite(x), x, 0)


def locate(error: Exception, layer: "Layer", params: Any, x: Any, ctx: Context) -> None:
    """Say where an error arose, once; and where params do not belong to x, say that instead."""
    if getattr(error, "_located", False):
        return
    names = tuple(part for part in ctx.path if isinstance(part, str))
    if not isinstance(error, LayerError):
        better = _explain(error, layer, params, x)
        if better is not None:
            better.path, better._located = names, True  # type: ignore[attr-defined]
            raise better from error
        error.path = names  # type: ignore[attr-defined]
        error.add_note(f"in layer {'/'.join(names) or type(layer).__name__}: {brief(layer)}, given {_described(x)}")
    else:
        error.of(layer)
        error.path = names
    error._located = True  # type: ignore[attr-defined]


def _explain(error: Exception, layer: "Layer", params: Any, x: Any) -> LayerError | None:
    """Our error for two common causes of a foreign one: params that are missing, or of another shape."""
    if not isinstance(params, Mapping):
        return MissingError(f"{brief(layer)} got {type(params).__name__} for params; pass what init returned")
    try:
        shape = canonical(shape_of(type_of(x)))
        check_input(layer, shape)
        layer._declared(shape)
    except LayerError as better:
        return better
    except Exception:
        return None
    return missing_error(layer, shape, params) or size_error(layer, shape, params, {})


def _described(x: Any) -> str:
    def describe(a: Any) -> str:
        return str(ArrayType(tuple(a.shape), str(a.dtype))) if hasattr(a, "dtype") else repr(a)

    return str(map_nest(describe, x)).replace("'", "")
