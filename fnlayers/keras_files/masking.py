"""Where Keras's layers look at masks, or cast, in another way than ours: what an importer puts before them."""

from fnlayers.core.layer import Layer
from fnlayers.core.operation import Operation, Slot
from fnlayers.layers.embedding import ReversibleEmbedding
from fnlayers.layers.wrappers import TimeDistributed

# Layers of ours that take part in masks where Keras's do not: imported, they see none.
MASK_BLIND = ("RMSNormalization", "LayerScale", "StochasticDepth")


def looks_up(layer: Layer) -> bool:
    """Whether a call that is not reversed looks rows up: ours goes back to logits where it is given floats."""
    return isinstance(layer.layer if isinstance(layer, TimeDistributed) else layer, ReversibleEmbedding)


def to_integers(name: str | None = None) -> Operation:
    """A cast to integers, which Keras does where it looks up."""
    return Operation("Cast", (Slot(0), "int32"), name=name)


def refuses_mask(layer: Layer) -> bool:
    """Whether Keras drops a mask before the layer, or the layer sees none there; strings never have one."""
    plain = type(layer).forward is Layer.forward and not layer.passes_mask
    return (plain and not layer.takes_strings) or type(layer).__name__ in MASK_BLIND
