"""Running a step over time, with masks: the scans that serve all recurrent cells."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from fnlayers.ops import loop, reference, varying
from fnlayers.ops.dispatch import dispatch
from fnlayers.ops.loop import Loop, Scan, Step, Tree
from fnlayers.ops.problem import DenseScanProblem, ScanProblem
from fnlayers.ops.recurrent import (
    Carry,
    DenseScan,
    DenseWeights,
    Gates,
    Join,
    ScanResult,
    join_lstm,
    standard_lstm_gates,
)


def scan_time(
    step: Callable[[Tree, Tree], tuple[Tree, Tree]],
    carry: Tree,
    xs: Tree,
    *,
    mask: jax.Array | None = None,
    reverse: bool = False,
    unroll: int = 1,
    zero_output: bool = False,
    return_all: bool = True,
    output: Callable[[Tree], Tree] | None = None,
    project: Callable[[Tree], Tree] | None = None,
    before: bool | None = None,
) -> tuple[Tree, Tree, Tree | None]:
    """carry, y[t] = step(carry, project(x[t])) for each time t; returns (carry, last output, all outputs or None).

    Arguments: `xs` is a tree of time-major arrays (time, batch, ...), and `carry` and y are trees of (batch, ...).
    `mask` (time, batch) is True where a step is valid: at the others the carry stays, and the output is the one before
    it (zeros before the first valid step), or zeros with `zero_output`. `reverse` runs from the last time to the
    first, and the outputs stand in the order in which they were made: the first belongs to the last time. `unroll` is
    the number of steps compiled into an iteration of the loop. With `return_all=False` the last output alone returns.
    `output(carry)` is the y that came with a carry, where the carry tells: then the output before the first valid step
    is that of the first carry, so that a sequence may be cut anywhere, and no output is carried along. `project` takes
    xs whole or one step of it (None: x is taken as it is), and runs `before` the scan or inside of it (None: by
    platform, as the rows of "scan" in `ops/cpu/table/` say).

    The last output is the last of all outputs: with `zero_output`, zeros where the last step is masked. An empty
    sequence returns the carry as it is, and its output, else zeros. Leaves of the carry without axes (a counter,
    a key) belong to no row, so no mask applies to them.
    """
    options = Loop(reverse, unroll, zero_output, return_all, output)
    return _scan(lambda *arguments: (*step(*arguments), None), carry, xs, mask, project, options, before)[:3]


def scan_gates(
    feed: Callable[[Tree, Tree, Tree], Tree],
    gates: Callable[[Tree, Tree], tuple[Tree, Tree]],
    params: Tree,
    carry: Tree,
    xs: Tree,
    *,
    project: Callable[[Tree, Tree], Tree],
    output: Callable[[Tree], Tree],
    mask: jax.Array | None = None,
    reverse: bool = False,
    unroll: int = 1,
    zero_output: bool = False,
    return_all: bool = True,
    before: bool | None = None,
) -> tuple[Tree, Tree, Tree | None]:
    """`scan_time` of (carry, x) -> gates(carry, feed(params, carry, project(params, x))), faster to differentiate.

    Params are read by `project` and `feed` alone, and both take any leading axes. So in the backward pass the gradient
    of the preactivations, which `feed` gives, is found step by step, and that of the params from it for all steps in
    one product: a training step of an LSTM takes 0.9 of the time. `feed` must be linear in the carry, but for a
    constant, and `output` a part of it.
    """
    options = Loop(reverse, unroll, zero_output, return_all, output)

    def run(params: Tree, carry: Tree, xs: Tree, mask: jax.Array | None, saves: bool) -> tuple:
        def step(carry: Tree, projected: Tree) -> tuple[Tree, Tree, Tree]:
            preactivations = feed(params, carry, projected)
            return *gates(carry, preactivations), ((carry, preactivations) if saves else None)

        return _scan(step, carry, xs, mask, lambda xs: project(params, xs), options, before)

    @jax.custom_jvp
    def scanned(params: Tree, carry: Tree, xs: Tree, mask: jax.Array | None) -> tuple[Tree, Tree, Tree | None]:
        return run(params, carry, xs, mask, saves=False)[:3]

    @scanned.defjvp
    def _(primals: tuple, tangents: tuple) -> tuple:
        (params, carry, xs, mask), (dparams, dcarry, dxs, _) = primals, tangents
        *out, (carries, preactivations) = run(params, carry, xs, mask, saves=True)

        def of_params(params: Tree, xs: Tree) -> Tree:
            return feed(params, carries, project(params, xs))

        # For all steps at once, but for the carry's part
        _, dpreactivations = jax.jvp(of_params, (params, xs), (dparams, dxs))

        @functools.partial(jax.checkpoint, prevent_cse=False)  # or each derivative within the gates would be saved
        def through(*primals_and_tangents: Tree) -> tuple[Tree, Tree]:
            return jax.jvp(gates, primals_and_tangents[:2], primals_and_tangents[2:])[1]

        def step(dcarry: Tree, at: tuple) -> tuple[Tree, Tree, None]:
            carry, preactivations, dpreactivations, x = at
            _, brought = jax.jvp(lambda carry: feed(params, carry, project(params, x)), (carry,), (dcarry,))
            return *through(carry, preactivations, dcarry, jax.tree.map(jnp.add, dpreactivations, brought)), None

        saved = (carries, preactivations, dpreactivations, xs)
        dcarry = varying.like(dcarry, out[0])  # jax.jvp of a convolution takes no others
        return tuple(out), loop.run(step, dcarry, saved, mask, options)[:3]

    return scanned(params, carry, xs, mask)


def scan_dense(
    join: Join,
    gates: Gates,
    weights: DenseWeights,
    carry: Carry,
    xs: jax.Array,
    *,
    recurrent_dropout_mask: jax.Array | None = None,
    mask: jax.Array | None = None,
    reverse: bool = False,
    unroll: int = 1,
    zero_output: bool = False,
    return_all: bool = True,
) -> ScanResult:
    """carry, h[t] = gates(carry, join(x[t] kernel + bias, h[t-1] recurrent + recurrent_bias)) for each time t.

    Shapes: xs (time, batch, features); the carry (batch, units), h or a tuple that starts with it;
    `recurrent_dropout_mask`, by which h is multiplied before its weights, (batch, units).

    `join(of_x, of_h, axis)` makes of the two what `gates(carry, joined, axis)` takes, where the gates lie side by side
    along `axis`: the first is linear, and both work on each row of the batch by itself, wherever the batch's axis is.
    For the other arguments, and what is returned, see `scan_time`.
    """
    call = DenseScan(join, gates, Loop(reverse, unroll, zero_output, return_all))
    return _scan_dense(call, weights, carry, xs, mask, recurrent_dropout_mask)


def scan_lstm(
    weights: DenseWeights,
    carry: tuple[jax.Array, jax.Array],
    xs: jax.Array,
    *,
    recurrent_dropout_mask: jax.Array | None = None,
    mask: jax.Array | None = None,
    reverse: bool = False,
    unroll: int = 1,
    zero_output: bool = False,
    return_all: bool = True,
) -> ScanResult:
    """`scan_dense` of an LSTM whose activations are tanh and sigmoid, with gates in the order i, f, candidate, o.

    The one that cuDNN has a kernel for, which a row of `ops/cuda/table.py` takes.
    """
    call = DenseScan(join_lstm, standard_lstm_gates, Loop(reverse, unroll, zero_output, return_all))
    return _scan_dense(call, weights, carry, xs, mask, recurrent_dropout_mask, is_standard_lstm=True)


def _scan(
    step: Step,
    carry: Tree,
    xs: Tree,
    mask: jax.Array | None,
    project: Callable[[Tree], Tree] | None,
    options: Loop,
    before: bool | None,
) -> tuple[Tree, Tree, Tree | None, Tree]:
    """(carry, last output, all outputs or None, what the steps saved)."""
    if project is None:
        return loop.run(step, carry, xs, mask, options)
    call = Scan(step, project, options)
    plain = reference.scan_projecting_inside if before is False else reference.scan
    return dispatch(lambda carry, xs, mask: plain(carry, xs, mask, call), ScanProblem(before, call), carry, xs, mask)


def _scan_dense(
    call: DenseScan,
    weights: DenseWeights,
    carry: Carry,
    xs: jax.Array,
    mask: jax.Array | None,
    dropout_mask: jax.Array | None,
    is_standard_lstm: bool = False,
) -> ScanResult:
    has_masks = mask is not None or dropout_mask is not None
    problem = DenseScanProblem.of(weights, carry, xs, has_masks, call, is_standard_lstm)

    def plain(*arrays: Any) -> ScanResult:
        weights, carry, xs, mask, dropout_mask = arrays
        return reference.scan_dense(weights, carry, xs, mask, dropout_mask, call)

    return dispatch(plain, problem, weights, carry, xs, mask, dropout_mask)
