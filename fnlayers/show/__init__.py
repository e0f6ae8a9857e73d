"""What a person looks at: a model's `summary`, `graph`, `weights` and `features`, a training's `history`, and the
`activations`. Figures need matplotlib, which is imported when the first is drawn.
"""

from fnlayers.show.activations import Gallery, activations
from fnlayers.show.features import features
from fnlayers.show.graph import Graph, graph
from fnlayers.show.history import history
from fnlayers.show.summary import Summary, summary
from fnlayers.show.weights import weights

__all__ = ["Gallery", "Graph", "Summary", "activations", "features", "graph", "history", "summary", "weights"]
