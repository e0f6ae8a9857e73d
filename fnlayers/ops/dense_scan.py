"""Recurrent cells with dense weights over time: `scan_dense`, and its formulation for CPUs."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from fnlayers.ops import program
from fnlayers.ops.dense import dot
from fnlayers.ops.time import scan_time

Carry = Any  # arrays (batch, units), the first of which is h, the output
Join = Callable[..., jax.Array]
Gates = Callable[..., tuple[Carry, jax.Array]]

STEPS = (4, 5, 3, 6, 7, 2, 1)  # how many go into one turn of the loop on CPUs: the first that divides their number


class DenseWeights(NamedTuple):
    """What x and h meet: matrices (features, gates) and (units, gates), and a bias (gates,) of each, or None."""

    kernel: jax.Array
    recurrent: jax.Array
    bias: jax.Array | None = None
    recurrent_bias: jax.Array | None = None


def scan_dense(
    join: Join,
    gates: Gates,
    weights: DenseWeights,
    carry: Carry,
    xs: jax.Array,
    *,
    held: jax.Array | None = None,
    mask: jax.Array | None = None,
    reverse: bool = False,
    unroll: int = 1,
    zero_output: bool = False,
    return_all: bool = True,
) -> tuple[Carry, jax.Array, jax.Array | None]:
    """carry, h[t] = gates(carry, join(x[t] kernel + bias, h[t-1] recurrent + recurrent_bias)) for each time t.

    Shapes: xs (time, batch, features); the carry (batch, units), h or a tuple that starts with it; `held`, which h is
    multiplied by before it meets its weights, (batch, units).

    `join(of_x, of_h, axis)` makes of the two what `gates(carry, joined, axis)` takes, where the gates lie side by side
    along `axis`: the first is linear, and both work on each row of the batch by itself, wherever the batch's axis is.
    For the other arguments, and what is returned, see `scan_time`.
    """
    options: dict[str, Any] = dict(reverse=reverse, unroll=unroll, zero_output=zero_output, return_all=return_all)
    forward, in_training, plain = (
        functools.partial(form, join, gates, **options) for form in chosen(weights, xs, return_all) + (_rows_first,)
    )
    if forward.func is in_training.func is plain.func:
        return plain(weights, carry, xs, mask, held)

    @jax.custom_jvp
    def on_cpu(*arrays: Any) -> tuple[Carry, jax.Array, jax.Array | None]:
        return forward(*arrays)

    on_cpu.defjvp(functools.partial(jax.jvp, in_training))
    return lax.platform_dependent(weights, carry, xs, mask, held, cpu=on_cpu, default=plain)


def _rows_first(
    join: Join, gates: Gates, weights: DenseWeights, carry: Carry, xs: jax.Array, mask: Any, held: Any, **options: Any
) -> tuple[Carry, jax.Array, jax.Array | None]:
    """The reference: the scan of a step, and the batch before the units."""

    def project(xs: jax.Array) -> jax.Array:
        return _plus(dot(xs, weights.kernel), weights.bias)

    def step(carry: Carry, of_x: jax.Array) -> tuple[Carry, jax.Array]:
        of_h = _plus(dot(_times(_h(carry), held), weights.recurrent), weights.recurrent_bias)
        return gates(carry, join(of_x, of_h, axis=-1), axis=-1)

    if weights.kernel.shape[-1] == weights.recurrent.shape[0]:
        options["before"] = True  # a single gate's projection is read as it lies, and need not be made in each step
    with program.traced(None):  # of a single step's product YNNPACK is faster
        return scan_time(step, carry, xs, mask=mask, project=project, output=_h, **options)


def _projected(*given: Any, **options: Any) -> tuple[Carry, jax.Array, jax.Array | None]:
    """The same, where x of all steps meets its weights before the scan."""
    return _rows_first(*given, **options, before=True)


def _units_first(
    join: Join,
    gates: Gates,
    weights: DenseWeights,
    carry: Carry,
    xs: jax.Array,
    mask: jax.Array | None,
    held: jax.Array | None,
    *,
    reverse: bool,
    unroll: int,
    zero_output: bool,
    return_all: bool,
) -> tuple[Carry, jax.Array, jax.Array | None]:
    """The units before the batch, and several steps in one turn of the loop.

    So each gate is one piece of memory, x meets its weights for several steps at once, and on the way back the
    gradients of the weights are products over those steps, while all of it is in the cache. A training step of an LSTM,
    (64, 100, 64) to 128 units, takes 0.65 of the time of the scan of single steps.
    """
    program.want_xla_products()
    length, batch, features = xs.shape
    steps = next(n for n in ((unroll,) if unroll > STEPS[0] else ()) + STEPS if length % n == 0)
    if reverse:
        xs, mask = jnp.flip(xs, 0), None if mask is None else jnp.flip(mask, 0)
    turns = xs.reshape(-1, steps, batch, features).transpose(0, 3, 1, 2).reshape(-1, features, steps * batch)
    kept = None if mask is None else mask.astype(bool).reshape(-1, steps, batch)
    scan = _Turns(join, gates, steps, zero_output, return_all)
    weights, carry, held = jax.tree.map(_upright, (weights, carry, held))
    carry, ys = _scanned(scan, weights, carry, held, turns, kept)
    carry = jax.tree.map(jnp.transpose, carry)
    last = _h(carry)
    if mask is not None and zero_output:
        last = jnp.where(mask[-1][:, None].astype(bool), last, 0)
    return carry, last, ys.swapaxes(2, 3).reshape(length, *last.shape) if return_all else None


class _Turns(NamedTuple):
    """What happens in one turn of the loop, where arrays have the batch last."""

    join: Join
    gates: Gates
    steps: int
    zero_output: bool
    return_all: bool

    def turn(self, weights: DenseWeights, held: Any, carry: Carry, x: jax.Array, kept: Any) -> tuple[Carry, Any, Any]:
        """(carry, outputs (steps, units, batch) or None, what the tangents are made from)."""
        of_x = self.split(_plus(dot(weights.kernel, x), weights.bias))
        ys, heard, carries, fed = [], [], [], []
        for i in range(self.steps):
            heard.append(_times(_h(carry), held))
            of_h = _plus(dot(weights.recurrent, heard[-1]), weights.recurrent_bias)
            carries.append(carry)
            fed.append(self.join(of_x[:, i], of_h, axis=0))
            carry, y = self.kept(self.gates(carry, fed[-1], axis=0)[0], carry, kept, i)
            ys.append(y)
        return carry, jnp.stack(ys) if self.return_all else None, (jnp.concatenate(heard, 1), carries, fed)

    def tangent(
        self, weights: DenseWeights, dweights: DenseWeights, held: Any, dcarry: Carry, at: tuple
    ) -> tuple[Carry, Any]:
        """The tangents of carry and outputs, from those of carry, weights and x."""
        x, dx, kept, (heard, carries, fed) = at
        dof_x = self.split(_plus(dot(dweights.kernel, x) + _backward_dot(weights.kernel, dx), dweights.bias))
        dof_h = self.split(_plus(dot(dweights.recurrent, heard), dweights.recurrent_bias))

        @functools.partial(jax.checkpoint, prevent_cse=False)  # or each derivative within the gates would be kept
        def through(*primals_and_tangents: Any) -> Carry:
            gates = functools.partial(self.gates, axis=0)
            return jax.jvp(gates, primals_and_tangents[:2], primals_and_tangents[2:])[1][0]

        dys = []
        for i in range(self.steps):
            brought = dof_h[:, i] + _backward_dot(weights.recurrent, _times(_h(dcarry), held))
            dnew = through(carries[i], fed[i], dcarry, self.join(dof_x[:, i], brought, axis=0))
            dcarry, dy = self.kept(dnew, dcarry, kept, i)
            dys.append(dy)
        return dcarry, jnp.stack(dys) if self.return_all else None

    def split(self, of_all: jax.Array) -> jax.Array:
        """(gates, steps * batch) as (gates, steps, batch)."""
        return of_all.reshape(of_all.shape[0], self.steps, -1)

    def kept(self, new: Carry, old: Carry, kept: Any, i: int) -> tuple[Carry, jax.Array]:
        """(carry, output), where the mask holds some rows back."""
        if kept is None:
            return new, _h(new)
        carry = jax.tree.map(lambda new, old: jnp.where(kept[i], new, old), new, old)
        return carry, jnp.where(kept[i], _h(new), 0) if self.zero_output else _h(carry)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _scanned(
    scan: _Turns, weights: DenseWeights, carry: Carry, held: Any, turns: jax.Array, kept: Any
) -> tuple[Carry, Any]:
    """The carry after all turns, and all outputs (turns, steps, units, batch)."""
    return lax.scan(lambda carry, at: scan.turn(weights, held, carry, *at)[:2], carry, (turns, kept))


@_scanned.defjvp
def _(scan: _Turns, primals: tuple, tangents: tuple) -> tuple:
    (weights, carry, held, turns, kept), (dweights, dcarry, _, dturns, _) = primals, tangents

    def turn(carry: Carry, at: tuple) -> tuple[Carry, tuple]:
        carry, ys, saved = scan.turn(weights, held, carry, *at)
        return carry, (ys, saved)

    def tangent(dcarry: Carry, at: tuple) -> tuple[Carry, Any]:
        return scan.tangent(weights, dweights, held, dcarry, at)

    carry, (ys, saved) = lax.scan(turn, carry, (turns, kept))
    return (carry, ys), lax.scan(tangent, dcarry, (turns, dturns, kept, saved))


def _backward_dot(kernel: jax.Array, x: jax.Array) -> jax.Array:
    """The product, so written that its transpose is a plain product with a matrix that stands ready."""
    return dot(x.T, kernel.T).T


def _h(carry: Carry) -> jax.Array:
    return carry[0] if isinstance(carry, tuple) else carry


def _times(h: jax.Array, held: jax.Array | None) -> jax.Array:
    return h if held is None else h * held


def _plus(y: jax.Array, bias: jax.Array | None) -> jax.Array:
    return y if bias is None else y + bias


def _upright(array: jax.Array) -> jax.Array:
    """A matrix transposed, and a bias as a column."""
    return array.T if array.ndim == 2 else array[:, None]


class Case(NamedTuple):
    """What the rules look at."""

    length: int
    batch: int
    features: int
    units: int
    gates: int
    half: bool  # whether numbers are of a half type
    return_all: bool

    @property
    def cells(self) -> int:
        """Of the gates in one step."""
        return self.batch * self.gates * self.units

    @property
    def is_lstm(self) -> bool:
        """Or another with as many gates."""
        return self.gates > 3

    @property
    def is_wide(self) -> bool:
        """Whether x has so many features that they make most of a step's work."""
        return self.features >= 2 * self.units


class Rule(NamedTuple):
    """A formulation, and the cases for which it is taken."""

    form: Callable[..., tuple[Carry, jax.Array, jax.Array | None]]
    holds: Callable[[Case], bool]


def _is_large(case: Case) -> bool:
    """Whether a step is large enough to train faster with the units before the batch.

    Of GRUs those whose last output alone is wanted, since all outputs must be turned again.
    """
    if case.length == 1 or case.batch < LEAST_BATCH or case.features < LEAST_FEATURES or case.units < LEAST_UNITS:
        return False
    if case.is_lstm:
        return case.batch * case.units >= LEAST_CELLS and not case.is_wide
    return not case.return_all


def _has_few_rows(case: Case) -> bool:
    """Whether there are so few that reading the weights of x in each step takes longer than the step."""
    if case.is_lstm:
        return case.batch == 1 or (case.is_wide and case.batch < FEW_ROWS)
    return case.batch <= 2 and case.features * case.gates * case.units >= MUCH_READ


# On CPUs the first rule that holds is taken, of cells with gates; where none does, the scan of single steps. Forward:
FORWARD = (
    Rule(_units_first, lambda case: _is_large(case) and case.batch >= LARGE_BATCH),
    Rule(_projected, _has_few_rows),
    Rule(_projected, lambda case: case.is_lstm and case.half and case.features >= HALF_FEATURES),
)
# In programs with derivatives:
TRAINING = (
    Rule(_units_first, _is_large),
    Rule(_projected, lambda case: case.is_wide or case.cells <= FEW_CELLS),
    Rule(_projected, lambda case: case.batch <= FEW_ROWS and not case.is_lstm),
)
LEAST_BATCH, LEAST_FEATURES, LEAST_UNITS = 4, 32, 128
LEAST_CELLS = 2048  # of an LSTM's h
LARGE_BATCH = 32
FEW_CELLS = 4096
FEW_ROWS = 16
MUCH_READ = 1 << 16  # numbers that x meets
HALF_FEATURES = 128  # from which on a product of a half type is slow in each step


def chosen(weights: DenseWeights, xs: jax.Array, return_all: bool) -> tuple[Callable, Callable]:
    """The formulations forward and in training."""
    (length, batch, features), (units, width) = xs.shape, weights.recurrent.shape
    if width == units or not (isinstance(length, int) and isinstance(batch, int)):
        return _rows_first, _rows_first
    half = jnp.finfo(xs.dtype).bits == 16
    case = Case(length, batch, features, units, width // units, half, return_all)
    forward, training = (
        next((rule.form for rule in rules if rule.holds(case)), _rows_first) for rules in (FORWARD, TRAINING)
    )
    return forward, training
