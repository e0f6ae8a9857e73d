"""A page for each layer of the catalog, and one for each family."""

import importlib
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import docstrings
import jax
import jax.numpy as jnp
import pictures
from places import CASES

import fnlayers as fl
from fnlayers.core.shapes import canonical, is_shape
from fnlayers.core.spec import is_spec
from fnlayers.plain_data import map_nest

# The families in the order of the menu, each with the modules whose layers it shows.
FAMILIES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "Models": ("models", ("fnlayers.models", "fnlayers.core.operation")),
    "Dense and embedding": ("dense", ("fnlayers.layers.dense", "fnlayers.layers.embedding")),
    "Activation": ("activation", ("fnlayers.layers.activation",)),
    "Convolution": ("convolution", ("fnlayers.layers.conv", "fnlayers.layers.depthwise")),
    "Pooling": ("pooling", ("fnlayers.layers.pooling",)),
    "Normalization": ("normalization", ("fnlayers.layers.normalization", "fnlayers.layers.applications")),
    "Regularization": ("regularization", ("fnlayers.layers.regularization",)),
    "Recurrent": ("recurrent", ("fnlayers.layers.recurrent",)),
    "Attention": ("attention", ("fnlayers.layers.attention", "fnlayers.layers.blocks")),
    "Merging": ("merging", ("fnlayers.layers.merge",)),
    "Reshaping": ("reshaping", ("fnlayers.layers.reshaping",)),
    "Masks, functions, wrappers": ("basic", ("fnlayers.layers.basic", "fnlayers.layers.wrappers")),
    "Images: geometry": (
        "image_geometry",
        ("fnlayers.layers.preprocessing.image_geometry", "fnlayers.layers.preprocessing.image_size"),
    ),
    "Images: color and noise": (
        "image_color",
        ("fnlayers.layers.preprocessing.image_color", "fnlayers.layers.preprocessing.image_filters"),
    ),
    "Images: mixing, policies": (
        "image_mixing",
        ("fnlayers.layers.preprocessing.image_mixing", "fnlayers.layers.preprocessing.image_policies"),
    ),
    "Sound, text, tables": ("preprocessing", ("fnlayers.layers.preprocessing",)),
}
OF_ALL = ("name", "trainable", "dtype")  # the arguments that every layer has
SECTIONS = ("Shapes", "Weights", "State", "Random", "Mask", "Reference")
_SEE = re.compile(r"\s*See `(\w+)`\.")


def families() -> dict[str, list[str]]:
    """The layers of each family, each layer in the first that has its module."""
    by_family: dict[str, list[str]] = {family: [] for family in FAMILIES}
    for name, cls in fl.LAYERS.items():
        matches = [f for f, (_, modules) in FAMILIES.items() if _longest(cls.__module__, modules)]
        family = max(matches, key=lambda f: _longest(cls.__module__, FAMILIES[f][1]))
        by_family[family].append(name)
    return by_family


def _longest(module: str, prefixes: tuple[str, ...]) -> int:
    return max((len(p) for p in prefixes if module == p or module.startswith(p + ".")), default=0)


def pages() -> Iterator[tuple[str, str]]:
    """The path and the text of each page of layers."""
    groups = families()
    yield "layers/index.md", _index(groups)
    for family, names in groups.items():
        for name in names:
            yield f"layers/{name}.md", layer_page(name, family, [n for n in names if n != name])


def navigation() -> list[Any]:
    """What the menu shows under Layers."""
    groups = families()
    listed = [{family: [{name: f"layers/{name}.md"} for name in names]} for family, names in groups.items()]
    return ["layers/index.md", *listed]


def _index(groups: Mapping[str, list[str]]) -> str:
    lines = [
        "# All layers",
        "",
        f"{len(fl.LAYERS)} layers, by family. Each page is made from the layer's class: its signature and docstring, "
        "and an example that the tests run.",
        "",
    ]
    for family, names in groups.items():
        lines += [f"## {family}", "", *(f"- [`{name}`]({name}.md): {_in_short(name)}" for name in names), ""]
    aliases = sorted(
        (n, v.__name__) for n in fl.__all__ if n not in fl.LAYERS and (v := getattr(fl, n)) in fl.LAYERS.values()
    )
    lines += ["## Keras's other names", "", *(f"- `{alias}` is [`{name}`]({name}.md)" for alias, name in aliases)]
    return "\n".join(lines) + "\n"


def _in_short(name: str) -> str:
    """The summary up to its first full stop."""
    summary = _SEE.sub("", docstrings.read(fl.LAYERS[name]).summary.replace("\n", " "))
    return docstrings.prose(re.split(r"(?<=\.)\s", summary)[0], _link)


def _link(name: str) -> str | None:
    return f"{name}.md" if name in fl.LAYERS else None


# One page


def bases(cls: type) -> list[type]:
    """The classes that a docstring refers to and that have no page: what they say stands on this page."""
    above: list[type] = []
    waiting = [cls]
    while waiting:
        text, known = waiting[0].__doc__ or "", vars(importlib.import_module(waiting[0].__module__))
        waiting.pop(0)
        for name in re.findall(r"`(\w+)`", text):
            base = known.get(name)
            is_base = isinstance(base, type) and issubclass(base, fl.Layer) and base is not fl.Layer
            if is_base and fl.LAYERS.get(name) is not base and base is not cls and base not in above:
                above.append(base)
                waiting.append(base)
    return above


def layer_page(name: str, family: str, siblings: list[str]) -> str:
    """The whole page of a layer."""
    cls = fl.LAYERS[name]
    own, others = docstrings.read(cls), bases(cls)
    shared = [docstrings.read(base) for base in others]
    named = {base.__name__ for base in others}

    def prose(text: str) -> str:
        text = re.sub(r"\s*See `(\w+)`\.", lambda m: "" if m[1] in named else m[0], text)
        text = re.sub(r"`(\w+)`", lambda m: "this page" if m[1] in named else m[0], text)
        return docstrings.prose(text, _link)

    lines = [f"# {name}", "", f'<p class="kind">{family}</p>', "", prose(own.summary), ""]
    for text in (own.paragraphs, *(part for base in shared for part in (base.summary, base.paragraphs))):
        lines += [prose(text), ""] if text and not text.startswith("Base of") else []
    lines += ["```python", docstrings.signature(cls, f"fl.{name}", without=OF_ALL), "```", ""]
    picture = pictures.of_layer(name)
    if picture:
        lines += [picture, ""]
    lines += ["## Shapes, weights, masks", "", '<div class="facts" markdown>', "", "| | |", "|---|---|"]
    for title in SECTIONS:
        texts = [doc.sections[title] for doc in (own, *shared) if title in doc.sections]
        if texts:
            lines.append(f"| **{title}** | {prose(' '.join(texts[0].split()))} |")
    lines += ["", "</div>", "", "## Example", "", "```python", example(name), "```", ""]
    listed = _arguments(own, shared, named)
    lines += ["## Arguments", "", docstrings.argument_list(listed, _link)] if listed else []
    lines += [
        "Every layer also takes `name`, `trainable` and `dtype`: see [`Layer`](../reference/contract.md#Layer).",
        "",
        "## Related",
        "",
        ", ".join(f"[`{other}`]({other}.md)" for other in siblings),
    ]
    return "\n".join(lines) + "\n"


def _arguments(own: docstrings.Docstring, shared: list[docstrings.Docstring], named: set[str]) -> str:
    """The arguments of the layer and of its bases, each once; without those that only refer to a base."""
    merged: dict[str, str] = {}
    for doc in (own, *shared):
        for names, meaning in docstrings.arguments(doc.sections.get("Arguments", "")).items():
            refers = re.fullmatch(r"see `(\w+)`\.?", meaning)
            if not (refers and refers[1] in named):
                merged.setdefault(names, re.sub(r"`(\w+)`", lambda m: "this page" if m[1] in named else m[0], meaning))
    return "\n".join(f"{names}: {meaning}" for names, meaning in merged.items())


# Its example


def example(name: str) -> str:
    """The docstring's example as a program; for a layer without one, a program made from the table of cases."""
    cls = fl.LAYERS[name]
    text = docstrings.read(cls).sections.get("Example")
    return docstrings.program(text, cls) if text else _from_case(_case(cls))


def _case(cls: type) -> Any:
    """The plainest case of a layer in the table that the laws go through."""
    if str(CASES.parent) not in sys.path:
        sys.path.insert(0, str(CASES.parent))
    return next(case for case in importlib.import_module("cases").CASES if type(case.layer) is cls)


def _from_case(case: Any) -> str:
    """A program that makes the layer, gives it an input of the case's shape, and shows what shape comes out.

    The shape is found by tracing, so that the site is written in seconds; the tests run the program.
    """
    layer, shape = case.layer, canonical(case.shape)
    kind = ", int" if case.below else ""
    x = _nested(map_nest(lambda s: f"jnp.ones({s}{kind})", shape, is_leaf=is_shape))
    one = is_shape(shape)
    sizes = "x.shape" if one else repr(shape)
    lines = [f"layer = {layer!r}", f"x = {x}"]
    params, state = "{}", ""
    if jax.tree.leaves(layer.specs(shape), is_leaf=is_spec):
        specs = layer.specs(shape)
        if any(isinstance(spec, fl.Param) for spec in jax.tree.leaves(specs, is_leaf=is_spec)):
            lines.append(f"params = layer.init(jax.random.key(0), {sizes})")
            params = "params"
        if any(isinstance(spec, fl.State) for spec in jax.tree.leaves(specs, is_leaf=is_spec)):
            lines.append(f"state = layer.init_state({sizes})")
            state = ", state=state"
    training = ", train=True, rng=jax.random.key(1)" if case.random and not state else ""
    call = f"layer.apply({params}, x{state}{training})"
    y = jax.eval_shape(lambda x: _applied(layer, shape, x, bool(training)), _arrays(case, shape))
    if hasattr(y, "shape"):
        lines.append(f"{call}.shape  # {y.shape}")
    else:
        shown = repr(jax.tree.map(jnp.shape, y))
        lines.append(f"y = {call}")
        lines.append(f"jax.tree.map(jnp.shape, y)  # {shown}")
    return docstrings.completed("\n".join(lines))


def _arrays(case: Any, shape: Any) -> Any:
    dtype = "int32" if case.below else "float32"
    return map_nest(lambda s: jax.ShapeDtypeStruct(s, dtype), shape, is_leaf=is_shape)


def _applied(layer: Any, shape: Any, x: Any, train: bool) -> Any:
    params, state = layer.init(jax.random.key(0), shape), layer.init_state(shape)
    return layer.apply(params, x, state=state, train=train, rng=jax.random.key(1) if train else None)


def _nested(value: Any) -> str:
    """Nested expressions as one."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {_nested(part)}" for key, part in value.items()) + "}"
    return "(" + ", ".join(map(_nested, value)) + ("," if len(value) == 1 else "") + ")"
