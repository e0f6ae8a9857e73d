"""The tables of what `peers.py` measured: as text, and as the Markdown of docs/performance.md.

    python benchmarks/report.py FILE [FILE ...]

The files are what `peers.py --json` wrote.
"""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from contenders import CONTENDERS
from machine import QUIET
from targets import target
from timing import ratio

OURS = "fnlayers"


class Versus(NamedTuple):
    """How many times faster than a rival fnlayers is, and what was promised."""

    rival: str
    times: float
    promised: float | None

    @property
    def met(self) -> bool:
        """Whether it is as fast as was promised."""
        return self.promised is None or self.times >= self.promised

    def __str__(self) -> str:
        promise = "" if self.promised is None else f", {'meets' if self.met else 'MISSES'} {self.promised:g}"
        return f"{self.times:.2f} ({self.rival}{promise})"


def versus(row: Mapping[str, Any], malloc: str) -> dict[str, Versus]:
    """What a row compares: "peer" is the fastest other by JAX, "torch" PyTorch in its faster layout."""
    seconds, promised = row["seconds"], target(row["workload"], row["pass"], malloc)
    if OURS not in seconds:
        return {}
    rivals = {
        "peer": [name for name in seconds if CONTENDERS[name].uses_jax and name != OURS],
        "torch": [name for name in seconds if not CONTENDERS[name].uses_jax],
    }
    fastest = {kind: min(names, key=lambda name: median(seconds[name])) for kind, names in rivals.items() if names}
    return {kind: Versus(name, ratio(seconds, name, OURS), getattr(promised, kind)) for kind, name in fastest.items()}


def heads(names: Sequence[str]) -> list[str]:
    """The table's head: milliseconds of each contender, then how many times faster fnlayers is."""
    return ["workload", "pass", *names, "best JAX peer / ours", "PyTorch / ours"]


def entries(row: Mapping[str, Any], names: Sequence[str], malloc: str) -> list[str]:
    """A row of the table. "*": others were busy meanwhile; "-": the contender has no figure."""
    mark = " *" if row["others"] > QUIET else ""
    seconds, compared = row["seconds"], versus(row, malloc)
    times = [milliseconds(seconds[name]) if name in seconds else "-" for name in names]
    ratios = [str(compared.get(kind, "-")) for kind in ("peer", "torch")]
    return [f"{row['workload']} {'x'.join(map(str, row['shape']))}", row["pass"] + mark, *times, *ratios]


def milliseconds(seconds: Sequence[float]) -> str:
    """The median of a contender's rounds, to three digits."""
    value = 1e3 * median(seconds)
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def text_row(values: Sequence[str]) -> str:
    """One line of a table of fixed columns."""
    name, which, *times, peer, torch = values
    return f"{name:25} {which:9} {' '.join(f'{time:>10}' for time in times)}   {peer:36} {torch}"


def missed(run: Mapping[str, Any]) -> list[str]:
    """A line for each promise that a run does not keep."""
    return [
        f"{row['workload']} {row['size']} {row['pass']}: {comparison}"
        for row in run["rows"]
        for comparison in versus(row, run["malloc"]).values()
        if not comparison.met
    ]


def left_out(run: Mapping[str, Any]) -> list[str]:
    """A line for each reason why contenders have no figure, with the workloads that it holds for."""
    reasons: dict[tuple[str, str], dict[str, None]] = {}
    for row in run["rows"]:
        for name, reason in row["left_out"].items():
            reasons.setdefault((name, reason), {})[row["workload"]] = None
    return [f"{name}: {reason} ({', '.join(workloads)})" for (name, reason), workloads in reasons.items()]


def markdown(run: Mapping[str, Any]) -> Iterator[str]:
    """A run as Markdown: the machine, the command, the table, and what has no figure."""
    machine, rows = run["machine"], run["rows"]
    names = [name for name in run["contenders"] if any(name in row["seconds"] for row in rows)]
    versions = ", ".join(f"{package} {version}" for package, version in machine["versions"].items())
    yield f"{machine['processor']}, {machine['cores']} cores, {machine['system']}, {machine['date']}; {versions}."
    yield ""
    yield f"```bash\n{run['command']}\n```"
    yield ""
    yield f"Milliseconds a call, medians of {run['rounds']} interleaved rounds; malloc: {run['malloc']}."
    for size in dict.fromkeys(row["size"] for row in rows):
        yield f"\n{size.capitalize()}:\n"
        yield f"| {' | '.join(heads(names))} |"
        yield f"|{'---|' * len(heads(names))}"
        yield from (f"| {' | '.join(entries(row, names, run['malloc']))} |" for row in rows if row["size"] == size)
    if any(row["others"] > QUIET for row in rows):
        yield f"\n\\* Other processes used more than {QUIET:g} cores meanwhile."
    if left_out(run):
        yield "\nWithout a figure:\n"
        yield from (f"- {line}" for line in left_out(run))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, help="what `peers.py --json` wrote")
    for file in parser.parse_args().files:
        print("\n".join(markdown(json.loads(file.read_text()))), end="\n\n")


if __name__ == "__main__":
    main()
