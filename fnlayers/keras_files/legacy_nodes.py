"""The entries of configs of Keras 1 and 2 that stand for inputs and merges, in Keras 3's form."""

from typing import Any

from fnlayers.core.errors import ConfigError

MERGES = {"sum": "Add", "mul": "Multiply", "ave": "Average", "max": "Maximum", "concat": "Concatenate", "dot": "Dot"}


def parts(node: Any) -> tuple[str, Any]:
    """A node's class name and config."""
    kind = node.get("class_name") if isinstance(node, dict) else None
    if not isinstance(kind, str) or not isinstance(node.get("config"), (dict, list)):
        raise ConfigError(f"a config has the form {{class_name, config}}, got {str(node)[:80]}")
    return kind, node["config"]


def input_entry(name: Any, shape: Any, dtype: Any) -> dict:
    """An InputLayer of that name, shape and dtype (None: float32)."""
    config = {"batch_shape": shape, "dtype": dtype or "float32", "name": name}
    return {"class_name": "InputLayer", "config": config}


def declared_input(first: Any) -> dict | None:
    """The input that a Sequential's first layer declares, where there is no InputLayer."""
    kind, config = parts(first)
    shape = config.get("batch_input_shape") if isinstance(config, dict) and kind != "InputLayer" else None
    dtype = config.get("input_dtype") if shape is not None else None
    return None if shape is None else input_entry(f"{config.get('name')}_input", shape, dtype)


def merge_entry(name: Any, config: dict) -> dict:
    """Keras 1's Merge, whose mode is a layer of its own now."""
    mode = config.get("mode")
    if config.get("mode_type", "raw") != "raw" or not isinstance(mode, str) or mode not in MERGES:
        raise ConfigError(f"Merge with mode={str(mode)[:80]!r} is not supported; choose from {', '.join(MERGES)}")
    options: dict = {"name": name}
    if mode == "concat":
        options["axis"] = config.get("concat_axis", -1)
    elif mode == "dot":
        options["axes"] = config.get("dot_axes", -1)
    return {"class_name": MERGES[mode], "config": options}


def input_layer(entry: Any, name: str = "") -> dict | None:
    """An InputLayer in Keras 3's form; None for other layers."""
    kind, config = parts(entry)
    if kind != "InputLayer":
        return None
    if not isinstance(config, dict):
        raise ConfigError(f"the config of InputLayer is {str(config)[:80]}")
    if config.get("sparse") or config.get("ragged"):
        raise ConfigError(f"the input {config.get('name')!r} is sparse or ragged, which is not supported here")
    shape = config.get("batch_input_shape", config.get("batch_shape"))
    return input_entry(name or config.get("name"), shape, config.get("dtype") or config.get("input_dtype"))


def tensor(layer: str, call: int = 0, output: int = 0) -> dict:
    """The array that a call of a layer made."""
    return {"class_name": "__keras_tensor__", "config": {"keras_history": [layer, call, output]}}
