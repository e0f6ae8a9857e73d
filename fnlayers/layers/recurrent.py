"""Recurrent layers: a cell scanned over time."""

from dataclasses import fields
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from fnlayers import ops
from fnlayers.core.context import Context, Out
from fnlayers.core.errors import ConfigError, ShapeError
from fnlayers.core.layer import Layer, Shape, layerclass
from fnlayers.functions.activations import Activation
from fnlayers.functions.constraints import Constraint
from fnlayers.functions.initializers import Initializer
from fnlayers.functions.regularizers import Regularizer
from fnlayers.layers.bases import check_rank
from fnlayers.layers.cells import Cell, LSTMCell


@layerclass
class Recurrent(Layer):
    """Base of the layers that scan a cell over time. Each has the fields named in `Arguments`.

    Arguments:
        return_sequences: whether to return the outputs of all steps, not the last one's alone.
        return_state: whether to return the last carry too.
        go_backwards: whether to run from the last step to the first; outputs come in that order.
        unroll: True to unroll the whole loop, or how many steps to compile into one turn of it.
        stateful: not supported yet: True is an error. With return_state the carry comes out.

    Shapes: (batch, time, features) -> (batch, units), or (batch, time, units) with return_sequences; with return_state
        a tuple of that and the arrays of the last carry.
    Weights: `cell`: those of the cell.
    Random: in training, where the cell has dropout.
    Mask: used: a masked step keeps the carry and repeats the output before it (zeros before the first real step).
        Passed on with return_sequences, else ended.
    """

    casts_inputs: ClassVar[str] = "all"
    zero_output_for_mask = False  # a field of RNN alone

    def make_cell(self) -> Cell:
        """The cell that is scanned."""
        raise ConfigError(f"{type(self).__name__} defines no make_cell()")

    def check(self) -> None:
        """A cell that can be made, and loop options."""
        self.make_cell()
        unroll = self.unroll  # type: ignore[attr-defined]
        if not isinstance(unroll, int) or unroll < 0:
            raise ConfigError(f"{type(self).__name__}: unroll={unroll!r} is wrong; give a bool, or a number of steps")
        if self.stateful:  # type: ignore[attr-defined]
            raise ConfigError(
                f"{type(self).__name__}: stateful=True is not supported yet; return_state gives the carry"
            )

    def check_shape(self, shape: Shape) -> None:
        """Batch, time, features."""
        check_rank(self, shape, *range(3, 7), layout="(batch, time, features)")

    def children(self, shape: Shape) -> dict:
        """The cell sees one step."""
        return {"cell": (self.make_cell(), (shape[0], *shape[2:]))}

    def forward(self, params: Any, x: Any, ctx: Context) -> Out:
        """Project all steps at once, then scan."""
        cell: Any = self.make_cell()
        layer: Any = self
        params, xs = cell._cast(params.get("cell", {}), jnp.moveaxis(x, 1, 0))
        if ctx.mask is not None and ctx.mask.ndim != 2:
            raise ShapeError(f"{self!r} takes a mask (batch, time), got one of shape {ctx.mask.shape}")
        start = cell.start(x.shape[0], xs.dtype)
        if ctx.train and cell.draws:
            params, xs = cell.noise(ctx.at("cell").key(cell), params, xs)
        carry, last, ys = ops.scan_time(
            lambda carry, projected: cell.step(params, carry, projected),
            start,
            cell.project(params, xs),
            mask=None if ctx.mask is None else ctx.mask.T,
            reverse=layer.go_backwards,
            unroll=max(1, x.shape[1] if layer.unroll is True else int(layer.unroll)),
            zero_output=self.zero_output_for_mask,
            return_all=layer.return_sequences,
        )
        y = last if ys is None else jnp.moveaxis(ys, 0, 1)
        mask = ctx.mask if layer.return_sequences else None
        if not layer.return_state:
            return Out(y, mask=mask)
        states = jax.tree.leaves(carry)
        return Out((y, *states), mask=None if mask is None else (mask, *(None for _ in states)))


@layerclass
class RNN(Recurrent):
    """Any cell, scanned over time. See `Recurrent`.

    Arguments:
        cell: a Cell.
        return_sequences, return_state, go_backwards, unroll: see `Recurrent`.
        zero_output_for_mask: whether the output of a masked step is 0.
    """

    cell: Cell
    return_sequences: bool = False
    return_state: bool = False
    go_backwards: bool = False
    stateful: bool = False
    unroll: bool | int = False
    zero_output_for_mask: bool = False

    def make_cell(self) -> Cell:
        """The cell as given."""
        if not isinstance(self.cell, Cell):
            raise ConfigError(f"RNN takes a Cell, such as LSTMCell(32), got {self.cell!r}")
        return self.cell


@layerclass
class LSTM(Recurrent):
    """Long short-term memory over time. See `LSTMCell` for the maths and most arguments, `Recurrent` for the others.

    Arguments:
        activity_regularizer: a loss on the output, divided by the batch size.

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
    seed: int | None = None
    return_sequences: bool = False
    return_state: bool = False
    go_backwards: bool = False
    stateful: bool = False
    unroll: bool | int = False

    def make_cell(self) -> Cell:
        """An LSTMCell with the fields that bear its names."""
        return flat_cell(self, LSTMCell)


def flat_cell(layer: Layer, cell_class: type) -> Cell:
    """The cell whose fields a layer repeats."""
    return cell_class(**{f.name: getattr(layer, f.name) for f in fields(cell_class) if f.name != "name"})
