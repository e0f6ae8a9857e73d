"""Tables of text in a given width."""

import shutil
from collections.abc import Sequence
from typing import NamedTuple

LEAST = 40  # columns of text that a table needs
INDENT = "    "  # before a note under a row
MOST_INDENT = 12  # of the names in a column


class Column(NamedTuple):
    """A column of a table.

    Arguments:
        name: its head.
        texts: one for each row.
        right: whether they stand to the right: numbers, which are never folded.
        most: how wide it may be; longer text is folded. None: as wide as its text.
    """

    name: str
    texts: tuple[str, ...]
    right: bool = False
    most: int | None = None

    @property
    def width(self) -> int:
        """What it takes."""
        widest = max(map(len, (self.name, *self.texts)))
        return widest if self.most is None else min(widest, max(self.most, len(self.name)))


class Table(NamedTuple):
    """Columns, a note under each row (or ""), and whether lines are drawn around it."""

    columns: tuple[Column, ...]
    notes: tuple[str, ...] = ()
    framed: bool = True

    @property
    def width(self) -> int:
        """What it takes, notes aside, which are folded to any width."""
        return sum(column.width + 3 for column in self.columns) + (1 if self.framed else -3)

    def lines(self, width: int) -> list[str]:
        """The table, with columns folded where it would be wider than that."""
        widths = _shares(self.columns, width - (self.width - sum(column.width for column in self.columns)))
        rule = self._framed("-+-", ["-" * n for n in widths], "+-", "-+")
        lines = [rule, *self._row([column.name for column in self.columns], widths), rule]
        for i in range(len(self.columns[0].texts)):
            lines += self._row([column.texts[i] for column in self.columns], widths)
            if self.notes and self.notes[i]:
                lines += [INDENT + line for line in fold(self.notes[i], width - len(INDENT))]
        return [*lines, rule] if self.framed else lines[1:]

    def _row(self, texts: Sequence[str], widths: Sequence[int]) -> list[str]:
        folded = [fold(text, width) for text, width in zip(texts, widths, strict=True)]
        framed = []
        for n in range(max(map(len, folded))):
            parts = [lines[n] if n < len(lines) else "" for lines in folded]
            cells = [
                part.rjust(width) if column.right else part.ljust(width)
                for part, width, column in zip(parts, widths, self.columns, strict=True)
            ]
            framed.append(self._framed(" | ", cells, "| ", " |"))
        return framed

    def _framed(self, between: str, parts: Sequence[str], left: str, right: str) -> str:
        text = between.join(parts)
        return f"{left}{text}{right}" if self.framed else text.rstrip()


def fold(text: str, width: int) -> list[str]:
    """The text in lines of that width, broken after a space, / , _ or : where there is one, else anywhere.

    >>> fold("batch_normalization_1", 14), fold("x" * 5, 3)
    (['batch_', 'normalization_', '1'], ['xxx', 'xx'])
    """
    indent = text[: len(text) - len(text.lstrip())]
    lines, rest = [], text.rstrip()
    while len(rest) > width:
        ends = [i for i in range(len(indent) + 1, width + 1) if rest[i - 1] in " /,_:;" or rest[i] == " "]
        cut = ends[-1] if ends else width
        lines.append(rest[:cut].rstrip())
        rest = (indent if 2 * len(indent) < width else "") + rest[cut:].lstrip()
    return [*lines, rest]


def terminal() -> int:
    """How wide the terminal is; 80 where there is none."""
    return max(shutil.get_terminal_size((80, 24)).columns, LEAST)


def _shares(columns: Sequence[Column], width: int) -> list[int]:
    """How wide each column is: as wide as its text, but the widest of those that fold are cut down until all fit."""
    widths = [column.width for column in columns]
    folding = [i for i, column in enumerate(columns) if not column.right]
    while sum(widths) > width:
        widest = max(folding, key=lambda i: widths[i])
        if widths[widest] <= 4:
            break
        widths[widest] -= 1
    return widths
