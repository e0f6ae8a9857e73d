"""How time and memory of a training step grow with batch, width, depth and length: the exponent of each.

    python benchmarks/growth.py [--models NAME ...] [--quick] [--json FILE]

A model is trained at sizes that double along one axis, the others fixed. Time is the median of rounds in which the
sizes take turns; memory is the peak that XLA planned for the step: arguments, results and temporary arrays. The
exponent is the slope of a straight line through the logarithms: 1 where twice the size costs twice as much, 2 where it
costs four times as much. Beside each stands the exponent of the step's floating-point operations, which time cannot
fall below for long: an axis whose time or memory grows by more than the operations does something that it should not.
It is marked GROWS where it lies more than 0.3 above both that and 1.
"""

import argparse
import statistics
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import fnlayers as fl
from figures import write
from flops import flops
from timing import paced

ABOVE = 0.3  # how far an exponent may lie above that of the operations


class Model(NamedTuple):
    """What makes a model and its input's shape from one value of each axis, and the values; the first are fixed."""

    make: Callable[..., tuple[fl.Layer, tuple[int, ...]]]
    axes: dict[str, Sequence[int]]


def mlp(batch: int, width: int, depth: int) -> tuple[fl.Layer, tuple[int, ...]]:
    return fl.Sequential([fl.Dense(width, "relu") for _ in range(depth)]), (batch, width)


def cnn(batch: int, channels: int, depth: int, size: int) -> tuple[fl.Layer, tuple[int, ...]]:
    def block() -> fl.Layer:
        return fl.Sequential(
            [fl.Conv2D(channels, 3, padding="same", use_bias=False), fl.BatchNormalization(), fl.ReLU()]
        )

    return fl.Sequential([block() for _ in range(depth)]), (batch, size, size, channels)


def lstm(batch: int, units: int, depth: int, length: int) -> tuple[fl.Layer, tuple[int, ...]]:
    return fl.Sequential([fl.LSTM(units, return_sequences=True) for _ in range(depth)]), (batch, length, units)


def transformer(batch: int, width: int, depth: int, length: int) -> tuple[fl.Layer, tuple[int, ...]]:
    blocks = [fl.TransformerEncoder(4 * width, 4, normalize_first=True) for _ in range(depth)]
    return fl.Sequential(blocks), (batch, length, width)


MODELS = {
    "mlp": Model(mlp, {"batch": (64, 128, 256, 512), "width": (256, 512, 1024), "depth": (4, 8, 16)}),
    "cnn": Model(cnn, {"batch": (8, 16, 32), "channels": (32, 64, 128), "depth": (2, 4, 8), "size": (16, 32, 64)}),
    "lstm": Model(
        lstm, {"batch": (16, 32, 64), "units": (64, 128, 256), "depth": (1, 2, 4), "length": (32, 64, 128, 256)}
    ),
    "transformer": Model(
        transformer, {"batch": (4, 8, 16), "width": (128, 256, 512), "depth": (1, 2, 4), "length": (64, 128, 256, 512)}
    ),
}
QUICK = 2  # sizes of an axis


class Step(NamedTuple):
    """A compiled training step: a call of `run` trains once and waits."""

    run: Callable[[], object]
    memory: int
    flops: int


def step_of(model: fl.Layer, shape: tuple[int, ...]) -> Step:
    """The training step of a model as users make it, with Adam."""
    optimizer = optax.adam(1e-4)
    train_state = fl.TrainState.create(model, shape, optimizer, jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), shape)
    batch = (x, jnp.zeros(model.out_shape(shape)))
    step: Any = fl.make_step(model, optax.squared_error, optimizer)
    compiled = step.lower(train_state, batch).compile()
    planned = compiled.memory_analysis()
    # Donated arguments become results: they lie in memory once
    memory = sum(getattr(planned, f"{kind}_size_in_bytes") for kind in ("argument", "output", "temp"))
    current = [train_state]

    def run() -> None:
        current[0], logs = compiled(current[0], batch)
        jax.block_until_ready(logs)

    return Step(run, memory - planned.alias_size_in_bytes, flops(step, train_state, batch))


def exponent(sizes: Sequence[int], costs: Sequence[float]) -> float:
    """The slope of the straight line through (log size, log cost)."""
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def grown(model: Model, axis: str, values: Sequence[int], seconds: float) -> dict[str, Any]:
    """Time, memory and operations at each size of one axis, and their exponents."""
    fixed = {name: sizes[0] for name, sizes in model.axes.items()}
    steps = {str(size): step_of(*model.make(**(fixed | {axis: size}))) for size in values}
    times = paced({size: step.run for size, step in steps.items()}, seconds)
    costs = {
        "time": [statistics.median(times[size]) for size in steps],
        "memory": [step.memory for step in steps.values()],
        "operations": [step.flops for step in steps.values()],
    }
    exponents = {name: exponent(values, cost) for name, cost in costs.items()}
    limit = max(1.0, exponents["operations"]) + ABOVE
    marks = [name for name in ("time", "memory") if exponents[name] > limit]
    return {"axis": axis, "sizes": list(values), "fixed": fixed, **costs, "exponents": exponents, "grows": marks}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS), help="these alone")
    parser.add_argument("--quick", action="store_true", help="two sizes of each axis")
    parser.add_argument("--pace", type=float, default=3.0, help="seconds of timing for each axis")
    parser.add_argument("--json", help="also write the figures to this file")
    args = parser.parse_args()
    rows = []
    print(f"{'model':12} {'axis':9} {'sizes':22} {'time (ms)':30} exponents: time  memory  operations")
    for name in args.models:
        for axis, values in MODELS[name].axes.items():
            rows.append(
                {"model": name, **grown(MODELS[name], axis, values[: QUICK if args.quick else None], args.pace)}
            )
            show(rows[-1])
            write(args.json, rows=rows)


def show(row: dict[str, Any]) -> None:
    """Print one line."""
    times = " ".join(f"{1e3 * seconds:.2f}" for seconds in row["time"])
    powers = "  ".join(f"{row['exponents'][name]:8.2f}" for name in ("time", "memory", "operations"))
    mark = f"  GROWS: {', '.join(row['grows'])}" if row["grows"] else ""
    print(
        f"{row['model']:12} {row['axis']:9} {' '.join(map(str, row['sizes'])):22} {times:30} {powers}{mark}", flush=True
    )


if __name__ == "__main__":
    main()
