"""Recurrent layers: a cell scanned over time. How, stands once in `Recurrent`; most only name their cell's options."""

from collections.abc import Sequence
from typing import ClassVar

from fnlayers.core.errors import ConfigError
from fnlayers.core.layer import layerclass
from fnlayers.core.options import Seed
from fnlayers.functions.activations import Activation
from fnlayers.functions.constraints import Constraint
from fnlayers.functions.initializers import Initializer
from fnlayers.functions.regularizers import Regularizer
from fnlayers.layers.recurrent.base import FlatRecurrent, Recurrent
from fnlayers.layers.recurrent.cell import Cell
from fnlayers.layers.recurrent.cells import GRUCell, LSTMCell, SimpleRNNCell, StackedRNNCells

__all__ = ["RNN", "SimpleRNN", "GRU", "LSTM"]


@layerclass
class RNN(Recurrent):
    """Any cell, scanned over time. See `Recurrent`.

    Arguments:
        cell: a Cell, or a list of them, one after the other (see `StackedRNNCells`).
        return_sequences, return_state, go_backwards, stateful, unroll, zero_output_for_mask: see `Recurrent`.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> layer = RNN([GRUCell(8), LSTMCell(4)], return_state=True)
        >>> params = layer.init(jax.random.key(0), (None, None, 3))
        >>> y, gru, (h, c) = layer.apply(params, jnp.ones((2, 5, 3)))
        >>> y.shape, gru.shape, c.shape
        ((2, 4), (2, 8), (2, 4))
    """

    cell: Cell | Sequence[Cell]
    return_sequences: bool = False
    return_state: bool = False
    go_backwards: bool = False
    stateful: bool = False
    unroll: bool | int = False
    zero_output_for_mask: bool = False

    def make_cell(self) -> Cell:
        """The cell as given, or the list as one cell."""
        if isinstance(self.cell, tuple):
            return StackedRNNCells(self.cell, dtype=self.dtype)
        if not isinstance(self.cell, Cell):
            raise ConfigError(f"RNN takes a Cell, such as LSTMCell(32), got {self.cell!r}")
        return self.cell


@layerclass
class SimpleRNN(FlatRecurrent):
    """A plain recurrent layer. See `SimpleRNNCell` for the maths and most arguments, `Recurrent` for the others.

    Arguments:
        activity_regularizer: a loss on the outputs, divided by the batch size.
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
    activity_regularizer: Regularizer = None
    kernel_constraint: Constraint = None
    recurrent_constraint: Constraint = None
    bias_constraint: Constraint = None
    dropout: float = 0.0
    recurrent_dropout: float = 0.0
    return_sequences: bool = False
    return_state: bool = False
    go_backwards: bool = False
    stateful: bool = False
    unroll: bool | int = False
    seed: Seed = None
    zero_output_for_mask: bool = False

    cell_class: ClassVar[type] = SimpleRNNCell


@layerclass
class GRU(FlatRecurrent):
    """Gated recurrent units over time. See `GRUCell` for the maths and most arguments, `Recurrent` for the others.

    Arguments:
        activity_regularizer: a loss on the outputs, divided by the batch size.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> layer = GRU(8, stateful=True)
        >>> params, state = layer.init(jax.random.key(0), (2, 5, 3)), layer.init_state((2, 5, 3))
        >>> out = layer.run(params, jnp.ones((2, 5, 3)), state=state)
        >>> y = layer.apply(params, jnp.ones((2, 5, 3)), state=out.state)  # the next five steps
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
    activity_regularizer: Regularizer = None
    kernel_constraint: Constraint = None
    recurrent_constraint: Constraint = None
    bias_constraint: Constraint = None
    dropout: float = 0.0
    recurrent_dropout: float = 0.0
    seed: Seed = None
    return_sequences: bool = False
    return_state: bool = False
    go_backwards: bool = False
    stateful: bool = False
    unroll: bool | int = False
    reset_after: bool = True
    zero_output_for_mask: bool = False

    cell_class: ClassVar[type] = GRUCell


@layerclass
class LSTM(FlatRecurrent):
    """Long short-term memory over time. See `LSTMCell` for the maths and most arguments, `Recurrent` for the others.

    Arguments:
        activity_regularizer: a loss on the outputs, divided by the batch size.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> layer = LSTM(8, return_sequences=True)
        >>> params = layer.init(jax.random.key(0), (None, None, 3))
        >>> layer.apply(params, jnp.ones((2, 5, 3))).shape
        (2, 5, 8)
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
    activity_regularizer: Regularizer = None
    kernel_constraint: Constraint = None
    recurrent_constraint: Constraint = None
    bias_constraint: Constraint = None
    dropout: float = 0.0
    recurrent_dropout: float = 0.0
    seed: Seed = None
    return_sequences: bool = False
    return_state: bool = False
    go_backwards: bool = False
    stateful: bool = False
    unroll: bool | int = False
    zero_output_for_mask: bool = False

    cell_class: ClassVar[type] = LSTMCell
