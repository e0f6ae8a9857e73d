"""Numbers of steps that are still running: taken when they are ready, averaged exactly over an epoch."""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from fnlayers.core.errors import ConfigError
from fnlayers.training.accumulated import Gathered
from fnlayers.training.guard import Guard
from fnlayers.training.objective import Objective

AHEAD = 8  # steps that may be under way: enough that the device never waits, few enough that their batches fit


class EpochMeans:
    """The running means of an epoch.

    A step's numbers are fetched once they are there; only when `AHEAD` steps are under way is the oldest waited for,
    while the others keep the device busy.

    Arguments:
        objective: losses and metrics.
        arrived: given `step` and the step's own numbers by name, as they are taken.
        guard: what becomes of a step that is not finite: "raise": `collect` returns it; "skip": its numbers count
            nowhere, and it is among those `skipped`; False: its numbers count.
    """

    def __init__(
        self,
        objective: Objective,
        gathered: Gathered | None = None,
        arrived: Callable[[Any, Mapping], None] | None = None,
        guard: Guard = "raise",
    ) -> None:
        self.guard = guard
        self.objective, self.gathered, self.arrived = objective, gathered or Gathered((), ()), arrived
        self.columns = len(objective.losses) + 1 + len(objective.metrics)
        self.pending: deque = deque()
        self.under_way = 0
        self.newly_skipped: list = []  # steps, for whoever looks at why; it takes them out
        self.on_host = jax.default_backend() == "cpu"  # where a copy to the host would be none, and cost its call
        self.clear()

    def clear(self) -> None:
        """Begin an epoch."""
        # Lists: with so few numbers they take a fraction of the time of arrays, in each step
        self.sums, self.totals = [0.0] * self.columns, [0.0] * self.columns
        self.gathered_sums = np.zeros(self.gathered.size)
        self.skipped, self.last_skipped = 0, None

    def push(self, packed: Any, *steps: Any) -> None:
        """Steps were started whose numbers will be in the rows of `packed`; one that is not finite comes back."""
        if not self.on_host:
            packed.copy_to_host_async()
        self.pending.append((packed, steps))
        self.under_way += len(steps)

    def collect(self, ahead: int = AHEAD) -> Any:
        """Take the numbers of the steps that are done, and of those that `ahead` or more were started after.

        Returns the first bad step, or None.
        """
        while self.pending:
            packed, steps = self.pending[0]
            if self.under_way - len(steps) < ahead and not packed.is_ready():
                break
            self.pending.popleft()
            self.under_way -= len(steps)
            for step, row in zip(steps, np.asarray(packed, "float64").reshape(len(steps), -1), strict=True):
                if self._take(step, row):
                    return step
        return None

    def _take(self, step: Any, row: np.ndarray) -> bool:
        """Take the numbers of one step; whether it is bad, and ends the training."""
        bad = self.guard is not False and row[-1] == 0
        if bad and self.guard == "raise":
            return True
        means, totals = row[: self.columns].tolist(), row[self.columns : 2 * self.columns].tolist()
        if bad:
            self.skipped, self.last_skipped = self.skipped + 1, step
            self.newly_skipped.append(step)
        else:
            self._add(means, totals, row[2 * self.columns : -1])
        if self.arrived is not None:
            self.arrived(step, self._counted(self.objective.logs(means), int(bad)))
        return False

    def _counted(self, logs: dict[str, Any], skipped: int) -> dict[str, Any]:
        """The logs with the number of steps that were left out, where steps may be."""
        return logs | {"skipped": skipped} if self.guard == "skip" else logs

    def _add(self, means: list[float], totals: list[float], sums: np.ndarray) -> None:
        """Those of one step."""
        if sums.size:
            self.gathered_sums = self.gathered.merge(self.gathered_sums, sums) if any(self.totals) else sums
        self.sums = [
            before + mean * total if total > 0 else before
            for before, mean, total in zip(self.sums, means, totals, strict=True)
        ]
        self.totals = [before + total for before, total in zip(self.totals, totals, strict=True)]

    def memory(self) -> dict[str, Any]:
        """The epoch so far as plain data, for a checkpoint; no step may be pending."""
        return {"sums": [*self.sums, *self.gathered_sums.tolist()], "totals": self.totals, "skipped": self.skipped}

    def set_memory(self, memory: Mapping[str, Any]) -> None:
        """Go on in the epoch that `memory` is of."""
        self.sums, self.totals = list(memory["sums"][: self.columns]), list(memory["totals"])
        self.gathered_sums = np.array(memory["sums"][self.columns :], "float64")
        self.skipped = memory.get("skipped", 0)  # checkpoints of before had none

    def check_weight(self, what: str) -> None:
        """Raise ConfigError where no loss had any weight in what was gone through."""
        if not any(self.totals[: len(self.objective.losses)]):
            raise ConfigError(
                f"nothing in {what} counts: all sample weights are 0, or all steps are masked; give some of them weight"
            )

    def logs(self, end: bool = False) -> dict[str, Any]:
        """The numbers so far, by name; empty before the first step is done.

        Arguments:
            end: whether those of metrics that are no means are among them; they cost more than a look at the means.
        """
        if not any(self.totals):
            return {}
        means = [sum_ / total if total > 0 else sum_ for sum_, total in zip(self.sums, self.totals, strict=True)]
        results = self.gathered.results(self.gathered_sums) if end else None
        return self._counted(self.objective.logs(means, results), self.skipped)
