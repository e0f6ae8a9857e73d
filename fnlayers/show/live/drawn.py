"""Arrays as plain data that a page draws: histograms, feature maps, sequences, bars.

Numbers of a map are sent as bytes, in base64: 0 to 254 from the least to the greatest color, of which 127 is 0; 255 is
not finite.
"""

import base64
from typing import Any

import numpy as np

BINS = 40
SAMPLE = 1_000_000  # numbers of an array that a histogram counts
SIDE = 96  # points of a feature map that are sent, along each side
CHANNELS = 16
STEPS, FEATURES = 512, 256  # of a sequence
BARS = 2000
GREATEST = 10


def histogram(array: Any) -> dict[str, Any]:
    """How the numbers of an array are spread; of a large one every n-th is counted, and `every` says so."""
    flat = np.asarray(array).reshape(-1)
    every = max(1, -(-flat.size // SAMPLE))
    numbers = flat[::every].astype("float32")
    finite = numbers[np.isfinite(numbers)]
    facts = {"every": every, "bad": int(numbers.size - finite.size)}
    if not finite.size:
        return {**facts, "counts": []}
    low, high = float(finite.min()), float(finite.max())
    wide = finite.astype("float64")
    counts = np.histogram(wide, BINS, (low, high) if high > low else (low - 0.5, low + 0.5))[0]
    return {
        **facts,
        "counts": counts.tolist(),
        "low": low,
        "high": high,
        "mean": float(wide.mean()),
        "deviation": float(wide.std()),
    }


def drawn(array: np.ndarray, photo: bool = False) -> dict[str, Any]:
    """One example of a layer's output: what it is, and how the page draws it.

    Arguments:
        array: without the batch axis; text, integers or numbers.
        photo: whether three channels are colors.
    """
    facts = {"shape": list(array.shape), "dtype": str(array.dtype)}
    if not array.size or array.dtype.kind in "OUS":
        return {**facts, "kind": "text", "text": [str(value) for value in array.reshape(-1)[:GREATEST]]}
    spread = histogram(array)
    facts["spread"] = {name: spread.get(name) for name in ("low", "high", "mean", "deviation", "bad", "every")}
    numbers = array.astype("float32")
    while numbers.ndim > 3:  # of volumes the slice in the middle
        numbers = numbers[len(numbers) // 2]
    if numbers.ndim == 3:
        return {**facts, **_maps(numbers, photo)}
    if numbers.ndim == 2:  # time to the right, features upward
        shown = numbers[:STEPS, :FEATURES]
        codes, top = _codes(shown.T[::-1])
        return {**facts, "kind": "sequence", "of": list(shown.shape), "top": top, "codes": codes}
    return {**facts, **_bars(numbers.reshape(-1))}


def _maps(numbers: np.ndarray, photo: bool) -> dict[str, Any]:
    """The first channels, each a map, or the colors of a picture; of large ones every n-th point."""
    down, right = (-(-n // SIDE) for n in numbers.shape[:2])
    shown = numbers[::down, ::right, :CHANNELS]
    height, width, channels = shown.shape
    if photo and numbers.shape[-1] == 3:
        finite = np.where(np.isfinite(shown), shown, 0.0)
        low, high = float(finite.min()), float(finite.max())
        colors = ((finite - low) / ((high - low) or 1.0) * 255).astype("uint8")
        return {"kind": "photo", "of": [height, width], "codes": _text(colors)}
    codes, top = _codes(np.moveaxis(shown, -1, 0))
    return {"kind": "maps", "of": [height, width, channels], "top": top, "codes": codes}


def _bars(numbers: np.ndarray) -> dict[str, Any]:
    finite = np.where(np.isfinite(numbers), numbers, -np.inf)
    first = np.argsort(-finite, kind="stable")[:GREATEST]
    return {
        "kind": "bars",
        "values": [_plain(n) for n in numbers[:BARS]],
        "greatest": [[int(i), _plain(numbers[i])] for i in first],
    }


def _plain(number: Any) -> float | str:
    """A number as JSON has it: NaN and infinity as text."""
    return float(number) if np.isfinite(number) else str(number)


def _codes(numbers: np.ndarray) -> tuple[str, float]:
    """(the bytes, what the greatest color stands for): as far up as down; outliers have the color at the end."""
    sizes = np.abs(numbers[np.isfinite(numbers)])
    top = float(np.quantile(sizes, 0.995) or sizes.max()) if sizes.size else 0.0
    with np.errstate(invalid="ignore", over="ignore"):
        scaled = np.rint(np.clip(numbers / (top or 1.0), -1, 1) * 127 + 127)
    return _text(np.where(np.isfinite(numbers), scaled, 255).astype("uint8")), top


def _text(codes: np.ndarray) -> str:
    return base64.b64encode(codes.tobytes()).decode("ascii")
