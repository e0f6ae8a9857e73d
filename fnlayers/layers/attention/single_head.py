"""Attention with one head: each query gets a weighted mean of the values, by the scores of their keys."""

from dataclasses import field
from typing import Any, ClassVar, Literal

import jax.numpy as jnp

from fnlayers import ops
from fnlayers.core.context import Context, Out
from fnlayers.core.errors import ConfigError, ShapeError
from fnlayers.core.layer import Layer, Shape, layerclass
from fnlayers.core.options import Seed
from fnlayers.core.shapes import known
from fnlayers.core.spec import Param
from fnlayers.layers.attention.inputs import (
    attention_inputs,
    by_name,
    check_common,
    check_inputs,
    dropping,
    fit,
    result,
    same,
)

__all__ = ["Attention", "AdditiveAttention"]


@layerclass
class SingleHead(Layer):
    """Base of Attention and AdditiveAttention: y = softmax(score(query, key)) value.

    Inputs are (query, value), (query, value, key), a dict with these names, or one array, which attends to itself;
    without a key the values are their own keys.

    Arguments:
        dropout: the fraction of the weights that is dropped in training.
        use_causal_mask: whether a query attends to no key after its own position.
        return_attention_scores: whether to return (y, weights), the weights as they are before dropout.
        keras_masks: whether to mask to the letter as Keras does, where 1e9 is subtracted from masked scores: a query
            that may attend to nothing gets about the mean of all values, not 0, and masked queries have weights. Set by
            `load_keras`.

    Shapes: query (batch, ..., queries, features), value (batch, ..., keys, any), key (batch, ..., keys, features) ->
        (batch, ..., queries, any), and the weights (batch, ..., queries, keys).
    Random: in training, unless dropout is 0.
    Mask: used: masked values are left out, and masked queries give 0; the query's is passed on. A key has the mask of
        its value.
    """

    use_causal_mask: bool = field(default=False, kw_only=True)
    return_attention_scores: bool = field(default=False, kw_only=True)
    keras_masks: bool = field(default=False, kw_only=True)

    least_rank: ClassVar[int] = 2
    most_rank: ClassVar[int] = 16

    def score(self, params: Any) -> dict:
        """How a query is compared with a key: `scale` or `score` for `ops.attention`."""
        raise ConfigError(f"{type(self).__name__} defines no score()")

    def check_shape(self, shape: Shape) -> None:
        sizes = check_inputs(self, shape, ("query", "value", "key"))
        query, key = sizes["query"], sizes.get("key", sizes["value"])
        if len(query) != len(key) or not all(map(fit, query[:-2], key[:-2])) or not same(query[-1], key[-1]):
            raise ShapeError(f"{self!r}: query {query} and key {key} differ in more than their number of steps")

    def forward(self, params: Any, x: Any, ctx: Context) -> Out:
        """One head's attention over the last axis but one."""
        # Keras: a key's own mask is ignored
        query, key, value, query_mask, key_mask, _ = attention_inputs(self, x, ctx.mask, joins_key_mask=False)
        of_queries = None if self.keras_masks or query_mask is None else query_mask[..., None, :, None]
        of_keys = None if key_mask is None else key_mask[..., None, None, :]
        y, weights = ops.attention(
            query[..., None, :],
            key[..., None, :],
            value[..., None, :],
            mask=ops.all_of(of_queries, of_keys),
            causal=self.use_causal_mask,
            drop=dropping(self, ctx),
            empty="shifted" if self.keras_masks else "zeros",
            return_weights=self.return_attention_scores,
            **self.score(params),
        )
        y = y[..., 0, :]
        if self.keras_masks and query_mask is not None:
            y = jnp.where(query_mask[..., None], y, 0)
        return result(y, None if weights is None else weights[..., 0, :, :], ctx)


@layerclass
class Attention(SingleHead):
    """y = softmax(query . key) value (Luong's). See `SingleHead`.

    Arguments:
        use_scale: whether the scores have a learned factor.
        score_mode: "dot": the product; "concat": weight sum tanh(query + key), with a learned weight and, with
            use_scale, a factor inside of tanh.
        dropout: see `SingleHead`.
        seed: a number folded into the layer's key.

    Weights: scale () with use_scale, concat_score_weight () in mode "concat".

    Reference: Luong, Pham, Manning, Effective Approaches to Attention-based Neural Machine Translation, 2015.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> layer = Attention(use_causal_mask=True)
        >>> layer.apply({}, (jnp.ones((2, 4, 3)), jnp.ones((2, 4, 5)), jnp.ones((2, 4, 3)))).shape
        (2, 4, 5)
    """

    use_scale: bool = False
    score_mode: Literal["dot", "concat"] = "dot"
    dropout: float = 0.0
    seed: Seed = None

    def check(self) -> None:
        check_common(self)

    def weights(self, shape: Shape) -> dict:
        scale = {"scale": Param((), "ones")} if self.use_scale else {}
        return scale | ({"concat_score_weight": Param((), "ones")} if self.score_mode == "concat" else {})

    def score(self, params: Any) -> dict:
        """The product, or the sum of tanh."""
        scale = params["scale"] if self.use_scale else 1.0
        if self.score_mode == "dot":
            return {"scale": scale}
        weight = params["concat_score_weight"]
        return {"score": lambda query, key: ops.additive_score(query, key, scale, weight)}


@layerclass
class AdditiveAttention(SingleHead):
    """y = softmax(sum scale tanh(query + key)) value (Bahdanau's). See `SingleHead`.

    Arguments:
        use_scale: whether each feature has a learned factor; else 1.
        dropout: see `SingleHead`.
        seed: a number folded into the layer's key.

    Weights: scale (features,) with use_scale.

    Reference: Bahdanau, Cho, Bengio, Neural Machine Translation by Jointly Learning to Align and Translate, 2015.
    """

    use_scale: bool = True
    dropout: float = 0.0
    seed: Seed = None

    def check(self) -> None:
        check_common(self)

    def weights(self, shape: Shape) -> dict:
        if not self.use_scale:
            return {}
        return {
            "scale": Param(
                (known(by_name(shape, shapes=True)["query"], -1, "features"),), "glorot_uniform", axes=("in",)
            )
        }

    def score(self, params: Any) -> dict:
        scale = params["scale"] if self.use_scale else 1.0
        return {"score": lambda query, key: ops.additive_score(query, key, 1.0, scale)}
