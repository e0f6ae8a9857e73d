"""What a person looks at: `summary` and `graph` of a model, `history` of a training."""

from fnlayers.show.graph import Graph, graph
from fnlayers.show.history import history
from fnlayers.show.summary import Summary, summary

__all__ = ["Graph", "Summary", "graph", "history", "summary"]
