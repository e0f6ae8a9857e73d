"""Attention with several heads, each with projections of its own. How, stands once in `MultiHead`."""

from collections.abc import Sequence
from typing import ClassVar

from fnlayers.core.errors import ConfigError, ShapeError
from fnlayers.core.layer import layerclass
from fnlayers.core.options import Seed
from fnlayers.core.shapes import per_axis
from fnlayers.functions.constraints import Constraint
from fnlayers.functions.initializers import Initializer
from fnlayers.functions.regularizers import Regularizer
from fnlayers.layers.attention.multi_head_base import MultiHead, check_heads
from fnlayers.layers.common import check_count

__all__ = ["MultiHeadAttention", "GroupQueryAttention"]


@layerclass
class MultiHeadAttention(MultiHead):
    """Attention of several heads side by side, each with queries, keys and values of its own. See `MultiHead`.

    Arguments:
        num_heads: the number of heads.
        key_dim: the features of a head's queries and keys.
        value_dim: the features of a head's values; None: key_dim.
        output_shape: the size of the output, or sizes; None: the query's features.
        attention_axes: the axis, or axes together, to attend over; None: all between batch and features.
        dropout, use_bias, sliding_window, flash_attention, kernel_initializer, bias_initializer, kernel_regularizer,
            bias_regularizer, activity_regularizer, kernel_constraint, bias_constraint, use_gate, seed: see `MultiHead`.

    Shapes: query (batch, queries, a), value (batch, keys, b), key (batch, keys, c), attention_mask (batch, queries,
        keys) or (batch, heads, queries, keys), each axis the right size or 1 -> (batch, queries, *output_shape), and
        the weights (batch, heads, queries, keys). With more axes, those not attended over belong to the batch, and
        where several are attended over, each stands in masks and weights.

    Reference: Vaswani et al., Attention Is All You Need, 2017.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> layer = MultiHeadAttention(num_heads=2, key_dim=4, use_causal_mask=True)
        >>> params = layer.init(jax.random.key(0), (None, None, 8))
        >>> layer.apply(params, jnp.ones((2, 5, 8))).shape
        (2, 5, 8)
    """

    num_heads: int
    key_dim: int
    value_dim: int | None = None
    dropout: float = 0.0
    use_bias: bool = True
    output_shape: int | Sequence[int] | None = None
    attention_axes: int | Sequence[int] | None = None
    sliding_window: int | None = None
    flash_attention: bool | None = None
    kernel_initializer: Initializer = "glorot_uniform"
    bias_initializer: Initializer = "zeros"
    kernel_regularizer: Regularizer = None
    bias_regularizer: Regularizer = None
    activity_regularizer: Regularizer = None
    kernel_constraint: Constraint = None
    bias_constraint: Constraint = None
    use_gate: bool = False
    seed: Seed = None

    regularizes_output: ClassVar[bool] = False

    def check(self) -> None:
        """Positive sizes, options that go together."""
        check_heads(self)
        for name in ("num_heads", "key_dim") if self.value_dim is None else ("num_heads", "key_dim", "value_dim"):
            check_count(self, name)
        if self.output_shape is not None:
            self.output(1)
        if self.attention_axes is not None:
            self._axes()

    def heads(self) -> tuple[int, int, int, int]:
        """As many heads of keys as of queries."""
        return self.num_heads, self.num_heads, self.key_dim, self.value_dim or self.key_dim

    def output(self, features: int) -> tuple[int, ...]:
        """output_shape, or the query's features."""
        sizes = (features,) if self.output_shape is None else self.output_shape
        sizes = (sizes,) if isinstance(sizes, int) else tuple(sizes)
        return per_axis(sizes, max(1, len(sizes)), f"{type(self).__name__}: output_shape")

    def axes(self, rank: int) -> tuple[int, ...]:
        """Those named, counted from the front; never the batch's or the features'."""
        axes = tuple(range(1, rank - 1)) if self.attention_axes is None else self._axes()
        positive = tuple(axis + rank if axis < 0 else axis for axis in axes)
        if not all(0 < axis < rank - 1 for axis in positive) or len(set(positive)) < len(positive):
            raise ShapeError(
                f"{self!r}: attention_axes={self.attention_axes} with {rank} axes; choose from 1 to {rank - 2}, each "
                "once: axis 0 is the batch, the last one the features"
            )
        return positive

    def _axes(self) -> tuple[int, ...]:
        axes = (self.attention_axes,) if isinstance(self.attention_axes, int) else self.attention_axes
        if not isinstance(axes, tuple) or not axes or not all(isinstance(axis, int) for axis in axes):
            raise ConfigError(
                f"MultiHeadAttention: attention_axes={self.attention_axes!r} is wrong; give an integer or some of them"
            )
        return axes


@layerclass
class GroupQueryAttention(MultiHead):
    """Attention of several heads, where neighboring heads of the query share a head of keys and values.

    See `MultiHead`. Between one head of keys for each head of queries (MultiHeadAttention) and one for all
    (multi-query attention); keys and values are not repeated in memory.

    Arguments:
        head_dim: the features of a head.
        num_query_heads: the number of heads of the query.
        num_key_value_heads: the number of heads of key and value, which divides num_query_heads.
        dropout, use_bias, sliding_window, flash_attention, kernel_initializer, bias_initializer, kernel_regularizer,
            bias_regularizer, kernel_constraint, bias_constraint, use_gate, seed: see `MultiHead`.
        activity_regularizer: as there; and as in Keras on what the layer returns once more.

    Shapes: query (batch, queries, a), value (batch, keys, b), key (batch, keys, c), attention_mask (batch, queries,
        keys) or (batch, heads, queries, keys), each axis the right size or 1 -> (batch, queries, a), and the weights
        (batch, heads, queries, keys).

    Reference: Ainslie et al., GQA: Training Generalized Multi-Query Transformer Models from Multi-Head Checkpoints,
        2023.

    Example:
        >>> layer = GroupQueryAttention(head_dim=4, num_query_heads=8, num_key_value_heads=2)
        >>> layer.out_shape(((None, 5, 16), (None, 7, 16)))
        (None, 5, 16)
    """

    head_dim: int
    num_query_heads: int
    num_key_value_heads: int
    dropout: float = 0.0
    use_bias: bool = True
    sliding_window: int | None = None
    flash_attention: bool | None = None
    kernel_initializer: Initializer = "glorot_uniform"
    bias_initializer: Initializer = "zeros"
    kernel_regularizer: Regularizer = None
    bias_regularizer: Regularizer = None
    activity_regularizer: Regularizer = None
    kernel_constraint: Constraint = None
    bias_constraint: Constraint = None
    use_gate: bool = False
    seed: Seed = None

    most_rank: ClassVar[int] = 3

    def check(self) -> None:
        """Positive sizes, groups of one size, options that go together."""
        check_heads(self)
        for name in ("head_dim", "num_query_heads", "num_key_value_heads"):
            check_count(self, name)
        if self.num_query_heads % self.num_key_value_heads:
            raise ConfigError(f"{self!r}: num_key_value_heads does not divide num_query_heads")

    def heads(self) -> tuple[int, int, int, int]:
        """Fewer heads of keys than of queries."""
        return self.num_query_heads, self.num_key_value_heads, self.head_dim, self.head_dim

    def output(self, features: int) -> tuple[int, ...]:
        """As many as the query has."""
        return (features,)

    def axes(self, rank: int) -> tuple[int, ...]:
        return (1,)

    @property
    def base_name(self) -> str:
        """The name that Keras's class, GroupedQueryAttention, gives."""
        return "grouped_query_attention"
