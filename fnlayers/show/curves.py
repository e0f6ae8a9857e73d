"""Activations as curves: values, slopes, where they are flat, what they approach; all measured from the functions."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnlayers.functions.activations import ACTIVATIONS, Activation, activation, threshold

FLAT = 0.05  # a slope below this lets little of a gradient through
SAMPLES = 480  # that are drawn; even, so that none falls on a kink at 0
FINE = 41  # times as many are measured, so that edges and the steepest slope are found
FAR = np.array([-1e4, -2e4, -4e4, 1e4, 2e4, 4e4], "float32")  # where a curve has come close to what it approaches

# Those that need more than one number: what is drawn of them, in words and as a function of one.
_ALONE: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "glu": ("glu([1, x])", lambda x: ACTIVATIONS["glu"](jnp.stack([jnp.ones_like(x), x]))[0]),
    "softmax": ("softmax([x, 0])[0]", lambda x: ACTIVATIONS["softmax"](jnp.stack([x, 0 * x]))[0]),
    "log_softmax": ("log_softmax([x, 0])[0]", lambda x: ACTIVATIONS["log_softmax"](jnp.stack([x, 0 * x]))[0]),
    "sparsemax": ("sparsemax([x, 0])[0]", lambda x: ACTIVATIONS["sparsemax"](jnp.stack([x, 0 * x]))[0]),
    "legacy_sparsemax": (
        "legacy_sparsemax([x, 0])[0]",
        lambda x: ACTIVATIONS["legacy_sparsemax"](jnp.stack([x, 0 * x]))[0],
    ),
    "threshold": ("threshold(x, 1, 0)", lambda x: threshold(x, 1.0, 0.0)),
}


@dataclass(frozen=True)
class Asymptote:
    """The line `slope * x + height` that a curve approaches on one side: -1 is the left, 1 the right."""

    side: int
    slope: float
    height: float

    def __str__(self) -> str:
        height = f"{abs(self.height):g}"
        if not self.slope:
            return f"y = {self.height:g}"
        line = "y = " + ("x" if self.slope == 1 else f"{self.slope:g}x")
        return line if not self.height else f"{line} {'-' if self.height < 0 else '+'} {height}"


@dataclass(frozen=True, eq=False)
class Curve:
    """An activation over a range of x.

    Arguments:
        name: its name, and those that mean the same.
        description: what is drawn, where the function takes more than one number.
        formula: what its docstring says first.
        edge: x goes from -edge to edge.
        x, y, slope: what to draw, with NaN where there is a jump.
        steepest: the largest slope, up or down.
        flat: the ranges (from, to) of x in which the slope is less than 0.05 either way.
        asymptotes: the lines that it approaches far out.
    """

    name: str
    description: str
    formula: str
    edge: float
    x: np.ndarray
    y: np.ndarray
    slope: np.ndarray
    steepest: float
    flat: tuple[tuple[float, float], ...]
    asymptotes: tuple[Asymptote, ...]

    @property
    def view(self) -> tuple[float, float]:
        """From where to where to draw it upward: all of it, unless it grows out of sight."""
        levels = [line.height for line in self.asymptotes if not line.slope]
        both = np.concatenate([self.y, self.slope, levels])
        low, high = max(np.nanmin(both), -4.0), min(np.nanmax(both), 7.0)
        margin = 0.06 * (high - low)
        return float(low - margin), float(high + margin)

    @property
    def facts(self) -> tuple[str, ...]:
        """What there is to know of it, in sentences."""
        edge, parts = self.edge, []
        for start, end in self.flat:
            if start <= -edge:
                parts.append("everywhere" if end >= edge else f"for x < {_number(end)}")
            else:
                parts.append(f"for x > {_number(start)}" if end >= edge else f"from {_number(start)} to {_number(end)}")
        lines = [f"{line} on the {'left' if line.side < 0 else 'right'}" for line in self.asymptotes]
        facts = [
            f"flat {' and '.join(parts)}" if parts else "nowhere flat",
            f"goes to {', '.join(lines)}" if lines else "",
            f"slope at most {self.steepest:.2f}" if self.steepest < 10 else "slope without bound",
        ]
        return tuple(filter(None, facts))


def curves(which: Sequence[Activation], limit: float) -> tuple[Curve, ...]:
    """The curves of activations, each given as a layer's argument is, for x from -limit to limit."""
    functions = [activation(one) for one in which]
    names = [[name for name, other in ACTIVATIONS.items() if other is function] for function in functions]
    alone = [_ALONE.get(known[0] if known else "", ("", f)) for known, f in zip(names, functions, strict=True)]
    x = np.linspace(-limit, limit, SAMPLES * FINE, dtype="float32")

    def measured(x: Any, far: Any) -> list[tuple[Any, Any, Any]]:
        parts = [(jax.vmap(f), jax.vmap(jax.grad(lambda x, f=f: jnp.sum(f(x))))) for _, f in alone]
        return [(values(x), slopes(x), values(far)) for values, slopes in parts]

    # one program for all: compiled one by one, they take seconds
    measurements = [[np.asarray(a, "float64") for a in parts] for parts in jax.jit(measured)(x, FAR)]
    return tuple(
        _curve(
            ", ".join(known) or getattr(function, "__name__", "activation"), description, _formula(function), x, *parts
        )
        for known, function, (description, _), parts in zip(names, functions, alone, measurements, strict=True)
    )


def _curve(
    name: str, description: str, formula: str, x: np.ndarray, y: np.ndarray, slope: np.ndarray, far: np.ndarray
) -> Curve:
    drawn = slice(FINE // 2, None, FINE)
    lines = (x[drawn], _broken(y[drawn]), _broken(slope[drawn]))
    asymptotes = tuple(_asymptotes(far))
    steepest = max(float(np.abs(slope).max()), *(abs(line.slope) for line in asymptotes), 0.0)
    return Curve(name, description, formula, float(x[-1]), *lines, steepest, _flat(x, slope), asymptotes)


def _number(x: float) -> str:
    return f"{round(x, 1) + 0.0:g}"


def _formula(function: Callable) -> str:
    """The first paragraph of its docstring."""
    return " ".join((function.__doc__ or "").split("\n\n")[0].split()).replace("`", "")


def _broken(y: np.ndarray) -> np.ndarray:
    """The same with NaN at jumps, so that no line is drawn across."""
    steps = np.abs(np.diff(y))
    around = np.maximum(np.roll(steps, 1), np.roll(steps, -1))
    jumps = np.flatnonzero(steps > 5 * around + 0.05)
    with_gaps = y.copy()
    with_gaps[jumps] = np.nan
    return with_gaps


def _flat(x: np.ndarray, slope: np.ndarray) -> tuple[tuple[float, float], ...]:
    edges = np.flatnonzero(np.diff(np.abs(slope) < FLAT, prepend=False, append=False))
    return tuple((float(x[a]), float(x[b - 1])) for a, b in edges.reshape(-1, 2))


def _asymptotes(y: np.ndarray) -> Iterator[Asymptote]:
    """The lines through two points far out, where a third lies on them too; from the values at FAR."""
    for side, far, values in zip((-1, 1), FAR.reshape(2, 3), y.reshape(2, 3), strict=True):
        if not np.isfinite(values).all():
            continue
        slope = (values[1] - values[0]) / (far[1] - far[0])
        height = values[0] - slope * far[0]
        if abs(slope * far[2] + height - values[2]) < 0.01:
            yield Asymptote(side, round(float(slope), 3) + 0.0, round(float(height), 2) + 0.0)
