"""What counts in a mean, and how much: sample weights and masks over a term's values."""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from fnlayers.core.errors import ConfigError, ShapeError
from fnlayers.training.known import takes_of
from fnlayers.training.outputs import names_in, select_output
from fnlayers.training.terms import Term


def weighted_mean(term: Term, values: jax.Array, out: Any, y_true: Any, weight: Any) -> tuple[jax.Array, jax.Array]:
    """The mean of a term's values over what has weight, and that weight."""
    mask, weight = _mask_of(term, out), select_weight(weight, term)
    ignored = getattr(takes_of(term.function), "ignore", None)
    if weight is None and mask is None and ignored is None:
        return jnp.mean(values), jnp.asarray(values.size, values.dtype)
    weights = jnp.ones((), values.dtype)
    if weight is not None:
        weights = weights * expand_weight(weight, values, term.name, "sample weight").astype(values.dtype)
    if mask is not None:
        weights = weights * expand_weight(mask, values, term.name, "mask").astype(values.dtype)
    if ignored is not None:
        weights = weights * (select_output(y_true, term.key) != ignored).astype(values.dtype)
    weights = jnp.broadcast_to(weights, values.shape)
    total = jnp.sum(weights)
    # What has no weight is cleared before the product: 0 * NaN is NaN
    summed = jnp.sum(jnp.where(weights == 0, 0, values) * weights)
    return summed / jnp.where(total == 0, 1, total), total


def select_weight(weight: Any, term: Term) -> Any:
    """The sample weight of the outputs that a term reads: there may be one for each, of which it has the product."""
    if not isinstance(weight, (Mapping, tuple, list)):
        return weight
    if term.key is None:
        raise ConfigError(
            f"{term.name!r} reads all outputs, and the sample weights are a nest, one for each; give one array, or a "
            "function for each output"
        )
    items: Any = weight if isinstance(weight, Mapping) else dict(enumerate(weight))
    chosen = [items[name] for name in names_in(term.key) if items.get(name) is not None]
    return functools.reduce(functools.partial(_product, name=term.name), chosen) if chosen else None


def weight_of(term: Term, out: Any, weight: Any) -> Any:
    """Sample weight and mask of an output in one array over its first axes; None where there is neither."""
    mask, weight = _mask_of(term, out), select_weight(weight, term)
    if mask is None or weight is None:
        return weight if mask is None else mask.astype("float32")
    return _product(weight, mask, term.name)


def _product(one: Any, other: Any, name: str) -> Any:
    """The product of two weights over the first axes of an output."""
    few, many = sorted((one, other), key=lambda a: a.ndim)
    return many.astype("float32") * expand_weight(few, many, name, "sample weight").astype("float32")


def expand_weight(weight: Any, values: Any, name: str, what: str) -> Any:
    """A weight or mask over the first axes of `values`, brought to as many axes."""
    if weight.ndim > values.ndim or weight.shape != values.shape[: weight.ndim]:
        raise ShapeError(
            f"{name!r} returned values of shape {values.shape}, which the {what} of shape {weight.shape} does not fit: "
            + (
                "return a value for each step, or end the mask with fnlayers.DropMask()"
                if what == "mask"
                else "a weight is given for each example, or for each step of one"
            )
        )
    return weight.reshape(*weight.shape, *[1] * (values.ndim - weight.ndim))


def _mask_of(term: Term, out: Any) -> Any:
    """The mask of the output that a term reads."""
    if out.mask is None or not jax.tree.leaves(out.mask):
        return None
    mask = select_output(out.mask, term.key)
    if not jax.tree.leaves(mask):
        return None
    if not hasattr(mask, "ndim"):
        raise ConfigError(
            f"{term.name!r} reads several outputs, and some have masks; give a function for each output, or end the "
            "masks with fnlayers.DropMask()"
        )
    return mask
