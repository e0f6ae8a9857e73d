"""`Cell`, the base of recurrent cells; weights of gates; carries."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from fnlayers import ops
from fnlayers.core.checks import check_numbers
from fnlayers.core.context import Context, Out, has_mask
from fnlayers.core.dtypes import policy
from fnlayers.core.errors import ConfigError, ShapeError
from fnlayers.core.layer import Layer, Shape, layerclass
from fnlayers.core.shapes import is_shape
from fnlayers.core.spec import Param
from fnlayers.functions import draws
from fnlayers.functions.initializers import Initializer, initializer
from fnlayers.layers.common import option_param, seeded

__all__ = ["Cell"]


@layerclass
class Cell(Layer):
    """Base of recurrent cells. A cell of your own defines `start`, `step`, and usually `weights` and `project`.

    `RNN` scans `step` over what `project` makes of the sequence, before the scan or in each step. A cell by itself
    takes one step: from its initial carry, or from one that comes after x, and then the new carry comes out after y.

    Shapes: (batch, features) -> (batch, units), or (x, *carry) -> (y, *carry).
    Mask: refused; the layer that scans the cell uses it.
    """

    casts_inputs: ClassVar[str] = "all"
    takes_one_step: ClassVar[bool] = True
    scans_children: ClassVar[bool] = True
    projects_before: ClassVar[bool | None] = None  # whether all steps are projected at once; None: by platform

    dropout = 0.0  # fields in the cells that have them
    recurrent_dropout = 0.0
    seed = None

    # What an author writes

    def start(self, shape: Shape, dtype: Any) -> Any:
        """The carry before the first step, for steps of that shape (batch, ...): arrays (batch, ...), in any nest."""
        raise ConfigError(
            f"{type(self).__name__} defines no start(shape, dtype); write the carry before the first step"
        )

    def project(self, params: Any, xs: Any) -> Any:
        """What does not depend on the carry, over any leading axes: (time, batch, features) -> (time, batch, ...)."""
        return xs

    def step(self, params: Any, carry: Any, projected: Any) -> tuple[Any, Any]:
        """(new carry, output) from the carry and one step's projection."""
        raise ConfigError(f"{type(self).__name__} defines no step(params, carry, projected); write one step in time")

    def recurrence(self) -> ops.Recurrence | ops.LinearRecurrence | None:
        """`project` and `step` once more as plain data, which is faster to scan in training; None: they are scanned."""
        return None

    def output(self, carry: Any) -> Any:
        """The output that came with a carry, which masked steps repeat before the first valid one; None: zeros."""
        return None

    # What the layers that scan cells call

    def initial_carry(self, shape: Shape) -> Any:
        """The carry before the first step, in the dtype that the cell computes in."""
        return self.start(shape, policy(self.dtype).compute)

    def prepare(self, params: Any, shape: Shape, ctx: Context) -> Any:
        """The params as `project_inputs` and `step` use them: cast, in training with dropout masks for all steps."""
        params, _ = self._cast(params, ())
        for name, (inner, inner_shape) in self.children((None, *shape[1:])).items():
            if isinstance(inner, Cell):
                one = inner.prepare(params.get(name, {}), (shape[0], *inner_shape[1:]), ctx.at(name))
                params = params | {name: one}
        if not ctx.train or not (self.dropout or self.recurrent_dropout):
            return params
        start = self.initial_carry(shape)
        h = jax.tree.leaves(start)[0]
        keys = jax.random.split(seeded(self, ctx))
        masks = {
            "input_dropout_mask": ops.dropout(keys[0], jnp.ones(shape, h.dtype), self.dropout),
            "recurrent_dropout_mask": ops.dropout(keys[1], jnp.ones_like(h), self.recurrent_dropout),
        }
        return params | masks

    def project_inputs(self, params: Any, xs: Any) -> Any:
        """The projection of xs, after dropout."""
        return self.project(params, self.prepare_inputs(params, xs))

    def prepare_inputs(self, params: Any, xs: Any) -> Any:
        """Xs in the dtype that the cell computes in, after dropout."""
        _, xs = self._cast({}, xs)
        return dropped(params, "input_dropout_mask", xs)

    def forward(self, params: Any, x: Any, ctx: Context) -> Out:
        if has_mask(ctx.mask):
            raise ConfigError(f"{self!r} takes one step, and a mask is for many; put the cell into an RNN")
        x, states = split_states(x)
        params = self.prepare(params, x.shape, ctx)
        carry = self.initial_carry(x.shape)
        if states:
            carry = as_carry(self, states, carry)
        carry, y = self.step(params, carry, self.project_inputs(params, x))
        return Out((y, *states_of(carry)) if states else y)


def recurrence_of(cell: Cell) -> ops.Recurrence | ops.LinearRecurrence | None:
    """The cell's recurrence, as far as it says what the methods do: a class may override them, and not it."""

    def depth(*names: str) -> int:
        """How far up the first class stands that defines one of them."""
        return next(i for i, cls in enumerate(type(cell).__mro__) if any(name in vars(cls) for name in names))

    def overrides(*names: str) -> bool:
        return depth(*names, "recurrence") < depth("recurrence")

    recurrence = None if overrides("step", "project") else cell.recurrence()
    if isinstance(recurrence, ops.Recurrence) and overrides("gates", "combine"):
        return recurrence._replace(is_lstm=False)
    return recurrence


def recurrent_weights(cell: Any, window: tuple[int, ...], features: int, units: int, gates: int) -> dict[str, Param]:
    """The weights of a cell whose gates stand side by side; a window for the kernels, () for matrices."""
    width, space = gates * units, ("space",) * len(window)
    specs = {
        "kernel": option_param(cell, "kernel", (*window, features, width), (*space, "in", "gates")),
        "recurrent_kernel": option_param(cell, "recurrent", (*window, units, width), (*space, "out", "gates")),
    }
    if cell.use_bias:
        twice = getattr(cell, "reset_after", False)  # one bias of x, one of h
        shape, axes = ((2, width), (None, "gates")) if twice else ((width,), ("gates",))
        bias = option_param(cell, "bias", shape, axes, decay=False)
        if getattr(cell, "unit_forget_bias", False):
            bias = replace(bias, initializer=UnitForget(cell.bias_initializer, units))
        specs["bias"] = bias
    return specs


@dataclass(frozen=True)
class UnitForget:
    """A bias of four gates whose second, the forget gate, starts at 1 and the others as `others` says."""

    others: Initializer
    units: int

    takes_host_key: ClassVar = True

    def __call__(self, key: Any, shape: tuple[int, ...], dtype: Any) -> Any:
        """Put the three parts together."""
        make = initializer(self.others)
        before = draws.draw(make, draws.fold_in(key, 1), (self.units,), dtype)
        ones = draws.full(key, (self.units,), 1, dtype)
        after = draws.draw(make, key, (2 * self.units,), dtype)
        return (np if isinstance(key, draws.HostKey) else jnp).concatenate((before, ones, after))


def dropped(params: Any, name: str, x: Any) -> Any:
    """X under the dropout mask of that name, where `Cell.prepare` drew one."""
    return x * params[name] if name in params else x


def first_shape(shape: Shape) -> Shape:
    """The shape of x, without those of the initial states that may come after it."""
    first = shape[0] if isinstance(shape, tuple) and shape and not is_shape(shape) else shape
    if not is_shape(first):
        raise ShapeError(f"x is given alone or as (x, *carry), arrays each; got {shape!r}")
    return first


def split_states(x: Any) -> tuple[Any, list]:
    """X, and the arrays of the carry that come after it."""
    return (x[0], jax.tree.leaves(tuple(x[1:]))) if isinstance(x, (tuple, list)) else (x, [])


def as_carry(layer: Layer, states: Sequence[Any], start: Any) -> Any:
    """The arrays after x, in the structure and dtypes of the initial carry."""
    leaves, structure = jax.tree.flatten(start)
    if len(states) != len(leaves):
        raise ShapeError(
            f"{layer!r}: its carry has {len(leaves)} arrays, got {len(states)}; give (x, *carry), as return_state "
            "returns it"
        )
    for array in states:
        check_numbers(layer, array)
    for wanted, got in zip((leaf.shape for leaf in leaves), map(jnp.shape, states), strict=True):
        if len(got) != len(wanted) or got[1:] != wanted[1:]:
            raise ShapeError(
                f"{layer!r}: its carry has an array {_rows(wanted)}, got {_rows(got)}; give what return_state returns"
            )
        if got != wanted:
            raise ShapeError(
                f"{layer!r}: x is a batch of {wanted[0]}, its carry one of {got[0]}; give x and a carry, or a state, "
                "that were made for the same batch size"
            )
    typed = [jnp.asarray(array).astype(leaf.dtype) for array, leaf in zip(states, leaves, strict=True)]
    return jax.tree.unflatten(structure, typed)


def states_of(carry: Any) -> tuple:
    """A carry as the outputs after y: a tuple's items, or the one that it is."""
    return carry if isinstance(carry, tuple) else (carry,)


def _rows(shape: tuple[int, ...]) -> str:
    """A shape as an error shows it: the batch may be a stand-in for an unknown one."""
    return f"({', '.join(('batch', *map(str, shape[1:])))})" if shape else "()"
