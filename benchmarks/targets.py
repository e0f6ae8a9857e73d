"""How many times faster than its peers fnlayers promises to be on a CPU."""

from typing import NamedTuple


class Target(NamedTuple):
    """The least speed-up over the best JAX peer and over PyTorch; None where no promise is made."""

    peer: float | None = None
    torch: float | None = None


TARGETS = {
    ("mlp", "forward"): Target(0.97),
    ("mlp", "train"): Target(0.97),
    ("cnn", "forward"): Target(1.0),
    ("cnn", "train"): Target(3.5, 1.0),
    ("resnet", "train"): Target(1.5, 0.7),
    ("mobilenet", "forward"): Target(8.0, 0.8),
    ("mobilenet", "train"): Target(5.0, 1.0),
    ("transposed", "forward"): Target(1.1),
    ("transposed", "train"): Target(15.0, 0.8),
    ("grouped", "train"): Target(15.0, 1.0),
    ("conv1d", "forward"): Target(0.97),
    ("conv1d", "train"): Target(0.97),
    ("conv3d", "forward"): Target(3.0),
    ("conv3d", "train"): Target(4.0, 0.7),
    ("lstm", "forward"): Target(1.3, 0.7),
    ("lstm", "train"): Target(1.4, 1.0),
    ("gru", "train"): Target(1.15, 1.3),
    ("bidirectional", "forward"): Target(1.3, 0.7),
    ("bidirectional", "train"): Target(1.4, 1.0),
    ("transformer", "train"): Target(1.1, 1.2),
    ("unet", "train"): Target(1.4),
    ("convlstm", "train"): Target(1.4),
}

# The targets that differ once malloc keeps its memory
KEEPING = {("transformer", "train"): Target(1.6, 1.2)}


def target(workload: str, which: str, malloc: str) -> Target:
    """The target of a workload's pass."""
    targets = KEEPING if malloc == "keep" else {}
    return targets.get((workload, which)) or TARGETS.get((workload, which), Target())
