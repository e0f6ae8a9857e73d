"""Columns of a table: numbers into bins, and ids as vectors. Both run within compiled programs, too."""

from dataclasses import field, replace
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from fnlayers.core.dtypes import IntegerName, PolicyName, policy
from fnlayers.core.errors import ConfigError, ShapeError, brief
from fnlayers.core.layer import Layer, Shape, layerclass
from fnlayers.core.options import Numbers
from fnlayers.core.shapes import is_shape
from fnlayers.layers.common import check_rank
from fnlayers.layers.preprocessing.hashed import refuse_sparse
from fnlayers.layers.preprocessing.host import check_last_axis, finite_numbers
from fnlayers.layers.preprocessing.learning import adapted
from fnlayers.layers.preprocessing.quantiles import boundaries_of, merged, summary_of
from fnlayers.ops.categories import encode_categories

__all__ = ["CategoryEncoding", "Discretization"]


@layerclass
class Discretization(Layer):
    """The number of the bin that each number falls into; or vectors and counts of bins.

    A number equal to a boundary is in the bin above it. Numbers are compared in float32, and NaN is in the last bin.

    Arguments:
        bin_boundaries: where a bin ends and the next begins, in any order. None: to be learned by `adapt`.
        num_bins: how many bins `adapt` makes, each for as many numbers as the others.
        epsilon: how precise it is: the fraction of numbers by which a boundary may be off.
        output_mode: "int": the number of each element's bin. "one_hot": a vector for each. "multi_hot", "count": a
            vector for each row, whether an element is in the bin, or how many are.
        sparse: False; results are dense.
        dtype: of the vectors; the mode "int" gives int32.

    Shapes: (...) -> (...) in the mode "int"; (..., n) -> (..., n, bins) as vectors of each number, without an axis of
        size n = 1; (rows, n) -> (rows, bins) as vectors of rows, and (n,) -> (bins,).
    Mask: refused.

    Example:
        >>> Discretization([0.0, 1.0]).apply({}, jnp.array([-1.0, 0.0, 3.5])).tolist()
        [0, 1, 2]
        >>> Discretization(num_bins=2).adapt(np.arange(100.0)).bin_boundaries
        (48.99998092651367,)
    """

    bin_boundaries: Numbers | None = None
    num_bins: int | None = None
    epsilon: float = 0.01
    output_mode: Literal["int", "one_hot", "multi_hot", "count"] = "int"
    sparse: bool = False
    dtype: PolicyName | IntegerName | None = field(default=None, kw_only=True)

    casts_inputs: ClassVar[str] = "none"
    takes: ClassVar[str] = "real"
    integer_policies: ClassVar[bool] = True

    def check(self) -> None:
        """Boundaries, or how many there shall be."""
        refuse_sparse(self)
        if (self.bin_boundaries is None) == (self.num_bins is None):
            raise ConfigError(
                f"Discretization: bin_boundaries={self.bin_boundaries!r}, num_bins={self.num_bins!r}: give one of them"
            )
        if self.num_bins is not None and self.num_bins < 1:
            raise ConfigError(f"Discretization: num_bins={self.num_bins} is wrong; give a number of at least 1")
        if not 0 < self.epsilon <= 1:
            raise ConfigError(f"Discretization: epsilon={self.epsilon} is wrong; give a fraction above 0, at most 1")
        if self.bin_boundaries is not None and len(np.shape(self.bin_boundaries)) != 1:
            raise ConfigError(
                f"Discretization: bin_boundaries={self.bin_boundaries!r} is wrong; give a list of numbers"
            )

    def check_shape(self, shape: Shape) -> None:
        """One array."""
        check_rank(self, shape, *range(16))
        check_last_axis(self, shape, self.output_mode)

    def call(self, params: Any, x: Any) -> Any:
        if self.bin_boundaries is None:
            raise ConfigError(
                f"{brief(self)} has no boundaries; write layer = layer.adapt(data), or give bin_boundaries="
            )
        boundaries = np.sort(np.asarray(self.bin_boundaries, np.float32))
        ids = jnp.searchsorted(boundaries, jnp.asarray(x).astype("float32"), side="right").astype("int32")
        if self.output_mode == "int":
            return ids
        return encode_categories(ids, len(boundaries) + 1, self.output_mode, vector_dtype(self))

    def adapt(self, data: Any, *, verbose: bool = True, steps: int | None = None) -> "Discretization":
        """The layer with boundaries between which there are equally many of some numbers, to a fraction of epsilon.

        The data are read once, and a summary of 1 / epsilon numbers is held. Few numbers make fewer bins.

        Arguments:
            data: an array, or any iterable of batches; a list is batches, as in Keras.
            verbose: whether to show a bar where someone looks at it.
            steps: how many batches to read; None: all.

        Raises:
            ConfigError: for a layer that has boundaries, for no numbers, and for NaN or infinity among them.
        """
        return adapted(self, data, verbose, steps, lists_are_arrays=False)

    def learner(self) -> "Quantiles":
        """A summary of the numbers so far."""
        if self.num_bins is None:
            raise ConfigError(f"{brief(self)} has boundaries; make a layer with num_bins= to adapt it")
        return Quantiles(self, self.num_bins)


class Quantiles:
    """A summary of the batches so far, and the boundaries that come of it: a Learner.

    Arguments:
        layer: a Discretization.
        bins: how many bins it makes.
    """

    def __init__(self, layer: Discretization, bins: int) -> None:
        self.layer, self.bins, self.summary = layer, bins, np.zeros((2, 0), np.float32)

    def add(self, batch: np.ndarray, whole: bool) -> None:
        """Merge the summary of a batch."""
        numbers = finite_numbers(self.layer, batch, "float32")
        if numbers.size:
            epsilon = self.layer.epsilon
            self.summary = merged(summary_of(numbers, epsilon), self.summary, epsilon)

    def learned(self) -> Discretization:
        """The layer with the boundaries as an option."""
        if not self.summary.size:
            raise ConfigError(f"{brief(self.layer)}: adapt found no numbers; give data that hold some")
        boundaries = boundaries_of(self.summary, self.bins)
        return replace(self.layer, bin_boundaries=tuple(boundaries.tolist()), num_bins=None)


@layerclass
class CategoryEncoding(Layer):
    """Ids as vectors: one for each id, or one for each row of them.

    Ids outside of 0 to num_tokens - 1 count nowhere. The fraction of floats is cut off. Outside of compiled programs
    ids below 0 are an error in rows, as in Keras, and NaN is one everywhere; within them it counts nowhere.

    Arguments:
        num_tokens: how many ids there are: the size of the vectors.
        output_mode: "multi_hot", "count": a vector for each row, whether an id is there, or how often. "one_hot": a
            vector for each id.
        sparse: False; results are dense.
        dtype: of the vectors.

    Shapes: (..., n) -> (..., n, num_tokens) in the mode "one_hot", without an axis of size n = 1; (rows, n) ->
        (rows, num_tokens) in the others, and (n,) -> (num_tokens,). In the mode "count" also (ids, weights), two arrays
        of one shape: how much each id counts.
    Mask: refused.

    Example:
        >>> CategoryEncoding(4).apply({}, jnp.array([[0, 1], [3, 3]])).tolist()
        [[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
    """

    num_tokens: int | None = None
    output_mode: Literal["multi_hot", "one_hot", "count"] = "multi_hot"
    sparse: bool = False
    dtype: PolicyName | IntegerName | None = field(default=None, kw_only=True)

    casts_inputs: ClassVar[str] = "none"
    takes: ClassVar[str] = "real"
    integer_policies: ClassVar[bool] = True

    def check(self) -> None:
        """A number of ids."""
        refuse_sparse(self)
        if not isinstance(self.num_tokens, int) or self.num_tokens < 1:
            raise ConfigError(
                f"CategoryEncoding: num_tokens={self.num_tokens!r} is wrong; give how many ids there are (or write "
                "IntegerLookup, which finds it out)"
            )

    @property
    def in_dtype(self) -> str:
        """Integers."""
        return "int32"

    def check_shape(self, shape: Shape) -> None:
        """One array, or ids and weights of one shape."""
        if is_shape(shape):
            check_last_axis(self, shape, self.output_mode)
            return
        if self.output_mode != "count" or len(shape) != 2 or tuple(shape[0]) != tuple(shape[1]):
            raise ShapeError(
                f"{brief(self)} takes an array of ids, or ids and weights of one shape in the mode 'count', got "
                f"{shape!r}"
            )

    def call(self, params: Any, x: Any) -> Any:
        ids, weights = x if isinstance(x, tuple) else (x, None)
        ids = self._integers(jnp.asarray(ids))
        if self.output_mode != "one_hot" and ids.ndim < 3 and not isinstance(ids, Tracer):
            self._refuse_negative(ids)
        dtype = vector_dtype(self) if weights is None else jnp.asarray(weights).dtype
        return encode_categories(ids, self.num_tokens or 0, self.output_mode, dtype, weights)

    def _integers(self, ids: Any) -> Any:
        """Ids without their fraction, -1 for what is not finite."""
        if not jnp.issubdtype(ids.dtype, jnp.floating):
            return ids.astype("int32")
        finite = jnp.isfinite(ids)
        if not isinstance(ids, Tracer) and not finite.all():
            raise ConfigError(f"{brief(self)}: {int((~finite).sum())} ids are NaN or infinite; give them a number")
        return jnp.where(finite, ids, -1).astype("int32")

    def _refuse_negative(self, ids: Any) -> None:
        if (ids < 0).any():
            raise ConfigError(
                f"{brief(self)}: {int((ids < 0).sum())} ids are below 0, such as {int(ids.min())}; number ids from 0"
            )


def vector_dtype(layer: Any) -> np.dtype:
    """The dtype of the vectors of a layer: its policy's."""
    return jax.dtypes.canonicalize_dtype(policy(layer.dtype).compute)
