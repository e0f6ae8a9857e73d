"""Layers as plain dicts, and back. A dict may name what is in a closed table, or given by the caller, and no more.

A layer is {"layer": "Dense", "fields": {...}}. In the fields, numbers, strings, true, false and null stand for
themselves and a list for a tuple; everything else is an object with one of the keys of `_READERS`.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import jax.numpy as jnp

from fnlayers.catalog import LAYERS
from fnlayers.core.errors import ConfigError
from fnlayers.core.layer import Layer
from fnlayers.core.operation import Constant, Cut, Slot
from fnlayers.core.shapes import canonical, is_shape
from fnlayers.core.strings import STRING
from fnlayers.functions.activations import ACTIVATIONS
from fnlayers.functions.constraints import CONSTRAINTS
from fnlayers.functions.initializers import INITIALIZERS
from fnlayers.functions.regularizers import REGULARIZERS
from fnlayers.layers.preprocessing.columns import Cross, Feature
from fnlayers.layers.preprocessing.vocabulary import Vocabulary
from fnlayers.models.functional import InputNode, Node, Ref
from fnlayers.plain_data import FrozenDict, choices
from fnlayers.saving.strict import MAX_DEPTH, MAX_DIGITS, refusing

MAX_LAYERS = 5_000

TABLES: dict[str, Mapping[str, type]] = {
    "layer": LAYERS,
    "initializer": INITIALIZERS,
    "regularizer": REGULARIZERS,
    "constraint": CONSTRAINTS,
}
TUPLES: dict[str, Any] = {
    "ref": Ref,
    "input": InputNode,
    "node": Node,
    "slot": Slot,
    "cut": Cut,
    "constant": Constant,
    "feature": Feature,
    "cross": Cross,
}
FLOATS = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}

Given = Iterable[Any] | Mapping[str, Any]


def to_config(layer: Layer) -> dict:
    """The layer as a dict of plain JSON values: all its options, and none of its weights.

    Functions and classes that are not the library's are written by name; whoever reads the dict gives them back.

    Raises:
        ConfigError: for what has no name: a lambda, a functools.partial, or two functions of one name; and for more
            layers inside each other than `from_config` takes.

    Example:
        >>> from fnlayers.layers.basic import Masking
        >>> to_config(Masking(-1.0))
        {'layer': 'Masking', 'fields': {'name': None, 'trainable': True, 'dtype': None, 'mask_value': -1.0}}
    """
    if not isinstance(layer, Layer):
        raise ConfigError(f"a layer or model is needed, got {type(layer).__name__}")
    with refusing("the model"):
        config = _Writer().value(layer, type(layer).__name__)
        _names(config, 0)
    return config


def from_config(config: Any, layers: Given = ()) -> Layer:
    """The layer that a dict describes. Nothing is imported or called but constructors of the table.

    Arguments:
        config: what `to_config` returned. Options it lacks have their defaults; options it has must exist.
        layers: classes and functions of your own that the dict names, or a dict of them by name.

    Raises:
        ConfigError: for a name that is not in the table, and for everything that a layer itself refuses.

    Example:
        >>> from fnlayers.layers.dense import Dense
        >>> from_config(to_config(Dense(3, "relu"))) == Dense(3, "relu")
        True
    """
    classes = by_name(layers)
    with refusing("the model's config"):
        if lacking := sorted(_names(config, 0) - classes.keys()):
            raise ConfigError(
                f"the config names {', '.join(lacking)}, which the library does not have; pass what "
                f"{'it was' if len(lacking) == 1 else 'they were'} when saving: layers=[{', '.join(lacking)}]"
            )
        layer = _Reader(classes).value(config, 0)
        if not isinstance(layer, Layer):
            raise ConfigError(f"the config describes no layer, but {layer!r}")
    return layer


def by_name(layers: Given) -> dict[str, Any]:
    """What a caller gives, by name."""
    if isinstance(layers, (str, bytes)) or not isinstance(layers, Iterable):
        raise ConfigError(f"layers={layers!r}: give a list of classes and functions, or a dict of them by name")
    if isinstance(layers, Mapping):
        return {str(name): value for name, value in layers.items()}
    named: dict[str, Any] = {}
    for value in layers:
        if named.setdefault(name_of(value, "layers"), value) is not value:
            raise ConfigError(f"layers= has two things named {name_of(value, 'layers')}; give a dict of them by name")
    return named


def name_of(value: Any, where: str) -> str:
    """The name by which a function or class is saved."""
    name = getattr(value, "__name__", None)
    if not callable(value) or not isinstance(name, str) or not name.isidentifier():
        raise ConfigError(
            f"{where}={value!r} cannot be saved: only its name would be; write it as a function with `def`, or as a "
            "frozen dataclass"
        )
    return name


class _Writer:
    """One walk over a layer; remembers the names that it wrote, so that one name stands for one thing."""

    def __init__(self) -> None:
        self.named: dict[str, Any] = {}

    def value(self, value: Any, where: str) -> Any:
        if value is None or type(value) in (bool, str):
            return value
        if type(value) is bytes:
            return {"bytes": value.hex()}
        if type(value) is Vocabulary:
            return {"tokens": [self.value(token, where) for token in value]}
        if type(value) is int:
            if len(str(abs(value))) >= MAX_DIGITS:
                raise ConfigError(f"{where}: the integer has too many digits to be saved")
            return value
        if type(value) is float:
            return value if math.isfinite(value) else {"float": str(value)}
        if type(value) is tuple:
            return [self.value(item, f"{where}[{i}]") for i, item in enumerate(value)]
        if type(value) is FrozenDict:
            return {"dict": [[self.value(k, where), self.value(v, f"{where}[{k!r}]")] for k, v in value.items()]}
        for kind, cls in TUPLES.items():
            if type(value) is cls:
                return {kind: [self.value(item, where) for item in value]}
        if is_dataclass(value) and not isinstance(value, type):
            return self.object(value, where)
        return self.function(value, where)

    def object(self, value: Any, where: str) -> dict:
        cls = type(value)
        kind = next((kind for kind, table in TABLES.items() if table.get(cls.__name__) is cls), "given")
        options = {f.name: self.value(getattr(value, f.name), f"{where}.{f.name}") for f in fields(value) if f.init}
        return {kind: self.once(cls, where) if kind == "given" else cls.__name__, "fields": options}

    def function(self, value: Any, where: str) -> dict:
        for name, function in ACTIVATIONS.items():
            if value is function:
                return {"activation": name}
        for kind, table in TABLES.items():
            if isinstance(value, type) and table.get(value.__name__) is value:
                return {"class": [kind, value.__name__]}
        return {"given": self.once(value, where)}

    def once(self, value: Any, where: str) -> str:
        name = name_of(value, where)
        if self.named.setdefault(name, value) is not value:
            raise ConfigError(f"{where}: the model has two functions or classes named {name}; rename one to save it")
        return name


class _Reader:
    """One walk over a config."""

    def __init__(self, classes: Mapping[str, Any]) -> None:
        self.classes, self.layers = classes, 0

    def value(self, data: Any, depth: int) -> Any:
        if data is None or type(data) in (bool, int, float, str):
            return data
        if type(data) is list:
            return _shared([self.value(item, depth + 1) for item in data])
        if type(data) is not dict or not data:
            raise ConfigError(f"{str(data)[:80]!r} describes nothing")
        kind, *rest = data
        if kind not in _READERS or rest not in ([], ["fields"]):
            raise ConfigError(f"an object has the keys {', '.join(map(str, data))[:80]!r}; known are {list(_READERS)}")
        if rest:
            return self.object(kind, data[kind], data["fields"], depth)
        return _READERS[kind](self, data[kind], depth)

    def object(self, kind: str, name: Any, options: Any, depth: int) -> Any:
        table = {**TABLES, "given": self.classes}.get(kind)
        if table is None or type(options) is not dict or not all(type(key) is str for key in options):
            raise ConfigError(f"{kind} takes no fields")
        cls = _found(kind, name, table)
        if not (isinstance(cls, type) and is_dataclass(cls)):
            raise ConfigError(f"the config has {name} with fields, so it must be a layer class or a dataclass: {cls!r}")
        self.layers += issubclass(cls, Layer)
        if self.layers > MAX_LAYERS:
            raise ConfigError(f"the config has more than {MAX_LAYERS} layers")
        return cls(**{key: self.value(value, depth + 2) for key, value in options.items()})

    def tokens(self, data: Any, depth: int) -> Vocabulary:
        tokens = [self.value(token, depth + 2) for token in _listed(data)]
        kinds = {type(token) for token in tokens}
        if not (kinds <= {str, bytes} or kinds == {int}):
            raise ConfigError("a vocabulary holds strings, or integers, and nothing else")
        return Vocabulary(tokens)

    def dict(self, data: Any, depth: int) -> FrozenDict:
        pairs = [_listed(pair, 2) for pair in _listed(data)]
        items = {self.value(key, depth + 3): self.value(value, depth + 3) for key, value in pairs}
        if len(items) < len(pairs):
            raise ConfigError("a dict has the same key twice")
        return FrozenDict(items)


def _plain_tuple(kind: str) -> Callable[[_Reader, Any, int], Any]:
    cls = TUPLES[kind]
    return lambda reader, data, depth: cls(*(reader.value(item, depth + 2) for item in _listed(data, len(cls._fields))))


def _input(reader: _Reader, data: Any, depth: int) -> InputNode:
    """A declared input, of a shape and a dtype that there are."""
    node = _plain_tuple("input")(reader, data, depth)
    if not isinstance(node.name, str) or not is_shape(node.shape) or not _is_dtype(node.dtype):
        raise ConfigError(f"{str(tuple(node))[:80]} is no input; the name, the shape and the dtype of one are meant")
    return node._replace(shape=canonical(node.shape))


def _is_dtype(name: Any) -> bool:
    try:
        return isinstance(name, str) and (name == STRING or jnp.dtype(name).name == name)
    except TypeError:
        return False


def _class(reader: _Reader, data: Any, depth: int) -> type:
    kind, name = _listed(data, 2)
    return _found(kind, name, _found("class", kind, TABLES))


_READERS: dict[str, Callable[[_Reader, Any, int], Any]] = {
    **{kind: lambda reader, name, depth: _no_fields(name) for kind in TABLES},
    **{kind: _plain_tuple(kind) for kind in TUPLES},
    "input": _input,
    "tokens": _Reader.tokens,
    "bytes": lambda reader, data, depth: _bytes(data),
    "activation": lambda reader, name, depth: _found("activation", name, ACTIVATIONS),
    "class": _class,
    "dict": _Reader.dict,
    "float": lambda reader, name, depth: _found("float", name, FLOATS),
    "given": lambda reader, name, depth: _found("given", name, reader.classes),
}


def _bytes(data: Any) -> bytes:
    if type(data) is not str or not re.fullmatch(r"([0-9a-f]{2})*", data):
        raise ConfigError(f"bytes are written as hexadecimal digits, found {str(data)[:80]!r}")
    return bytes.fromhex(data)


def _no_fields(name: Any) -> Any:
    raise ConfigError(f"{str(name)[:80]} has no fields in the config")


def _found(kind: str, name: Any, table: Mapping[str, Any]) -> Any:
    if type(name) is not str or name not in table:
        raise ConfigError(choices(kind, str(name)[:80], table))
    return table[name]


def _listed(data: Any, length: int | None = None) -> list:
    if type(data) is not list or length not in (None, len(data)):
        raise ConfigError(f"a list{f' of {length}' if length else ''} was expected, found {str(data)[:80]}")
    return data


def _shared(values: list) -> tuple:
    """The values, with equal layers of one name as one object: that is how a container knows a layer it shares."""
    first: dict[str, Layer] = {}
    shared = []
    for value in values:
        if isinstance(value, Layer) and value.name is not None:
            same = first.setdefault(value.name, value)
            value = same if same == value else value
        shared.append(value)
    return tuple(shared)


def _names(data: Any, depth: int) -> set[str]:
    """What a config names of the caller's; and the check of its depth, before anything is built."""
    if depth > MAX_DEPTH:
        raise ConfigError(
            f"the config has more than {MAX_DEPTH} levels, three for each layer inside a layer; put the layers of some "
            "containers into the containers around them"
        )
    if type(data) is list:
        return set().union(*(_names(item, depth + 1) for item in data if type(item) in (list, dict)))
    if type(data) is not dict:
        return set()
    own = {data["given"]} if type(data.get("given")) is str else set()
    return own.union(*(_names(item, depth + 1) for item in data.values() if type(item) in (list, dict)))
