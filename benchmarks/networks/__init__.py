"""Networks of real size, written in each library as its users write them: here their sizes, in the modules the layers.

Each module has one function for each network, which takes the shape and the options below and a dtype: "float32", or
"bfloat16" for params in float32 and maths in bfloat16. All train alike: the mean square of the output is the loss, and
stochastic gradient descent with momentum the optimizer.
"""

from typing import Any, NamedTuple


class Network(NamedTuple):
    """One network at one size.

    Arguments:
        name: that of the function that builds it.
        shape: its input's, the batch axis included.
        options: what else the function takes.
    """

    name: str
    shape: tuple[int, ...]
    options: dict[str, Any]

    def of_batch(self, fraction: float) -> "Network":
        """The same for a fraction of the batch."""
        return self._replace(shape=(max(1, int(self.shape[0] * fraction)), *self.shape[1:]))


RATE = 1e-4  # of learning

# From the fastest to compile to the slowest.
FULL = (
    Network("lstm", (128, 256, 512), {"units": 512}),
    Network("transformer", (16, 1024, 1024), {"blocks": 4, "heads": 16}),
    Network("mobilenet", (128, 56, 56, 64), {"blocks": 4, "expansion": 4}),
    Network("unet", (16, 96, 96, 3), {"filters": 32, "levels": 3, "classes": 2}),
    Network("resnet", (128, 224, 224, 3), {"filters": 64, "depths": (3, 4, 6, 3), "classes": 1000}),
)
TINY = (
    Network("lstm", (2, 4, 3), {"units": 4}),
    Network("transformer", (2, 8, 16), {"blocks": 1, "heads": 2}),
    Network("mobilenet", (2, 6, 6, 4), {"blocks": 1, "expansion": 2}),
    Network("unet", (1, 4, 4, 3), {"filters": 2, "levels": 1, "classes": 2}),
    Network("resnet", (2, 32, 32, 3), {"filters": 4, "depths": (1, 2), "classes": 5}),
)
