"""On what a benchmark ran, and the file that its figures go to."""

import json
import os
import pathlib
import platform
import shlex
import sys
from importlib import metadata
from typing import Any

import jax


def described() -> dict[str, Any]:
    """The processor, its cores, the devices, the versions and the command."""
    packages = ("jax", "jaxlib", "fnlayers", "numpy", "optax", "flax", "torch")
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "devices": [device.device_kind for device in jax.local_devices()],
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: found for name in packages if (found := version(name))},
        "command": shlex.join(["python", *sys.argv]),
    }


def version(package: str) -> str | None:
    """The installed version of a package, None where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def write(path: str | None, **figures: Any) -> None:
    """Write the machine and the figures as JSON; without a path, do nothing."""
    if path:
        text = json.dumps({"machine": described(), **figures}, indent=1)
        # At once or not at all: whoever stops a benchmark in the middle keeps the figures written before
        part = pathlib.Path(f"{path}.part")
        part.write_text(text + "\n")
        part.replace(path)


def _processor() -> str:
    """The processor's name as Linux tells it, else as Python does."""
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
