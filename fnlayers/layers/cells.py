"""Recurrent cells: one step in time, and what can be done for all steps at once before it."""

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from fnlayers import ops
from fnlayers.core.context import Context, Out
from fnlayers.core.errors import ConfigError
from fnlayers.core.layer import Layer, Shape, layerclass
from fnlayers.core.shapes import known
from fnlayers.core.spec import Param
from fnlayers.functions.activations import Activation
from fnlayers.functions.constraints import Constraint
from fnlayers.functions.initializers import Initializer, initializer
from fnlayers.functions.regularizers import Regularizer
from fnlayers.layers.bases import activate, add_bias, check_activation, check_count, check_rank, check_share


@layerclass
class Cell(Layer):
    """Base of recurrent cells. A cell of your own defines `start`, `step` and usually `project`.

    `RNN` projects the whole sequence, then scans `step` over it; a cell applied to an input of its own, (batch,
    features), takes one step from its start.

    Shapes: (batch, features) -> (batch, units).
    """

    casts_inputs: ClassVar[str] = "all"

    dropout = 0.0  # fields in the cells that have them
    recurrent_dropout = 0.0
    seed = None

    def start(self, batch: int, dtype: Any) -> Any:
        """The carry before the first step: an array (batch, ...), or a tuple of them."""
        raise ConfigError(
            f"{type(self).__name__} defines no start(batch, dtype); write the carry before the first step"
        )

    def project(self, params: Any, xs: Any) -> Any:
        """What does not depend on the carry, over any leading axes: (time, batch, features) -> (time, batch, ...)."""
        return xs

    def step(self, params: Any, carry: Any, projected: Any) -> tuple[Any, Any]:
        """(new carry, output) from the carry and one step's projection."""
        raise ConfigError(f"{type(self).__name__} defines no step(params, carry, projected); write one step in time")

    @property
    def draws(self) -> bool:
        """Whether training draws numbers."""
        return bool(self.dropout or self.recurrent_dropout)

    def noise(self, key: Any, params: Any, xs: Any) -> tuple[Any, Any]:
        """(params, xs) with dropout for a training pass: one mask for all steps. xs is (time, batch, features)."""
        key = key if self.seed is None else jax.random.fold_in(key, self.seed)
        inputs, recurrent = jax.random.split(key)
        xs = ops.dropout(inputs, xs, self.dropout, (1, *(None,) * (xs.ndim - 1)))
        if not self.recurrent_dropout:
            return params, xs
        kept = ops.dropout(recurrent, jnp.ones((xs.shape[1], self.units), xs.dtype), self.recurrent_dropout)  # type: ignore[attr-defined]
        return params | {"recurrent_mask": kept}, xs

    def forward(self, params: Any, x: Any, ctx: Context) -> Out:
        """One step from the start."""
        if ctx.train and self.draws:
            params, xs = self.noise(ctx.key(self), params, x[None])
            x = xs[0]
        _, y = self.step(params, self.start(x.shape[0], x.dtype), self.project(params, x))
        return Out(y)


@layerclass
class LSTMCell(Cell):
    """c' = f c + i activation(g), h' = o activation(c'), with i, f, g, o from x @ kernel + h @ recurrent_kernel + bias.

    Arguments:
        units: the size of the state.
        activation: of g and c'; recurrent_activation: of the gates i, f, o.
        use_bias: whether there is a bias.
        kernel_initializer, recurrent_initializer, bias_initializer: where the weights start.
        unit_forget_bias: whether the forget gate's bias starts at 1, so that the cell remembers.
        kernel_regularizer, recurrent_regularizer, bias_regularizer, kernel_constraint, recurrent_constraint,
            bias_constraint: of the weights.
        dropout, recurrent_dropout: the shares of x and of h (on its way into recurrent_kernel) dropped in training, the
            same features at all steps.
        seed: a number folded into the layer's key.

    Shapes: (batch, features) -> (batch, units); the carry is (h, c), each (batch, units).
    Weights: kernel (features, 4 units), recurrent_kernel (units, 4 units), bias (4 units,), in the order i, f, g, o.
    Random: in training, where a dropout is above 0.
    Mask: refused; the layer that scans the cell uses it.

    Reference: Hochreiter and Schmidhuber, Long Short-Term Memory, 1997.
    """

    units: int
    activation: Activation = "tanh"
    recurrent_activation: Activation = "sigmoid"
    use_bias: bool = True
    kernel_initializer: Initializer = "glorot_uniform"
    recurrent_initializer: Initializer = "orthogonal"
    bias_initializer: Initializer = "zeros"
    unit_forget_bias: bool = True
    kernel_regularizer: Regularizer = None
    recurrent_regularizer: Regularizer = None
    bias_regularizer: Regularizer = None
    kernel_constraint: Constraint = None
    recurrent_constraint: Constraint = None
    bias_constraint: Constraint = None
    dropout: float = 0.0
    recurrent_dropout: float = 0.0
    seed: int | None = None

    def check(self) -> None:
        """Sizes, shares, known activations."""
        check_count(self, "units")
        check_share(self, "dropout")
        check_share(self, "recurrent_dropout")
        check_activation(self, "activation", "recurrent_activation")

    def check_shape(self, shape: Shape) -> None:
        """One step's features."""
        check_rank(self, shape, 2, layout="(batch, features)")

    def weights(self, shape: Shape) -> dict:
        """Four gates beside each other in each weight."""
        return recurrent_weights(self, known(shape, -1, "features"), gates=4)

    def start(self, batch: int, dtype: Any) -> Any:
        """Zeros."""
        return jnp.zeros((batch, self.units), dtype), jnp.zeros((batch, self.units), dtype)

    def project(self, params: Any, xs: Any) -> Any:
        """Of x: x @ kernel + bias."""
        return add_bias(self, params, ops.dot(xs, params["kernel"]))

    def step(self, params: Any, carry: Any, projected: Any) -> tuple[Any, Any]:
        """The gates, from what was projected and h @ recurrent_kernel."""
        act, gate = partial(activate, self.activation), partial(activate, self.recurrent_activation)
        h, c = carry
        h = (
            h * params["recurrent_mask"] if "recurrent_mask" in params else h
        )  # here h meets the kernel and nothing else
        return ops.lstm_step((h, c), projected, params["recurrent_kernel"], act, gate)


def recurrent_weights(cell: Any, features: int, gates: int) -> dict[str, Param]:
    """The kernel, recurrent kernel and bias of a cell whose gates stand beside each other."""

    def param(which: str, shape: tuple[int, ...], axes: tuple[str, ...], begin: Any = None) -> Param:
        regularizer, constraint = getattr(cell, f"{which}_regularizer"), getattr(cell, f"{which}_constraint")
        return Param(shape, begin or getattr(cell, f"{which}_initializer"), regularizer, constraint, axes)

    width = gates * cell.units
    found = {
        "kernel": param("kernel", (features, width), ("in", "gates")),
        "recurrent_kernel": param("recurrent", (cell.units, width), ("out", "gates")),
    }
    if cell.use_bias:
        forget = UnitForget(cell.bias_initializer, cell.units) if getattr(cell, "unit_forget_bias", False) else None
        found["bias"] = param("bias", (width,), ("gates",), forget)
    return found


@dataclass(frozen=True)
class UnitForget:
    """A bias of four gates whose second, the forget gate, starts at 1 and the others as `others` says."""

    others: Initializer
    units: int

    def __call__(self, key: Any, shape: tuple[int, ...], dtype: Any) -> jax.Array:
        """Put the three parts together."""
        make, before = initializer(self.others), jax.random.fold_in(key, 1)
        parts = (make(before, (self.units,), dtype), jnp.ones(self.units, dtype), make(key, (2 * self.units,), dtype))
        return jnp.concatenate(parts)
