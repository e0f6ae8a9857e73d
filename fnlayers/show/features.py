"""What each layer of a model makes of an input: feature maps, layer by layer."""

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import numpy as np

from fnlayers.core.errors import ConfigError
from fnlayers.core.layer import Layer, check_model
from fnlayers.core.shapes import type_of
from fnlayers.core.types import Params, StateDict
from fnlayers.models.functional import Functional, InputNode, Ref
from fnlayers.models.opened import calls, opened
from fnlayers.plain_data import map_nest, nest_leaves
from fnlayers.show.feature_rows import Row, draw
from fnlayers.show.figure import check_counts, check_example


def features(
    model: Layer,
    params: Params,
    x: Any,
    path: str | os.PathLike | None = None,
    *,
    state: StateDict | None = None,
    mask: Any = None,
    example: int = 0,
    channels: int = 8,
) -> Any:
    """Draw what each layer makes of one example, in inference: images by channel, sequences as maps, vectors as bars.

    The input comes first. All numbers are in one scale, whose color bar is at the top: one color is one value, and 0 is
    white. Where layers differ too much for that, the scale is logarithmic away from 0. Integers (words, classes, bytes)
    are no such numbers, and gray. Steps that a mask leaves out are hatched.

    Arguments:
        model: a Sequential or Functional; the models inside are opened too.
        params: what `init` drew.
        x: a batch, as for `run`.
        path: where to save the figure too; its ending says the format.
        state, mask: as for `run`.
        example: which one of the batch.
        channels: how many channels of an image to draw, the first ones.

    Returns:
        A matplotlib.figure.Figure with a row for each input and each layer, which can be saved by `save(path)`. A
        notebook shows it; nothing global is touched.

    Raises:
        MissingError: where matplotlib is not installed.
        ConfigError: where the model holds no layers, or the batch no such example.
    """
    check_model(model, "show.features")
    check_counts("show.features", channels=channels)
    sizes = {len(a) for a in nest_leaves(map_nest(np.asarray, x, is_leaf=_is_array)) if np.ndim(a)}
    check_example("show.features", example, sizes)
    _, of_layers, masks = run(model, params, x, state, mask)
    inputs = {name: np.asarray(a) for name, a in inputs_of(model, x).items()}
    given_masks = inputs_of(model, map_nest(lambda _: None, x, is_leaf=_is_array) if mask is None else mask)
    rows = [
        Row(name, np.asarray(a)[example], None if (m := among.get(name)) is None else np.asarray(m)[example])
        for arrays, among in ((inputs, given_masks), (of_layers, masks))
        for name, a in arrays.items()
    ]
    return draw(rows, channels, path)


def outputs(model: Layer, params: Any, x: Any, state: Any = None, mask: Any = None) -> dict[str, jax.Array]:
    """What each layer inside a model returns for x, by path; of a layer that is called again, "path (call 2)".

    The same graph is run with more outputs: no hooks, and nothing is stored.
    """
    return run(model, params, x, state, mask).outputs


class Ran(NamedTuple):
    """What a model returned, and by name what each layer inside it returned, with the masks of that."""

    y: Any
    outputs: dict[str, jax.Array]
    masks: dict[str, Any]


def run(model: Layer, params: Any, x: Any, state: Any, mask: Any = None, *, containers: bool = False) -> Ran:
    """Run a model, and keep what each layer returns; `containers`: what models inside it return as a whole, too."""
    exposed = _exposed(model, type_of(x), containers)
    if exposed is None or not exposed[1]:
        raise ConfigError(
            f"show.features: {type(model).__name__} holds no layers to look into; give a Sequential or Functional"
        )
    graph, names = exposed
    out = graph.run(params, x, state=state, mask=mask)
    masks = [None] * len(names) if out.mask is None else out.mask[1]
    return Ran(out.y[0], dict(zip(names, out.y[1], strict=True)), dict(zip(names, masks, strict=True)))


def inputs_of(model: Layer, x: Any) -> dict[str, Any]:
    """The arrays of an input (or its masks) by name, in a Functional as it names them."""
    if isinstance(model, Functional):
        bound = model._bind(x, lambda _: True, "input")
        return {entry.name: bound[i] for i, entry in enumerate(model.nodes) if isinstance(entry, InputNode)}
    if isinstance(x, Mapping):
        return dict(x)
    several = isinstance(x, (tuple, list))
    return {f"input {i}": a for i, a in enumerate(x)} if several else {"input": x}


def _is_array(value: Any) -> bool:
    return hasattr(value, "shape")


def _exposed(layer: Layer, in_types: Any, containers: bool) -> tuple[Functional, list[str]] | None:
    """The container as a graph that returns (its own output, all its layers' outputs), and the names of the latter."""
    graph = opened(layer, in_types)
    if graph is None:
        return None
    layers, refs, names = dict(graph.by_name), [], []
    turns: dict[str, int] = {}
    for call in calls(graph, in_types):
        name = call.node.layer
        turns[name] = turns.get(name, 0) + 1
        again = f" (call {turns[name]})" if turns[name] > 1 else ""
        own = len(jax.tree.leaves(call.out_types))
        inside = _exposed(call.layer, call.in_types, containers)
        inner: list[str] = []
        if inside is not None:
            layers[name], inner = inside
        if inner:  # what the last of them returns is the container's own
            names += [f"{name}/{path}{again}" for path in inner]
            refs += [Ref(call.position, own + i) for i in range(len(inner))]
        if containers or not inner:
            names += [f"{name}{again}" + (f" [{i}]" if own > 1 else "") for i in range(own)]
            refs += [Ref(call.position, i) for i in range(own)]
    return replace(graph, layers=tuple(layers.items()), outputs=(graph.outputs, tuple(refs))), names
