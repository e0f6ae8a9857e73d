"""Cells where a layer of sequences belongs: given one array, a cell starts again with each call, and nothing recurs."""

from typing import TYPE_CHECKING, Any

from fnlayers.core.errors import ConfigError
from fnlayers.core.shapes import is_shape

if TYPE_CHECKING:
    from fnlayers.core.layer import Layer


def refuse_cell(layer: "Layer", shape: Any) -> None:
    """Raise ConfigError for a cell that is given one array of that shape, without its states."""
    if layer.takes_one_step and is_shape(shape):
        raise ConfigError(f"{_one_step(layer)}, and was given one array of shape {shape}; {_advice(layer)}")


def refuse_cell_after(before: Any, layer: "Layer") -> None:
    """Raise ConfigError for a cell after what returns one array for certain: an Input, or a layer of sequences."""
    if layer.takes_one_step and getattr(before, "return_state", False) is False and hasattr(before, "return_state"):
        raise ConfigError(f"{_one_step(layer)}, and {before!r} before it returns one array; {_advice(layer)}")


def refuse_cell_within(wrapper: "Layer", layer: "Layer") -> None:
    """Raise ConfigError for a cell in a wrapper that gives it one array."""
    if layer.takes_one_step:
        raise ConfigError(f"{type(wrapper).__name__}: {_one_step(layer)}; {_advice(layer)}")


def _one_step(layer: "Layer") -> str:
    return f"{layer!r} takes one step of a sequence, (x, *states)"


def _advice(layer: "Layer") -> str:
    return f"for whole sequences write fnlayers.RNN({layer!r})"
