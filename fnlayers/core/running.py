"""The way from `Layer.run` to `forward`: checks and casts before it, and what a run adds to its output after it."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from fnlayers.core import dtypes
from fnlayers.core.checks import (
    check_arrays,
    check_input,
    check_key,
    check_numbers,
    check_output_mask,
    checked_mask,
    checked_out,
    checked_train,
    cleaned,
    input_shape,
    locate,
)
from fnlayers.core.context import Context, Out
from fnlayers.core.declared import check_sizes, check_trees
from fnlayers.core.errors import MissingError
from fnlayers.core.observer import Observer
from fnlayers.core.strings import as_arrays
from fnlayers.functions.regularizers import regularizer
from fnlayers.ops import record
from fnlayers.plain_data import map_nest

if TYPE_CHECKING:
    from fnlayers.core.layer import Layer


def outermost(
    layer: "Layer", params: Any, x: Any, state: Any, rng: Any, mask: Any, train: Any, observer: Observer | None = None
) -> tuple[Any, Context]:
    """Check what a user gave; x and the context with which the layer runs, within no other."""
    x = as_arrays(x) if layer.takes_strings else x
    check_arrays(layer, x)
    train = checked_train(layer, train)
    if rng is not None:
        check_key(layer, rng, "run")
    state = {} if state is None else state
    check_trees(layer, params, state)
    if mask is not None:
        mask = checked_mask(layer, mask, x)
        x = map_nest(cleaned, mask, x)
    return x, Context(state, rng, mask, train, observer=observer)


def run_in(layer: "Layer", params: Any, x: Any, ctx: Context) -> Out:
    """Check, cast, run `forward`, and add what a run adds to it. An error says where it is from."""
    written = record.current()
    if written is not None:
        written.paths.append(ctx.path)
    ctx.gathered.start(layer, layer.has_children)
    try:
        several = layer.single_input and not hasattr(x, "dtype")
        if params or ctx.state or several or layer.has_shape_check:
            shape = input_shape(x)
            check_input(layer, shape)
            check_sizes(layer, shape, params, ctx.state)
        if not layer.trainable:
            ctx = replace(ctx, frozen=True)
        params, inputs = cast(layer, params, x)
        forward = type(layer).forward
        out = checked_out(layer, getattr(forward, "unchecked", forward)(layer, params, inputs, ctx))
        return _completed(layer, out, ctx)
    except Exception as error:
        locate(error, layer, params, x, ctx)
        raise
    finally:
        if written is not None:
            written.paths.pop()


def _completed(layer: "Layer", out: Out, ctx: Context) -> Out:
    """What `forward` returned, with what its children returned and the activity loss, as the observer leaves it."""
    if ctx.gathered.calls:
        out = ctx.gathered.joined(out, ctx.state)
    if (out.state or ctx.state) and out.state.keys() != ctx.state.keys():
        raise MissingError(
            f"{type(layer).__name__} got the state {sorted(ctx.state)} and returned {sorted(out.state)}; "
            "pass state=model.init_state(shape), and return every State that weights() declares"
        )
    if out.mask is not None:
        check_output_mask(layer, out.y, out.mask)
    if layer.activity_regularizer is not None and layer.regularizes_output:
        out = out._replace(losses=(*out.losses, activity_loss(layer.activity_regularizer, out.y)))
    if ctx.observer is not None:
        out = out._replace(y=ctx.observer.see(ctx.path, layer, out.y))
    return out


def cast(layer: "Layer", params: Any, x: Any) -> tuple[Any, Any]:
    """The layer's own params and its inputs in the dtype that it computes in, as far as it casts them."""
    compute = dtypes.policy(layer.dtype).compute
    if getattr(x, "dtype", None) is not compute or isinstance(x, np.ndarray):
        x = _cast_inputs(layer, x, compute)
    if layer.casts_params and params:
        params = {k: v if isinstance(v, (dict, tuple, list)) else dtypes.cast(v, compute) for k, v in params.items()}
    return params, x


def _cast_inputs(layer: "Layer", x: Any, compute: np.dtype) -> Any:
    every = layer.casts_inputs == "all"
    if every or layer.takes != "numbers":
        check_numbers(layer, x, booleans=layer.takes != "ordered")
    if layer.casts_inputs == "none":
        return x
    return map_nest(lambda a: a if a is None else dtypes.cast(a, compute, every), x)


def activity_loss(rule: Any, y: Any) -> jax.Array:
    """The regularizer's loss on an output, or on each of several."""
    # Keras: divided by the batch size, so that the loss of a batch does not grow with it; of no examples it is 0
    rule = regularizer(rule)
    terms = [rule(leaf) / (*leaf.shape, 1)[0] for leaf in jax.tree.leaves(y) if leaf.shape[:1] != (0,)]
    return jnp.asarray(sum(terms), "float32")
