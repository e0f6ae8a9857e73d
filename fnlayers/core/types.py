"""The types in the signatures of public functions, by the names that the documents use."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax

Key = jax.Array  # a random key, as jax.random.key returns it
Params = Mapping[str, Any]  # nested dicts of arrays: what `init` returns
StateDict = Mapping[str, Any]  # nested dicts of arrays: what `init_state` returns
Sizes = Sequence[Any] | Mapping[str, Any] | None  # a shape such as (None, 28, 28, 1), or a tuple or dict of shapes
Metrics = Mapping[str, Any] | Sequence[Any] | None  # metrics by name, or a list of metrics and Keras's names
Loss = Callable[..., Any] | str | Mapping[str, Any] | Sequence[Any]  # (y_pred, y_true) -> values; nested for outputs
