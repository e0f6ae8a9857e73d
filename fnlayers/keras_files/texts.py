"""The JSON texts of Keras's files: strict, and of a bounded size, before anything is made of them."""

from typing import Any

from fnlayers.core.errors import ConfigError
from fnlayers.keras_files import limits
from fnlayers.saving import strict


def config_of(text: str, what: str = "config.json") -> dict:
    """The object that a JSON text describes.

    Raises:
        ConfigError: it is no strict JSON, no object, or beyond the limits.
    """
    if len(text) > limits.MAX_CONFIG_BYTES or sum(map(text.count, ",[{")) > limits.MAX_CONFIG_VALUES:
        raise ConfigError(
            f"{what} has more than {limits.MAX_CONFIG_BYTES} characters or {limits.MAX_CONFIG_VALUES} values"
        )
    try:
        config = strict.loads(text)
    except ConfigError as error:
        raise ConfigError(f"{what} is no JSON: {error}") from None
    if not isinstance(config, dict):
        raise ConfigError(f"{what} has the form {{class_name, config}}, got {str(config)[:80]}")
    _check_depth(config, what)
    return config


def _check_depth(value: Any, what: str) -> None:
    """Refuse lists and objects too deep inside each other, level by level and without recursion."""
    level, depth = [value], 0
    while level:
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (dict, list))
        ]
        depth += 1
        if depth > limits.MAX_CONFIG_DEPTH:
            raise ConfigError(f"{what} has more than {limits.MAX_CONFIG_DEPTH} levels")
