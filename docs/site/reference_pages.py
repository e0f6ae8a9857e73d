"""The reference of all public names that are no layers: a page for each thing that people do."""

import inspect
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import docstrings

import fnlayers as fl
from fnlayers.functions.activations import ACTIVATIONS

# Each page with what it is about, and the modules whose public names it shows.
PAGES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "contract": (
        "The contract",
        "What a layer is, what goes in and what comes out.",
        ("fnlayers.core.layer", "fnlayers.core", "fnlayers.layers.recurrent.cell"),
    ),
    "models": (
        "Graphs, and functions as layers",
        "Graphs of layers, models that write, layers of other libraries, and merges as functions.",
        ("fnlayers.models", "fnlayers.layers.merge"),
    ),
    "params": (
        "Transforms of params",
        "Penalties, projections, freezing, masks for optimizers, names and counts.",
        ("fnlayers.trees", "fnlayers.freezing"),
    ),
    "training": ("Training", "`fit` and what belongs to it.", ("fnlayers.training",)),
    "files": (
        "Files",
        "Models and weights, in and out.",
        ("fnlayers.saving", "fnlayers.keras_files", "fnlayers.state_dicts", "fnlayers.exporting"),
    ),
    "surgery": ("Surgery", "Models taken apart, compared and adapted.", ("fnlayers.surgery",)),
    "devices": (
        "Devices and compilation",
        "Meshes of devices, and how programs are compiled.",
        ("fnlayers.sharding", "fnlayers.host", "fnlayers.program_cache"),
    ),
}
# Modules that users reach as fl.NAME.
MODULES: dict[str, str] = {
    "losses": "Losses",
    "metrics": "Metrics",
    "initializers": "Initializers",
    "regularizers": "Regularizers",
    "constraints": "Constraints",
    "show": "Pictures",
    "debug": "What goes wrong in a model",
}
FOLDER = "reference"


def pages() -> Iterator[tuple[str, str]]:
    """The path and the text of each page."""
    groups: dict[str, dict[str, Any]] = {page: {} for page in PAGES}
    for name in fl.__all__:
        value = getattr(fl, name)
        if _is_shown(name, value):
            groups[_page_of(value.__module__)][name] = value
    for page, (_, _, modules) in PAGES.items():  # in the order of the modules
        groups[page] = dict(sorted(groups[page].items(), key=lambda item: _position(item[1].__module__, modules)))
    for page, (title, about, _) in PAGES.items():
        yield f"{FOLDER}/{page}.md", _page(title, about, "fl", groups[page])
    for module, title in MODULES.items():
        home = getattr(fl, module)
        about = docstrings.prose(" ".join((inspect.getdoc(home) or "").split()))
        yield f"{FOLDER}/{module}.md", _page(title, f"`fl.{module}`. {about}", f"fl.{module}", _public(home))


def navigation() -> list[dict[str, str]]:
    """What the menu shows of it."""
    titles = {page: title for page, (title, _, _) in PAGES.items()} | MODULES
    return [{title: f"{FOLDER}/{page}.md"} for page, title in titles.items()]


def _is_shown(name: str, value: Any) -> bool:
    """Whether a name of fnlayers has an entry of its own: aliases, layers and what a module below has do not."""
    in_a_module = getattr(fl.show, name, None) is value
    return callable(value) and value not in fl.LAYERS.values() and value.__name__ == name and not in_a_module


def _page_of(module: str) -> str:
    for page, (_, _, modules) in PAGES.items():
        if _position(module, modules) < len(modules):
            return page
    raise KeyError(f"docs/site/reference_pages.py: no page shows {module}; add it to PAGES")


def _position(module: str, modules: tuple[str, ...]) -> int:
    """Which of the modules it is, or is in; their number where it is none."""
    return next((i for i, m in enumerate(modules) if f"{module}.".startswith(f"{m}.")), len(modules))


def _public(module: ModuleType) -> dict[str, Any]:
    """The public names of a module: its __all__, or the classes of its own package that have Keras's names."""
    names = getattr(module, "__all__", None)
    if names is None:
        own = (n for n, v in vars(module).items() if inspect.isclass(v) and v.__module__.startswith(module.__name__))
        names = [n for n in own if not n.startswith("Base")]
    return {name: value for name in names if callable(value := getattr(module, name)) and value.__doc__}


def _page(title: str, about: str, prefix: str, members: dict[str, Any]) -> str:
    lines = [f"# {title}", "", about, ""]
    for name, value in members.items():
        lines += _entry(name, value, f"{prefix}.{name}")
    return "\n".join(lines) + "\n"


def _entry(name: str, value: Any, shown_as: str) -> list[str]:
    """The heading, signature and docstring of one name; of a class its public methods, too."""
    doc = docstrings.read(value)
    lines = [f"## {name} {{ #{name} }}", ""]
    if not (inspect.isclass(value) and issubclass(value, Exception)):
        lines += ["```python", docstrings.signature(value, shown_as), "```", ""]
    lines += _text(doc, value)
    if inspect.isclass(value) and value.__module__.startswith("fnlayers"):
        for method, function in vars(value).items():
            is_public = not method.startswith("_") and inspect.isfunction(function) and function.__doc__
            if is_public:
                lines += [f"### {name}.{method}", ""]
                lines += ["```python", docstrings.signature(function, method, without=("self",)), "```", ""]
                lines += _text(docstrings.read(function), function)
    return lines


def _text(doc: docstrings.Docstring, of: Any) -> list[str]:
    lines = [docstrings.prose(doc.summary, _link), ""]
    if doc.paragraphs:
        lines += [docstrings.prose(doc.paragraphs, _link), ""]
    for title, text in doc.sections.items():
        if title in ("Arguments", "Attributes", "Raises"):
            lines += [f"**{title}**", "", docstrings.argument_list(text, _link)]
        elif title == "Example":
            lines += ["**Example**", "", "```python", docstrings.program(text, of), "```", ""]
        else:
            lines += [f"**{title}**: {docstrings.prose(' '.join(text.split()), _link)}", ""]
    return lines


def _link(name: str) -> str | None:
    """Layers and activations have pages; `fnlayers.fit` is the name of a function."""
    short = name.removeprefix("fnlayers.").removeprefix("fl.")
    if short in fl.LAYERS:
        return f"../layers/{short}.md"
    if name in ACTIVATIONS:
        return None
    if short in fl.__all__ and name != short and _is_shown(short, getattr(fl, short)):
        return f"{_page_of(getattr(fl, short).__module__)}.md#{short}"
    return None
