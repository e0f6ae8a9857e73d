"""The embedding that a transformer begins with: a vector for each token, and one for each position."""

from dataclasses import field
from typing import Any

from fnlayers.core.context import Context, Out
from fnlayers.core.layer import Layer, Shape, layerclass
from fnlayers.functions.initializers import Initializer
from fnlayers.layers.attention.position import PositionEmbedding
from fnlayers.layers.common import check_count, check_rank
from fnlayers.layers.embedding import Embedding

__all__ = ["TokenAndPositionEmbedding"]


@layerclass
class TokenAndPositionEmbedding(Layer):
    """y[t] = token_embedding[x[t]] + position_embedding[t]: a learned vector for each token, and one for each position.

    Arguments:
        vocabulary_size: the number of tokens.
        sequence_length: the number of positions: the greatest number of steps.
        embedding_dim: the length of a vector.
        embeddings_initializer: of both tables.
        mask_zero: whether token 0 is padding.
        cache: see `PositionEmbedding`.

    Shapes: integers (batch, steps) -> (batch, steps, embedding_dim).
    Weights: token_embedding, position_embedding: each with embeddings.
    State: with cache: that of position_embedding.
    Mask: made with mask_zero: True where x is not 0; else ended.
    """

    vocabulary_size: int
    sequence_length: int
    embedding_dim: int
    embeddings_initializer: Initializer = "uniform"
    mask_zero: bool = False
    cache: int | None = field(default=None, kw_only=True)

    def check(self) -> None:
        """Tables that can be made."""
        for name in ("vocabulary_size", "sequence_length", "embedding_dim"):
            check_count(self, name)
        self._tables()

    @property
    def in_dtype(self) -> str:
        return "int32"

    def children(self, shape: Shape) -> dict:
        check_rank(self, shape, 2, layout="(batch, steps)")
        tokens, positions = self._tables()
        return {"token_embedding": (tokens, shape), "position_embedding": (positions, (*shape, self.embedding_dim))}

    def forward(self, params: Any, x: Any, ctx: Context) -> Out:
        """The sum of two rows for each step."""
        tokens, positions = self._tables()
        token = ctx.run("token_embedding", tokens, params, x)
        position = ctx.run("position_embedding", positions, params, token.y, token.mask)
        return Out(token.y + position.y, mask=token.mask)

    def _tables(self) -> tuple[Embedding, PositionEmbedding]:
        start, dtype = self.embeddings_initializer, self.dtype
        return (
            Embedding(self.vocabulary_size, self.embedding_dim, start, mask_zero=self.mask_zero, dtype=dtype),
            PositionEmbedding(self.sequence_length, start, cache=self.cache, dtype=dtype),
        )
