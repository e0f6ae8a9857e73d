"""What all pictures share: one way of saving them, the same for a graph, a gallery and a figure."""

import os
import pathlib
from collections.abc import Callable, Mapping
from html import escape

from fnlayers.core.errors import ConfigError


class Picture:
    """A picture: `save(path)` writes it, and a notebook shows it by itself.

    A subclass says in `_writers` what it can be written as.
    """

    __slots__ = ()

    def _writers(self) -> Mapping[str, Callable[[], bytes]]:
        """Of each ending of a file's name: the function that makes the file's bytes."""
        raise NotImplementedError

    def save(self, path: str | os.PathLike) -> None:
        """Write the picture in the format that the name's ending says: .png, .svg, .pdf or .html.

        A graph can also be .mmd (Mermaid) or .md (Mermaid in a block), a figure whatever else matplotlib writes.

        Raises:
            ConfigError: for another ending; the error lists those that there are.
            MissingError: where what draws that format is not installed.
        """
        if not isinstance(path, (str, os.PathLike)):
            raise ConfigError(f"save: {path!r} is not a path; write the name of a file, such as 'picture.svg'")
        path, writers = pathlib.Path(path), self._writers()
        if path.suffix.lower() not in writers:
            raise ConfigError(f"{path.name!r} names no format of this picture; end it with one of {', '.join(writers)}")
        path.write_bytes(writers[path.suffix.lower()]())


def page(title: str, body: str, style: str = "") -> str:
    """An HTML page that needs nothing else."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{style}</style>
</head>
<body>
{body}
</body>
</html>
"""
