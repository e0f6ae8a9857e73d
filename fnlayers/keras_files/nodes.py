"""The objects of Keras's configs, {"module": ..., "class_name": ..., "config": {...}}: their form, origin and names.

A class is known by its name alone only where `module` and `registered_name` say that it is Keras's own: a class of the
user's may have the name of one of Keras's, and compute something else.
"""

import re
import unicodedata
from typing import Any

from fnlayers.core.errors import ConfigError
from fnlayers.keras_files import limits
from fnlayers.keras_files.tensors import is_tensor
from fnlayers.plain_data import choices

KEYS = frozenset(
    ("module", "class_name", "config", "registered_name", "build_config", "compile_config", "shared_object_id", "name")
    + ("inbound_nodes",)
)
# Where Keras 3 (and tf.keras, which has them in `engine`) keeps what a config may name.
HOMES = {
    "layer": r"keras|keras\.models|keras\.(src\.)?(layers|models|engine|applications)(\.\w+)*",
    "initializer": r"keras\.(src\.)?initializers(\.\w+)*",
    "regularizer": r"keras\.(src\.)?regularizers(\.\w+)*",
    "constraint": r"keras\.(src\.)?constraints(\.\w+)*",
    "dtype policy": r"keras|keras\.(src\.)?(dtype_policies|mixed_precision)(\.\w+)*",
    "function": r"builtins|keras\.(src\.)?(activations|ops)(\.\w+)*",
    "operation": r"keras\.(src\.)?ops(\.\w+)*",
}
INPUT_DTYPES = (
    ("float32", "float16", "bfloat16", "float64", "bool", "complex64", "complex128", "string")
    + ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
)  # fmt: skip
_CONTROLS = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")  # characters that are not seen, or are none


def parts(node: Any) -> tuple[str, dict]:
    """The class and the config of a node."""
    kind, config = (node.get("class_name"), node.get("config")) if isinstance(node, dict) else (None, None)
    if not isinstance(kind, str) or not isinstance(config, dict):
        raise ConfigError(f"a config has the form {{class_name, config}}, got {str(node)[:80]}")
    if unknown := sorted(node.keys() - KEYS):
        raise ConfigError(f"{kind[:80]}: the config has {', '.join(unknown)[:80]}, which Keras does not write")
    return kind, config


def check_origin(node: dict, what: str) -> None:
    """Refuse a node whose class is not Keras's own."""
    kind, registered = node.get("class_name"), node.get("registered_name")
    module = node.get("module", "keras" if what == "layer" else ...)
    ours = module is ... or (isinstance(module, str) and re.fullmatch(HOMES[what], module))
    if not ours or registered not in (None, kind):
        way = "give it in layers=" if what == "layer" else "it must be one of Keras's"
        raise ConfigError(
            f"{str(kind)[:80]!r} is not Keras's own {what}: it is registered as {str(registered)[:80]!r} in the module "
            f"{str(None if module is ... else module)[:80]!r}; {way}"
        )


def layers_worth(value: Any, what: str) -> int:
    """The layers that an option, or what an operation is given, counts as: each of its values takes time, too.

    Raises:
        ConfigError: it has very many values.
    """
    waiting, count = [value], 0
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, (list, dict)) and not is_tensor(inner):
            count += len(inner)
            waiting += inner if isinstance(inner, list) else inner.values()
        if count > limits.MAX_ITEMS:
            raise ConfigError(f"{what} has more than {limits.MAX_ITEMS} values")
    return count // limits.ITEMS_OF_A_LAYER


def is_operation(node: dict) -> bool:
    """Whether a node of a graph is the call of a single function."""
    module = node.get("module")
    return isinstance(module, str) and re.fullmatch(HOMES["operation"], module) is not None


def safe_name(name: Any) -> str:
    """A layer's name without the slash, which separates the names of a path."""
    if not isinstance(name, str) or not name or len(name) > limits.MAX_NAME:
        raise ConfigError(f"a layer's name is a string, got {str(name)[:80]!r}")
    if "\\" in name or any(unicodedata.category(letter) in _CONTROLS for letter in name):
        raise ConfigError(f"a layer's name has characters that are not seen, or a backslash: {name[:80]!r}")
    if any(part in ("", ".", "..") for part in name.split("/")):
        raise ConfigError(f"a layer's name is not a path: {name[:80]!r}")
    return name.replace("/", "_")


def check_names_differ(names: list[str]) -> None:
    """Refuse names that are the same text in other characters."""
    first: dict[str, str] = {}
    for name in names:
        plain = unicodedata.normalize("NFC", safe_name(name))
        if first.setdefault(plain, name) != name:
            raise ConfigError(f"two layers are named {first[plain]!r} and {name!r}, which is the same text")


def input_shape(sizes: Any, what: str = "an input") -> tuple:
    """The shape of an input: a size or None for each axis, or a nest of such shapes."""
    if isinstance(sizes, dict) and sizes and len(sizes) <= limits.MAX_LAYERS:
        return {str(key): input_shape(sub, what) for key, sub in sizes.items()}  # type: ignore[return-value]
    if isinstance(sizes, (list, tuple)) and len(sizes) <= limits.MAX_LAYERS:
        if sizes and all(isinstance(sub, (list, tuple, dict)) for sub in sizes):
            return tuple(input_shape(sub, what) for sub in sizes)
        if len(sizes) <= limits.MAX_RANK and all(map(_is_size, sizes)):
            return tuple(sizes)
    raise ConfigError(f"{what} has the shape {str(sizes)[:80]}; a list of sizes or null is expected")


def check_input_layer(node: dict) -> tuple[tuple, str]:
    """The shape and dtype of an InputLayer's node, which says nothing else."""
    kind, config = parts(node)
    check_origin(node, "layer")
    known = {"batch_shape", "batch_input_shape", "dtype", "sparse", "ragged", "optional", "name", "trainable"}
    if unknown := sorted(config.keys() - known):
        raise ConfigError(f"{kind}: {', '.join(unknown)[:80]} is not supported here")
    for key in ("sparse", "ragged", "optional", "trainable"):
        if not isinstance(config.get(key, False), (bool, type(None))):
            raise ConfigError(f"{kind}: {key}={str(config[key])[:80]} is wrong; give True or False")
    if config.get("name") is not None:
        safe_name(config["name"])
    shape = config.get("batch_shape")
    shape = input_shape(config.get("batch_input_shape") if shape is None else shape)
    if any(not isinstance(size, (int, type(None))) for size in shape):
        raise ConfigError(f"{kind}: the shape {str(shape)[:80]}; a list of sizes or null is expected")
    dtype = policy_of(config.get("dtype")) or "float32"
    if dtype not in INPUT_DTYPES:
        raise ConfigError(f"{kind}: {choices('dtype', dtype, INPUT_DTYPES)}")
    return shape, dtype


def own_name(config: dict) -> str | None:
    """The name of a model, if it has one."""
    return None if config.get("name") is None else safe_name(config["name"])


def policy_of(value: Any) -> str | None:
    """The dtype policy's name; None for float32."""
    if isinstance(value, dict):
        kind, config = parts(value)
        check_origin(value, "dtype policy")
        if kind not in ("DTypePolicy", "Policy") or config.keys() - {"name", "source_name"}:
            raise ConfigError(f"the dtype policy {kind!r} is not supported; choose a float policy and save again")
        value = config.get("name")
    if not isinstance(value, (str, type(None))):
        raise ConfigError(f"dtype={str(value)[:80]} is wrong; give the name of a dtype")
    return None if value in (None, "float32") else value


def _is_size(size: Any) -> bool:
    return size is None or (type(size) is int and 0 <= size < 2**31)
