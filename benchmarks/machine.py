"""What a figure was measured on, and whether anything else was running there."""

import os
import platform
import time
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path

PACKAGES = ("jax", "jaxlib", "fnlayers", "keras", "flax", "equinox", "dm-haiku", "optax", "torch", "numpy")
QUIET = 0.1  # cores that others may use before a figure is in doubt
TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


def facts() -> dict[str, object]:
    """The processor, the cores this process may use, and the versions of what is installed."""
    return {
        "processor": _processor(),
        "cores": cores(),
        "system": f"{platform.system()} {platform.machine()}",
        "date": time.strftime("%Y-%m-%d"),
        "versions": {"python": platform.python_version(), **_versions()},
    }


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Others:
    """How many cores all others keep busy, from one call of `cores_used` to the next; nan where it is not known.

    Others are this machine's other processes, and where it is a virtual one, what its host takes from it.
    """

    def __init__(self) -> None:
        self._own: Mapping[int, float] = {}
        self._busy, self._time = _busy(), time.perf_counter()

    def cores_used(self, own: Iterable[int] = ()) -> float:
        """The cores that others used since the last call.

        Arguments:
            own: the processes that do not count as others, besides this one.
        """
        busy, now, spent = _busy(), time.perf_counter(), {pid: _spent(pid) for pid in (os.getpid(), *own)}
        used = sum(seconds - self._own.get(pid, 0.0) for pid, seconds in spent.items())
        others = max((busy - self._busy - used) / (now - self._time), 0.0)  # in this order nan stays nan
        self._own, self._busy, self._time = spent, busy, now
        return others


def _busy() -> float:
    """Seconds that all cores together were not idle, or not there, since the start of the machine."""
    try:
        all_cores = Path("/proc/stat").read_text().split("\n")[0]
    except OSError:
        return float("nan")
    user, nice, system, _, _, irq, softirq, stolen, *_ = map(int, all_cores.split()[1:])
    return (user + nice + system + irq + softirq + stolen) / TICKS


def _spent(pid: int) -> float:
    """Seconds that a process has computed; 0 when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _versions() -> dict[str, str]:
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions
