"""The reference of each operation: one plain call, which says what the operation is.

It runs on every platform. What `ops/cpu` and `ops/cuda` hold besides is faster there, and gives the same numbers with
all their derivatives.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from fnlayers.half_precision import accumulation_dtype, divide, exp, is_half_precision, recomputed
from fnlayers.ops import loop
from fnlayers.ops.layout import channel_axis, lowest
from fnlayers.ops.loop import Loop, Scan
from fnlayers.ops.recurrent import Carry, DenseScan, DenseWeights, Gates, ScanResult, hidden, masked_hidden, plus


class Window(NamedTuple):
    """How a kernel goes over x: numbers of elements for each spatial axis."""

    strides: tuple[int, ...]
    padding: Any  # (before, after) for each; or lax's word for them, where sizes are not known
    dilation: tuple[int, ...]
    groups: int = 1

    def sizes(self, space: Sequence[int], kernel: Sequence[int]) -> tuple[int, ...]:
        """The sizes of y along the spatial axes, for those of x with its padding, and of the kernel."""
        spans = ((k - 1) * d + 1 for k, d in zip(kernel, self.dilation, strict=True))
        return tuple((n - span) // s + 1 for n, span, s in zip(space, spans, self.strides, strict=True))

    def padded(self, space: Sequence[int]) -> list[int]:
        """The sizes of x along the spatial axes with its padding."""
        return [n + sum(pads) for n, pads in zip(space, self.padding, strict=True)]


class TransposedWindow(NamedTuple):
    """How a transposed convolution goes: numbers of elements for each spatial axis."""

    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]  # (before, after) of x with zeros between its elements
    dilation: tuple[int, ...]


class PoolWindow(NamedTuple):
    """How windows lie on x: sizes, strides and padding in elements, for each axis of x, batch and channels included."""

    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]

    @property
    def taps(self) -> int:
        """How many elements of x a window covers."""
        return math.prod(self.sizes)

    @property
    def overlaps(self) -> bool:
        """Whether an element may be in several windows."""
        return any(stride < size for size, stride in zip(self.sizes, self.strides, strict=True))


def conv(x: jax.Array, kernel: jax.Array, window: Window, data_format: str = "channels_last") -> jax.Array:
    """The convolution.

    Shapes: x (batch, *space, channels), kernel (*window, channels / groups, out), y (batch, *new_space, out).
    """
    return lax.conv_general_dilated(
        x,
        kernel,
        window_strides=window.strides,
        padding=window.padding,
        rhs_dilation=window.dilation,
        dimension_numbers=dimension_numbers(x.ndim - 2, data_format, "IO"),
        feature_group_count=window.groups,
    )


def conv_transpose(
    x: jax.Array, kernel: jax.Array, window: TransposedWindow, data_format: str = "channels_last"
) -> jax.Array:
    """The transposed convolution: a convolution of x with zeros between its elements.

    Shapes: x (batch, *space, in), kernel (*window, out, in), y (batch, *new_space, out).
    """
    rank = x.ndim - 2
    return lax.conv_general_dilated(
        x,
        jnp.flip(kernel, tuple(range(rank))),
        window_strides=(1,) * rank,
        padding=window.padding,
        lhs_dilation=window.strides,
        rhs_dilation=window.dilation,
        dimension_numbers=dimension_numbers(rank, data_format, "OI"),
    )


def dimension_numbers(rank: int, data_format: str, kernel: str) -> tuple[str, str, str]:
    """The letters of x, kernel and y for lax: N batch, C channels, I and O the kernel's channels in and out."""
    space = "DHW"[-rank:]
    x = f"N{space}C" if channel_axis(data_format) == -1 else f"NC{space}"
    return x, space + kernel, x


def max_pool(x: jax.Array, window: PoolWindow) -> jax.Array:
    """The largest element of each window; the gradient goes to the first that is as large."""
    return lax.reduce_window(x, lowest(x.dtype), lax.max, *window)


def sum_pool(x: jax.Array, window: PoolWindow) -> jax.Array:
    """The sum of each window."""
    return lax.reduce_window(x, x.dtype.type(0), lax.add, *window)


class Attention(NamedTuple):
    """What attention does besides its products; see `ops.attention`."""

    scale: jax.Array | float = 1.0
    score: Callable[[jax.Array, jax.Array], jax.Array] | None = None
    drop: Callable[[jax.Array], jax.Array] | None = None
    empty: str = "zeros"
    causal: bool = False
    window: int | None = None
    return_weights: bool = False


# The score of a pair that the mask forbids, in float32, and so what a query gets that may attend to nothing.
EMPTY: dict[str, Callable[[jax.Array], Any]] = {
    "zeros": lambda scores: -jnp.inf,
    "mean": lambda scores: jnp.finfo(scores.dtype).min,  # of all values, forbidden ones included
    "shifted": lambda scores: scores - 1e9,  # nearly that mean, with a gradient to the scores
}


def dot(x: jax.Array, kernel: jax.Array, axes: int) -> jax.Array:
    """The product over the last `axes` of x and the first of the kernel, in x's dtype."""
    if axes == 1 and kernel.ndim == 2:
        # jnp.matmul is compiled once and for all, so an eager call costs half as much as that of others
        return rounded(jnp.matmul(x, kernel), x)
    return rounded(jnp.tensordot(x, kernel, axes), x)


def rounded(y: jax.Array, x: jax.Array) -> jax.Array:
    """The product y of x and a kernel in x's dtype, where that is of half precision and the kernel's is not."""
    return y.astype(x.dtype) if is_half_precision(x) else y


def matmul_in_float32(a: jax.Array, b: jax.Array) -> jax.Array:
    """See `ops.matmul_in_float32`."""
    return _matmul_in_float32(a, b) if is_half_precision(a) else jnp.matmul(a, b)


@jax.custom_jvp
def _matmul_in_float32(a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.matmul(a, b, preferred_element_type=jnp.float32)


@_matmul_in_float32.defjvp
def _(primals: tuple, tangents: tuple) -> tuple:
    (a, b), (da, db) = primals, tangents
    dy = jnp.matmul(da, b).astype(jnp.float32) + jnp.matmul(a, db).astype(jnp.float32)
    return _matmul_in_float32(a, b), dy


def attention(
    query: jax.Array, key: jax.Array, value: jax.Array, mask: jax.Array | None, call: Attention
) -> jax.Array | tuple[jax.Array, jax.Array]:
    """y, or (y, weights): a product, a masked softmax and a product, with scores and sums in float32.

    It is divided after the second product, where there is less to divide, and queries, which are fewer than scores of
    many keys, are scaled before the first; but those of half precision would be rounded once more.
    """
    scores = attention_scores(query, key, mask, call, scales_queries=query.dtype == accumulation_dtype(query.dtype))
    terms, total = softmax_terms(scores, value.dtype)
    y = divide(sum_of_values(terms, value, call), total, value.dtype)
    return attended(y, divide(terms, total, value.dtype), value, call)


def attention_scores(
    query: jax.Array, key: jax.Array, mask: jax.Array | None, call: Attention, scales_queries: bool
) -> jax.Array:
    """(..., heads, queries, keys), in float32 at least, with those of EMPTY where the mask forbids a pair.

    Heads come first, so that each product is one batched matmul: twice as fast on CPUs as contracting in place.
    """
    q, k, dtype = _heads_first(query), _heads_first(key), accumulation_dtype(query.dtype)
    if call.score is None:
        scale, k = jnp.asarray(call.scale, dtype), jnp.swapaxes(k, -1, -2)
        product = _recomputed_product if isinstance(call.scale, jax.Array) and is_half_precision(q) else _scaled_product
        scores = _grouped(scale * q, k) if scales_queries else product(scale, q, k)
    else:
        scores = call.score(q, k).astype(dtype)
    return scores if mask is None else jnp.where(mask, scores, EMPTY[call.empty](scores))


def _scaled_product(scale: jax.Array, q: jax.Array, k: jax.Array) -> jax.Array:
    return scale * _grouped(q, k)


# The gradient of a scale that is learned reads the product, which is in float32.
_recomputed_product = recomputed(_scaled_product)


def softmax_terms(scores: jax.Array, dtype: Any) -> tuple[jax.Array, jax.Array]:
    """(exponentials, their sum over the keys): the weights are their quotient. The backward pass keeps `dtype`."""
    # The largest score, or with nothing to attend to a finite number, so that exp gives 0 and not NaN
    top = jnp.max(scores, axis=-1, keepdims=True, initial=jnp.finfo(scores.dtype).min)
    terms = exp(scores - lax.stop_gradient(top), dtype)
    total = jnp.sum(terms, axis=-1, keepdims=True)
    return terms, jnp.where(total == 0, 1, total)


def sum_of_values(weights: jax.Array, value: jax.Array, call: Attention) -> jax.Array:
    """The values times the weights, after dropout, summed over the keys: (..., heads, queries, features)."""
    dropped = weights if call.drop is None else call.drop(weights)
    return _grouped(dropped.astype(value.dtype), _heads_first(value))


def attended(
    y: jax.Array, weights: jax.Array, value: jax.Array, call: Attention
) -> jax.Array | tuple[jax.Array, jax.Array]:
    """What attention returns, in the values' dtype."""
    y = jnp.moveaxis(y, -3, -2).astype(value.dtype)
    return (y, weights.astype(value.dtype)) if call.return_weights else y


def _heads_first(x: jax.Array) -> jax.Array:
    return jnp.moveaxis(x, -2, -3)


def _grouped(a: jax.Array, b: jax.Array) -> jax.Array:
    """The product of the last two axes, in float32 at least; neighboring heads of `a` share a head of `b`."""
    *batch, heads, rows, inner = a.shape
    stacked = a.reshape(*batch, b.shape[-3], heads // b.shape[-3] * rows, inner)
    product = matmul_in_float32(stacked, b)
    return product.reshape(*product.shape[:-3], heads, rows, b.shape[-1])


def scan(carry: Any, xs: Any, mask: jax.Array | None, call: Scan) -> tuple[Any, Any, Any, Any]:
    """The loop over what is made of all x in one call before it."""
    return loop.run(call.step, carry, call.project(xs), mask, call.loop)


def scan_projecting_inside(carry: Any, xs: Any, mask: jax.Array | None, call: Scan) -> tuple[Any, Any, Any, Any]:
    """The loop over what is made of x in each step."""
    return loop.run(lambda carry, x: call.step(carry, call.project(x)), carry, xs, mask, call.loop)


def scan_dense(
    weights: DenseWeights,
    carry: Carry,
    xs: jax.Array,
    mask: jax.Array | None,
    dropout_mask: jax.Array | None,
    call: DenseScan,
    product: Callable[[jax.Array, jax.Array, int], jax.Array] | None = None,
) -> ScanResult:
    """The loop over single steps of a dense cell, after the product (None: `dot`) of all x with their weights."""
    projected = plus((product or dot)(xs, weights.kernel, 1), weights.bias)
    return loop.run(dense_step(weights, dropout_mask, call), carry, projected, mask, dense_loop(call))[:3]


def dense_step(weights: DenseWeights, dropout_mask: jax.Array | None, call: DenseScan) -> loop.Step:
    """A step of a dense cell, from what the weights made of x."""
    gates: Gates = functools.partial(call.gates, axis=-1)
    if is_half_precision(weights.recurrent):  # or each derivative within the gates would be saved, twice as much in all
        gates = jax.checkpoint(gates, prevent_cse=False)

    def step(carry: Carry, of_x: jax.Array) -> tuple[Carry, jax.Array, None]:
        of_h = plus(dot(masked_hidden(carry, dropout_mask), weights.recurrent, 1), weights.recurrent_bias)
        return *gates(carry, call.join(of_x, of_h, axis=-1)), None

    return step


def dense_loop(call: DenseScan) -> Loop:
    """The loop of a dense cell, whose carry tells the output."""
    return call.loop._replace(output=hidden)


def mean_operand(x: jax.Array) -> jax.Array:
    """What a mean is taken of: x itself."""
    return x


def gradient_once(x: jax.Array) -> jax.Array:
    """What has a gradient of many terms: x itself."""
    return x
