"""The base of the attention layers with several heads: projections, masks, positions, the cache."""

import functools
import math
from collections.abc import Mapping
from dataclasses import field
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from fnlayers import ops
from fnlayers.core.context import Context, Out
from fnlayers.core.errors import ConfigError, ShapeError
from fnlayers.core.layer import Layer, Shape, layerclass
from fnlayers.core.running import activity_loss
from fnlayers.core.shapes import known, with_dtype
from fnlayers.core.spec import Param
from fnlayers.layers.attention.cache import (
    cache_state,
    check_cache,
    check_room,
    first_position,
    updated_cache,
    within_room,
)
from fnlayers.layers.attention.inputs import (
    AttentionInputs,
    attention_inputs,
    by_name,
    check_common,
    check_inputs,
    dropping,
    fit,
    from_steps,
    result,
    same,
    to_steps,
)
from fnlayers.layers.common import check_count, check_positive, configured, option_param
from fnlayers.plain_data import FrozenDict


@layerclass
class MultiHead(Layer):
    """Base of MultiHeadAttention and GroupQueryAttention.

    Query, key and value are projected to several heads, each head attends, y_h = softmax(query_h . key_h /
    sqrt(features of key_h)) value_h, and the heads together are projected to the output.

    Inputs are (query, value), (query, value, key), a dict with these names and "attention_mask", or one array, which
    attends to itself; without a key the values are their own keys.

    Arguments:
        dropout: the fraction of the weights that is dropped in training.
        use_bias: whether the projections add a bias.
        sliding_window: a query attends to keys fewer than this many positions away on either side; None: to all.
        flash_attention: whether to use the fused kernel on CUDA: None: where it can be; False: never; True: an error
            where it cannot be. It has no forward-mode and no second derivative. On other platforms it is ignored.
        kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer, kernel_constraint, bias_constraint:
            of each projection.
        activity_regularizer: a loss on the output of each projection, divided by the batch size.
        use_gate: whether the heads' outputs are multiplied by sigmoid of a projection of the query.
        seed: a number folded into the layer's key.
        use_causal_mask: whether a query attends to no key after its own position.
        return_attention_scores: whether to return (y, weights), the weights as they are before dropout.
        rotary_wavelength: rotates the projected queries and keys by their positions, as RotaryEmbedding does with this
            max_wavelength (10000 is usual); None: no rotation.
        cache: for generation: keep keys and values of up to this many steps from run to run, so that each run is given
            new steps alone; None: each run starts again. It needs use_causal_mask. With more steps than that the output
            is NaN. See `fnlayers.cached`.
        keras_masks: whether to mask to the letter as Keras does: with 3 axes, no dropout and no weights returned a
            query that may attend to nothing gets the mean of all values, not 0; and the weights' own mask, of the
            weights' axes, comes out with them. `load_keras` sets it.

    Weights: query, key, gate (with use_gate), value, attention_output: each with kernel and bias.
    State: with cache: cached_key and cached_value (batch, cache, heads, features), cached_mask (batch, cache): which of
        them may be attended to, place (): the number of steps seen.
    Random: in training, unless dropout is 0.
    Mask: used: masked values, and those whose keys are masked, are left out, and a masked query attends to nothing; the
        query's is passed on. "attention_mask" among the inputs says for each query and key whether they may meet: True,
        or any number but 0.
    """

    use_causal_mask: bool = field(default=False, kw_only=True)
    return_attention_scores: bool = field(default=False, kw_only=True)
    rotary_wavelength: float | None = field(default=None, kw_only=True)
    cache: int | None = field(default=None, kw_only=True)
    keras_masks: bool = field(default=False, kw_only=True)

    # Fields of both layers, which this base reads; an annotation would move them to the front of their arguments.
    dropout, use_bias, use_gate = 0.0, True, False
    sliding_window = flash_attention = seed = None

    least_rank: ClassVar[int] = 3
    most_rank: ClassVar[int] = 16

    def heads(self) -> tuple[int, int, int, int]:
        """The numbers of heads of the query and of the key, the features of a key's head and of a value's."""
        raise ConfigError(f"{type(self).__name__} defines no heads()")

    def output(self, features: int) -> tuple[int, ...]:
        """The sizes of one output, for that many features of a query."""
        raise ConfigError(f"{type(self).__name__} defines no output()")

    def axes(self, rank: int) -> tuple[int, ...]:
        """The axes to attend over."""
        raise ConfigError(f"{type(self).__name__} defines no axes()")

    def in_types(self, shape: Shape) -> Any:
        types = with_dtype(shape, self.in_dtype)
        if isinstance(types, Mapping) and "attention_mask" in types:
            types = FrozenDict({**types, "attention_mask": with_dtype(shape["attention_mask"], "bool")})
        return types

    def check_shape(self, shape: Shape) -> None:
        shapes = check_inputs(self, shape, ("query", "value", "key", "attention_mask"))
        rank = len(shapes["query"])
        axes = self.axes(rank)
        if any(len(shapes[name]) != rank for name in ("value", "key") if name in shapes):
            raise ShapeError(f"{self!r}: query, value and key differ in their number of axes: {shape}")
        if (self.use_causal_mask or self.sliding_window or self.rotary_wavelength) and len(axes) > 1:
            raise ShapeError(f"{self!r}: several axes {axes} have no order; name one in attention_axes")
        for axis in set(range(1, rank - 1)) - set(axes):
            if not fit(shapes["query"][axis], shapes["value"][axis]):
                raise ShapeError(f"{self!r}: query and value differ on axis {axis}, and may only on {axes}: {shape}")
        if "attention_mask" in shapes:
            self._check_mask(shapes, axes)
        if self.cache is not None:
            self._check_cached(shapes)

    def _check_mask(self, shapes: Mapping[str, tuple[int | None, ...]], axes: tuple[int, ...]) -> None:
        """Raise ShapeError unless attention_mask has the axes of the weights, or lacks some before the queries'."""
        query, mask = shapes["query"], shapes["attention_mask"]
        pairs = [*(query[axis] for axis in axes), *(shapes["value"][axis] for axis in axes)]
        front = [*(n for axis, n in enumerate(query[:-1]) if axis not in axes), self.heads()[0]]
        before = len(mask) - len(pairs)
        wanted = [*front[:before], *pairs]
        if not 0 <= before <= len(front) or not all(map(fit, mask, wanted)):
            sizes = ", ".join(map(str, [query[0], *pairs]))
            raise ShapeError(
                f"{self!r}: expected an attention_mask of shape ({sizes}), or 1 for some of these, got {mask}"
            )

    def _check_boolean(self, mask: Any) -> None:
        """Raise ConfigError for a floating mask: its 0 may forbid, or allow, as in a mask that is added."""
        if mask is not None and not self.keras_masks and jnp.issubdtype(mask.dtype, jnp.inexact):
            raise ConfigError(
                f"{self!r}: attention_mask is {mask.dtype}, and which of its numbers allow is not known; give a "
                "boolean array, True where a query may attend: mask == 0 of one that is added to the scores (0 and "
                "-1e9), mask.astype(bool) of 1 and 0"
            )

    def _check_cached(self, shapes: Mapping[str, tuple[int | None, ...]]) -> None:
        """Raise ShapeError unless the inputs are new steps, as many queries as keys, and fit into the cache."""
        query, value = shapes["query"], shapes["value"]
        if len(query) != 3 or "attention_mask" in shapes or not same(query[1], value[1]):
            raise ShapeError(
                f"{self!r}: with a cache the inputs are new steps (batch, steps, features), as many queries as values, "
                f"and masks come as mask=; got {shapes}"
            )
        check_room(self, query[1])

    def weights(self, shape: Shape) -> dict:
        """A kernel and a bias for each projection, heads on an axis of their own; and the cache."""
        shapes = by_name(shape, shapes=True)
        query, value = shapes["query"], shapes["value"]
        heads, groups, of_key, of_value = self.heads()
        features = known(query, -1, "features")
        declared = {
            "query": self._projection((features,), (heads, of_key), ("heads", None)),
            "key": self._projection((known(shapes.get("key", value), -1),), (groups, of_key), ("heads", None)),
            "gate": self._projection((features,), (heads, of_value), ("heads", None)),
            "value": self._projection((known(value, -1),), (groups, of_value), ("heads", None)),
        }
        if not self.use_gate:
            del declared["gate"]
        sizes = self.output(features)
        named = ("out", *(None for _ in sizes[1:]))
        declared["attention_output"] = self._projection((heads, of_value), sizes, named, ("heads", None))
        return declared | cache_state(self, query[0], (groups, of_key), (groups, of_value))

    def forward(self, params: Any, x: Any, ctx: Context) -> Out:
        inputs = attention_inputs(self, x, ctx.mask, joins_key_mask=True)
        self._check_boolean(inputs.pair_mask)
        projected = self._projected(params, inputs)
        axes, key_mask = self.axes(inputs.query.ndim), inputs.key_mask
        heads = {name: to_steps(projected[name], axes, 2) for name in ("query", "key", "value")}
        start, state = first_position(self, ctx), {}
        if self.rotary_wavelength is not None:
            rotate = functools.partial(ops.rotate, start=start, wavelength=self.rotary_wavelength, step_axis=-3)
            heads |= {name: rotate(heads[name]) for name in ("query", "key")}
        if self.cache is not None:
            state = updated_cache(self, ctx, heads["key"], heads["value"], key_mask)
            heads["key"], heads["value"], key_mask = (state[f"cached_{what}"] for what in ("key", "value", "mask"))
        mask = self._mask(inputs._replace(key_mask=key_mask))
        y, weights = self._attend(heads, mask, start, inputs.query.ndim, ctx)
        y = from_steps(within_room(self, y, state.get("place")), axes, inputs.query.shape)
        y = y * projected["gate"] if "gate" in projected else y
        projected["attention_output"] = self._project(params, "attention_output", y, 2)
        rule = self.activity_regularizer
        losses = () if rule is None else tuple(activity_loss(rule, a) for a in projected.values())
        if weights is not None:
            weights, mask = self._returned(weights, mask, inputs)
        out = result(projected["attention_output"], weights, ctx)._replace(state=state, losses=losses)
        if weights is None or mask is None:
            return out
        return out._replace(mask=((out.mask or (None,))[0], mask))

    def _projected(self, params: Any, inputs: AttentionInputs) -> dict[str, Any]:
        """Each projection of the inputs by its name, in order; the gate as factors."""
        projected = {
            "query": self._project(params, "query", inputs.query),
            "key": self._project(params, "key", inputs.key),
        }
        if self.use_gate:
            projected["gate"] = jax.nn.sigmoid(self._project(params, "gate", inputs.query))
        return projected | {"value": self._project(params, "value", inputs.value)}

    def _attend(self, heads: Mapping[str, Any], mask: Any, start: Any, rank: int, ctx: Context) -> tuple[Any, Any]:
        """The output of each head, and the weights where they are returned."""
        one_path = self.dropout == 0 and rank == 3 and not self.return_attention_scores
        attend = functools.partial(
            ops.attention,
            mask=mask,
            causal=self.use_causal_mask,
            window=self.sliding_window,
            start=start,
            scale=1 / math.sqrt(self.heads()[2]),
            drop=dropping(self, ctx),
            empty="mean" if self.keras_masks and one_path else "zeros",
            fused=self.flash_attention,
            return_weights=self.return_attention_scores,
        )
        return configured(self, attend, heads["query"], heads["key"], heads["value"])

    def _returned(self, weights: Any, mask: Any, inputs: AttentionInputs) -> tuple[Any, Any]:
        """The weights with each attended axis by itself, and with keras_masks their mask."""
        sizes = [a.shape[axis] for a in (inputs.query, inputs.value) for axis in self.axes(inputs.query.ndim)]
        shown = weights.reshape(*weights.shape[:-2], *sizes)
        if not self.keras_masks:
            return shown, None
        window = self.sliding_window
        mask = ops.all_of(mask, ops.nearby(weights.shape[-2], weights.shape[-1], self.use_causal_mask, window))
        if mask is not None:
            last = sizes if len(sizes) > 2 else mask.shape[-2:]
            mask = mask.reshape(*(1,) * (weights.ndim - mask.ndim), *mask.shape[:-2], *last)
            mask = jnp.broadcast_to(mask, shown.shape[: mask.ndim])
        return shown, mask

    def _projection(
        self, inputs: tuple[int, ...], outputs: tuple[int, ...], named: tuple, into: tuple = ("in",)
    ) -> dict[str, Param]:
        kernel = option_param(self, "kernel", (*inputs, *outputs), (*into, *named))
        if not self.use_bias:
            return {"kernel": kernel}
        return {"kernel": kernel, "bias": option_param(self, "bias", outputs, named, decay=False)}

    def _project(self, params: Any, name: str, x: Any, inner: int = 1) -> Any:
        """The last `inner` axes contracted with the first ones of a kernel."""
        kernel = params[name]["kernel"].astype(x.dtype)
        y = ops.dot(x, kernel, inner)
        return y + params[name]["bias"].astype(y.dtype) if self.use_bias else y

    def _mask(self, inputs: AttentionInputs) -> Any:
        """(batch, ..., heads or 1, queries, keys): which pairs may meet; None: all."""
        axes, pairs, rank = self.axes(inputs.query.ndim), inputs.pair_mask, inputs.query.ndim
        if pairs is not None:
            n, sizes = len(axes), [a.shape[axis] for a in (inputs.query, inputs.value) for axis in axes]
            pairs = pairs.astype(bool).reshape(
                *pairs.shape[: -2 * n], *(1,) * (rank + n - pairs.ndim), *pairs.shape[-2 * n :]
            )
            if n > 1:
                pairs = jnp.broadcast_to(pairs, (*pairs.shape[: -2 * n], *sizes))
                pairs = pairs.reshape(*pairs.shape[: -2 * n], math.prod(sizes[:n]), math.prod(sizes[n:]))
        of_queries = None if inputs.query_mask is None else to_steps(inputs.query_mask, axes)[..., None, :, None]
        of_keys = None if inputs.key_mask is None else to_steps(inputs.key_mask, axes)[..., None, None, :]
        return ops.all_of(pairs, of_queries, of_keys)


def check_heads(layer: Any) -> None:
    """Raise ConfigError for options of `MultiHead` that are wrong, or do not go together."""
    check_common(layer)
    if layer.sliding_window is not None:
        check_count(layer, "sliding_window")
    check_cache(layer)
    if layer.rotary_wavelength is not None:
        check_positive(layer, "rotary_wavelength")
    if layer.rotary_wavelength is not None and layer.heads()[2] % 2:
        raise ConfigError(
            f"{layer!r}: rotary_wavelength rotates pairs of features; make those of a head an even number"
        )
    if layer.cache is not None and not layer.use_causal_mask:
        raise ConfigError(f"{layer!r}: cache needs use_causal_mask=True, since later steps are not there yet")
    if layer.cache is not None and (layer.return_attention_scores or layer.keras_masks or layer.flash_attention):
        raise ConfigError(f"{layer!r}: cache has no return_attention_scores, keras_masks or flash_attention=True")
    if layer.flash_attention and (layer.dropout > 0 or layer.return_attention_scores):
        other = "dropout" if layer.dropout > 0 else "return_attention_scores"
        raise ConfigError(
            f"{layer!r}: flash_attention=True has no {other}: the kernel never holds the scores; use None or False"
        )
