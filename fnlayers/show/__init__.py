"""What a person looks at: `summary` of a model, `history` of a training."""

from fnlayers.show.history import history
from fnlayers.show.summary import Summary, summary

__all__ = ["Summary", "history", "summary"]
