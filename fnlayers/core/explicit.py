"""Meshes with explicit axes, as `jax.make_mesh` makes them: the type of an array says how it is sharded.

Within a layer the partitioner of XLA decides, as for a mesh with automatic axes. Many operations there have several
possible shardings (a gather of rows, a split of heads, a batch that a loop carries), and jax would ask for one at each.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax

from fnlayers.core.errors import ConfigError

Mesh = Any  # jax's AbstractMesh


def explicit_mesh(*trees: Any) -> Mesh | None:
    """The mesh of the first array whose sharding is part of its type; None where there is none, as nearly always."""
    try:
        leaves = jax.tree.leaves(trees)
    except ConfigError:  # a Symbol: it is refused where arrays are checked, in the layer's own words
        return None
    for leaf in leaves:
        mesh = _mesh_of(leaf)
        if mesh is not None and _explicit_axes(mesh):
            return mesh
    return None


def partitioned(function: Callable[..., tuple], like: tuple[int | None, ...]) -> Callable[..., tuple]:
    """The function of arrays with explicit axes automatic within it, and its results with explicit axes again.

    Arguments:
        function: a function of trees of arrays that returns a tuple of such.
        like: for each result the position of the argument whose sharding it gets: that of the same leaf, or where the
            trees differ of the first array, as far as the sizes of the first axes are the same; None: on all devices.
    """

    @functools.wraps(function)
    def called(*arguments: Any) -> tuple:
        mesh = explicit_mesh(arguments)
        if mesh is None:
            return function(*arguments)
        with automatic(mesh):
            results = function(*enter(mesh, arguments))
        givers = ((), *arguments)
        return tuple(
            leave(mesh, result, givers[0 if i is None else i + 1]) for result, i in zip(results, like, strict=True)
        )

    return called


def automatic(mesh: Mesh) -> Any:
    """A context in which the mesh's explicit axes are automatic."""
    types = {axis: jax.sharding.AxisType.Auto for axis in _explicit_axes(mesh)}
    return jax.sharding.use_abstract_mesh(mesh.update_axis_types(types))


def enter(mesh: Mesh, arrays: Any) -> Any:
    """The arrays within `automatic(mesh)`. They stay where they are: only their types change."""

    def one(a: Any) -> Any:
        of_a = _mesh_of(a)
        if of_a is None or of_a.empty:
            return a
        if of_a.axis_names != mesh.axis_names or of_a.axis_sizes != mesh.axis_sizes:
            raise ConfigError(
                f"arrays on two meshes, {_shown(mesh)} and {_shown(of_a)}; put params, state and x on one, with "
                "jax.device_put(tree, jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(...)))"
            )
        return jax.sharding.reshard(a, _spec())

    return jax.tree.map(one, arrays)


def leave(mesh: Mesh, results: Any, like: Any) -> Any:
    """What was computed within `automatic(mesh)` with explicit axes, sharded as `like`; see `partitioned`."""
    leaves, structure = jax.tree.flatten(results)
    givers, others = jax.tree.flatten(like)
    first = next(filter(_is_on_mesh, givers), None)
    if structure != others:
        givers = [first] * len(leaves)
    sharded = [_split_as(mesh, a, b if _is_on_mesh(b) else first) for a, b in zip(leaves, givers, strict=True)]
    return jax.tree.unflatten(structure, sharded)


def _split_as(mesh: Mesh, a: Any, like: Any) -> jax.Array:
    """The array, split along its first axes as `like` is, as far as their sizes are the same."""
    axes: list[Any] = []
    if like is not None:
        for size, other, axis in zip(a.shape, like.shape, like.aval.sharding.spec, strict=False):
            if size != other:
                break
            axes.append(axis)
    return jax.sharding.reshard(a, jax.sharding.NamedSharding(mesh, _spec(*axes)))


def _is_on_mesh(a: Any) -> bool:
    mesh = _mesh_of(a)
    return mesh is not None and not mesh.empty


def _mesh_of(a: Any) -> Mesh | None:
    sharding = getattr(a.aval, "sharding", None) if isinstance(a, jax.Array) else None
    return getattr(sharding, "mesh", None)


def _explicit_axes(mesh: Mesh) -> tuple[str, ...]:
    return getattr(mesh, "explicit_axes", ()) if mesh.axis_names else ()


def _spec(*axes: Any) -> Any:
    return jax.sharding.PartitionSpec(*axes)


def _shown(mesh: Mesh) -> str:
    return str(dict(zip(mesh.axis_names, mesh.axis_sizes, strict=True)))
