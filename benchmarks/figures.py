"""The file that a benchmark's figures go to."""

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import machine


def write(path: str | None, **figures: Any) -> None:
    """Write the figures as JSON, with the machine and the command; without a path, do nothing."""
    if path:
        content = {"machine": machine.facts(), "command": shlex.join(["python", *sys.argv]), **figures}
        # In two steps, so that whoever stops a benchmark while it writes keeps what it wrote before
        part = Path(f"{path}.part")
        part.write_text(json.dumps(content, indent=1) + "\n")
        part.replace(path)
