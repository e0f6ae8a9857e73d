"""gradients: how large the gradient of a loss is for each layer's params."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnlayers.core.errors import MissingError
from fnlayers.core.layer import Layer, check_model
from fnlayers.core.types import Key, Loss, Params, StateDict
from fnlayers.debug.numbers import Numbers, note, numbers_of, percent, shown
from fnlayers.show.table import Column, Table, terminal
from fnlayers.training.batch import batch_of
from fnlayers.training.gradients import value_and_gradients
from fnlayers.training.objective import objective_of
from fnlayers.training.state import TrainState, as_key
from fnlayers.training.step import loss_of, shapes
from fnlayers.trees import Declared, paths, split, weight_paths


class Gradient(NamedTuple):
    """The gradient of one layer's params: their path, what the gradient holds, and the norm of the params."""

    path: str
    numbers: Numbers
    params_norm: float

    @property
    def ratio(self) -> float:
        """The norm of the gradient over the norm of the params: a step of plain SGD at a learning rate of 1."""
        return self.numbers.norm / self.params_norm if self.params_norm else np.inf


@dataclass(frozen=True)
class Gradients:
    """The loss of a batch and the gradient of each layer, in the order of the layers, as plain data; print it.

    Arguments:
        loss: with regularizers and activity losses.
        norm: of all gradients together, as optax.global_norm has it.
        layers: a row for each layer that has params of its own that are trained.
    """

    loss: float
    norm: float
    layers: tuple[Gradient, ...]

    def __str__(self) -> str:
        rows = self.layers
        columns = (
            Column("layer", tuple(row.path or "the model" for row in rows)),
            Column("norm", tuple(shown(row.numbers.norm) for row in rows), right=True),
            Column("greatest", tuple(shown(_greatest(row.numbers)) for row in rows), right=True),
            Column("params' norm", tuple(shown(row.params_norm) for row in rows), right=True),
            Column("ratio", tuple(shown(row.ratio) for row in rows), right=True),
            Column("zeros", tuple(percent(row.numbers.zeros) for row in rows), right=True),
        )
        lines = Table(columns, tuple(note(row.numbers) for row in rows)).lines(terminal()) if rows else []
        return "\n".join([*lines, f"loss {self.loss:.6g}, norm of all gradients {self.norm:.3g}"])

    __repr__ = __str__


def gradients(
    model: Layer,
    params: Params,
    batch: Any,
    loss: Loss,
    *,
    state: StateDict | None = None,
    rng: Key | int = 0,
) -> Gradients:
    """The norm of the loss's gradient for each layer of a model, in a training step that changes nothing.

    Norms that shrink or grow by a factor from layer to layer vanish or explode; a layer of zeros alone is not reached
    by the loss. Layers in a Repeat have one row for all n of them. With float16 the gradients are those of `fit`, whose
    loss is scaled where numbers would become 0.

    Arguments:
        model: any layer.
        params: what init drew, or a training returned.
        batch: (x, y) or (x, y, weight).
        loss: as for `fit`.
        state: what init_state made or a run returned; needed where the model keeps state.
        rng: a random key or a seed, for dropout.

    Returns:
        Gradients: print them, or read `layers`, `loss` and `norm`.

    Raises:
        ConfigError: as `make_step`; and under jit, where numbers are unknown.
        MissingError: for a model without trainable params.

    Example:
        >>> import optax, fnlayers as fl
        >>> model = fl.Sequential([fl.Dense(n, "relu", kernel_initializer="ones") for n in (3, 1)])
        >>> params, batch = model.init(jax.random.key(0), (None, 2)), (jnp.ones((4, 2)), jnp.zeros((4, 1)))
        >>> print(fl.debug.gradients(model, params, batch, optax.l2_loss))
        +---------+------+----------+--------------+-------+-------+
        | layer   | norm | greatest | params' norm | ratio | zeros |
        +---------+------+----------+--------------+-------+-------+
        | dense   |   18 |        6 |         2.45 |  7.35 |       |
        | dense_1 | 21.6 |       12 |         1.73 |  12.5 |       |
        +---------+------+----------+--------------+-------+-------+
        loss 18, norm of all gradients 28.1
    """
    check_model(model, "debug.gradients")
    x, y, weight, _ = batch_of(batch, "the batch")
    declared = Declared(model, shapes(x))
    trained, _ = split(params, declared.trainable)
    if not jax.tree.leaves(trained):
        raise MissingError(f"debug.gradients: {type(model).__name__} has no trainable params, so there is no gradient")
    start = TrainState(jnp.zeros((), "int32"), params, {} if state is None else state, (), as_key(rng))
    loss_at = loss_of(model, declared, objective_of(loss, None, model), start, x, y, weight)
    (value, _), gradient_tree = value_and_gradients(model, loss_at, trained)
    gradients, weights = (_by_layer(model, shapes(x), tree) for tree in (gradient_tree, trained))
    rows = [
        Gradient(path, numbers_of(arrays, "gradients"), numbers_of(weights[path], "gradients").norm)
        for path, arrays in gradients.items()
    ]
    return Gradients(float(value), float(np.linalg.norm([row.numbers.norm for row in rows])), tuple(rows))


def _by_layer(model: Layer, shape: Any, tree: Any) -> Mapping[str, list]:
    """The arrays of a tree like params by the path of the layer that owns them, in the order of declaration."""
    arrays, layers = paths(tree), dict[str, list]()
    for path in weight_paths(model, shape):
        if path in arrays:
            layers.setdefault(path.rpartition("/")[0], []).append(arrays[path])
    return layers


def _greatest(numbers: Numbers) -> float:
    return max(abs(numbers.least), abs(numbers.greatest))
