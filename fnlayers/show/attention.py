"""Maps of attention: how much each position looks at each other one."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from fnlayers.core.errors import ConfigError, shortened
from fnlayers.show.figure import check_example, finished, new_figure

_WITH_NAMES = 40  # positions; of more there is no room for a name each


def attention(
    weights: Any,
    path: str | os.PathLike | None = None,
    *,
    queries: Sequence[str] | None = None,
    keys: Sequence[str] | None = None,
    example: int = 0,
) -> Any:
    """Draw the weights of an attention layer, a map for each head: rows are queries, columns the keys they look at.

    All heads are in one scale, from 0 to the greatest weight.

    Arguments:
        weights: (queries, keys), (heads, queries, keys) or (batch, heads, queries, keys), which a layer with
            `return_attention_scores=True` returns next to its output; (batch, queries, keys) of Attention and
            AdditiveAttention is drawn as so many heads, so pick an example: `weights[0]`.
        path: where to save the figure too; its ending says the format.
        queries, keys: what stands at each position, such as words; None: positions are counted from 0.
        example: which one of the batch.

    Returns:
        A matplotlib.figure.Figure, which `save(path)` writes too. A notebook shows it; nothing global is touched.

    Raises:
        MissingError: where matplotlib is not installed.
        ConfigError: for weights of another rank, an example that the batch does not hold, and names that are not one
            for each position.

    Example:
        >>> import jax.numpy as jnp
        >>> figure = attention(jnp.eye(3), queries=["the", "cat", "sat"], keys=["the", "cat", "sat"])
        >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
        ['the', 'cat', 'sat']
    """
    heads = _heads(weights, example)
    count, rows, columns = heads.shape
    across = count if count <= 4 else 3 if count % 4 and not count % 3 else 4
    down = -(-count // across)
    tall, wide = (float(np.clip(0.16 * n, 1.6, 5.0)) for n in (rows, columns))
    margin = 0.35 + 0.08 * max((len(str(name)) for name in queries or ()), default=2)
    figure = new_figure("show.attention", across * (wide + margin) + 0.9, down * (tall + margin + 0.2))
    names = [_names("queries", queries, rows), _names("keys", keys, columns)]
    top = float(np.nanmax(heads, initial=0.0)) or 1.0
    axes = []
    for head, map_ in enumerate(heads):
        axes.append(figure.add_subplot(down, across, head + 1))
        image = axes[-1].imshow(map_, cmap="Blues", vmin=0, vmax=top, aspect="auto", interpolation="nearest")
        if count > 1:
            axes[-1].set_title(f"head {head}", fontsize=9)
        axes[-1].tick_params(labelsize=7, length=2)
        if names[0] is not None:
            axes[-1].set_yticks(range(rows), names[0])
        if names[1] is not None:
            axes[-1].set_xticks(range(columns), names[1], rotation=90)
        if head % across == 0:
            axes[-1].set_ylabel("query", fontsize=8)
        if head >= count - across:
            axes[-1].set_xlabel("key", fontsize=8)
    figure.colorbar(image, ax=axes, label="weight", shrink=0.8)
    return finished(figure, path)


def _heads(weights: Any, example: int) -> np.ndarray:
    """(heads, queries, keys) in float32."""
    array = np.asarray(weights, "float32")
    if array.ndim == 4:
        check_example("show.attention", example, [len(array)])
        array = array[example]
    array = array[None] if array.ndim == 2 else array
    if array.ndim != 3 or not array.size:
        raise ConfigError(
            "show.attention takes weights (queries, keys), (heads, queries, keys) or (batch, heads, queries, keys); "
            f"got an array of shape {np.shape(weights)}"
        )
    return array


def _names(argument: str, names: Sequence[str] | None, count: int) -> list[str] | None:
    """The names to write, or None."""
    if names is None:
        return None
    if len(names) != count:
        raise ConfigError(
            f"show.attention({argument}={shortened(list(names))}): the weights have {count} {argument}, and there are "
            f"{len(names)} names"
        )
    return [str(name) for name in names] if count <= _WITH_NAMES else None
