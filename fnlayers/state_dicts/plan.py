"""Which of their arrays make which of ours: a mapping's rows, applied to the names that are there."""

import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from fnlayers.core.errors import ConfigError, LayerError
from fnlayers.core.spec import Param, State
from fnlayers.plain_data import did_you_mean
from fnlayers.state_dicts.arrays import Arrays
from fnlayers.state_dicts.patterns import Pattern, compiled, filled, placeholders_in
from fnlayers.state_dicts.rules import Goal, Rule, Tied, goals_of


class Row(NamedTuple):
    """Patterns of their names, and where these go: goals, None, or the name that they are tied to."""

    patterns: tuple[Pattern, ...]
    goals: tuple[Goal, ...] | Tied | None
    written: str  # what the mapping says, for a message


class Filling(NamedTuple):
    """How one of our arrays is made: of these of theirs, for each slice of a stack, by that function."""

    path: str
    change: Callable
    sources: tuple[tuple[str, ...], ...]
    stack: tuple[int, ...]
    row: str

    @property
    def names(self) -> list[str]:
        """All of theirs."""
        return [name for names in self.sources for name in names]


class Plan(NamedTuple):
    """What to do with all arrays, and what is wrong."""

    fillings: list[Filling]
    tied: list[tuple[str, str]]
    seen: set[str]  # the names that a row matched
    idle: list[str]  # the rows that matched none
    errors: list[str]
    faulty: set[str]  # the paths that an error is about


def rows_of(mapping: Any) -> list[Row]:
    """The rows of a mapping, with each rule spelt out for the arrays of its module."""
    if not isinstance(mapping, Mapping):
        raise ConfigError(
            f"mapping is a {type(mapping).__name__}; give a dict of their names to ours, or let "
            "fnlayers.match_weights(model, shape, source) propose one"
        )
    rows: list[Row] = []
    for key, value in mapping.items():
        names: tuple = key if isinstance(key, tuple) else (key,)
        if not names or not all(isinstance(name, str) for name in names):
            raise ConfigError(f"mapping: the key {key!r} is not a name, nor a tuple of names")
        if isinstance(value, Rule):
            if not isinstance(key, str):
                raise ConfigError(f"mapping: the rule {value!r} is for one module, and the key is {key!r}")
            rows += _of_rule(str(key), value)
            continue
        try:
            goals = value if isinstance(value, Tied) else goals_of(value)
        except TypeError:
            raise ConfigError(
                f"mapping: {key!r} leads to {value!r}; give a path, (path, function), a list of these, a rule such as "
                "dense(path), tied(name) or None"
            ) from None
        if goals is None and isinstance(key, tuple):
            raise ConfigError(f"mapping: {key!r} is skipped; write a row for each, None")
        rows.append(Row(tuple(map(compiled, names)), goals, repr(key)))
    return rows


def _of_rule(module: str, rule: Rule) -> Iterable[Row]:
    for names, goals in rule.rows:
        patterns = tuple(compiled(f"{module}.{name}" if module else name) for name in names)
        yield Row(patterns, goals, f"{module!r}: {rule!r}")


def planned(mapping: Any, arrays: Arrays, declared: Mapping[str, Param | State]) -> Plan:
    """Apply a mapping to the names of arrays."""
    plan = Plan([], [], set(), [], [], set())
    users: dict[str, Row] = {}  # by name, the row that uses it
    parts: dict[str, list[tuple]] = {}  # by path: what leads there
    matched: dict[str, bool] = {}
    for row in rows_of(mapping):
        groups = _groups(row, arrays, plan)
        matched[row.written] = matched.get(row.written, False) or bool(groups)
        for values, names in groups:
            for name in names:
                other = users.setdefault(name, row)
                if other is not row and (row.goals or other.goals) is not None:  # two may skip it
                    plan.errors.append(f"used twice: {name!r}, by the rows {other.written} and {row.written}")
                plan.seen.add(name)
            if isinstance(row.goals, Tied):
                _tie(row, values, names[0], arrays, plan)
            for path, change in row.goals if isinstance(row.goals, tuple) else ():
                index = tuple(values[key] for key in row.patterns[0].placeholders if key not in placeholders_in(path))
                parts.setdefault(filled(path, values), []).append((index, names, change, row.written))
    for path, matches in parts.items():
        _fill(path, matches, declared, plan)
    plan.idle.extend(written for written, any_matched in matched.items() if not any_matched)
    return plan


def _groups(row: Row, arrays: Arrays, plan: Plan) -> list[tuple[dict[str, str], tuple[str, ...]]]:
    """What a row's patterns match: for each choice of the placeholders, one name for each pattern."""
    by_row: list[dict[tuple, str]] = []
    for pattern in row.patterns:
        names = [pattern.text] if pattern.regex is None else arrays.types
        matches = ((name, pattern.match(name)) for name in names if name in arrays.types)
        by_values = [(tuple(sorted(values.items())), name) for name, values in matches if values is not None]
        by_row.append(dict(by_values))
    choices = dict.fromkeys(itertools.chain.from_iterable(by_row))
    groups = []
    for values in choices:
        names = tuple(names.get(values) for names in by_row)
        if None in names:
            lacking = [pattern.text for pattern, name in zip(row.patterns, names, strict=True) if name is None]
            there = [name for name in names if name is not None]
            plan.seen.update(there)
            plan.errors.append(f"the row {row.written} needs {', '.join(lacking)} besides {', '.join(there)}")
        else:
            groups.append((dict(values), names))
    return groups


def _tie(row: Row, values: Mapping[str, str], name: str, arrays: Arrays, plan: Plan) -> None:
    assert isinstance(row.goals, Tied)
    other = filled(row.goals.name, values)
    if other in arrays.types:
        plan.tied.append((name, other))
    else:
        plan.errors.append(f"the row {row.written} ties {name!r} to {other!r}, which is not there")


def _fill(path: str, matches: list[tuple], declared: Mapping[str, Param | State], plan: Plan) -> None:
    """Add the filling of one path, or say why there is none."""
    names, rows = [names for _, names, _, _ in matches], list(dict.fromkeys(row for *_, row in matches))
    if path not in declared:
        hint = did_you_mean(path, declared)
        theirs = ", ".join(map(repr, names[0]))
        plan.errors.append(
            f"the row {rows[0]} leads {theirs} to {path}, which the model does not have{f'; {hint}' if hint else ''}"
        )
        return
    if len({change for _, _, change, _ in matches}) > 1 or len(rows) > 1:
        plan.errors.append(f"filled twice: {path}, by the rows {' and '.join(rows)}")
        plan.faulty.add(path)
        return
    try:
        ordered, stack = _stacked(path, [index for index, *_ in matches], declared[path])
    except LayerError as error:
        plan.errors.append(f"{error} (by the row {rows[0]})")
        plan.faulty.add(path)
        return
    plan.fillings.append(Filling(path, matches[0][2], tuple(names[i] for i in ordered), stack, rows[0]))


def _stacked(path: str, indices: list[tuple[str, ...]], spec: Param | State) -> tuple[list[int], tuple[int, ...]]:
    """The order of slices in a stack, and its sizes; ([0], ()) where the whole array is one of theirs."""
    if len(indices[0]) == 0:
        if len(indices) > 1:
            raise ConfigError(f"filled {len(indices)} times: {path}")
        return [0], ()
    if not all(number.isascii() and number.isdigit() and len(number) < 7 for index in indices for number in index):
        raise ConfigError(
            f"{path} lacks a placeholder, which stands for {indices[0][0]!r} and is no number: write it there"
        )
    numbers = [tuple(map(int, index)) for index in indices]
    stack = spec.stack[: len(numbers[0])]
    if len(stack) < len(numbers[0]):
        raise ConfigError(
            f"{path} is not one of a Repeat, and {len(numbers)} arrays lead there: write the placeholder in it"
        )
    expected = list(itertools.product(*map(range, stack)))
    if sorted(numbers) != expected:
        missing = sorted(set(expected) - set(numbers))
        raise ConfigError(
            f"{path} stacks {stack} layers, and {_numbers(numbers)} are there; missing: {_numbers(missing)}"
        )
    return [numbers.index(number) for number in expected], stack


def _numbers(numbers: list[tuple[int, ...]]) -> str:
    listed = [str(number[0]) if len(number) == 1 else str(number) for number in sorted(numbers)]
    return ", ".join(listed if len(listed) < 9 else [*listed[:4], "...", *listed[-2:]]) or "none"
