"""State of layers that see a sequence in several runs: the position reached, and the keys and values so far.

A layer with a `cache` goes on where the run before it ended: in by state, out by state. `init_state(shape)`, with the
batch size in the shape, starts again. `fnlayers.cached` sets the field throughout a model.
"""

from typing import Any

import jax.numpy as jnp
from jax import lax

from fnlayers.core.context import Context
from fnlayers.core.dtypes import policy
from fnlayers.core.errors import ConfigError, ShapeError
from fnlayers.core.spec import State
from fnlayers.layers.common import check_count


def check_cache(layer: Any) -> None:
    """Raise ConfigError unless `cache` is None or a number of steps."""
    if layer.cache is not None:
        check_count(layer, "cache")


def check_room(layer: Any, steps: int | None) -> None:
    """Raise ShapeError for a run that alone is longer than the layer has room for."""
    if layer.cache is not None and steps is not None and steps > layer.cache:
        raise ShapeError(f"{layer!r} has no room for {steps} steps; give cache={steps} or more, or fewer steps")


def position_state(layer: Any) -> dict[str, State]:
    """How many steps were seen; nothing without a cache."""
    return {} if layer.cache is None else {"place": State((), dtype="int32")}


def first_position(layer: Any, ctx: Context) -> Any:
    """The position of a run's first step: 0 without a cache."""
    if layer.cache is None:
        return 0
    if any(isinstance(part, int) for part in ctx.path):
        raise ConfigError(f"{layer!r} is called twice in one run, and has one cache; use two layers")
    return ctx.read(layer, "place")


def next_position(layer: Any, start: Any, steps: int) -> dict[str, Any]:
    """The state with the position after those steps."""
    return {} if layer.cache is None else {"place": start + steps}


def within_room(layer: Any, y: Any, end: Any) -> Any:
    """The output; NaN, which shows, where more steps were seen than there is room for. A jitted run cannot raise."""
    return y if layer.cache is None else jnp.where(end <= layer.cache, y, jnp.nan)


def cache_state(layer: Any, batch: int | None, key: tuple[int, int], value: tuple[int, int]) -> dict[str, State]:
    """Room for keys and values of `cache` steps, each (heads, features), and which of them are valid."""
    if layer.cache is None:
        return {}
    if batch is None:
        raise ShapeError(
            f"{layer!r} keeps keys and values from run to run, so the batch size must be known; write it in the shape "
            "given to init_state, and to save"
        )
    steps, dtype = (batch, layer.cache), policy(layer.dtype).compute.name
    return {
        "cached_key": State((*steps, *key), dtype=dtype),
        "cached_value": State((*steps, *value), dtype=dtype),
        "cached_mask": State(steps, dtype="bool"),
        **position_state(layer),
    }


def updated_cache(layer: Any, ctx: Context, key: Any, value: Any, valid: Any) -> dict[str, Any]:
    """The new state: this run's keys and values after those of earlier runs.

    Shapes: key and value (batch, steps, heads, features), valid (batch, steps) or None.
    """
    start, new = ctx.read(layer, "place"), {"cached_key": key, "cached_value": value}
    new["cached_mask"] = jnp.ones(key.shape[:2], bool) if valid is None else valid
    old = {name: ctx.read(layer, name) for name in new}
    got, expected = old["cached_mask"].shape, (key.shape[0], layer.cache)
    if got != expected:
        raise ShapeError(
            f"{layer!r} expected a cache of (batch, steps) {expected}, got {got}; make it with state = "
            "model.init_state(shape), the batch size in the shape"
        )
    joined = {name: lax.dynamic_update_slice_in_dim(old[name], new[name], start, axis=1) for name in new}
    return joined | next_position(layer, start, key.shape[1])
