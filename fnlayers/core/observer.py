"""What each layer of a run returned, written down for somebody who looks inside: see `fnlayers.intermediates`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from fnlayers.core.explicit import automatic, enter, explicit_mesh, leave
from fnlayers.plain_data import FrozenDict, map_nest

if TYPE_CHECKING:
    from fnlayers.core.layer import Layer

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Seen:
    """The outputs of some layers: a pytree of the outputs, so that the body of a scan can return it."""

    paths: tuple[Path, ...]
    layers: tuple["Layer", ...]
    outputs: tuple[Any, ...]


jax.tree_util.register_dataclass(Seen, data_fields=["outputs"], meta_fields=["paths", "layers"])


class Observer:
    """The outputs of the layers of one run, by path, in the order in which the layers end.

    Arguments:
        additions: by path, what is added to a layer's output: zeros, by which jax can be asked for a gradient.
        seen: (layer, output) by path.
        scanned: the paths whose outputs are stacked, since a scan ran the layer.
    """

    def __init__(self, additions: Mapping[Path, Any] = FrozenDict()) -> None:
        self.additions, self.trace = additions, trace_state()
        self.seen: dict[Path, tuple[Layer, Any]] = {}
        self.scanned: set[Path] = set()

    def see(self, path: Path, layer: "Layer", y: Any) -> Any:
        """Write an output down; returns it, with what is added to it. Where jax traces by itself nothing is written."""
        if self.trace != trace_state():
            return y
        if path in self.additions:
            y = map_nest(lambda a, more: a + jnp.asarray(more, a.dtype), y, self.additions[path])
        self.seen[path] = layer, y
        return y

    def all_seen(self) -> Seen:
        """What was seen so far."""
        layers, outputs = zip(*self.seen.values(), strict=True) if self.seen else ((), ())
        return Seen(tuple(self.seen), layers, outputs)

    def add(self, stacked: Seen) -> None:
        """Add what a scan returned: each output of its steps, stacked."""
        self.scanned.update(stacked.paths)
        for path, layer, y in zip(stacked.paths, stacked.layers, stacked.outputs, strict=True):
            self.seen[path] = layer, y


def observed(
    model: "Layer",
    params: Any,
    x: Any,
    *,
    state: Any = None,
    rng: Any = None,
    mask: Any = None,
    train: bool = False,
    additions: Mapping[Path, Any] = FrozenDict(),
) -> Observer:
    """Run a model; returns who saw the outputs of its layers."""
    mesh = explicit_mesh(x, params)
    if mesh is not None:
        like = x
        with automatic(mesh):
            params, x, context, additions = enter(mesh, (params, x, dict(state=state, rng=rng, mask=mask), additions))
            observer = observed(model, params, x, **context, train=train, additions=additions)
        observer.seen = {path: (layer, leave(mesh, y, like)) for path, (layer, y) in observer.seen.items()}
        return observer
    observer = Observer(additions)
    model._run(params, *model._outermost(params, x, state, rng, mask, train, observer))
    return observer


def labels(observer: Observer) -> dict[Path, str]:
    """The text for each path: "encoder#2/dense" for a layer in the second call of a shared one."""
    shared = {path[:end] for path in observer.seen for end, part in enumerate(path) if isinstance(part, int)}

    def written(path: Path) -> str:
        names: list[str] = []
        for end, part in enumerate(path, 1):
            if isinstance(part, int):
                names[-1] = f"{names[-1].removesuffix('#1')}#{part + 1}"
            else:
                names.append(f"{part}#1" if path[:end] in shared else part)
        return "/".join(names)

    return {path: written(path) for path in observer.seen}


def trace_state() -> Any:
    """What distinguishes one trace of jax's from another."""
    import jax.core
    import jax.extend.core  # asked for here, since it costs an import

    state: Any = getattr(jax.extend.core, "get_opaque_trace_state", None) or jax.core.get_opaque_trace_state
    return state(convention="fnlayers")
