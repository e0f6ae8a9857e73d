"""Side-by-side timing: contenders take turns, round by round, so that a drifting machine slows all of them alike."""

import statistics
import time
from collections.abc import Callable, Mapping


def interleaved(
    contenders: Mapping[str, Callable[[], object]], rounds: int = 15, calls: int = 100
) -> dict[str, list[float]]:
    """Seconds a call of each contender, one figure a round. Each is called once before, to compile."""
    for run in contenders.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            start = time.perf_counter()
            for _ in range(calls):
                run()
            times[name].append((time.perf_counter() - start) / calls)
    return times


def ratio(times: Mapping[str, list[float]], of: str, to: str) -> float:
    """The median over the rounds of one contender's time divided by another's in the same round."""
    return statistics.median(a / b for a, b in zip(times[of], times[to], strict=True))


def difference(times: Mapping[str, list[float]], of: str, to: str) -> float:
    """The median over the rounds of one contender's time less another's in the same round."""
    return statistics.median(a - b for a, b in zip(times[of], times[to], strict=True))
