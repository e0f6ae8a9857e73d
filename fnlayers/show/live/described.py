"""What a page shows of a model, as plain data: the picture, each layer, and what it returns for an input."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from html import escape
from threading import Lock
from typing import Any, NamedTuple

import jax
import numpy as np

from fnlayers.core.errors import ConfigError
from fnlayers.core.layer import Layer, Shape
from fnlayers.core.shapes import shape_of
from fnlayers.core.spec import Param, leaf_at, spec_items
from fnlayers.layers.basic import Lambda
from fnlayers.layers.preprocessing.numeric import Rescaling
from fnlayers.models.functional import Functional
from fnlayers.models.opened import calls, chain, is_ref, opened
from fnlayers.plain_data import map_nest, nest_leaves
from fnlayers.show.describe import function_name, function_of
from fnlayers.show.features import Ran, run
from fnlayers.show.inside import counts, input_types
from fnlayers.show.live.drawn import drawn, histogram
from fnlayers.show.live.files import LIMIT
from fnlayers.show.plan import Box, Plan, enter, plan_of
from fnlayers.show.svg import MARGIN, areas, picture
from fnlayers.trees import paths


class Use(NamedTuple):
    """A call of a layer: the ArrayTypes of what it is given and returns."""

    layer: Layer
    in_types: Any
    out_types: Any


class Example(NamedTuple):
    """One example of an input, and what the model made of it; arrays without the batch axis where they have it."""

    inputs: dict[str, np.ndarray]
    ran: Ran
    batch: int
    row: int

    def of(self, array: Any) -> np.ndarray:
        """What belongs to this example."""
        array = np.asarray(array)
        return array[self.row] if array.ndim and len(array) == self.batch else array


class Described:
    """A model with its arrays, for a page. A layer that holds no others is shown as a graph of that layer alone.

    Arguments:
        model, params, state: as for `run`.
        shape: the input's, as given to init; None: the model's own.
    """

    def __init__(self, model: Layer, params: Any, state: Any, shape: Shape) -> None:
        self.in_types = input_types(model, shape, None, "show.view")
        self.title = model.name or type(model).__name__
        graph = opened(model, self.in_types)
        if graph is None:
            name = model.name or model.base_name
            graph, params, state = chain([(name, model)], self.in_types), {name: params}, {name: state} if state else {}
        self.graph: Functional = graph
        self.params, self.state = params, state or {}
        self.specs = graph.specs(shape_of(self.in_types))
        self.plan = plan_of(graph, self.in_types, self.specs, float("inf"))
        self.boxes = list(_boxes(self.plan))
        self.uses: dict[str, list[Use]] = {}
        for path, use in _uses(graph, self.in_types, ""):
            self.uses.setdefault(path, []).append(use)
        self.types = dict(zip(self._names, nest_leaves(self.in_types), strict=True))
        # the picture, with an element over each box that can be chosen
        self.svg = picture(self.title, self.plan, style=False, on_top=self._hits())
        self.example: Example | None = None
        self._running = Lock()

    @property
    def _names(self) -> list[str]:
        """Of the inputs, in the order of the leaves of their nest."""
        return [self.graph.nodes[ref.node].name for ref in nest_leaves(self.graph.inputs, is_ref)]

    def _hits(self) -> Iterator[str]:
        yield '<g role="group" aria-label="Layers">'
        places = areas(self.plan)
        for i, ((box, shown), (_, left, top, right, bottom)) in enumerate(zip(self.boxes, places, strict=True)):
            if shown:
                place = f'x="{left + MARGIN:.1f}" y="{top + MARGIN:.1f}" width="{right - left:.1f}"'
                label = escape(f"{box.title} {box.path}" if box.kind == "layer" else f"{box.kind} {box.path}")
                yield (
                    f'<rect class="hit" data-layer="{i}" role="button" tabindex="-1" aria-label="{label}" '
                    f'{place} height="{bottom - top:.1f}" rx="5"/>'
                )
        yield "</g>"

    def index(self) -> dict[str, Any]:
        """What the page needs first."""
        params, state, trainable = counts(self.specs)
        layers = [
            {"index": i, "path": box.path, "kind": box.kind, "title": box.title}
            for i, (box, shown) in enumerate(self.boxes)
            if shown
        ]
        return {
            "title": self.title,
            "params": params,
            "trainable": trainable,
            "state": state,
            "layers": layers,
            "inputs": {name: str(type_) for name, type_ in self.types.items()},
            "image": self._image(),
            "limit": LIMIT,
        }

    def _image(self) -> dict[str, Any] | None:
        """The sizes of an image that the model takes, None where it takes something else.

        Pixels go from 0 to 255 where the model says that it scales them itself, else from 0 to 1.
        """
        sizes = [type_.shape for type_ in self.types.values()]
        if len(sizes) != 1 or len(sizes[0]) != 4:
            return None
        kind = next(iter(self.types.values())).dtype
        first = sizes[0][3] not in (1, 3, 4, None)
        height, width, channels = (*sizes[0][2:], sizes[0][1]) if first else sizes[0][1:]
        if channels not in (1, 3, 4, None) or not kind.startswith(("float", "bfloat", "uint8", "int")):
            return None
        scales = any(isinstance(uses[0].layer, Rescaling) for uses in list(self.uses.values())[:8])
        whole = scales or not kind.startswith(("float", "bfloat"))
        sizes = {"height": height, "width": width, "channels": channels or 3}
        return {**sizes, "channels_first": first, "scale": "255" if whole else "1"}

    def layer(self, i: int) -> dict[str, Any]:
        """All there is to say about the i-th box, but for what it returns.

        Raises:
            IndexError: there is none of that number.
        """
        box = self._box(i)
        facts: dict[str, Any] = {"index": i, "kind": box.kind, "path": box.path, "title": box.title}
        if box.kind == "input":
            return {**facts, "calls": [{"inputs": [], "outputs": [str(self.types[box.title])]}]}
        if box.kind == "output":
            source = next(a for a in self.plan.arrows if self.plan.boxes[a.target] is box)
            return {**facts, "calls": [{"inputs": [source.label], "outputs": []}]}
        uses = self.uses[box.path]
        layer = uses[0].layer
        return {
            **facts,
            "brief": box.brief,
            "function": function_of(layer),
            "params": box.params,
            "trainable": box.trainable,
            "calls": [{"inputs": _texts(use.in_types), "outputs": _texts(use.out_types)} for use in uses],
            "config": [] if box.inside is not None else _config(layer),
            "inside": self._inside(i) if box.inside is not None else [],
            "weights": self._weights(box) if box.inside is None else [],
        }

    def _inside(self, i: int) -> list[int]:
        """The positions of the layers directly inside the i-th box."""
        path = self.boxes[i][0].path
        return [
            j for j, (box, shown) in enumerate(self.boxes) if shown and box.path.rpartition("/")[0] == path and j > i
        ]

    def _weights(self, box: Box) -> list[dict[str, Any]]:
        """The arrays of a layer, in the order of its declaration."""
        path = box.path.split("/")
        params, state = paths(leaf_at(self.params, path) or {}), paths(leaf_at(self.state, path) or {})
        entries = []
        for name, spec in spec_items(leaf_at(self.specs, path) or {}):
            array = (params if isinstance(spec, Param) else state).get(name)
            if array is None:
                continue
            kind = ("trained" if spec.trainable else "frozen") if isinstance(spec, Param) else "state"
            number = not str(array.dtype).startswith("key<")
            entries.append(
                {
                    "name": name,
                    "kind": kind,
                    "shape": list(array.shape),
                    "dtype": str(array.dtype),
                    "histogram": histogram(array) if number else None,
                }
            )
        return entries

    def run(self, arrays: Mapping[str, np.ndarray], example: int) -> dict[str, Any]:
        """Run the model on one example of a batch, and keep what each layer returns.

        Arguments:
            arrays: by the names of the inputs; {"": array} for the only one. Without a batch axis it is one example.
            example: which one, from 0.

        Raises:
            ConfigError, ShapeError: arrays that the model cannot take.
        """
        inputs = self._named(arrays)
        examples = {len(array) for array in inputs.values()}
        if len(examples) != 1 or not 0 <= example < (count := examples.pop()):
            raise ConfigError(f"there is no example {example}: the inputs hold {sorted(map(len, inputs.values()))}")
        whole = any(type_.shape[0] not in (None, 1) for type_ in self.types.values())  # a batch of a fixed size
        if not whole:
            inputs = {name: array[example : example + 1] for name, array in inputs.items()}
        x = map_nest(lambda ref: inputs[self.graph.nodes[ref.node].name], self.graph.inputs, is_leaf=is_ref)
        with self._running:  # one after another: memory for one is enough
            ran = run(self.graph, self.params, x, self.state, containers=True)
            fetched = jax.tree.map(np.asarray, ran)
            self.example = Example(inputs, fetched, count if whole else 1, example if whole else 0)
        return {"examples": count, "example": example}

    def _named(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        names = list(self.types)
        if len(arrays) == len(names) == 1:
            arrays = {names[0]: next(iter(arrays.values()))}
        if arrays.keys() != self.types.keys():
            raise ConfigError(f"the file holds {sorted(arrays)}; the model's inputs are {names}")
        checked = {}
        for name, type_ in self.types.items():
            array = arrays[name]
            if array.ndim == len(type_.shape) - 1:
                array = array[None]
            fits = all(known in (None, size) for known, size in zip(type_.shape[1:], array.shape[1:], strict=False))
            if array.ndim != len(type_.shape) or not array.ndim or not fits:
                raise ConfigError(f"{name} is {array.dtype}{array.shape}; the model takes {type_}")
            wide = array.dtype.kind in "fiub" and type_.dtype.startswith(("float", "bfloat"))
            checked[name] = array.astype(type_.dtype if wide else array.dtype.newbyteorder("="))
        return checked

    def output(self, i: int) -> list[dict[str, Any]]:
        """What the i-th box returned for the input, one entry for each array of each call; [] where nothing is known.

        Raises:
            IndexError: there is none of that number.
        """
        box, example = self._box(i), self.example
        if example is None:
            return []
        if box.kind == "input":
            return [{"name": box.title, **drawn(example.of(example.inputs[box.title]), photo=True)}]
        if box.kind == "output":
            last = [b for b in self.plan.boxes if b.kind == "output"]
            return [{"name": box.title, **drawn(example.of(jax.tree.leaves(example.ran.y)[last.index(box)]))}]
        mine = re.compile(re.escape(box.path) + r"( \(call \d+\)| \[\d+\])*")
        return [
            {"name": name, **drawn(example.of(array)), **_masked(example, name)}
            for name, array in example.ran.outputs.items()
            if mine.fullmatch(name)
        ]

    def _box(self, i: int) -> Box:
        box, shown = self.boxes[i]
        if not shown:
            raise IndexError(i)
        return box


def _boxes(plan: Plan, nested: bool = False) -> Iterator[tuple[Box, bool]]:
    """The boxes of a plan in the order of `areas`, and whether each can be chosen: ports of models inside cannot."""
    for box in plan.boxes:
        yield box, box.kind == "layer" or not nested
        if box.inside is not None:
            yield from _boxes(box.inside, nested=True)


def _uses(layer: Layer, in_types: Any, path: str) -> Iterator[tuple[str, Use]]:
    """The calls of the layers inside a layer, by path, as the picture shows them."""
    entered = enter(layer, in_types)
    for call in () if entered is None else calls(*entered):
        name = path + call.node.layer
        yield name, Use(call.layer, call.in_types, call.out_types)
        yield from _uses(call.layer, call.in_types, f"{name}/")


def _texts(types: Any) -> list[str]:
    return [str(type_) for type_ in nest_leaves(types)]


def _config(layer: Layer) -> list[tuple[str, str, bool]]:
    """(option, value, whether it is the default) for each option that is not a function's text."""
    options = []
    for field in fields(layer):
        value = getattr(layer, field.name)
        if field.name != "name" and not (isinstance(layer, Lambda) and field.name == "function"):
            options.append((field.name, _value(value), value == field.default))
    return options


def _value(value: Any) -> str:
    text = function_name(value) if callable(value) and not hasattr(value, "children") else repr(value)
    return text if len(text) <= 400 else f"{text[:399]}…"


def _masked(example: Example, name: str) -> dict[str, int]:
    mask = example.ran.masks.get(name)
    return {} if mask is None else {"masked": int(np.sum(~example.of(mask).astype(bool)))}
