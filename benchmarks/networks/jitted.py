"""What the libraries on JAX share: a compiled training step that is timed."""

import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax


class Training(NamedTuple):
    """A network that is ready to be trained.

    Arguments:
        run: the seconds that so many steps take.
        params: how many numbers the optimizer changes.
        compile_seconds: how long tracing and compiling took.
        bytes: what a step reads and writes, as XLA counts it after fusion; None where it does not tell.
    """

    run: Callable[[int], float]
    params: int
    compile_seconds: float | None = None
    bytes: float | None = None


def training(step: Any, state: Any, batch: Any, params: Any) -> Training:
    """From a jitted step, (state, batch) -> (state, logs), that donates its state."""
    count = sum(leaf.size for leaf in jax.tree.leaves(params))
    start = time.perf_counter()
    compiled = step.lower(state, batch).compile()
    seconds = time.perf_counter() - start
    costs = compiled.cost_analysis() or {}
    current = [state]

    def run(calls: int) -> float:
        start = time.perf_counter()
        for _ in range(calls):
            current[0], logs = compiled(current[0], batch)
        jax.block_until_ready(current[0])
        seconds = time.perf_counter() - start
        if not math.isfinite(logs["loss"]):
            raise FloatingPointError("the loss is not finite")
        return seconds

    run(1)
    return Training(run, count, seconds, costs.get("bytes accessed"))
