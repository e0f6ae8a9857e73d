"""Embeddings: rows of a table, looked up by integers."""

from typing import Any, ClassVar

import jax.numpy as jnp

from fnlayers import ops
from fnlayers.core.checks import refuse_summed
from fnlayers.core.context import Context, Out
from fnlayers.core.dtypes import PolicyName
from fnlayers.core.errors import ConfigError, ShapeError
from fnlayers.core.layer import Layer, Shape, layerclass
from fnlayers.core.spec import Param
from fnlayers.functions.constraints import Constraint
from fnlayers.functions.initializers import Initializer
from fnlayers.functions.regularizers import Regularizer
from fnlayers.layers.common import check_count, option_param

__all__ = ["Embedding", "ReversibleEmbedding"]


@layerclass
class Embedding(Layer):
    """y = embeddings[x]: a learned vector for each integer.

    An integer outside 0 to input_dim - 1 gives a row of NaN, which shows, and moves no weight. (Keras on JAX gives the
    last row for -1.)

    Arguments:
        input_dim: the number of rows: the largest integer plus 1.
        output_dim: the length of a row.
        embeddings_initializer, embeddings_regularizer, embeddings_constraint: of the table.
        mask_zero: whether 0 is padding. Row 0 is there all the same.

    Shapes: integers (batch, ...) -> (batch, ..., output_dim).
    Weights: embeddings (input_dim, output_dim).
    Mask: made with mask_zero: True where x is not 0; else ended.
    """

    input_dim: int
    output_dim: int
    embeddings_initializer: Initializer = "uniform"
    embeddings_regularizer: Regularizer = None
    embeddings_constraint: Constraint = None
    mask_zero: bool = False

    casts_inputs: ClassVar[str] = "none"
    single_input: ClassVar[bool] = True
    takes: ClassVar[str] = "ordered"

    def check(self) -> None:
        check_count(self, "input_dim")
        check_count(self, "output_dim")

    @property
    def in_dtype(self) -> str:
        return "int32"

    def weights(self, shape: Shape) -> dict:
        return {"embeddings": option_param(self, "embeddings", (self.input_dim, self.output_dim), ("vocab", "out"))}

    def forward(self, params: Any, x: Any, ctx: Context) -> Out:
        x = jnp.asarray(x)
        y = look_up(params["embeddings"], x)
        return Out(y, mask=x != 0 if self.mask_zero else None)


@layerclass
class ReversibleEmbedding(Layer):
    """An Embedding, y = embeddings[x], and its reverse: logits = x @ embeddings.T, for a tied output.

    Integers are embedded; floating inputs, or any with `reverse` set, are projected to logits over the vocabulary. So
    one object, called at both ends of a model, shares its table.

    Arguments:
        input_dim, output_dim, embeddings_initializer, embeddings_regularizer, embeddings_constraint, mask_zero: as in
            Embedding.
        tie_weights: whether the reverse uses the same table; else it has a matrix of its own.
        reverse_dtype: the dtype of the reverse product; None: the layer's.
        logit_soft_cap: bounds logits softly: cap tanh(logits / cap); None: no bound.

    Shapes: integers (batch, ...) -> (batch, ..., output_dim), floats (batch, ..., output_dim) -> (batch, ...,
        input_dim).
    Weights: embeddings (input_dim, output_dim), and reverse_embeddings (output_dim, input_dim) if not tied.
    Mask: made with mask_zero where integers are embedded, else ended; passed on in reverse.

    Reference: Press and Wolf, Using the Output Embedding to Improve Language Models, 2017.
    """

    input_dim: int
    output_dim: int
    tie_weights: bool = True
    embeddings_initializer: Initializer = "uniform"
    embeddings_regularizer: Regularizer = None
    embeddings_constraint: Constraint = None
    mask_zero: bool = False
    reverse_dtype: PolicyName | None = None
    logit_soft_cap: float | None = None

    single_input: ClassVar[bool] = True
    takes: ClassVar[str] = "ordered"

    def check(self) -> None:
        """Positive sizes, a positive cap."""
        check_count(self, "input_dim")
        check_count(self, "output_dim")
        if self.logit_soft_cap is not None and not self.logit_soft_cap > 0:
            raise ConfigError(
                f"ReversibleEmbedding: logit_soft_cap={self.logit_soft_cap!r} is wrong; give a positive number"
            )

    @property
    def in_dtype(self) -> str:
        """Integers; a floating Symbol or array is projected to logits."""
        return "int32"

    def weights(self, shape: Shape) -> dict:
        """The table, and the reverse matrix where it is not tied."""
        table = option_param(self, "embeddings", (self.input_dim, self.output_dim), ("vocab", "out"))
        if self.tie_weights:
            return {"embeddings": table}
        back = Param((self.output_dim, self.input_dim), self.embeddings_initializer, axes=("out", "vocab"))
        return {"embeddings": table, "reverse_embeddings": back}

    def forward(self, params: Any, x: Any, ctx: Context) -> Out:
        """One gather, or one product."""
        x = jnp.asarray(x)
        if not jnp.issubdtype(x.dtype, jnp.floating):
            return Out(look_up(params["embeddings"], x), mask=x != 0 if self.mask_zero else None)
        if x.shape[-1:] != (self.output_dim,):
            raise ShapeError(
                f"{self!r} projects floats of {self.output_dim} features, got {x.shape}; give ids as integers"
            )
        refuse_summed(self, x, ctx.mask)
        kernel = params["embeddings"].T if self.tie_weights else params["reverse_embeddings"]
        if self.reverse_dtype is not None:
            x, kernel = x.astype(self.reverse_dtype), kernel.astype(self.reverse_dtype)
        logits = ops.dot(x, kernel)
        if self.logit_soft_cap is not None:
            logits = jnp.tanh(logits / self.logit_soft_cap) * self.logit_soft_cap
        return Out(logits, mask=ctx.mask)


def look_up(table: Any, x: Any) -> Any:
    """The table's rows; NaN, without a gradient, for integers that it has no row for."""
    ids = x
    if jnp.issubdtype(x.dtype, jnp.floating):  # Keras: floats are cut off; a cast would make NaN 0
        ids = jnp.where(jnp.isnan(x), -1, x).astype("int32")
    if ids.dtype.itemsize > 4:  # which jnp.take cuts to 32 bits
        ids = jnp.where((ids < 0) | (ids >= table.shape[0]), table.shape[0], ids)
    ids = ids.astype("uint32")  # of which -1, that would mean the last row, is a large one
    return jnp.take(table, ids, axis=0, mode="fill", fill_value=jnp.nan)
