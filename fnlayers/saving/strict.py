"""JSON as files need it: one meaning for each text, and bounds before anything is built from it."""

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fnlayers.core.errors import ConfigError, LayerError

MAX_VALUES = 10_000_000  # a vocabulary of millions of words fits; a file of 100 MB made of brackets does not
MAX_DEPTH = 175  # JSON arrays and objects inside each other: three for each of 50 layers inside a layer, and fields
MAX_DIGITS = 40


def dumps(value: Any) -> str:
    """The value as JSON, without NaN or Infinity."""
    return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def loads(text: str) -> Any:
    """The value of a JSON text.

    Raises:
        ConfigError: for anything outside the standard, for a key that occurs twice, a number that is too large, text
            that is no Unicode, and too many values or too many inside each other.
    """
    if sum(map(text.count, ",[{")) > MAX_VALUES:
        raise ConfigError(f"a JSON text has more than {MAX_VALUES} values")
    try:
        value = json.loads(
            text, object_pairs_hook=_object, parse_constant=_refuse, parse_int=_integer, parse_float=_float
        )
        # a lone surrogate (written \\ud800) is not a character: it could be neither printed nor saved again
        json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise ConfigError(f"a JSON text has more than {MAX_DEPTH} levels") from None
    except LayerError:
        raise
    except ValueError as error:
        raise ConfigError(f"a text is not strict JSON: {error}") from None
    return value


@contextmanager
def refusing(what: str) -> Iterator[None]:
    """What goes wrong in this block over a file's content is a ConfigError; disk and memory keep their own errors."""
    try:
        yield
    except LayerError as error:
        error.add_note(f"in {what}")
        raise
    except (OSError, MemoryError):
        raise
    except RecursionError:
        raise ConfigError(f"{what}: its layers are nested too deeply") from None
    except Exception as error:
        raise ConfigError(f"{what}: {type(error).__name__}: {error}") from error


def is_count(value: Any) -> bool:
    """Whether a JSON value is an integer of at least 0; true and 1.0 are not."""
    return type(value) is int and value >= 0


def _object(pairs: list[tuple[str, Any]]) -> dict:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ConfigError("a JSON object has the same key twice")
    return members


def _refuse(constant: str) -> Any:
    raise ConfigError(f"{constant} is not JSON")


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ConfigError(f"a JSON integer has {len(digits)} digits")
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ConfigError(f"the JSON number {digits[:MAX_DIGITS]} is too large")
    return value
