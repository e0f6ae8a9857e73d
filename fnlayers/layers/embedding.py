"""Embeddings: rows of a table, looked up by integers."""

from typing import Any, ClassVar

import jax.numpy as jnp

from fnlayers.core.context import Context, Out
from fnlayers.core.layer import Layer, Shape, layerclass
from fnlayers.functions.constraints import Constraint
from fnlayers.functions.initializers import Initializer
from fnlayers.functions.regularizers import Regularizer
from fnlayers.layers.bases import check_count, option_param


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

    def check(self) -> None:
        """Positive sizes."""
        check_count(self, "input_dim")
        check_count(self, "output_dim")

    @property
    def in_dtype(self) -> str:
        """Integers."""
        return "int32"

    def weights(self, shape: Shape) -> dict:
        """The table."""
        return {"embeddings": option_param(self, "embeddings", (self.input_dim, self.output_dim), ("vocab", "out"))}

    def forward(self, params: Any, x: Any, ctx: Context) -> Out:
        """One gather."""
        x = jnp.asarray(x)
        ids = x if jnp.issubdtype(x.dtype, jnp.integer) else x.astype("int32")  # Keras: floats are cut off
        if jnp.issubdtype(ids.dtype, jnp.signedinteger):
            ids = jnp.where(ids < 0, self.input_dim, ids)  # else -1 would mean the last row
        y = jnp.take(params["embeddings"], ids, axis=0, mode="fill", fill_value=jnp.nan)
        return Out(y, mask=x != 0 if self.mask_zero else None)
