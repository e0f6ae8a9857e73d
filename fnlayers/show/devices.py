"""What each device of a mesh holds of a model."""

import math
import warnings
from typing import Any, NamedTuple

from fnlayers.core.layer import Layer, Shape
from fnlayers.core.spec import spec_items
from fnlayers.sharding import shardings
from fnlayers.show.inside import bytes_of
from fnlayers.trees import paths


class OnDevice(NamedTuple):
    """What one device holds.

    Arguments:
        counts: how many numbers of each array, by path.
        axes: of each array that is split, the axes of the mesh.
        bytes: of all arrays.
        notes: what is whole because it does not divide.
    """

    counts: dict[str, int]
    axes: dict[str, tuple]
    bytes: int
    notes: tuple[str, ...]

    def numbers(self, path: str) -> int:
        """Of the layer at a path."""
        return sum(count for name, count in self.counts.items() if f"/{name}".startswith(f"/{path}/" if path else "/"))

    def split(self, path: str) -> str:
        """How the own weights of the layer at a path are split."""
        own = {name.rpartition("/")[2]: axes for name, axes in self.axes.items() if name.rpartition("/")[0] == path}
        return "; ".join(f"{name}: {axes}" for name, axes in own.items())


def on_device(model: Layer, shape: Shape, mesh: Any, rules: Any) -> OnDevice:
    """What each device holds of a model under rules; see `fnlayers.shardings`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the notes say it
        plan = shardings(model, shape, mesh, rules)
    params, counts, axes, size = paths(plan.params), {}, {}, 0
    for path, spec in spec_items(model.specs(shape)):
        sharding = params.get(path, plan.whole)
        counts[path] = math.prod(sharding.shard_shape(spec.full_shape))
        size += bytes_of(spec) * counts[path] // max(math.prod(spec.full_shape), 1)
        if not sharding.is_fully_replicated:
            axes[path] = tuple(sharding.spec)
    return OnDevice(counts, axes, size, plan.notes)
