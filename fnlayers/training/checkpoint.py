"""Checkpoints: what a training needs to go on, written by orbax while it goes on, and read again."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from fnlayers.core.errors import ConfigError
from fnlayers.plain_data import choices
from fnlayers.training.checkpoint_folder import CheckpointError, Reader, Writer
from fnlayers.training.data import whole_number
from fnlayers.training.directions import direction
from fnlayers.training.results import differences, kinds
from fnlayers.training.state import TrainState
from fnlayers.training.takes import Better

__all__ = ["Checkpoint", "CheckpointError", "restore"]


@dataclass(frozen=True)
class Checkpoint:
    """Where and how often `fit` writes checkpoints: fit(..., checkpoint=fl.Checkpoint("run")), resumed by resume="run".

    Each holds the train state, the position in the data, the history, and what callbacks remember; it is written while
    training goes on, and is there as a whole or not at all. Needs orbax-checkpoint: pip install 'fnlayers[train]'.

    Arguments:
        folder: a folder for this training alone; each checkpoint is one in it, named after the number of steps.
        every: steps from one to the next; None: one at the end of each epoch. When the training ends there is one, too.
        keep_last: how many of the newest stay.
        keep_best: how many of those stay, besides, after whose epoch `monitor` was at its best. With it each epoch
            ends with a checkpoint.
        monitor: a name in the logs.
        mode: "min", "max", or None: what the metric's function says (see `EarlyStopping`).

    Example:
        >>> Checkpoint("run", every=1000, keep_best=1).monitor
        'val_loss'
    """

    folder: str | Path
    every: int | None = None
    keep_last: int = 3
    keep_best: int = 0
    monitor: str = "val_loss"
    mode: Better | None = None

    def __post_init__(self) -> None:
        check_folder("Checkpoint: folder", self.folder)
        if self.every is not None:
            whole_number("Checkpoint: every", self.every)
        whole_number("Checkpoint: keep_last", self.keep_last)
        whole_number("Checkpoint: keep_best", self.keep_best, 0)
        if self.mode not in (*get_args(Better), None):
            raise ConfigError(f"Checkpoint: {choices('mode', self.mode, (*get_args(Better), None))}")

    def check_monitor(self, directions: Mapping[str, str | None]) -> None:
        """Raise ConfigError for a monitor that is not in the logs, or of which nothing says which way is better."""
        if self.keep_best:
            direction(self.monitor, self.mode, directions)

    def score(self, logs: Mapping[str, float], directions: Mapping[str, str | None]) -> float | None:
        """How good an epoch is, more is better; None where that is not asked for, or not a number."""
        if not self.keep_best:
            return None
        value = logs.get(self.monitor, math.nan)
        sign = -1 if direction(self.monitor, self.mode, directions) == "min" else 1
        return sign * value if math.isfinite(value) else None


class Checkpoints:
    """The checkpoints of a training that is under way."""

    def __init__(self, options: Checkpoint, resumed: str | Path | None) -> None:
        self.options = options
        self.writer = Writer(options.folder, options.keep_last, options.keep_best)
        try:
            if self.writer.steps() and not (resumed and same_folder(resumed, options.folder)):
                raise ConfigError(
                    f"the folder {str(options.folder)!r} holds checkpoints already, up to step "
                    f"{max(self.writer.steps())}; give resume={str(options.folder)!r} to go on from there, or another "
                    "folder"
                )
        except BaseException:
            self.writer.close()
            raise

    def is_due(self, steps: int) -> bool:
        """Whether a checkpoint is to be written after so many steps."""
        return self.options.every is not None and steps % self.options.every == 0

    @property
    def each_epoch(self) -> bool:
        """Whether one is written at the end of each epoch."""
        return self.options.every is None or self.options.keep_best > 0


def restore(folder: str | Path, train_state: TrainState, step: int | None = None) -> TrainState:
    """The train state of a checkpoint, for loops of your own, and to look at the best one.

    `fit(..., resume=folder)` restores more: the position in the data, the history, and what callbacks remember.

    Arguments:
        folder: that of `Checkpoint`.
        train_state: one of the same model and optimizer, fl.TrainState.create(model, shape, optimizer). The arrays are
            placed on devices as its arrays are; how many devices the checkpoint was written from makes no difference.
        step: the number of a checkpoint in the folder; None: the newest.

    Raises:
        MissingError: where there is no such checkpoint, or no orbax.
        ConfigError: where its arrays are not those of the train state; all that differ are listed.
        CheckpointError: where it cannot be read.
    """
    check_folder("restore: folder", folder)
    with Reader(folder) as reader:
        number = reader.step(step)
        check_same(folder, differences(reader.memory(number)["arrays"], kinds(train_state), "the checkpoint", "yours"))
        return reader.train_state(number, train_state)


def check_same(folder: str | Path, lines: list[str]) -> None:
    """Raise ConfigError where a checkpoint differs from what is to go on from it."""
    if lines:
        raise ConfigError(
            f"the checkpoint in {str(folder)!r} is of another training. What differs: {'; '.join(lines)}. Go on with "
            "the model, optimizer and data that it was written with"
        )


def same_folder(a: str | Path, b: str | Path) -> bool:
    """Whether two paths name one folder."""
    return str(a) == str(b) or Path(a).absolute() == Path(b).absolute()


def check_folder(what: str, folder: Any) -> None:
    """Raise ConfigError for what names no folder."""
    if not isinstance(folder, (str, Path)) or not str(folder):
        raise ConfigError(f"{what}={folder!r}: give the path of a folder")
