"""Callbacks that write numbers to files: CSV, lines of JSON, TensorBoard's.

Of several processes the first one writes. A training that goes on from a checkpoint goes on in its file, from which
what the interrupted run had written after that checkpoint is left out.
"""

import contextlib
import csv
import importlib.util
import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from fnlayers.core.errors import MissingError
from fnlayers.plain_data import FrozenDict
from fnlayers.training.callbacks import Event
from fnlayers.training.data import whole_number
from fnlayers.training.progress import is_first_process
from fnlayers.training.step_events import StepEvent


@dataclass(frozen=True)
class JSONLog:
    """Writes each epoch's numbers as one line of JSON: {"epoch": 1, "step": 100, "loss": ...}.

    NaN is written as Python's json does, NaN. With `steps` there are lines of single steps, too: those have a "batch".

    Arguments:
        path: the file.
        append: whether to go on in a file that exists instead of starting it again.
        steps: also each step whose number is a multiple of this.
    """

    path: str | Path
    append: bool = False
    steps: int | None = None
    adds: ClassVar[Mapping] = FrozenDict()

    def __post_init__(self) -> None:
        _check_steps(self)

    def on_begin(self, step: int | None) -> None:
        """Begin the file, or leave out of it what comes after `step`."""
        if self.append or not is_first_process():
            return
        lines = [] if step is None else _lines(self.path)
        _rewrite(self.path, "".join(line for line in lines if json.loads(line)["step"] <= (step or 0)))

    def on_step(self, event: StepEvent) -> None:
        """A line of a step."""
        if self.steps is not None and event.step % self.steps == 0:
            self._write({"epoch": event.epoch, "batch": event.batch, "step": event.step, **event.logs})

    def __call__(self, event: Event) -> None:
        """A line of an epoch."""
        self._write(_row(event))

    def _write(self, row: Mapping[str, Any]) -> None:
        if is_first_process():
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")


@dataclass(frozen=True)
class CSVLog:
    """Writes each epoch's numbers as one row of a CSV file, with a header.

    Arguments:
        path: the file.
        append: whether to go on in a file that exists instead of starting it again.
    """

    path: str | Path
    append: bool = False
    adds: ClassVar[Mapping] = FrozenDict()

    def on_begin(self, step: int | None) -> None:
        """Begin the file, or leave out of it what comes after `step`."""
        if self.append or not is_first_process():
            return
        names, rows = ([], []) if step is None else _table(self.path)
        _write_table(self.path, names, [row for row in rows if int(row["step"]) <= (step or 0)])

    def __call__(self, event: Event) -> None:
        """One row more; where it has names that the header lacks, the file is written again."""
        if not is_first_process():
            return
        row, (names, rows) = _row(event), _table(self.path)
        if not set(row) <= set(names):
            names = list(dict.fromkeys((*names, *row)))
            _write_table(self.path, names, rows)
        with open(self.path, "a", encoding="utf-8", newline="") as file:
            csv.DictWriter(file, names).writerow(row)


@dataclass(frozen=True)
class TensorBoardLog:
    """Writes each epoch's numbers for TensorBoard, by tensorboardX: pip install 'fnlayers[train]'.

    Arguments:
        folder: where; several trainings in folders next to each other are compared by `tensorboard --logdir`.
        steps: also each step whose number is a multiple of this, as "step/loss", ...
    """

    folder: str | Path
    steps: int | None = None
    adds: ClassVar[Mapping] = FrozenDict()
    _open: list = field(default_factory=list, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_steps(self)

    def on_begin(self, step: int | None) -> None:
        """Open a file of events; those that were written for what comes after `step` are not shown any more."""
        if importlib.util.find_spec("tensorboardX") is None:
            raise MissingError("TensorBoardLog needs tensorboardX; pip install 'fnlayers[train]'")
        if is_first_process():
            purge = None if step is None else step + 1
            library = importlib.import_module("tensorboardX")
            self._open.append(library.SummaryWriter(str(self.folder), purge_step=purge))

    def on_step(self, event: StepEvent) -> None:
        """The numbers of a step."""
        if self.steps is not None and event.step % self.steps == 0:
            self._write(event, "step/")

    def __call__(self, event: Event) -> None:
        """The numbers of an epoch."""
        self._write(event, "")
        for writer in self._open:
            writer.flush()

    def on_end(self) -> None:
        """Close the file."""
        while self._open:
            self._open.pop().close()

    def _write(self, event: Event | StepEvent, prefix: str) -> None:
        for writer in self._open:
            for name, value in event.logs.items():
                if not isinstance(value, list):  # a metric of several numbers, such as a confusion matrix
                    writer.add_scalar(prefix + name, value, event.step)


def _row(event: Event) -> dict[str, Any]:
    return {"epoch": event.epoch, "step": event.step, **event.logs}


def _lines(path: str | Path) -> list[str]:
    """The whole lines of a file; a process that is killed may leave a part of one. None where there is no file."""
    with contextlib.suppress(FileNotFoundError):
        text = Path(path).read_text(encoding="utf-8")
        return [line for line in text.splitlines(keepends=True) if line.endswith("\n")]
    return []


def _table(path: str | Path) -> tuple[list[str], list[dict[str, str]]]:
    """The names and rows of a CSV file."""
    reader = csv.DictReader(_lines(path))
    return list(reader.fieldnames or ()), list(reader)


def _write_table(path: str | Path, names: list[str], rows: list[dict[str, str]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names)
    if names:
        writer.writeheader()
    writer.writerows(rows)
    _rewrite(path, text.getvalue())


def _rewrite(path: str | Path, text: str) -> None:
    """Replace a file as a whole, so that whatever happens one of the two is there."""
    new = Path(f"{path}.tmp")
    with open(new, "w", encoding="utf-8", newline="") as file:
        file.write(text)
    os.replace(new, path)


def _check_steps(log: Any) -> None:
    if log.steps is not None:
        whole_number(f"{type(log).__name__}: steps", log.steps)
