"""Where the examples of a batch lie on a mesh, known to the layers while a step with `mesh=` is traced.

XLA finds the sharding of most arrays from those that enter and leave a program. It does not look at what enters a loop
before it decides about the loop's body: where weights are split, it may split features there and gather the batch.
"""

import contextlib
import math
import threading
from collections.abc import Iterator
from typing import Any

import jax
from jax.sharding import NamedSharding, PartitionSpec

_LOCAL = threading.local()


def mesh_axes(entry: Any) -> tuple[str, ...]:
    """The axes of a mesh in an entry of a PartitionSpec, or in a rule.

    >>> mesh_axes(None), mesh_axes("data"), mesh_axes(("data", "model"))
    ((), ('data',), ('data', 'model'))
    """
    return () if entry is None else (entry,) if isinstance(entry, str) else tuple(entry)


@contextlib.contextmanager
def rows_on(sharding: NamedSharding | None) -> Iterator[None]:
    """A context in which `by_rows` splits as this sharding of a batch does; None: not at all."""
    outer, _LOCAL.sharding = getattr(_LOCAL, "sharding", None), sharding
    try:
        yield
    finally:
        _LOCAL.sharding = outer


def by_rows(tree: Any) -> Any:
    """The arrays, each example where the batch has it, and split in any way along their other axes; see `rows_on`."""
    sharding = getattr(_LOCAL, "sharding", None)
    axes = sharding.spec[0] if sharding is not None and sharding.spec else None
    if sharding is None or axes is None:
        return tree
    within = jax.sharding.get_abstract_mesh()
    mesh = sharding.mesh if within.empty else within
    parts = math.prod(mesh.shape[name] for name in mesh_axes(axes))

    def one(a: Any) -> Any:
        if not a.ndim or a.shape[0] % parts:
            return a
        others = (PartitionSpec.UNCONSTRAINED,) * (a.ndim - 1)
        return jax.lax.with_sharding_constraint(a, NamedSharding(mesh, PartitionSpec(axes, *others)))

    return jax.tree.map(one, tree)
