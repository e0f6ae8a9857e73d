"""Scans over time, as CPUs run them fast."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnlayers.ops import loop, program, varying
from fnlayers.ops.cpu.dense import one_matrix_product
from fnlayers.ops.recurrent import Carry, DenseScan, DenseWeights, ScanResult, hidden, masked_hidden, plus
from fnlayers.ops.reference import dense_loop, dense_step, dot, scan_dense

STEPS = (4, 5, 3, 6, 7, 2, 1)  # how many go into one iteration of the loop: the first that divides their number


def projected_before(
    weights: DenseWeights,
    carry: Carry,
    xs: jax.Array,
    mask: jax.Array | None,
    dropout_mask: jax.Array | None,
    call: DenseScan,
) -> ScanResult:
    """The loop over single steps, after the product of two matrices: all x, and their weights."""
    return scan_dense(weights, carry, xs, mask, dropout_mask, call, one_matrix_product)


def projected_inside(
    weights: DenseWeights,
    carry: Carry,
    xs: jax.Array,
    mask: jax.Array | None,
    dropout_mask: jax.Array | None,
    call: DenseScan,
) -> ScanResult:
    """The loop over single steps, in each of which x is multiplied by its weights."""
    step = dense_step(weights, dropout_mask, call)

    def project(x: jax.Array) -> jax.Array:
        return plus(dot(x, weights.kernel, 1), weights.bias)

    return loop.run(lambda carry, x: step(carry, project(x)), carry, xs, mask, dense_loop(call))[:3]


def features_major(
    weights: DenseWeights,
    carry: Carry,
    xs: jax.Array,
    mask: jax.Array | None,
    dropout_mask: jax.Array | None,
    call: DenseScan,
) -> ScanResult:
    """The features before the batch, and several steps in one iteration of the loop.

    So each gate is one piece of memory, x is multiplied by its weights for several steps at once, and in the backward
    pass the gradients of the weights are products over those steps, while all of it is in the cache.
    """
    program.want_xla_products()
    length, batch, features = xs.shape
    unroll = call.loop.unroll
    steps = next(n for n in ((unroll,) if unroll > STEPS[0] else ()) + STEPS if length % n == 0)
    if call.loop.reverse:
        xs, mask = jnp.flip(xs, 0), None if mask is None else jnp.flip(mask, 0)
    grouped = xs.reshape(-1, steps, batch, features).transpose(0, 3, 1, 2).reshape(-1, features, steps * batch)
    valid = None if mask is None else mask.astype(bool).reshape(-1, steps, batch)
    weights, carry, dropout_mask = jax.tree.map(_features_first, (weights, carry, dropout_mask))
    carry, ys = _scanned(_Iteration(call, steps), weights, carry, dropout_mask, grouped, valid)
    carry = jax.tree.map(jnp.transpose, carry)
    last = hidden(carry)
    if mask is not None and call.loop.zero_output:
        last = jnp.where(mask[-1][:, None].astype(bool), last, 0)
    return carry, last, ys.swapaxes(2, 3).reshape(length, *last.shape) if call.loop.return_all else None


class _Iteration(NamedTuple):
    """One iteration of the loop, where arrays have the batch last."""

    call: DenseScan
    steps: int

    def iterate(
        self, weights: DenseWeights, dropout_mask: Any, carry: Carry, x: jax.Array, valid: Any
    ) -> tuple[Carry, Any, Any]:
        """(carry, outputs (steps, units, batch) or None, what the tangents are made from)."""
        of_x = self.split(plus(dot(weights.kernel, x, 1), weights.bias))
        ys, recurrent_inputs, carries, preactivations = [], [], [], []
        for i in range(self.steps):
            recurrent_inputs.append(masked_hidden(carry, dropout_mask))
            of_h = plus(dot(weights.recurrent, recurrent_inputs[-1], 1), weights.recurrent_bias)
            carries.append(carry)
            preactivations.append(self.call.join(of_x[:, i], of_h, axis=0))
            carry, y = self.masked(self.call.gates(carry, preactivations[-1], axis=0)[0], carry, valid, i)
            ys.append(y)
        saved = jnp.concatenate(recurrent_inputs, 1), carries, preactivations
        return carry, jnp.stack(ys) if self.call.loop.return_all else None, saved

    def tangent(
        self, weights: DenseWeights, dweights: DenseWeights, dropout_mask: Any, dcarry: Carry, at: tuple
    ) -> tuple[Carry, Any]:
        """The tangents of carry and outputs, from those of carry, weights and x."""
        x, dx, valid, (recurrent_inputs, carries, preactivations) = at
        dof_x = self.split(plus(dot(dweights.kernel, x, 1) + _backward_dot(weights.kernel, dx), dweights.bias))
        dof_h = self.split(plus(dot(dweights.recurrent, recurrent_inputs, 1), dweights.recurrent_bias))

        @functools.partial(jax.checkpoint, prevent_cse=False)  # or each derivative within the gates would be saved
        def through(*primals_and_tangents: Any) -> Carry:
            gates = functools.partial(self.call.gates, axis=0)
            return jax.jvp(gates, primals_and_tangents[:2], primals_and_tangents[2:])[1][0]

        dys = []
        for i in range(self.steps):
            brought = dof_h[:, i] + _backward_dot(weights.recurrent, masked_hidden(dcarry, dropout_mask))
            dnew = through(carries[i], preactivations[i], dcarry, self.call.join(dof_x[:, i], brought, axis=0))
            dcarry, dy = self.masked(dnew, dcarry, valid, i)
            dys.append(dy)
        return dcarry, jnp.stack(dys) if self.call.loop.return_all else None

    def split(self, of_all: jax.Array) -> jax.Array:
        """(gates, steps * batch) as (gates, steps, batch)."""
        return of_all.reshape(of_all.shape[0], self.steps, -1)

    def masked(self, new: Carry, old: Carry, valid: Any, i: int) -> tuple[Carry, jax.Array]:
        """(carry, output), with the old carry where the mask says that the step is not valid."""
        if valid is None:
            return new, hidden(new)
        carry = jax.tree.map(lambda new, old: jnp.where(valid[i], new, old), new, old)
        return carry, jnp.where(valid[i], hidden(new), 0) if self.call.loop.zero_output else hidden(carry)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _scanned(
    scan: _Iteration, weights: DenseWeights, carry: Carry, dropout_mask: Any, xs: jax.Array, valid: Any
) -> tuple[Carry, Any]:
    """The carry after all iterations, and all outputs (iterations, steps, units, batch)."""
    return varying.scan(lambda carry, at: scan.iterate(weights, dropout_mask, carry, *at)[:2], carry, (xs, valid))


@_scanned.defjvp
def _(scan: _Iteration, primals: tuple, tangents: tuple) -> tuple:
    (weights, carry, dropout_mask, xs, valid), (dweights, dcarry, _, dxs, _) = primals, tangents

    def iterate(carry: Carry, at: tuple) -> tuple[Carry, tuple]:
        carry, ys, saved = scan.iterate(weights, dropout_mask, carry, *at)
        return carry, (ys, saved)

    def tangent(dcarry: Carry, at: tuple) -> tuple[Carry, Any]:
        return scan.tangent(weights, dweights, dropout_mask, dcarry, at)

    carry, (ys, saved) = varying.scan(iterate, carry, (xs, valid))
    return (carry, ys), varying.scan(tangent, dcarry, (xs, dxs, valid, saved))


def _backward_dot(kernel: jax.Array, x: jax.Array) -> jax.Array:
    """The product, so written that its transpose is a plain product with a matrix that stands ready."""
    return dot(x.T, kernel.T, 1).T


def _features_first(array: jax.Array) -> jax.Array:
    """A matrix transposed, and a bias as a column."""
    return array.T if array.ndim == 2 else array[:, None]
