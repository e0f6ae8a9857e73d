"""The arrays that Keras's configs of graphs refer to, and calls of single functions on them as Operations."""

from collections.abc import Iterator
from typing import Any

from fnlayers.core.errors import ConfigError
from fnlayers.core.operation import Constant, Cut, Operation, Slot
from fnlayers.plain_data import freeze, nest_leaves
from fnlayers.saving.strict import is_count


def operation_of(kind: str, config: dict, call: dict) -> Operation:
    """An operation node: its arguments with a Slot for each tensor, its options from config and call."""
    count = iter(range(1_000_000))

    def argument(value: Any) -> Any:
        if is_tensor(value):
            return Slot(next(count))
        if is_constant(value):
            return constant_of(value)
        if isinstance(value, dict) and value.get("class_name") == "__slice__":
            return Cut(*_bounds(value.get("config")))
        if isinstance(value, dict) and value.get("class_name") == "__ellipsis__":
            return "..."
        if isinstance(value, list):
            return tuple(map(argument, value))
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        raise ConfigError(f"{kind}: the argument {str(value)[:80]} is not supported here")

    arguments = tuple(map(argument, call.get("args", [])))
    options = {key: value for key, value in {**config, **(call.get("kwargs") or {})}.items() if key != "name"}
    return Operation(kind, arguments, {key: argument(value) for key, value in options.items()})


def is_constant(value: Any) -> bool:
    """Whether a value of a config is an array of numbers, of NumPy or of Keras's backend."""
    return isinstance(value, dict) and value.get("class_name") in ("__numpy__", "__tensor__")


def constant_of(value: dict) -> Constant:
    """Its numbers, which Operation checks: the config is {"value": nested lists, "dtype": a name}."""
    config = value.get("config")
    if not isinstance(config, dict) or config.keys() != {"value", "dtype"} or not isinstance(config["dtype"], str):
        raise ConfigError(f"an array in the graph is {str(config)[:80]}, expected value and dtype")
    return Constant(freeze(config["value"]), config["dtype"])


def _bounds(config: Any) -> list:
    """Start, stop and step of a slice."""
    bounds = [config.get(key) for key in ("start", "stop", "step")] if isinstance(config, dict) else [""]
    if not all(bound is None or type(bound) is int for bound in bounds):
        raise ConfigError(f"a slice has the bounds {str(config)[:80]}, expected start, stop and step")
    return bounds


def is_tensor(value: Any) -> bool:
    """Whether a value of a config stands for an array of the graph."""
    return isinstance(value, dict) and value.get("class_name") == "__keras_tensor__"


def is_end(value: Any) -> bool:
    """Whether a value names one output of a call: [layer, number of the call, index]."""
    return isinstance(value, list) and len(value) == 3 and isinstance(value[0], str) and all(map(is_count, value[1:]))


def history(tensor: dict) -> tuple[str, int, int]:
    """The layer, the number of its call and the output that made an array."""
    config = tensor.get("config") if isinstance(tensor, dict) else None
    end = config.get("keras_history") if isinstance(config, dict) else None
    if not isinstance(end, list) or not is_end(end):
        raise ConfigError(f"a tensor of the graph has the history {str(end)[:80]}, expected [layer, call, output]")
    return tuple(end)


def tensors(call: dict) -> Iterator[dict]:
    """The arrays that a call is given, options included."""
    parts = [call.get("args", []), call.get("kwargs") or {}]
    leaves = nest_leaves(parts, is_leaf=lambda value: is_tensor(value) or is_constant(value))
    return (leaf for leaf in leaves if is_tensor(leaf))


def checked_call(call: Any) -> dict:
    """A call of a layer in a graph: {"args": [...], "kwargs": {...}}."""
    if not isinstance(call, dict) or call.keys() - {"args", "kwargs"}:
        raise ConfigError(f"a call in the graph is {str(call)[:80]}, expected {{args, kwargs}}")
    if not isinstance(call.get("args", []), list) or not isinstance(call.get("kwargs") or {}, dict):
        raise ConfigError(
            f"a call in the graph has args that are no list, or kwargs that are no object: {str(call)[:80]}"
        )
    return call


def histories(call: dict) -> list[tuple[str, int]]:
    """The calls whose outputs a call is given."""
    return [history(tensor)[:2] for tensor in tensors(call)]
