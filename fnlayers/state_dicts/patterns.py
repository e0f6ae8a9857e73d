"""Patterns of names: `{i}` and `*` stand for anything within a name, `**` for any names."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from fnlayers.core.errors import ConfigError

_TOKEN = re.compile(r"\{(\w*)\}|\*\*|\*")
_WITHIN, _ANY = r"[^./]+", r".*"


class Pattern(NamedTuple):
    """A compiled pattern, and its placeholders in order: "i" of {i}, "*1" of the first star."""

    text: str
    regex: re.Pattern | None
    placeholders: tuple[str, ...]

    def match(self, name: str) -> dict[str, str] | None:
        """What each placeholder stands for in a name; None where it does not match."""
        if self.regex is None:
            return {} if name == self.text else None
        match = self.regex.fullmatch(name)
        if match is None:
            return None
        return {key: match[f"g{index}"] for index, key in enumerate(self.placeholders)}


def compiled(text: str) -> Pattern:
    """The pattern of a text."""
    placeholders: list[str] = []
    regex, at = "", 0
    for token in _TOKEN.finditer(text):
        regex += re.escape(text[at : token.start()])
        at = token.end()
        name = _name(token, text, sum(key.startswith("*") for key in placeholders))
        if name in placeholders:
            regex += f"(?P=g{placeholders.index(name)})"
            continue
        regex += f"(?P<g{len(placeholders)}>{_ANY if token[0] == '**' else _WITHIN})"
        placeholders.append(name)
    whole = re.compile(regex + re.escape(text[at:]), re.DOTALL) if placeholders else None
    return Pattern(text, whole, tuple(placeholders))


def filled(text: str, values: Mapping[str, str]) -> str:
    """A path with what its placeholders stand for.

    >>> filled("block_{i}/kernel", {"i": "3"})
    'block_3/kernel'
    """
    stars = 0

    def value(token: re.Match) -> str:
        nonlocal stars
        name = _name(token, text, stars)
        stars += name.startswith("*")
        if name not in values:
            raise ConfigError(f"the path {text!r} has {token[0]}, which stands for nothing in the name that it is for")
        return values[name]

    return _TOKEN.sub(value, text)


def placeholders_in(text: str) -> Sequence[str]:
    """The placeholders of a text, in order."""
    return compiled(text).placeholders


def _name(token: re.Match, text: str, stars: int) -> str:
    if token[0].startswith("*"):
        return f"*{stars + 1}"
    if not token[1]:
        raise ConfigError(f"the pattern {text!r} has {{}}; give the placeholder a name, such as {{i}}")
    return token[1]
