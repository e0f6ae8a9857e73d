"""Keras's custom objects: the caller's layers, activations and functions for names that a file has."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from fnlayers.core.errors import ConfigError, shortened
from fnlayers.core.layer import Layer


class CustomObjects(NamedTuple):
    """Tables by the names in the file: "mine>Dense" for what was registered, else the name of the class or function.

    Arguments:
        layers: our layer classes, or functions of a config (a dict) that return a layer.
        activations: functions of an array; one without a name is "<lambda>".
        functions: for Lambda layers: by the function's name; one without a name by that of its layer.
    """

    layers: Mapping[str, Callable] = {}
    activations: Mapping[str, Callable] = {}
    functions: Mapping[str, Callable] = {}


NO_CUSTOM_OBJECTS = CustomObjects()


def custom_objects(layers: Any = None, activations: Any = None, functions: Any = None) -> CustomObjects:
    """The caller's tables; ConfigError unless they are dicts of functions by name."""
    tables = {"layers": layers, "activations": activations, "functions": functions}
    for what, table in tables.items():
        tables[what] = table = {} if table is None else table
        if not isinstance(table, Mapping) or not all(isinstance(name, str) for name in table):
            raise ConfigError(
                f"load_keras: {what}={shortened(table)}; give a dict by the names in the file, such as "
                f"{what}={{'NAME': {'a layer class' if what == 'layers' else 'a function'}}}"
            )
        for name, value in table.items():
            if not callable(value) or isinstance(value, Layer):
                expected = "a layer class, or a function of a config that returns a layer" if what == "layers" else ""
                raise ConfigError(
                    f"load_keras: {what}[{name!r}]={shortened(value)}; give {expected or 'a function of an array'}"
                )
    return CustomObjects(**tables)


def names_of(node: Mapping) -> list[str]:
    """The names by which a caller's table may have a node's class: as it was registered, and of the class."""
    names = [node.get("registered_name"), node.get("class_name")]
    return [name for name in names if isinstance(name, str)]
