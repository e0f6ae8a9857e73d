"""One batch, checked: a user's (x, y) or (x, y, weight) as arrays of one length, of numbers that jax has."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from fnlayers.core.errors import ConfigError, ShapeError
from fnlayers.core.values import check_values
from fnlayers.training.named import keys_of


class Batch(NamedTuple):
    """One batch, and how many of its rows, the first ones, are examples and not padding."""

    x: Any
    y: Any
    weight: Any
    count: int


def unpack_batch(batch: Any) -> tuple[Any, Any, Any]:
    """(x, y, weight) of a batch, the weight None where there is none."""
    if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
        if isinstance(batch, Mapping):
            raise ConfigError(
                f"a batch is (x, y) or (x, y, weight), got a dict with the keys {keys_of(batch)}; write "
                "(batch['image'], batch['label']), or have fit and evaluate do it: inputs='image', targets='label'"
            )
        got = f"{type(batch).__name__} of {len(batch)}" if hasattr(batch, "__len__") else type(batch).__name__
        raise ConfigError(f"a batch is (x, y) or (x, y, weight), got {'None' if batch is None else got}; give arrays")
    x, y, *weight = batch
    return x, y, weight[0] if weight else None


def batch_of(batch: Any, called: str = "the data set", fetch: bool = True) -> Batch:
    """A user's (x, y) or (x, y, weight) with its leaves as arrays: of one length, of numbers that jax can hold.

    Arguments:
        batch: the tuple; weight may be one array, or one for each output, structured like y. Values are looked at
            before they are cast, where they are on the host.
        called: what it is in an error: the whole data set, or a batch.
        fetch: whether sample weights are looked at on a device, too, which waits for them.

    Raises:
        ConfigError: for what is empty, no array of numbers, or too large for 32 bits; for weights that are no weights.
        ShapeError: for parts of different lengths.
    """
    x, y, weight = (_arrays(part, name) for name, part in zip(("x", "y", "weight"), unpack_batch(batch), strict=True))
    lengths = {name: _length(name, part) for name, part in (("x", x), ("y", y), ("weight", weight))}
    counts = {name: n for name, n in lengths.items() if n is not None}
    if "x" not in counts:
        raise ConfigError("x holds no array; give one, or a tuple or dict of them")
    if len(set(counts.values())) > 1:
        lengths_found = ", ".join(f"{name} has {n}" for name, n in counts.items())
        raise ShapeError(f"the examples do not pair: {lengths_found}; give all parts the same length")
    if counts["x"] == 0:
        raise ConfigError(f"{called} is empty: x has no examples; leave it out")
    return Batch(x, y, None if weight is None else _weights(weight, y, fetch), counts["x"])


def check_batch(batch: Any) -> None:
    """Raise for a batch that `batch_of` refuses; what is right at a glance costs a few microseconds."""
    x, y, weight = unpack_batch(batch)
    leaves = jax.tree.leaves((x, y))
    if not all(map(_needs_no_look, leaves)) or not (weight is None or isinstance(weight, jax.Array)):
        batch_of(batch, "the batch", fetch=False)
    elif len({leaf.shape[0] for leaf in leaves}) != 1 or leaves[0].shape[0] == 0:
        batch_of(batch, "the batch", fetch=False)


def _needs_no_look(leaf: Any) -> bool:
    """Whether this is an array of numbers that a cast to jax's types does not change, whatever they are."""
    if type(leaf) is np.ndarray:
        if leaf.dtype.itemsize > 4 or leaf.dtype.kind not in "fiub" or not leaf.dtype.isnative:
            return False
    elif not isinstance(leaf, jax.Array):
        return False
    return leaf.ndim > 0


def _arrays(nest: Any, name: str) -> Any:
    return jax.tree.map(lambda leaf: _as_array(leaf, name), nest)


def _as_array(leaf: Any, name: str) -> Any:
    """An array of numbers that a cast to jax's types does not change, but for rounding."""
    if isinstance(leaf, jax.Array):
        return leaf
    if not hasattr(leaf, "__array__"):
        raise ConfigError(f"{name} holds {leaf!r} of type {type(leaf).__name__}; give arrays (numpy.asarray of a list)")
    try:
        array = np.asanyarray(leaf)
    except Exception as error:
        raise ConfigError(f"{name} holds a {type(leaf).__name__} that makes no NumPy array: {error}") from error
    check_values(array, name)
    return np.asarray(array)


def _weights(weight: Any, y: Any, fetch: bool) -> Any:
    """Sample weights as float32: one array, or one for each output, structured like y; those not given are 1."""
    if not isinstance(weight, (Mapping, tuple, list)):
        return _checked_weight(weight, fetch)
    if not isinstance(y, (Mapping, tuple, list)):
        raise ConfigError(
            "the sample weights are a nest, and y is one array; give one array: a number for each example, or for each "
            "step of one"
        )
    weights: dict = dict(weight if isinstance(weight, Mapping) else enumerate(weight))
    outputs: dict = dict(y if isinstance(y, Mapping) else enumerate(y))
    if surplus := [key for key in weights if key not in outputs]:
        raise ConfigError(f"the sample weights speak of {surplus[0]!r}, and y has {', '.join(map(repr, outputs))}")
    ones = np.ones(_length("y", y) or 0, "float32")
    checked = {key: ones if weights.get(key) is None else _checked_weight(weights[key], fetch) for key in outputs}
    return checked if isinstance(y, Mapping) else tuple(checked.values())


def _checked_weight(weight: Any, fetch: bool) -> Any:
    """An array of sample weights as float32: numbers of at least 0."""
    if np.issubdtype(weight.dtype, np.complexfloating):
        raise ConfigError(f"weight is {weight.dtype}; give real numbers of at least 0")
    weight = weight.astype("float32")
    if isinstance(weight, jax.Array) and not (fetch and weight.is_fully_addressable):
        return weight
    values = np.asarray(weight)  # also from a device: few numbers, which were there before the step
    if values.size and not (values.min() >= 0 and np.isfinite(values.max())):
        at = tuple(np.argwhere(~(np.isfinite(values) & (values >= 0)))[0].tolist())
        raise ConfigError(
            f"weight{list(at)} is {values[at]}, and sample weights are finite numbers of at least 0; give an example "
            "that must not count the weight 0"
        )
    return weight


def _length(name: str, nest: Any) -> int | None:
    sizes = set()
    for leaf in jax.tree.leaves(nest):
        if leaf.ndim == 0:
            raise ShapeError(
                f"{name} holds a scalar, which has no batch axis; give arrays whose first axis is the examples (data "
                "of single examples: cut into batches, as by .batch(32) of grain)"
            )
        sizes.add(leaf.shape[0])
    if len(sizes) > 1:
        raise ShapeError(f"the arrays of {name} have different lengths: {', '.join(map(str, sorted(sizes)))}")
    return sizes.pop() if sizes else None
