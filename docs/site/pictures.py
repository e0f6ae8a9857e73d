"""Pictures of layers as SVG: the windows that they move over an input, and the numbers that they make of one.

All that is shown is the layer's own: sizes by `out_shape`, numbers by `apply`. The colors are the site's
(style.css), so a picture follows its light and dark scheme.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

import fnlayers as fl

SIDE = 22  # of a square
GAP = 38  # between input and output, for the arrow

# The windows that are drawn: options of the layer, on an input of 5 (x 5) elements.
_STEPS = (dict(padding="valid"), dict(padding="same"), dict(padding="valid", strides=2))
_CONV1D = (dict(padding="valid"), dict(padding="same"), dict(padding="causal"), dict(padding="valid", dilation_rate=2))
_POOL = (dict(padding="valid", strides=2), dict(padding="same", strides=2), dict(padding="valid", strides=1))
WINDOWS: Mapping[str, tuple[type, Mapping[str, Any], tuple[dict[str, Any], ...]]] = {
    "Conv1D": (fl.Conv1D, dict(filters=1, kernel_size=3), _CONV1D),
    "Conv2D": (fl.Conv2D, dict(filters=1, kernel_size=3), (*_STEPS, dict(padding="valid", dilation_rate=2))),
    "DepthwiseConv1D": (fl.DepthwiseConv1D, dict(kernel_size=3), _STEPS),
    "DepthwiseConv2D": (fl.DepthwiseConv2D, dict(kernel_size=3), _STEPS),
    "SeparableConv1D": (fl.SeparableConv1D, dict(filters=1, kernel_size=3), _STEPS),
    "SeparableConv2D": (fl.SeparableConv2D, dict(filters=1, kernel_size=3), _STEPS),
    "MaxPooling1D": (fl.MaxPooling1D, dict(pool_size=2), _POOL),
    "MaxPooling2D": (fl.MaxPooling2D, dict(pool_size=2), _POOL),
    "AveragePooling1D": (fl.AveragePooling1D, dict(pool_size=2), _POOL),
    "AveragePooling2D": (fl.AveragePooling2D, dict(pool_size=2), _POOL),
}
# The numbers that are drawn: layers, each with the shape of its input without the batch (and, of images, the channel).
NUMBERS: Mapping[str, tuple[fl.Layer, tuple[int, ...]]] = {
    layer.__class__.__name__: (layer, shape)
    for layer, shape in (
        (fl.MaxPooling2D(2), (4, 4)),
        (fl.AveragePooling2D(2), (4, 4)),
        (fl.UpSampling1D(2), (4,)),
        (fl.UpSampling2D(2), (2, 3)),
        (fl.ZeroPadding1D(2), (4,)),
        (fl.ZeroPadding2D(((1, 0), (2, 1))), (2, 3)),
        (fl.Cropping1D(1), (5,)),
        (fl.Cropping2D(((1, 0), (1, 2))), (3, 5)),
        (fl.AdaptiveMaxPooling2D(2), (3, 5)),
        (fl.AdaptiveAveragePooling2D(2), (3, 5)),
    )
}
_PLAIN: Mapping[str, tuple[fl.Layer, tuple[int, ...]]] = {  # those whose input has no axis of channels
    "Permute": (fl.Permute((2, 1)), (2, 4)),
    "Flatten": (fl.Flatten(), (2, 4)),
    "Reshape": (fl.Reshape((4, 2)), (2, 4)),
    "RepeatVector": (fl.RepeatVector(3), (4,)),
}


def of_layer(name: str) -> str | None:
    """The pictures of a layer as one line of HTML, if there are any."""
    figures = []
    if name in WINDOWS:
        cls, options, variants = WINDOWS[name]
        figures += [_window(cls(**options, **variant), variant) for variant in variants]
    for table, channels in ((NUMBERS, True), (_PLAIN, False)):
        if name in table:
            figures.append(_numbers(*table[name], channels))
    return f'<div class="pictures">{"".join(figures)}</div>' if figures else None


def _window(layer: Any, shown: Mapping[str, Any]) -> str:
    """The window at its first position, what it pads, and the element of the output that it gives."""
    rank, n = layer.rank, 5
    out = layer.out_shape((1, *(n,) * rank, 1))[1]
    taps = layer.kernel_size if hasattr(layer, "kernel_size") else layer.pool_size
    dilation = getattr(layer, "dilation_rate", 1)
    span, total = dilation * (taps - 1) + 1, 0
    if layer.padding != "valid":
        total = max((out - 1) * (layer.strides or taps) + span - n, 0)
    before = total if layer.padding == "causal" else total // 2
    width = n + total
    rows = range(width) if rank == 2 else range(1)
    window = {dilation * tap for tap in range(taps)}

    def kind(row: int, column: int) -> str:
        inside = column in window and (rank == 1 or row in window)
        pads = not before <= column < before + n or (rank == 2 and not before <= row < before + n)
        return ("padded " if pads else "") + ("window" if inside else "")

    kinds = [[kind(row, column) for column in range(width)] for row in rows]
    first = [
        ["window" if row == column == 0 else "" for column in range(out)] for row in range(out if rank == 2 else 1)
    ]
    sizes = f"{n} → {out}" if rank == 1 else f"{n} x {n} → {out} x {out}"
    options = ", ".join(f"{name}={value!r}" for name, value in shown.items())
    return _figure(_squares(kinds), _squares(first), f"<code>{options}</code>: {sizes}")


def _numbers(layer: fl.Layer, shape: tuple[int, ...], channels: bool) -> str:
    """An input that counts up, and what the layer makes of it."""
    x = np.arange(1.0, 1 + np.prod(shape)).reshape(1, *shape, *((1,) if channels else ()))
    y = np.asarray(layer.apply({}, jnp.asarray(x, "float32")))[0]
    y = y[..., 0] if channels else y
    return _figure(_squares(numbers=x.reshape(shape)), _squares(numbers=y), f"<code>fl.{layer!r}</code>")


Drawn = tuple[int, int, str]  # columns, rows, and the elements with their corner at the origin


def _squares(kinds: Any = None, numbers: Any = None) -> Drawn:
    """A table of squares: of kinds, classes of style.css, or of numbers."""
    table = np.atleast_2d(np.asarray(kinds if numbers is None else numbers))
    return table.shape[1], table.shape[0], "".join(_elements(table, numbers is not None))


def _elements(table: np.ndarray, numbered: bool) -> Iterator[str]:
    for (row, column), value in np.ndenumerate(table):
        x, y = column * SIDE, row * SIDE
        kind = "" if numbered else str(value).strip()
        yield f'<rect class="square {kind}" x="{x}" y="{y}" width="{SIDE}" height="{SIDE}"/>'
        if numbered:
            yield f'<text x="{x + SIDE / 2:g}" y="{y + SIDE / 2 + 4:g}" text-anchor="middle">{value:g}</text>'


def _figure(left: Drawn, right: Drawn, caption: str) -> str:
    height = max(left[1], right[1]) * SIDE
    width = (left[0] + right[0]) * SIDE + GAP
    middle = left[0] * SIDE
    arrow = f"M{middle + 8} {height / 2:g}h{GAP - 18}m-5 -4l5 4l-5 4"
    parts = (
        f'<g transform="translate(0 {(height - left[1] * SIDE) / 2:g})">{left[2]}</g>'
        f'<path class="arrow" d="{arrow}"/>'
        f'<g transform="translate({middle + GAP} {(height - right[1] * SIDE) / 2:g})">{right[2]}</g>'
    )
    box = f'viewBox="-1 -1 {width + 2} {height + 2}" style="width: {width + 2}px"'
    return f'<figure><svg {box} role="img">{parts}</svg><figcaption>{caption}</figcaption></figure>'
