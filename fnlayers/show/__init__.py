"""What a person looks at: a model's `summary`, `graph`, `weights` and `features`, a training's `history`, the
`activations`, and what layers make of images. Figures need matplotlib, which is imported when the first is drawn.
"""

from fnlayers.show.activations import Gallery, activations
from fnlayers.show.augmentations import augmentations
from fnlayers.show.features import features
from fnlayers.show.graph import Graph, graph
from fnlayers.show.history import history
from fnlayers.show.summary import Summary, summary
from fnlayers.show.weights import weights

__all__ = [
    "Gallery", "Graph", "Summary", "activations", "augmentations", "features", "graph", "history", "summary", "weights",
]  # fmt: skip
