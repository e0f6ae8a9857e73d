"""Recurrent cells: one step in time, and what can be done for all steps at once before it."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import jax.numpy as jnp

from fnlayers import ops
from fnlayers.core.errors import ConfigError
from fnlayers.core.layer import Shape, layerclass
from fnlayers.core.naming import named, with_names
from fnlayers.core.options import Seed
from fnlayers.core.shapes import known
from fnlayers.functions.activations import Activation
from fnlayers.functions.constraints import Constraint
from fnlayers.functions.initializers import Initializer
from fnlayers.functions.regularizers import Regularizer
from fnlayers.layers.common import activate, check_activation, check_count, check_fraction, check_rank
from fnlayers.layers.recurrent.cell import Cell, dropped, first_shape, recurrent_weights

__all__ = ["SimpleRNNCell", "GRUCell", "LSTMCell", "StackedRNNCells"]


@layerclass
class GatedCell(Cell):
    """Base of the cells whose weights hold one or several gates side by side, each of `units`.

    Arguments:
        units: the size of the state.
        activation: of what is new in a step.
        recurrent_activation: of the gates.
        use_bias: whether there is a bias.
        kernel_initializer, recurrent_initializer, bias_initializer: where the weights start.
        kernel_regularizer, recurrent_regularizer, bias_regularizer, kernel_constraint, recurrent_constraint,
            bias_constraint: of the weights.
        dropout, recurrent_dropout: the fractions of x and of h (before recurrent_kernel) dropped in training, the same
            features at all steps.
        seed: a number folded into the layer's key.
    """

    if TYPE_CHECKING:
        units: int  # a field in all

    gate_count: ClassVar[int] = 1
    recurrent_activation = None  # a field in the cells that have gates

    def check(self) -> None:
        check_count(self, "units")
        check_fraction(self, "dropout")
        check_fraction(self, "recurrent_dropout")
        check_activation(self, "activation", "recurrent_activation")

    def check_shape(self, shape: Shape) -> None:
        check_rank(self, first_shape(shape), 2, layout="(batch, features)")

    def weights(self, shape: Shape) -> dict:
        """The gates side by side in each weight."""
        features = known(first_shape(shape), -1, "features")
        return recurrent_weights(self, (), features, self.units, self.gate_count)

    def dense(self, params: Any) -> ops.DenseWeights:
        return ops.DenseWeights(params["kernel"], params["recurrent_kernel"], *self.biases(params))

    def biases(self, params: Any) -> tuple[Any, Any]:
        """What is added to x @ kernel and to h @ recurrent_kernel; None for nothing."""
        bias = params.get("bias")
        return (bias, None) if bias is None or bias.ndim == 1 else (bias[0], bias[1])

    def gates(self, carry: Any, preactivations: Any, axis: int = -1) -> tuple[Any, Any]:
        """(new carry, output), from the preactivations side by side along that axis."""
        raise ConfigError(f"{type(self).__name__} defines no gates(carry, preactivations, axis)")

    def combine(self, of_x: Any, of_h: Any, axis: int = -1) -> Any:
        """The preactivations that `gates` takes, from those of x and of h."""
        raise ConfigError(f"{type(self).__name__} defines no combine(of_x, of_h, axis)")

    def project(self, params: Any, xs: Any) -> Any:
        """Of x: x @ kernel + bias."""
        bias, _ = self.biases(params)
        y = ops.dot(xs, params["kernel"])
        return y if bias is None else y + bias

    def dense_step(self, params: Any, carry: Any, projected: Any) -> tuple[Any, Any]:
        """A step in which h is multiplied by the recurrent kernel and used nowhere else."""
        (_, bias), h = self.biases(params), dropped(params, "recurrent_dropout_mask", self.output(carry))
        of_h = ops.dot(h, params["recurrent_kernel"])
        return self.gates(carry, self.combine(projected, of_h if bias is None else of_h + bias))


@layerclass
class SimpleRNNCell(GatedCell):
    """h' = activation(x @ kernel + h @ recurrent_kernel + bias). See `GatedCell` for the arguments.

    Shapes: (batch, features) -> (batch, units); the carry is h (batch, units).
    Weights: kernel (features, units), recurrent_kernel (units, units), bias (units,).
    Random: in training, where a dropout is above 0.
    Mask: refused; the layer that scans the cell uses it.

    Reference: Elman, Finding Structure in Time, 1990.
    """

    units: int
    activation: Activation = "tanh"
    use_bias: bool = True
    kernel_initializer: Initializer = "glorot_uniform"
    recurrent_initializer: Initializer = "orthogonal"
    bias_initializer: Initializer = "zeros"
    kernel_regularizer: Regularizer = None
    recurrent_regularizer: Regularizer = None
    bias_regularizer: Regularizer = None
    kernel_constraint: Constraint = None
    recurrent_constraint: Constraint = None
    bias_constraint: Constraint = None
    dropout: float = 0.0
    recurrent_dropout: float = 0.0
    seed: Seed = None

    def start(self, shape: Shape, dtype: Any) -> Any:
        return jnp.zeros((shape[0], self.units), dtype)

    def step(self, params: Any, carry: Any, projected: Any) -> tuple[Any, Any]:
        return self.dense_step(params, carry, projected)

    def recurrence(self) -> ops.Recurrence:
        return ops.Recurrence(self.gates, self.combine, self.dense)

    def combine(self, of_x: Any, of_h: Any, axis: int = -1) -> Any:
        return of_x + of_h

    def gates(self, carry: Any, preactivations: Any, axis: int = -1) -> tuple[Any, Any]:
        """The new state is the output too."""
        h = activate(self.activation, preactivations)
        return h, h

    def output(self, carry: Any) -> Any:
        return carry


@layerclass
class GRUCell(GatedCell):
    """h' = z h + (1 - z) activation(g), with z, r, g from x @ kernel + h @ recurrent_kernel + bias; r resets h in g.

    See `GatedCell` for most arguments.

    Arguments:
        reset_after: whether r multiplies h @ recurrent_kernel (and that product has a bias of its own), or h before it.

    Shapes: (batch, features) -> (batch, units); the carry is h (batch, units).
    Weights: kernel (features, 3 units), recurrent_kernel (units, 3 units), bias (2, 3 units), of x and of h, or with
        reset_after=False (3 units,); in the order z, r, g.
    Random: in training, where a dropout is above 0.
    Mask: refused; the layer that scans the cell uses it.

    Reference: Cho et al., Learning Phrase Representations using RNN Encoder-Decoder, 2014.
    """

    units: int
    activation: Activation = "tanh"
    recurrent_activation: Activation = "sigmoid"
    use_bias: bool = True
    kernel_initializer: Initializer = "glorot_uniform"
    recurrent_initializer: Initializer = "orthogonal"
    bias_initializer: Initializer = "zeros"
    kernel_regularizer: Regularizer = None
    recurrent_regularizer: Regularizer = None
    bias_regularizer: Regularizer = None
    kernel_constraint: Constraint = None
    recurrent_constraint: Constraint = None
    bias_constraint: Constraint = None
    dropout: float = 0.0
    recurrent_dropout: float = 0.0
    reset_after: bool = True
    seed: Seed = None

    gate_count: ClassVar[int] = 3

    def start(self, shape: Shape, dtype: Any) -> Any:
        return jnp.zeros((shape[0], self.units), dtype)

    def recurrence(self) -> ops.Recurrence | None:
        """Dense weights with reset_after; else h meets its kernel in two parts, one after the other."""
        return ops.Recurrence(self.gates, self.combine, self.dense) if self.reset_after else None

    def step(self, params: Any, carry: Any, projected: Any) -> tuple[Any, Any]:
        """The gates of what was projected and h @ recurrent_kernel; without reset_after partly of (r h) @ kernel."""
        if self.reset_after:
            return self.dense_step(params, carry, projected)
        h, kernel, two = dropped(params, "recurrent_dropout_mask", carry), params["recurrent_kernel"], 2 * self.units
        u_z, u_r = jnp.split(ops.dot(h, kernel[:, :two]), 2, axis=-1)
        x_z, x_r, x_h = jnp.split(projected, 3, axis=-1)
        return self._gates(carry, x_z + u_z, x_r + u_r, lambda r: x_h + ops.dot(r * h, kernel[:, two:]))

    def combine(self, of_x: Any, of_h: Any, axis: int = -1) -> Any:
        """The sums for z and r, and for the candidate both parts side by side, of which r resets the second."""
        (x_z, x_r, x_h), (u_z, u_r, u_h) = jnp.split(of_x, 3, axis), jnp.split(of_h, 3, axis)
        return jnp.concatenate((x_z + u_z, x_r + u_r, x_h, u_h), axis)

    def gates(self, carry: Any, preactivations: Any, axis: int = -1) -> tuple[Any, Any]:
        """Z, r and the candidate."""
        z, r, x_h, u_h = jnp.split(preactivations, 4, axis)
        return self._gates(carry, z, r, lambda r: x_h + r * u_h)

    def _gates(self, carry: Any, z: Any, r: Any, candidate: Any) -> tuple[Any, Any]:
        act, gate = partial(activate, self.activation), partial(activate, self.recurrent_activation)
        return ops.gru_gates(carry, z, r, candidate, act, gate)

    def output(self, carry: Any) -> Any:
        return carry


@layerclass
class LSTMCell(GatedCell):
    """c' = f c + i activation(g), h' = o activation(c'), with i, f, g, o from x @ kernel + h @ recurrent_kernel + bias.

    See `GatedCell` for most arguments.

    Arguments:
        unit_forget_bias: whether the forget gate's bias starts at 1, so that the cell remembers.

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
    seed: Seed = None

    gate_count: ClassVar[int] = 4

    def start(self, shape: Shape, dtype: Any) -> Any:
        return jnp.zeros((shape[0], self.units), dtype), jnp.zeros((shape[0], self.units), dtype)

    def step(self, params: Any, carry: Any, projected: Any) -> tuple[Any, Any]:
        return self.dense_step(params, carry, projected)

    def recurrence(self) -> ops.Recurrence:
        """Dense weights; with the usual activations there is a kernel on GPUs."""
        usual = (self.activation, self.recurrent_activation) == ("tanh", "sigmoid")
        return ops.Recurrence(self.gates, self.combine, self.dense, is_lstm=usual)

    def combine(self, of_x: Any, of_h: Any, axis: int = -1) -> Any:
        return of_x + of_h

    def gates(self, carry: Any, preactivations: Any, axis: int = -1) -> tuple[Any, Any]:
        act, gate = partial(activate, self.activation), partial(activate, self.recurrent_activation)
        return ops.lstm_gates(carry[1], preactivations, act, gate, axis)

    def output(self, carry: Any) -> Any:
        return carry[0]


@layerclass
class StackedRNNCells(Cell):
    """Cells one after the other within each step: the output of each is the input of the next.

    Arguments:
        cells: the cells, from the input to the output; one that occurs twice is shared.

    Shapes: (batch, features) -> the last cell's; the carry is a tuple of the cells' carries.
    Weights: those of each cell, by its name.
    Random: in training, where a cell has dropout.
    Mask: refused; the layer that scans the cell uses it.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> cell = StackedRNNCells([LSTMCell(8), GRUCell(4)])
        >>> params = cell.init(jax.random.key(0), (None, 3))
        >>> cell.apply(params, jnp.ones((2, 3))).shape
        (2, 4)
    """

    cells: Sequence[Cell]

    def check(self) -> None:
        if not isinstance(self.cells, tuple) or not self.cells or not all(isinstance(c, Cell) for c in self.cells):
            raise ConfigError(f"StackedRNNCells takes a list of cells, such as [LSTMCell(32)], got {self.cells!r}")
        object.__setattr__(self, "cells", with_names(self.cells))

    def children(self, shape: Shape) -> dict:
        """Each cell with the shape that the ones before it make."""
        children: dict[str, tuple[Cell, Shape]] = {}
        for name, cell, own_shape in self._steps(first_shape(shape)):
            children.setdefault(name, (cell, own_shape))
        return children

    def start(self, shape: Shape, dtype: Any) -> Any:
        """Each cell's, in its own dtype."""
        steps = self._steps((None, *shape[1:]))
        return tuple(cell.initial_carry((shape[0], *own_shape[1:])) for _, cell, own_shape in steps)

    def project(self, params: Any, xs: Any) -> Any:
        name, cell = named(self.cells)[0]
        return cell.project_inputs(params.get(name, {}), xs)

    def step(self, params: Any, carry: Any, projected: Any) -> tuple[Any, Any]:
        """One step of each cell."""
        carries, y = [], None
        for position, (name, cell) in enumerate(named(self.cells)):
            own = params.get(name, {})
            new_carry, y = cell.step(own, carry[position], cell.project_inputs(own, y) if position else projected)
            carries.append(new_carry)
        return tuple(carries), y

    def output(self, carry: Any) -> Any:
        return self.cells[-1].output(carry[-1])

    def _steps(self, shape: Shape) -> list[tuple[str, Cell, Shape]]:
        """(name, cell, the shape of its input), in order."""
        steps: list[tuple[str, Cell, Shape]] = []
        for name, cell in named(self.cells):
            if steps:
                shape = steps[-1][1].out_shape(shape)
            steps.append((name, cell, shape))
        return steps
