"""How fast fnlayers is next to Keras on JAX, Flax (linen and nnx), Equinox, Haiku and PyTorch.

    python benchmarks/peers.py [--workloads NAME ...] [--sizes NAME ...] [--malloc keep] [--json FILE]

Each contender builds the same models (`workloads.py`), in a process of its own, and they take turns, round by round, so
that a drifting machine slows all of them alike. A figure is the median over the rounds of a contender's time divided by
ours in the same round: how many times faster fnlayers is. All train alike: mean squared error, gradients, one update by
Adam; in JAX jitted, the train state donated; in PyTorch eager, with its fused Adam, in both memory layouts. Models are
compared by parameter count and output shape before they run. Nothing else may run on the machine: what others use is
watched, a round that they disturbed is taken again, and figures that stay disturbed are marked. `report.py` makes
tables for people from the JSON.

The peers come by `pip install keras flax equinox dm-haiku torch`; one that is not installed is left out, and named.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import machine
import report
from contenders import CONTENDERS
from figures import write
from workloads import SIZES, WORKLOADS

WORKER = Path(__file__).with_name("worker.py")
PASSES = ("forward", "train")
PEERS = [name for name in CONTENDERS if name != "plain"]
ROUND = 0.25  # seconds that a round should take, where one call takes less
MOST_CALLS = 500  # in a round
MOST_TRIES = 3  # of each round, on average, until others leave it alone

# What keeps glibc from handing big buffers back to the kernel after each step
MALLOC = {
    "default": {},
    "keep": {
        "MALLOC_ARENA_MAX": "2",
        "MALLOC_MMAP_MAX_": "0",
        "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1),
        "MALLOC_TOP_PAD_": str(2**28),
    },
}


class Failed(Exception):
    """A contender that cannot run: it has no such layer, is not installed, or broke down."""


class Worker:
    """A contender's process."""

    def __init__(self, contender: str, workload: str, size: str, malloc: str) -> None:
        command = [sys.executable, str(WORKER), contender, workload, size]
        environment = {**os.environ, **MALLOC[malloc], "JAX_PLATFORMS": "cpu"}
        self._errors = tempfile.TemporaryFile("w+")
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True, env=environment
        )
        self.pid = self._process.pid
        self.calls: dict[str, int] = {}

    def ready(self) -> int:
        """Wait until the model is built; its parameter count."""
        facts = self._answer()
        if "missing" in facts:
            raise Failed(facts["missing"])
        return facts["count"]

    def warm(self, which: str) -> None:
        """Compile a pass, and choose how many calls make a round."""
        self._run(which, 2)
        self.calls[which] = max(1, min(MOST_CALLS, round(ROUND / self._run(which, 1))))

    def round(self, which: str) -> float:
        """Seconds a call, over one round. A call before it brings caches and threads back."""
        calls = self.calls[which]
        if calls > 1:
            self._run(which, 1)
        return self._run(which, calls) / calls

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def _run(self, which: str, calls: int) -> float:
        try:
            print(json.dumps([which, calls]), file=self._process.stdin, flush=True)
        except BrokenPipeError:
            pass
        return self._answer()["seconds"]

    def _answer(self) -> dict[str, Any]:
        line = self._process.stdout.readline()
        if line:
            return json.loads(line)
        self._errors.seek(0)
        lines = [line for line in self._errors.read().splitlines() if line.strip()]
        raise Failed(f"broke down: {next((x for x in reversed(lines) if 'Error' in x), 'no reason given')}")


def measure(workload: str, size: str, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Each pass of a workload at a size, by all contenders: a row of the JSON."""
    workers = {name: Worker(name, workload, size, args.malloc) for name in args.contenders}
    left_out: dict[str, str] = {}
    others = machine.Others()

    def each(names: Sequence[str], act: Callable[[Worker], Any]) -> dict[str, Any]:
        """What `act` gives for each worker; one that fails is left out from there on."""
        results = {}
        for name in names:
            try:
                results[name] = act(workers[name])
            except Failed as failed:
                left_out[name] = str(failed)
                workers.pop(name).stop()
        return results

    try:
        count = each(list(workers), Worker.ready)
        for which in args.passes:
            each(list(workers), lambda worker, which=which: worker.warm(which))
            own = [worker.pid for worker in workers.values()]
            others.cores_used(own)
            tried = []  # (cores that others used, whose turns took how long)
            for turn in range(MOST_TRIES * args.rounds):
                turns = each(rotated(list(workers), turn), lambda worker, which=which: worker.round(which))
                tried.append((others.cores_used(own), turns))
                if sum(not cores > machine.QUIET for cores, _ in tried) == args.rounds:
                    break
            used, rounds = zip(*quietest(tried, args.rounds), strict=True)
            yield {
                "workload": workload,
                "size": size,
                "pass": which,
                "shape": WORKLOADS[workload].at(size).shape,
                "seconds": {name: [seconds[name] for seconds in rounds] for name in workers},
                "count": {name: count[name] for name in workers},
                "left_out": dict(left_out),
                "others": sum(used) / len(used),
            }
    finally:
        for worker in workers.values():
            worker.stop()


def quietest(tried: Sequence[tuple[float, Any]], count: int) -> list[tuple[float, Any]]:
    """The rounds in which others used least, in the order in which they were measured."""
    quiet = sorted(range(len(tried)), key=lambda i: tried[i][0])[:count]
    return [tried[i] for i in sorted(quiet)]


def rotated(names: list[str], turn: int) -> list[str]:
    """The names, each round from another one on, so that none always follows the same neighbor."""
    start = turn % max(1, len(names))
    return names[start:] + names[:start]


def check_idle(busy: bool) -> None:
    """Exit if others compute, unless that is allowed."""
    others = machine.Others()
    others.cores_used()
    time.sleep(2)
    used, load = others.cores_used(), os.getloadavg()[0]
    print(f"before the start others use {used:.2f} cores; load average {load:.2f}")
    if used > machine.QUIET and not busy:
        sys.exit(f"more than {machine.QUIET:g} cores are in use: wait, or measure with --busy and trust no figure")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workloads", nargs="+", choices=WORKLOADS, default=list(WORKLOADS), help="these alone")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=SIZES[1:], help="default: all but tiny")
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=PEERS, help="default: all but plain")
    parser.add_argument("--passes", nargs="+", choices=PASSES, default=PASSES, help="default: both")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--malloc", choices=MALLOC, default="default", help="keep: freed memory stays in the process")
    parser.add_argument("--busy", action="store_true", help="measure although others compute")
    parser.add_argument("--json", help="also write the figures to this file, after each workload")
    args = parser.parse_args()
    check_idle(args.busy)
    run = {"contenders": args.contenders, "rounds": args.rounds, "malloc": args.malloc, "rows": []}
    print("milliseconds a call, and how many times faster fnlayers is; *: disturbed by others")
    for size in args.sizes:
        print(f"\n{size}\n{report.text_row(report.heads(args.contenders))}")
        for workload in args.workloads:
            for row in measure(workload, size, args):
                run["rows"].append(row)
                print(report.text_row(report.entries(row, args.contenders, args.malloc)), flush=True)
            write(args.json, **run)
    for title, lines in (("without a figure", report.left_out(run)), ("targets missed", report.missed(run))):
        print(f"\n{title}:", *(lines or ["none"]), sep="\n  ")


if __name__ == "__main__":
    main()
