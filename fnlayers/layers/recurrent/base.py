"""The base of the layers that scan a cell over time."""

from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from fnlayers import ops
from fnlayers.core.context import Context, Mask, Out
from fnlayers.core.dtypes import cast, policy
from fnlayers.core.errors import ConfigError, ShapeError
from fnlayers.core.layer import Layer, Shape, layerclass
from fnlayers.core.spec import State
from fnlayers.half_precision import is_half_precision
from fnlayers.layers.common import check_choice, configured
from fnlayers.layers.recurrent.cell import Cell, as_carry, first_shape, recurrence_of, split_states, states_of


@layerclass
class Recurrent(Layer):
    """Base of the layers that scan a cell over time. Each has the fields named in `Arguments`.

    Arguments:
        return_sequences: whether to return the outputs of all steps, not the last one's alone.
        return_state: whether to return the last carry too.
        go_backwards: whether to run from the last step to the first; outputs come in that order.
        stateful: whether a run starts from the carry that the run before it ended with, in training and inference: in
            by state, out by state. `init_state(shape)`, with the batch size in the shape, starts again.
        unroll: True to unroll the whole loop, or how many steps to compile into one turn of it.
        zero_output_for_mask: whether the output of a masked step is 0.
        time_major: whether the first axis of x, of its mask and of sequences returned is time, the second the batch.
        keras_masks: whether to mask to the letter as Keras does, where an unrolled loop ignores zero_output_for_mask
            and gives 0 before the first valid step, whatever the initial carry is. Set by `load_keras`.

    Shapes: (batch, time, features) -> (batch, units), or (batch, time, units) with return_sequences; with return_state
        (y, *carry). With time_major (time, batch, features) -> (batch, units) or (time, batch, units). The input may be
        (x, *carry), to start from that carry: in a graph, layer(x, *carry).
    Weights: `cell`: those of the cell.
    State: none; with stateful `carry_0`, `carry_1`, ...: the arrays of the carry.
    Random: in training, where the cell has dropout.
    Mask: used: a masked step keeps the carry and repeats the output before it, whatever x is there; before the
        first valid step, that of the initial carry. Passed on with return_sequences, else ended.
    """

    time_major: bool = field(default=False, kw_only=True)
    keras_masks: bool = field(default=False, kw_only=True)

    casts_inputs: ClassVar[str] = "all"
    scans_children: ClassVar[bool] = True
    return_sequences = return_state = go_backwards = stateful = unroll = zero_output_for_mask = False  # fields in all

    def make_cell(self) -> Cell:
        """The cell that is scanned."""
        raise ConfigError(f"{type(self).__name__} defines no make_cell()")

    def check(self) -> None:
        """A cell that can be made, and loop options."""
        self.make_cell()
        check_choice(self, "time_major", (False, True))
        if self.time_major and self.return_sequences and getattr(self, "activity_regularizer", None) is not None:
            raise ConfigError(
                f"{type(self).__name__}: activity losses are divided by the size of the first axis, here that of time; "
                "leave activity_regularizer out, or time_major"
            )
        if not isinstance(self.unroll, int) or (self.unroll is not False and self.unroll < 1):
            raise ConfigError(
                f"{type(self).__name__}: unroll={self.unroll!r} is wrong; give a bool or a number of steps"
            )

    def check_shape(self, shape: Shape) -> None:
        """Batch, time, and what the cell takes."""
        sequence = first_shape(shape)
        if len(sequence) < 3:
            raise ShapeError(f"{self!r} takes sequences (batch, time, features), got the shape {sequence}")
        self.make_cell().check_shape(self.step_shape(sequence))

    def weights(self, shape: Shape) -> dict:
        """The carry, where it stays from run to run."""
        if not self.stateful:
            return {}
        sequence, cell = first_shape(shape), self.make_cell()
        step = self.step_shape(sequence)
        if None in step:
            raise ShapeError(
                f"{self!r} keeps its carry from run to run, so its size must be known, got {sequence}; write "
                "fnlayers.Input(shape, batch_size=...), or give init and init_state the shape with the batch size"
            )
        leaves = jax.tree.leaves(jax.eval_shape(lambda: cell.initial_carry(step)))
        return {
            f"carry_{i}": State(a.shape, InitialCarry(cell, step, i), _state_dtype(a)) for i, a in enumerate(leaves)
        }

    def children(self, shape: Shape) -> dict:
        """The cell sees one step."""
        return {"cell": (self.make_cell(), self.step_shape(first_shape(shape)))}

    def step_shape(self, sequence: Shape) -> Shape:
        """The shape of one step of a sequence of that shape: (batch, ...)."""
        return (sequence[1 if self.time_major else 0], *sequence[2:])

    def forward(self, params: Any, x: Any, ctx: Context) -> Out:
        cell = self.make_cell()
        x, initial_states = split_states(x)
        mask = step_mask(self, x, ctx.mask)
        if mask is not None:  # the values of masked steps, inf and NaN too, reach no output and no gradient
            x = jnp.where(ops.expand_trailing(mask, x.ndim), x, 0)
        params = cell.prepare(params.get("cell", {}), self.step_shape(x.shape), ctx.at("cell"))
        carry = self._initial_carry(cell, x, initial_states, ctx)
        xs = x if self.time_major else jnp.moveaxis(x, 1, 0)
        as_unrolled, steps = self.keras_masks and bool(self.unroll), xs.shape[0]  # of which there may be any number
        options: dict[str, Any] = dict(
            mask=mask if mask is None or self.time_major else mask.T,
            reverse=self.go_backwards,
            unroll=max(1, steps if self.unroll is True and isinstance(steps, int) else int(self.unroll)),
            zero_output=self.zero_output_for_mask and not as_unrolled,
            return_all=self.return_sequences,
        )
        output = None if as_unrolled or cell.output(carry) is None else cell.output
        carry, last, ys = scan_cell(cell, params, carry, xs, output, options)
        saved = jax.tree.leaves(carry) if self.stateful else []
        state = {f"carry_{i}": array.astype(_state_dtype(array)) for i, array in enumerate(saved)}
        y = self._typed(last if ys is None else ys if self.time_major else jnp.moveaxis(ys, 0, 1))
        mask = mask if self.return_sequences else None
        if not self.return_state:
            return Out(y, state, mask)
        states = jax.tree.map(self._typed, states_of(carry))
        return Out((y, *states), state, None if mask is None else (mask, *jax.tree.map(lambda _: None, states)))

    def carry_count(self, x: Any) -> int:
        """How many arrays the carry holds, for sequences like x."""
        return len(jax.tree.leaves(jax.eval_shape(lambda: self.make_cell().initial_carry(self.step_shape(x.shape)))))

    def _initial_carry(self, cell: Cell, x: Any, initial_states: list, ctx: Context) -> Any:
        """The carry that comes after x, else the one in the state, else the cell's initial carry."""
        start = cell.initial_carry(self.step_shape(x.shape))
        if self.stateful:
            saved = [ctx.read(self, f"carry_{i}") for i in range(len(jax.tree.leaves(start)))]
            return as_carry(self, initial_states or saved, start)
        return as_carry(self, initial_states, start) if initial_states else start

    def _typed(self, array: Any) -> Any:
        """An output in the dtype of the layer, which may not be its cell's."""
        return cast(array, policy(self.dtype).compute)


@layerclass
class FlatRecurrent(Recurrent):
    """Base of the recurrent layers that repeat their cell's fields among their own. See `Recurrent` for the others."""

    cell_class: ClassVar[type]

    def make_cell(self) -> Cell:
        """The cell with the fields that bear its names."""
        options = {f.name: getattr(self, f.name) for f in fields(self.cell_class) if f.name != "name"}
        return configured(self, partial(self.cell_class, **options))


def scan_cell(cell: Cell, params: Any, carry: Any, xs: Any, output: Any, options: dict[str, Any]) -> tuple:
    """(carry, last output, all outputs) of the cell over xs: by its recurrence, or step by step where it has none."""
    recurrence = None if output is None else recurrence_of(cell)  # it takes knowing what masked steps repeat
    if isinstance(recurrence, ops.Recurrence):
        dense = partial(ops.scan_dense, recurrence.combine, recurrence.gates)
        scan = ops.scan_lstm if recurrence.is_lstm else dense
        dropout_mask = params.get("recurrent_dropout_mask")
        inputs = cell.prepare_inputs(params, xs)
        return scan(recurrence.weights(params), carry, inputs, recurrent_dropout_mask=dropout_mask, **options)
    options = dict(output=output, before=cell.projects_before, **options)
    if recurrence is not None:
        scanned = recurrence.preactivate, recurrence.gates
        return ops.scan_gates(*scanned, params, carry, xs, project=cell.project_inputs, **options)
    return ops.scan_time(partial(cell.step, params), carry, xs, project=partial(cell.project_inputs, params), **options)


@dataclass(frozen=True)
class InitialCarry:
    """The initializer of one array of a carry: the cell's own initial carry."""

    cell: Cell
    shape: tuple[int, ...]
    index: int

    def __call__(self, key: Any, shape: tuple[int, ...], dtype: Any) -> jax.Array:
        """That array of the initial carry, for the dtype of the state."""
        return jax.tree.leaves(self.cell.initial_carry(self.shape))[self.index].astype(dtype)


def step_mask(layer: Layer, x: Any, mask: Mask) -> Mask:
    """The mask of x, of its first two axes: the first mask, where initial states that have masks come after x."""
    mask = mask[0] if isinstance(mask, (tuple, list)) else mask
    if mask is not None and tuple(mask.shape) != tuple(x.shape[:2]):
        order = "(time, batch)" if getattr(getattr(layer, "layer", layer), "time_major", False) else "(batch, time)"
        raise ShapeError(f"{layer!r} takes a mask {order}, here {x.shape[:2]}, got one of shape {mask.shape}")
    return None if mask is None else mask.astype(bool)


def _state_dtype(array: Any) -> str:
    """The dtype of an array of the carry as state: float32 at least, like all state."""
    return "float32" if is_half_precision(array) else array.dtype.name
