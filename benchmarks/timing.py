"""Side-by-side timing: contenders take turns, round by round, so that a drifting machine slows all of them alike."""

import random
import statistics
import time
from collections.abc import Callable, Mapping


def interleaved(
    contenders: Mapping[str, Callable[[], object]], rounds: int = 15, calls: int | Mapping[str, int] = 100
) -> dict[str, list[float]]:
    """Seconds a call of each contender, one figure a round. Each is called once before, to compile.

    The order is drawn again for each round: each finds the caches and the memory as the one before left them.
    """
    for run in contenders.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in contenders}
    order, draw = list(contenders), random.Random(0)
    for _ in range(rounds):
        draw.shuffle(order)
        for name in order:
            count = calls if isinstance(calls, int) else calls[name]
            start = time.perf_counter()
            for _ in range(count):
                contenders[name]()
            times[name].append((time.perf_counter() - start) / count)
    return times


def ratio(times: Mapping[str, list[float]], of: str, to: str) -> float:
    """The median over the rounds of one contender's time divided by another's in the same round."""
    return statistics.median(a / b for a, b in zip(times[of], times[to], strict=True))


def difference(times: Mapping[str, list[float]], of: str, to: str) -> float:
    """The median over the rounds of one contender's time less another's in the same round."""
    return statistics.median(a - b for a, b in zip(times[of], times[to], strict=True))


def paced(contenders: Mapping[str, Callable[[], object]], seconds: float, rounds: int = 7) -> dict[str, list[float]]:
    """As `interleaved`, within about that many seconds, of which each contender gets the same part.

    Where they are slow there are fewer rounds, of one call each. Where one call of each takes longer than all should,
    that call is the figure: then one of them is so slow that its digits do not matter.
    """
    once = {}
    for name, run in contenders.items():
        start = time.perf_counter()
        run()
        once[name] = time.perf_counter() - start
    if sum(once.values()) > max(1.0, seconds):
        return {name: [each] for name, each in once.items()}
    rounds = max(min(rounds, 3), min(rounds, int(seconds / sum(once.values()))))
    each_round = seconds / len(once) / rounds
    return interleaved(contenders, rounds, {name: max(1, int(each_round / each)) for name, each in once.items()})
