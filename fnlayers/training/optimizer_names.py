"""The optimizers of optax by name."""

import functools
import inspect
from typing import Any

import optax

from fnlayers.plain_data import did_you_mean


def optimizers() -> dict[str, Any]:
    """The functions of optax that take a learning rate first, by name."""
    functions = {name: getattr(optax, name) for name in dir(optax) if name[0].islower()}
    return {name: function for name, function in functions.items() if takes_rate(function)}


def near(name: str) -> str:
    """The names that a wrong one is like, as a question; else all of them."""
    there = optimizers()
    return did_you_mean(name.lower(), there, 3) or f"those of optax are {', '.join(there)}"


def takes_rate(function: Any) -> bool:
    """Whether this is a function that takes a learning rate first."""
    if not inspect.isfunction(function) and not isinstance(function, functools.partial):
        return False
    return next(iter(inspect.signature(function).parameters), "") == "learning_rate"
