"""What a person looks at: a model's `summary`, `graph`, `weights`, `filters`, `features` and `attention`, a training's
`history`, a `confusion_matrix`, the `activations`, and what layers make of images; `view` is a page on which one
clicks through a model. Figures need matplotlib, which is imported when the first is drawn.
"""

from fnlayers.show.activations import Gallery, activations
from fnlayers.show.attention import attention
from fnlayers.show.augmentations import augmentations
from fnlayers.show.confusion_matrix import confusion_matrix
from fnlayers.show.features import features
from fnlayers.show.filters import filters
from fnlayers.show.graph import Graph, graph
from fnlayers.show.history import history
from fnlayers.show.live import LivePage, view
from fnlayers.show.summary import Summary, summary
from fnlayers.show.weights import weights

__all__ = [
    "Gallery", "Graph", "LivePage", "Summary", "activations", "attention", "augmentations", "confusion_matrix",
    "features", "filters", "graph", "history", "summary", "view", "weights",
]  # fmt: skip
