"""trace: the numbers that each layer of a model returned."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax

from fnlayers.core.context import Mask
from fnlayers.core.layer import Layer, check_model
from fnlayers.core.observer import labels, observed
from fnlayers.core.types import Key, Params, StateDict
from fnlayers.debug.numbers import Numbers, note, numbers_of, percent, shown
from fnlayers.show.table import Column, Table, terminal


class Output(NamedTuple):
    """What one layer returned: its path, its class, the shapes and dtypes of its arrays, and what they hold."""

    path: str
    layer: str
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[str, ...]
    numbers: Numbers


@dataclass(frozen=True)
class Trace:
    """The outputs of a model's layers in the order in which the layers end, as plain data; print it."""

    outputs: tuple[Output, ...]

    def __str__(self) -> str:
        rows = self.outputs
        columns = (
            Column("layer", tuple(row.path or "the model" for row in rows)),
            Column("class", tuple(row.layer for row in rows)),
            Column("output", tuple(_types(row) for row in rows)),
            Column("least", tuple(shown(row.numbers.least) for row in rows), right=True),
            Column("mean", tuple(shown(row.numbers.mean) for row in rows), right=True),
            Column("greatest", tuple(shown(row.numbers.greatest) for row in rows), right=True),
            Column("zeros", tuple(percent(row.numbers.zeros) for row in rows), right=True),
        )
        notes = tuple(note(row.numbers) for row in rows)
        return "\n".join(Table(columns, notes).lines(terminal()))

    __repr__ = __str__


def trace(
    model: Layer,
    params: Params,
    x: Any,
    *,
    state: StateDict | None = None,
    rng: Key | None = None,
    mask: Mask = None,
    train: bool = False,
) -> Trace:
    """Run a model, and say of each layer's output its shape, dtype, range, mean and the fraction of zeros.

    Paths are those of `fnlayers.intermediates`; layers in a Repeat have one row for all n of them.

    Arguments:
        model: any layer.
        params, x, state, rng, mask, train: as for `run`.

    Returns:
        A Trace: print it, or read its `outputs`.

    Raises:
        ConfigError: under jit, where numbers are unknown.

    Example:
        >>> import jax.numpy as jnp, fnlayers as fl
        >>> model = fl.Sequential([fl.Dense(n, "relu", kernel_initializer="ones") for n in (3, 1)])
        >>> params = model.init(jax.random.key(0), (None, 2))
        >>> print(fl.debug.trace(model, params, jnp.array([[1.0, 2.0], [-1.0, -2.0]])))
        +-----------+------------+----------------+-------+------+----------+-------+
        | layer     | class      | output         | least | mean | greatest | zeros |
        +-----------+------------+----------------+-------+------+----------+-------+
        | dense     | Dense      | float32 (2, 3) |     0 |  1.5 |        3 |  50 % |
        | dense_1   | Dense      | float32 (2, 1) |     0 |  4.5 |        9 |  50 % |
        | the model | Sequential | float32 (2, 1) |     0 |  4.5 |        9 |  50 % |
        +-----------+------------+----------------+-------+------+----------+-------+
    """
    check_model(model, "debug.trace")
    observer = observed(model, params, x, state=state, rng=rng, mask=mask, train=train)
    return Trace(tuple(_output(label, *observer.seen[path]) for path, label in labels(observer).items()))


def _output(path: str, layer: Layer, y: Any) -> Output:
    arrays = jax.tree.leaves(y)
    shapes, dtypes = tuple(a.shape for a in arrays), tuple(str(a.dtype) for a in arrays)
    return Output(path, type(layer).__name__, shapes, dtypes, numbers_of(arrays, "trace"))


def _types(row: Output) -> str:
    return ", ".join(f"{dtype} {shape}" for dtype, shape in zip(row.dtypes, row.shapes, strict=True))
