"""Figures of matplotlib that are saved and shown like all other pictures; imported when the first is drawn."""

import functools
import io
from collections.abc import Callable, Mapping
from typing import Any

from matplotlib.figure import Figure

from fnlayers.show.picture import Picture, page


class Drawing(Picture, Figure):
    """A matplotlib.figure.Figure (`axes`, `savefig` and all else work) with `save`, which a notebook shows by itself.

    A notebook draws figures by itself only after pyplot was imported; `_repr_png_` is how it draws any object.
    """

    def _writers(self) -> Mapping[str, Callable[[], bytes]]:
        formats = ["png", "svg", "pdf", *self.canvas.get_supported_filetypes()]
        writers = {f".{name}": functools.partial(self._as, name) for name in dict.fromkeys(formats)}
        return {**writers, ".html": self._html}

    def _as(self, name: str, dpi: int = 150) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format=name, dpi=dpi)
        return file.getvalue()

    def _html(self) -> bytes:
        svg = self._as("svg").decode("utf8")
        return page("Figure", svg[svg.index("<svg") :]).encode("utf8")

    def _repr_png_(self) -> bytes:
        return self._as("png", dpi=100)


def new(width: float, height: float) -> Any:
    """An empty figure of that size in inches; nothing global is touched."""
    figure: Any = Drawing(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.08)
    return figure
