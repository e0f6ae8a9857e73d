"""Recurrent cells: one step in time, and what can be done for all steps at once before it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from fnlayers import ops
from fnlayers.core.context import Context, Out, has_mask
from fnlayers.core.dtypes import policy
from fnlayers.core.errors import ConfigError, ShapeError
from fnlayers.core.layer import Layer, Shape, layerclass
from fnlayers.core.naming import fix_shared_names, named
from fnlayers.core.shapes import is_shape, known
from fnlayers.core.spec import Param
from fnlayers.functions.activations import Activation
from fnlayers.functions.constraints import Constraint
from fnlayers.functions.initializers import Initializer, initializer
from fnlayers.functions.regularizers import Regularizer
from fnlayers.layers.bases import (
    activate,
    add_bias,
    check_activation,
    check_count,
    check_rank,
    check_share,
    option_param,
    seeded,
)


@layerclass
class Cell(Layer):
    """Base of recurrent cells. A cell of your own defines `start`, `step`, and usually `weights` and `project`.

    `RNN` projects the whole sequence, then scans `step` over it. A cell by itself takes one step: from its start, or
    from a carry that is given after x, and then the new carry comes out after y.

    Shapes: (batch, features) -> (batch, units), or (x, *carry) -> (y, *carry).
    Mask: refused; the layer that scans the cell uses it.
    """

    casts_inputs: ClassVar[str] = "all"

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

    def output(self, carry: Any) -> Any:
        """The output that came with a carry, which masked steps repeat before the first real one; None: zeros."""
        return None

    # What those that run cells call

    def begin(self, shape: Shape) -> Any:
        """The carry before the first step, in the dtype that the cell computes in."""
        return self.start(shape, policy(self.dtype).compute)

    def prepare(self, params: Any, shape: Shape, ctx: Context) -> Any:
        """The params as `enter` and `step` use them: cast, and in training with dropout masks that serve all steps."""
        params, _ = self._cast(params, ())
        for name, (inner, inner_shape) in self.children((None, *shape[1:])).items():
            if isinstance(inner, Cell):
                one = inner.prepare(params.get(name, {}), (shape[0], *inner_shape[1:]), ctx.at(name))
                params = params | {name: one}
        if not ctx.train or not (self.dropout or self.recurrent_dropout):
            return params
        start = self.begin(shape)
        h = jax.tree.leaves(start)[0]
        keys = jax.random.split(seeded(self, ctx))
        masks = {
            "input_mask": ops.dropout(keys[0], jnp.ones(shape, h.dtype), self.dropout),
            "recurrent_mask": ops.dropout(keys[1], jnp.ones_like(h), self.recurrent_dropout),
        }
        return params | masks

    def enter(self, params: Any, xs: Any) -> Any:
        """The projection of xs, after dropout."""
        _, xs = self._cast({}, xs)
        return self.project(params, dropped(params, "input_mask", xs))

    def forward(self, params: Any, x: Any, ctx: Context) -> Out:
        """One step."""
        if has_mask(ctx.mask):
            raise ConfigError(f"{self!r} takes one step, and a mask is for many; put the cell into an RNN")
        x, given = split_states(x)
        params = self.prepare(params, x.shape, ctx)
        carry = self.begin(x.shape)
        if given:
            carry = as_carry(self, given, carry)
        carry, y = self.step(params, carry, self.enter(params, x))
        return Out((y, *states_of(carry)) if given else y)


@layerclass
class GatedCell(Cell):
    """Base of the cells whose weights hold one or several gates beside each other, each of `units`.

    Arguments:
        units: the size of the state.
        activation: of what is new in a step.
        recurrent_activation: of the gates.
        use_bias: whether there is a bias.
        kernel_initializer, recurrent_initializer, bias_initializer: where the weights start.
        kernel_regularizer, recurrent_regularizer, bias_regularizer, kernel_constraint, recurrent_constraint,
            bias_constraint: of the weights.
        dropout, recurrent_dropout: the shares of x and of h (on its way into recurrent_kernel) dropped in training, the
            same features at all steps.
        seed: a number folded into the layer's key.
    """

    gates: ClassVar[int] = 1
    recurrent_activation = None  # a field in the cells that have gates

    def check(self) -> None:
        """Sizes, shares, known activations."""
        check_count(self, "units")
        check_share(self, "dropout")
        check_share(self, "recurrent_dropout")
        check_activation(self, "activation", "recurrent_activation")

    def check_shape(self, shape: Shape) -> None:
        """One step's features."""
        check_rank(self, first_shape(shape), 2, layout="(batch, features)")

    def weights(self, shape: Shape) -> dict:
        """The gates beside each other in each weight."""
        layer: Any = self
        features = known(first_shape(shape), -1, "features")
        return recurrent_weights(self, (), features, layer.units, self.gates)


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
    seed: int | None = None

    def start(self, shape: Shape, dtype: Any) -> Any:
        """Zeros."""
        return jnp.zeros((shape[0], self.units), dtype)

    def project(self, params: Any, xs: Any) -> Any:
        """Of x: x @ kernel + bias."""
        return add_bias(self, params, ops.dot(xs, params["kernel"]))

    def step(self, params: Any, carry: Any, projected: Any) -> tuple[Any, Any]:
        """The new state is the output too."""
        h = dropped(params, "recurrent_mask", carry)
        return ops.simple_rnn_step(h, projected, params["recurrent_kernel"], partial(activate, self.activation))

    def output(self, carry: Any) -> Any:
        """The state."""
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
    seed: int | None = None

    gates: ClassVar[int] = 3

    def start(self, shape: Shape, dtype: Any) -> Any:
        """Zeros."""
        return jnp.zeros((shape[0], self.units), dtype)

    def project(self, params: Any, xs: Any) -> Any:
        """Of x: x @ kernel + bias."""
        y = ops.dot(xs, params["kernel"])
        if not self.use_bias:
            return y
        return y + (params["bias"][0] if self.reset_after else params["bias"])

    def step(self, params: Any, carry: Any, projected: Any) -> tuple[Any, Any]:
        """The gates, from what was projected and h @ recurrent_kernel."""
        act, gate = partial(activate, self.activation), partial(activate, self.recurrent_activation)
        bias = params["bias"][1] if self.use_bias and self.reset_after else None
        seen = dropped(params, "recurrent_mask", carry)
        return ops.gru_step(carry, projected, params["recurrent_kernel"], bias, act, gate, self.reset_after, seen)

    def output(self, carry: Any) -> Any:
        """The state."""
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
    seed: int | None = None

    gates: ClassVar[int] = 4

    def start(self, shape: Shape, dtype: Any) -> Any:
        """Zeros."""
        return jnp.zeros((shape[0], self.units), dtype), jnp.zeros((shape[0], self.units), dtype)

    def project(self, params: Any, xs: Any) -> Any:
        """Of x: x @ kernel + bias."""
        return add_bias(self, params, ops.dot(xs, params["kernel"]))

    def step(self, params: Any, carry: Any, projected: Any) -> tuple[Any, Any]:
        """The gates, from what was projected and h @ recurrent_kernel."""
        act, gate = partial(activate, self.activation), partial(activate, self.recurrent_activation)
        h, c = carry
        h = dropped(params, "recurrent_mask", h)  # here h meets the kernel and nothing else
        return ops.lstm_step((h, c), projected, params["recurrent_kernel"], act, gate)

    def output(self, carry: Any) -> Any:
        """Of (h, c): h."""
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
        """Some cells."""
        if not isinstance(self.cells, tuple) or not self.cells or not all(isinstance(c, Cell) for c in self.cells):
            raise ConfigError(f"StackedRNNCells takes a list of cells, such as [LSTMCell(32)], got {self.cells!r}")
        object.__setattr__(self, "cells", fix_shared_names(self.cells))

    def children(self, shape: Shape) -> dict:
        """Each cell with the shape that the ones before it make."""
        found: dict[str, tuple[Cell, Shape]] = {}
        for name, cell, own_shape in self._steps(first_shape(shape)):
            found.setdefault(name, (cell, own_shape))
        return found

    def start(self, shape: Shape, dtype: Any) -> Any:
        """Each cell's, in its own dtype."""
        steps = self._steps((None, *shape[1:]))
        return tuple(cell.begin((shape[0], *own_shape[1:])) for _, cell, own_shape in steps)

    def project(self, params: Any, xs: Any) -> Any:
        """The first cell's."""
        name, cell = named(self.cells)[0]
        return cell.enter(params.get(name, {}), xs)

    def step(self, params: Any, carry: Any, projected: Any) -> tuple[Any, Any]:
        """One step of each cell."""
        carries, y = [], None
        for position, (name, cell) in enumerate(named(self.cells)):
            own = params.get(name, {})
            held, y = cell.step(own, carry[position], cell.enter(own, y) if position else projected)
            carries.append(held)
        return tuple(carries), y

    def output(self, carry: Any) -> Any:
        """The last cell's."""
        return self.cells[-1].output(carry[-1])

    def _steps(self, shape: Shape) -> list[tuple[str, Cell, Shape]]:
        """(name, cell, the shape of its input), in order."""
        found: list[tuple[str, Cell, Shape]] = []
        for name, cell in named(self.cells):
            if found:
                shape = found[-1][1].out_shape(shape)
            found.append((name, cell, shape))
        return found


def recurrent_weights(cell: Any, window: tuple[int, ...], features: int, units: int, gates: int) -> dict[str, Param]:
    """The weights of a cell whose gates stand beside each other; a window for the kernels, () for matrices."""
    width, space = gates * units, ("space",) * len(window)
    found = {
        "kernel": option_param(cell, "kernel", (*window, features, width), (*space, "in", "gates")),
        "recurrent_kernel": option_param(cell, "recurrent", (*window, units, width), (*space, "out", "gates")),
    }
    if cell.use_bias:
        twice = getattr(cell, "reset_after", False)  # one bias of x, one of h
        shape, axes = ((2, width), (None, "gates")) if twice else ((width,), ("gates",))
        bias = option_param(cell, "bias", shape, axes, decay=False)
        if getattr(cell, "unit_forget_bias", False):
            bias = replace(bias, initializer=UnitForget(cell.bias_initializer, units))
        found["bias"] = bias
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


def dropped(params: Any, name: str, x: Any) -> Any:
    """X under the dropout mask of that name, where `Cell.prepare` drew one."""
    return x * params[name] if name in params else x


def first_shape(shape: Shape) -> Shape:
    """The shape of x, without those of the initial states that may come after it."""
    return shape if is_shape(shape) or not shape else shape[0]


def split_states(x: Any) -> tuple[Any, list]:
    """X, and the arrays of the carry that come after it."""
    return (x[0], jax.tree.leaves(tuple(x[1:]))) if isinstance(x, (tuple, list)) else (x, [])


def as_carry(layer: Layer, given: Sequence[Any], start: Any) -> Any:
    """The arrays that are given, nested and typed like the carry at the start."""
    leaves, structure = jax.tree.flatten(start)
    wanted, got = [leaf.shape for leaf in leaves], [tuple(jnp.shape(array)) for array in given]
    if got != wanted:
        raise ShapeError(
            f"{layer!r}: for this x the carry has arrays of the shapes {', '.join(map(str, wanted))}, got "
            f"{', '.join(map(str, got))}; give x and a carry, or a state, that were made for the same batch size"
        )
    typed = [jnp.asarray(array).astype(leaf.dtype) for array, leaf in zip(given, leaves, strict=True)]
    return jax.tree.unflatten(structure, typed)


def states_of(carry: Any) -> tuple:
    """A carry as the outputs that stand after y: a tuple's items, or the one that it is."""
    return carry if isinstance(carry, tuple) else (carry,)
