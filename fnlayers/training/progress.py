"""What is shown while training runs: a bar where someone looks at it, a line an epoch in a log file, or nothing."""

import shutil
import sys
import textwrap
import time
from collections.abc import Mapping
from typing import Any

import jax

_INTERVAL = 0.1  # seconds between two looks of the bar
_BAR_WIDTH = 8  # columns that stay for the bar itself, and for counts that gain digits
_NAME_WIDTH = 32  # columns of a name; longer ones lose their middle


class Progress:
    """A bar for the running epoch, and a line that stays for each one before.

    It is called at each step and decides itself when to draw.

    Arguments:
        verbose: False shows nothing; of several processes the first one shows it.
        what: what it says before the numbers ("epoch 1/5" follows it by `epoch`).
        steps: how many steps an epoch has, None if it is not known.
    """

    def __init__(self, verbose: bool, what: str, steps: int | None) -> None:
        verbose = verbose and is_first_process()
        self.live = verbose and (_in_notebook() or sys.stderr.isatty())
        self.lines = verbose and not self.live
        self.bar: Any = None
        self.pending, self.drawn = 0, 0.0
        if self.live:
            from tqdm.auto import tqdm

            self.bar = tqdm(total=steps, desc=what, unit="step", dynamic_ncols=True)

    def say(self, what: str) -> None:
        """Show these words at once."""
        if self.bar is not None:
            self.bar.set_description(what)

    def steps_in_all(self, steps: int) -> None:
        """Told when it becomes known."""
        if self.bar is not None and self.bar.total != steps:
            self.bar.total = steps
            self.bar.refresh()

    def step(self, means: Any, steps: int = 1) -> None:
        """So many steps more; `means()` gives the numbers so far, and is called only when they are drawn."""
        if self.bar is None:
            return
        self.pending += steps
        now = time.perf_counter()
        if now - self.drawn >= _INTERVAL:
            self.drawn = now
            self.show(means())

    def show(self, logs: Mapping[str, float]) -> None:
        """Draw these numbers now."""
        if self.bar is not None:
            self.bar.set_postfix_str(self._fitting(logs), refresh=False)
            self.bar.update(self.pending)
            self.pending = 0

    def epoch(self, epoch: int, epochs: int, logs: Mapping[str, float]) -> None:
        """The end of an epoch."""
        self.show(logs)
        if self.lines:
            self.line(f"epoch {epoch}/{epochs}  {shown(logs)}")
        elif self.bar is not None:
            each = _single(logs).items()
            numbers = "  ".join(f"{value:.4g}\N{NO-BREAK SPACE}{_shortened(name)}" for name, value in each)
            self.line(textwrap.fill(f"{epoch}/{epochs}  {numbers}", self._columns() - 1, subsequent_indent="    "))
            if epoch < epochs:
                self.bar.reset(total=self.bar.total)

    def _columns(self) -> int:
        """The width of the terminal that the bar is drawn in, which need not be that of stdout."""
        columns = self.bar.format_dict["ncols"]
        return columns if isinstance(columns, int) and columns > 0 else shutil.get_terminal_size().columns

    def _fitting(self, logs: Mapping[str, float]) -> str:
        """As many of the numbers as the terminal has room for next to the bar: tqdm would cut the last one."""
        if _in_notebook():
            return shown(logs)
        items = [(_shortened(name), value) for name, value in logs.items()]
        room = self._columns() - _BAR_WIDTH
        meter = {**self.bar.format_dict, "ncols": None, "bar_format": "{l_bar}{r_bar}"}
        while items and len(self.bar.format_meter(**{**meter, "postfix": shown(dict(items))})) > room:
            items.pop()
        return shown(dict(items))

    def line(self, text: str) -> None:
        """A line that stays, next to the bar or instead of it."""
        if self.bar is not None:
            self.bar.write(text, file=sys.stderr)
        elif self.lines:
            print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Leave the bar as it is."""
        if self.bar is not None:
            self.bar.refresh()
            self.bar.close()


def is_first_process() -> bool:
    """Whether this is the only process, or the first of several that train one model: the one that shows and logs."""
    return jax.process_index() == 0


def shown(logs: Mapping[str, float]) -> str:
    """The numbers in a line.

    >>> shown({"loss": 0.123456, "accuracy": 0.5, "seconds": 2.0})
    'loss 0.1235  accuracy 0.5  seconds 2'
    """
    return "  ".join(f"{name} {value:.4g}" for name, value in _single(logs).items())


def _single(logs: Mapping[str, Any]) -> dict[str, float]:
    """The logs that are one number each: a confusion matrix is not shown."""
    return {name: value for name, value in logs.items() if not isinstance(value, (list, tuple))}


def _shortened(name: str) -> str:
    """The name, a long one without its middle: both ends tell metrics apart."""
    half = _NAME_WIDTH // 2
    return name if len(name) <= _NAME_WIDTH else f"{name[: half - 1]}\N{HORIZONTAL ELLIPSIS}{name[-half:]}"


def _in_notebook() -> bool:
    """Whether this runs in a kernel of Jupyter: its stderr is not a terminal, but its output is looked at."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return hasattr(shell, "kernel")
