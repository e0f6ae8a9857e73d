"""Where do the rows of `fnlayers.ops.cpu.table` choose wrongly? Each algorithm and the reference over a grid of shapes.

    python benchmarks/algorithms.py [--rule NAME] [--quick] [--jit fl] [--seconds N] [--json FILE]

At each shape the public operation ("ours": what the rows choose on this platform), the reference ("plain") and what
single rows name, by their names, take turns, forward and forward with gradients. All are compiled by `jax.jit`, or with
--jit fl by `fl.jit`. A line has each one's time over the reference's. WRONG marks a shape where ours is more
than 10 % slower than the plain call, and MISSED one where an algorithm besides is more than 10 % faster; both are
measured a second time before they are reported. DIFFERS marks results that are not the reference's. The last line
counts them; the exit status is 1 where any is WRONG or DIFFERS.

The grid starts at a typical shape of each rule and goes on to those that differ from it along one axis, then along two
(--far 3 goes on), the rules in turns, so a run that is cut short has seen the shapes that matter most. Shapes that take
long by an estimate of their work are left out.
"""

import argparse
import functools
import itertools
import math
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

import figures
import fnlayers as fl
import machine
from fnlayers import ops
from fnlayers.ops import compose, reference
from fnlayers.ops.cpu import table
from fnlayers.ops.dispatch import dispatch
from fnlayers.ops.loop import Loop
from fnlayers.ops.problem import AttentionProblem, ConvProblem, DenseScanProblem, DotProblem, PoolProblem, Problem
from fnlayers.ops.recurrent import DenseScan, DenseWeights, join_lstm, standard_lstm_gates
from fnlayers.ops.reference import PoolWindow, Window
from timing import paced, ratio

SLOWER = 1.1  # the ratio from which a choice counts as wrong, or as missed
MOST_ELEMENTS = 2e7  # of any array: more takes seconds to fill and to sum


class Contest(NamedTuple):
    """One operation at one shape: functions of the same arrays, "ours" and "plain" among them; multiply-adds."""

    arrays: list[jax.ShapeDtypeStruct]
    functions: dict[str, Callable]
    work: float


class Rule(NamedTuple):
    """What makes a contest from one value of each axis (None: no such shape), and the axes, typical values first."""

    contest: Callable[..., Contest | None]
    axes: dict[str, Sequence]
    most_work: float = 1e9  # where the plain call is very slow, less is enough to see it


# Contests


def of_rows(problem: Problem, *names: str) -> Callable:
    """What the rows of those names name, and the reference in passes of which they say nothing; the first row first."""
    rows = {row.name: row for row in table.TABLES[problem.operation]}
    algorithm = compose.composed(problem, compose.first_of_each_pass(rows[name] for name in names))
    assert algorithm is not None
    return algorithm


def dense(*, batch: int, steps: int, features: int, out: int, dtype: str = "float32") -> Contest:
    """A product over the last axis."""
    x, kernel = (jax.ShapeDtypeStruct(shape, dtype) for shape in ((batch, steps, features), (features, out)))
    functions = {
        "ours": ops.dot,
        "plain": lambda x, kernel: reference.dot(x, kernel, 1),
        "one_matrix_product": of_rows(DotProblem(3, 2, 1), "one_matrix_product"),
    }
    return Contest([x, kernel], functions, batch * steps * features * out)


def conv(
    *names: str,
    batch: int,
    size: int,
    channels: int,
    out: int,
    window: int,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    rank: int = 2,
    dtype: str = "float32",
) -> Contest | None:
    """A convolution with padding "same", and rows of its table, whether they would be taken or not."""
    if channels % groups or out % groups:
        return None
    x = jax.ShapeDtypeStruct((batch, *(size,) * rank, channels), dtype)
    kernel = jax.ShapeDtypeStruct((*(window,) * rank, channels // groups, out), dtype)
    strides, dilations = (stride,) * rank, (dilation,) * rank
    span = (window - 1) * dilation + 1
    pads = tuple(lax.padtype_to_pads((size,) * rank, (span,) * rank, strides, "SAME"))
    windows = Window(strides, pads, dilations, groups)
    problem = ConvProblem.of(x, kernel, windows)
    assert problem is not None
    functions: dict[str, Callable] = {
        "ours": lambda x, kernel: ops.conv(x, kernel, strides, "same", dilations, groups),
        "plain": lambda x, kernel: reference.conv(x, kernel, windows),
    }
    functions |= {name: of_rows(problem, *name.split(", ")) for name in names}
    return Contest([x, kernel], functions, batch * (-(-size // stride)) ** rank * kernel.size)


def depthwise(*names: str, channels: int, multiplier: int = 1, **rest: Any) -> Contest | None:
    """A convolution of each channel by itself."""
    return conv(*names, channels=channels, out=channels * multiplier, groups=channels, **rest)


def transposed(
    *, batch: int, size: int, channels: int, out: int, window: int, stride: int, rank: int = 2, dtype: str = "float32"
) -> Contest:
    """A transposed convolution with padding "same"; lax has a call of its own for it."""
    x = jax.ShapeDtypeStruct((batch, *(size,) * rank, channels), dtype)
    kernel = jax.ShapeDtypeStruct((*(window,) * rank, out, channels), dtype)
    strides = (stride,) * rank
    numbers = reference.dimension_numbers(rank, "channels_last", "IO")
    functions = {
        "ours": lambda x, kernel: ops.conv_transpose(x, kernel, strides, "same", None, (1,) * rank),
        "plain": lambda x, kernel: lax.conv_transpose(
            x, kernel, strides, "SAME", dimension_numbers=numbers, transpose_kernel=True
        ),
    }
    return Contest([x, kernel], functions, batch * size**rank * kernel.size)


def pooling(
    operation: str,
    *,
    batch: int,
    size: int,
    channels: int,
    window: int,
    stride: int,
    padding: str = "valid",
    rank: int = 2,
    dtype: str = "float32",
) -> Contest | None:
    """A pooling, and all its rows, whether they would be taken or not."""
    if window > size:
        return None
    x = jax.ShapeDtypeStruct((batch, *(size,) * rank, channels), dtype)
    sizes, strides = (1, *(window,) * rank, 1), (1, *(stride,) * rank, 1)
    pool = PoolWindow(sizes, strides, tuple(lax.padtype_to_pads(x.shape, sizes, strides, padding.upper())))
    problem = PoolProblem.of(operation, x, pool)
    functions = {
        "ours": lambda x: dispatch(lambda x: getattr(reference, operation)(x, pool), problem, x),
        "plain": lambda x: getattr(reference, operation)(x, pool),
        "by taps": of_rows(problem, *(row.name for row in table.TABLES[operation])),
    }
    return Contest([x], functions, x.size / stride**rank * window**rank)


def join_gru(of_x: jax.Array, of_h: jax.Array, axis: int) -> jax.Array:
    """The sums for z and r, and for the candidate both parts concatenated, of which r resets the second."""
    (z, r, x), (uz, ur, u) = jnp.split(of_x, 3, axis), jnp.split(of_h, 3, axis)
    return jnp.concatenate((z + uz, r + ur, x, u), axis)


def gru_gates(h: jax.Array, preactivations: jax.Array, axis: int) -> tuple[jax.Array, jax.Array]:
    """The gates of a GRU whose activations are tanh and sigmoid."""
    z, r, x, u = jnp.split(preactivations, 4, axis)
    return ops.gru_gates(h, z, r, lambda r: x + r * u, jnp.tanh, jax.nn.sigmoid)


def rnn_gates(_: jax.Array, preactivations: jax.Array, axis: int) -> tuple[jax.Array, jax.Array]:
    """The single gate of a SimpleRNN."""
    return jnp.tanh(preactivations), jnp.tanh(preactivations)


CELLS = {  # gates, arrays of the carry, and what is done with them
    "simple_rnn": (1, 1, join_lstm, rnn_gates),
    "gru": (3, 1, join_gru, gru_gates),
    "lstm": (4, 2, join_lstm, standard_lstm_gates),
}
SCANS = ("features_major_forward, features_major", "few_rows, small_steps", "projected_inside")


def recurrent(
    kind: str, *, batch: int, steps: int, features: int, units: int, reverse: bool = False, dtype: str = "float32"
) -> Contest:
    """A dense cell scanned over time, by what its layer calls, and by rows of its table."""
    gates, carries, *cell = CELLS[kind]
    shapes = [(steps, batch, features), (features, gates * units), (units, gates * units), (gates * units,)]
    shapes += [(gates * units,)] if kind == "gru" else []
    arrays = [jax.ShapeDtypeStruct(shape, dtype) for shape in shapes]
    call = DenseScan(*cell, Loop(reverse=reverse))
    start = [jax.ShapeDtypeStruct((batch, units), dtype)] * carries
    problem = DenseScanProblem.of(DenseWeights(*arrays[1:]), start, arrays[0], False, call, kind == "lstm")

    def over(scan: Callable) -> Callable:
        def run(xs: jax.Array, *weights: jax.Array) -> jax.Array:
            zeros = (jnp.zeros((batch, units), dtype),) * carries
            return scan(DenseWeights(*weights), zeros if carries > 1 else zeros[0], xs, None, None)[2]

        return run

    def ours(weights: Any, carry: Any, xs: Any, *_: None) -> Any:
        scan = ops.scan_lstm if kind == "lstm" else functools.partial(ops.scan_dense, *cell)
        return scan(weights, carry, xs, reverse=reverse)

    functions = {"ours": over(ours), "plain": over(lambda *arrays: reference.scan_dense(*arrays, call))}
    functions |= {name: over(of_rows(problem, *name.split(", "))) for name in SCANS}
    return Contest(arrays, functions, batch * steps * gates * units * (features + units))


def attention(
    *, batch: int, steps: int, heads: int, groups: int, size: int, causal: bool, dtype: str = "float32"
) -> Contest | None:
    """Attention of a sequence to itself, against the function of jax.nn."""
    if heads % groups:
        return None
    query = jax.ShapeDtypeStruct((batch, steps, heads, size), dtype)
    key = jax.ShapeDtypeStruct((batch, steps, heads // groups, size), dtype)
    call = reference.Attention(scale=size**-0.5)
    shapes = (query.shape, key.shape, key.shape)
    problem = AttentionProblem(*shapes, (dtype,) * 3, is_plain=True, allows_fused=True, is_traced=True, call=call)
    divided = of_rows(problem, "divided_weights")
    functions = {
        "ours": lambda q, k, v: ops.attention(q, k, v, causal=causal, scale=call.scale)[0],
        "plain": lambda q, k, v: reference.attention(q, k, v, ops.nearby(steps, steps, causal, None), call),
        "jax.nn": lambda q, k, v: jax.nn.dot_product_attention(q, k, v, scale=call.scale, is_causal=causal),
        "divided_weights": lambda q, k, v: divided(q, k, v, ops.nearby(steps, steps, causal, None)),
    }
    return Contest([query, key, key], functions, 2 * query.size * steps)


def moments(*, batch: int, size: int, channels: int, rank: int = 2, dtype: str = "float32") -> Contest:
    """Mean and variance of each channel."""
    axes = tuple(range(rank + 1))
    functions = {
        "ours": lambda x: ops.moments(x, axes),
        "plain": lambda x: (jnp.mean(x, axes, "float32"), jnp.var(x, axes, "float32")),
    }
    x = jax.ShapeDtypeStruct((batch, *(size,) * rank, channels), dtype)
    return Contest([x], functions, 2 * x.size)


def embedding(*, batch: int, steps: int, tokens: int, size: int, dtype: str = "float32") -> Contest:
    """Rows of a table; NaN for an integer without one, which `table[ids]` would give some other row."""
    layer = fl.Embedding(tokens, size, dtype=dtype)
    functions = {
        "ours": lambda table, ids: layer.apply({"embeddings": table}, ids),
        "plain": lambda table, ids: jnp.take(table, ids, axis=0),
    }
    table, ids = jax.ShapeDtypeStruct((tokens, size), dtype), jax.ShapeDtypeStruct((batch, steps), "int32")
    return Contest([table, ids], functions, batch * steps * size)


def bound(contest: Callable, *args: Any, **fixed: Any) -> Callable[..., Contest | None]:
    """A contest with what does not vary."""
    return lambda **point: contest(*args, **fixed, **point)


# The rules, which rows of the table name as their `bench`.
# The values of an axis stand in the order in which they matter: --quick takes three.

BATCH, DTYPE = {"batch": (16, 1, 64)}, {"dtype": ("float32", "bfloat16")}
IMAGE = {**BATCH, "size": (28, 7, 112, 14, 56), "channels": (64, 3, 256, 1, 16, 512, 8, 32, 128), **DTYPE}
VOLUME = {"batch": (4, 1, 16), "size": (12, 7, 16, 28), "channels": (16, 3, 64, 1, 8, 32), **DTYPE}
LINES = {**BATCH, "size": (128, 32, 1000), "channels": (64, 4, 256, 1, 16), **DTYPE}
OUT, STRIDE = {"out": (64, 16, 256)}, {"stride": (1, 2)}
TIME = {"batch": (64, 1, 8), "steps": (50, 10, 200), "features": (64, 1, 256, 16), "units": (128, 16, 512, 32), **DTYPE}
WINDOWS = {"window": (2, 3, 5), "stride": (2, 1, 3), "padding": ("valid", "same")}
GRADIENTS = ("im2col", "row_tiles", "half_im2col", "pad_past_input")
LINE = ("thin_im2col, line_im2col", "line_im2col", "row_tiles")
DEPTHWISE = ("depthwise_by_rows, depthwise",)
JITS = {"jax": jax.jit, "fl": fl.jit}

RULES = {
    "dense": Rule(dense, {**BATCH, "steps": (128, 16, 512), "features": (64, 16, 512), "out": (64, 256, 16), **DTYPE}),
    "pointwise": Rule(bound(conv, "pointwise", window=1), {**IMAGE, **OUT, **STRIDE}),
    "depthwise": Rule(
        bound(depthwise, *DEPTHWISE),
        {**IMAGE, "window": (3, 5, 7), "multiplier": (1, 2), **STRIDE, "dilation": (1, 2)},
        3e7,
    ),
    "grouped": Rule(
        bound(conv, "grouped"),
        {**IMAGE, "out": (64, 128), "groups": (4, 2, 8, 32), "window": (3, 1, 5), **STRIDE},
        1e8,
    ),
    "conv3d_as_conv2d": Rule(
        bound(conv, "conv3d_as_conv2d", rank=3), {**VOLUME, "out": (16, 64), "window": (3, 2, 5), **STRIDE}
    ),
    "direct": Rule(bound(conv, *GRADIENTS), {**IMAGE, **OUT, "window": (3, 2, 5, 7), **STRIDE}),
    "transposed": Rule(transposed, {**IMAGE, **OUT, "window": (4, 2, 3, 5), "stride": (2, 3)}, 1e8),
    "max": Rule(bound(pooling, "max_pool"), {**IMAGE, **WINDOWS}),
    "sum": Rule(bound(pooling, "sum_pool"), {**IMAGE, **WINDOWS}),
    "lstm": Rule(bound(recurrent, "lstm"), TIME),
    "gru": Rule(bound(recurrent, "gru"), TIME),
    "simple_rnn": Rule(bound(recurrent, "simple_rnn"), TIME),
    "attention": Rule(
        attention,
        {**BATCH, "steps": (128, 16, 512), "heads": (4, 1, 8), "groups": (1, 4), "size": (64, 16, 128)}
        | {"causal": (False, True), **DTYPE},
    ),
    "moments": Rule(moments, IMAGE),
    "embedding": Rule(
        embedding, {"batch": (64, 1), "steps": (100, 1), "tokens": (10_000, 100), "size": (128, 16, 512), **DTYPE}
    ),
    "line": Rule(bound(conv, *LINE, rank=1), {**LINES, **OUT, "window": (3, 1, 7), **STRIDE}),
    "line depthwise": Rule(bound(depthwise, *DEPTHWISE, rank=1), {**LINES, "window": (3, 7), **STRIDE}, 1e8),
    "line transposed": Rule(bound(transposed, rank=1), {**LINES, **OUT, "window": (4, 3), "stride": (2, 4)}, 1e8),
    "volume max": Rule(bound(pooling, "max_pool", rank=3), {**VOLUME, **WINDOWS}),
    "volume transposed": Rule(
        bound(transposed, rank=3), {**VOLUME, "out": (16, 64), "window": (3, 2), "stride": (2,)}, 1e8
    ),
}


# The grid


def grid(rule: Rule, far: int, values: int | None = None, more: int = 0) -> Iterator[dict[str, Any]]:
    """The points that differ from the typical one along `far` axes at most, the nearest first; then `more` of all.

    Of each axis its first `values` count (None: all).
    """
    points = itertools.product(*(range(len(axis[:values])) for axis in rule.axes.values()))
    near, rest = [], []
    for point in points:
        (near if _distance(point) <= far else rest).append(point)
    near.sort(key=_distance)
    for point in near + random.Random(0).sample(rest, min(more, len(rest))):
        yield {name: axis[i] for (name, axis), i in zip(rule.axes.items(), point, strict=True)}


def _distance(point: tuple[int, ...]) -> int:
    """Along how many axes a point differs from the typical one."""
    return sum(map(bool, point))


def contests(rules: Mapping[str, Rule], *which: Any) -> Iterator[tuple[str, dict[str, Any], Contest]]:
    """(rule, point, contest) of all shapes of the grids that are not too large, the rules in turns."""
    grids = [[(name, point) for point in grid(rule, *which)] for name, rule in rules.items()]
    for name, point in filter(None, itertools.chain(*itertools.zip_longest(*grids))):
        contest = rules[name].contest(**point)
        if contest and contest.work <= rules[name].most_work and max(a.size for a in contest.arrays) <= MOST_ELEMENTS:
            yield name, point, contest


# Measuring


def with_gradients(function: Callable, floating: Sequence[int]) -> Callable:
    """(cotangent, *arrays) -> y and the gradients of the floating arrays."""

    def run(cotangent: Any, *arrays: jax.Array) -> Any:
        def at(*values: jax.Array) -> Any:
            replaced = list(arrays)
            for position, value in zip(floating, values, strict=True):
                replaced[position] = value
            return function(*replaced)

        y, back = jax.vjp(at, *(arrays[position] for position in floating))
        return y, back(cotangent)

    return run


def drawn(spec: jax.ShapeDtypeStruct, numbers: np.random.Generator, weights: bool = False) -> jax.Array:
    """Normal numbers, or small integers; as weights, numbers so small that no recurrent layer overflows."""
    if jnp.issubdtype(spec.dtype, jnp.integer):
        return jnp.asarray(numbers.integers(0, 100, spec.shape), spec.dtype)
    scale = math.prod(spec.shape[:-1]) ** -0.5 if weights and len(spec.shape) > 1 else 1.0
    return jnp.asarray(scale * numbers.standard_normal(spec.shape, "float32"), spec.dtype)


def measured(contest: Contest, seconds: float, jit: Callable = jax.jit) -> dict[str, dict[str, Any]]:
    """For each pass the milliseconds of the plain call, and each function's time over it."""
    numbers = np.random.default_rng(0)
    arrays = [drawn(spec, numbers, weights=bool(position)) for position, spec in enumerate(contest.arrays)]
    floating = [i for i, a in enumerate(arrays) if jnp.issubdtype(a.dtype, jnp.floating)]
    y = jax.eval_shape(contest.functions["plain"], *arrays)
    cotangent = jax.tree.map(lambda spec: drawn(spec, numbers), y)
    trained = {name: with_gradients(function, floating) for name, function in contest.functions.items()}
    return {
        "forward": raced(contest.functions, arrays, seconds, jit),
        "train": raced(trained, [cotangent, *arrays], seconds, jit),
    }


def raced(functions: dict[str, Callable], arrays: Sequence[Any], seconds: float, jit: Callable) -> dict[str, Any]:
    """One pass: compile all, compare their results, and time them; a second time where ours is not the best."""
    runs = {}
    for name, function in functions.items():
        compiled = jit(function).lower(*arrays).compile()
        runs[name] = lambda compiled=compiled: jax.block_until_ready(compiled(*arrays))
    differing = different({name: run() for name, run in runs.items()})
    if differing:
        return {"verdict": "DIFFERS", "note": differing}
    first = ratios(paced(runs, seconds))
    return ratios(paced(runs, 3 * seconds, rounds=15)) if first["verdict"] else first


def ratios(times: dict[str, list[float]]) -> dict[str, Any]:
    """Each contender's time over the plain call's, and what that says."""
    by_name = {name: ratio(times, name, "plain") for name in times if name != "plain"}
    return {"plain_ms": 1e3 * statistics.median(times["plain"]), "ratios": by_name, "verdict": verdict(by_name)}


def verdict(over_plain: dict[str, float]) -> str:
    """WRONG, MISSED or nothing."""
    if over_plain["ours"] > SLOWER:
        return "WRONG"
    return "MISSED" if over_plain["ours"] > SLOWER * min(over_plain.values()) else ""


def different(results: dict[str, Any]) -> str:
    """Which results differ from the plain call's by more than rounding, "" where none does."""
    plain = jax.tree.leaves(results["plain"])
    for name, result in results.items():
        for got, expected in zip(jax.tree.leaves(result), plain, strict=True):
            limit, expected = 0.1 if expected.dtype == jnp.bfloat16 else 1e-3, np.asarray(expected, "float32")
            off, largest = np.max(np.abs(np.asarray(got, "float32") - expected)), np.max(np.abs(expected))
            if not off <= limit * max(largest, 1e-6):
                return f"{name} is off by {off:.3g}, where the largest number is {largest:.3g}"
    return ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rule", action="append", choices=RULES, help="this rule alone; may be given again")
    parser.add_argument("--quick", action="store_true", help="a small grid: --far 1, three values of each axis")
    parser.add_argument("--far", type=int, default=2, help="along how many axes shapes differ from the typical one")
    parser.add_argument("--more", type=int, default=0, help="how many shapes of each rule to draw from all the others")
    parser.add_argument("--seconds", type=float, help="stop after so many")
    parser.add_argument("--pace", type=float, default=0.2, help="seconds of timing for each shape and pass")
    parser.add_argument("--jit", choices=JITS, default="jax", help="whose jit compiles all of them")
    parser.add_argument("--json", help="also write the figures to this file, as they come")
    args = parser.parse_args()
    rules = {name: RULES[name] for name in args.rule or RULES}
    start, rows, others = time.perf_counter(), [], machine.Others()
    for name, point, contest in contests(rules, *((1, 3) if args.quick else (args.far, None)), args.more):
        if args.seconds and time.perf_counter() - start > args.seconds:
            print(f"stopped after {args.seconds:.0f} s")
            break
        passes, busy = measured(contest, args.pace, JITS[args.jit]), others.cores_used()
        for which, timing in passes.items():
            rows.append({"rule": name, **point, "pass": which, **timing, "cores of others": busy})
            show(rows[-1], point)
        figures.write(args.json, rows=rows)
    count = Counter(row["verdict"] for row in rows)
    if rows:
        print(f"others used {statistics.mean(row['cores of others'] for row in rows):.1f} cores meanwhile")
    print(
        f"{len(rows)} figures: {count['WRONG']} WRONG (slower than the plain call), {count['DIFFERS']} DIFFERS, "
        f"{count['MISSED']} MISSED (a faster one is there)"
    )
    sys.exit(1 if count["WRONG"] + count["DIFFERS"] else 0)


def show(row: dict[str, Any], point: dict[str, Any]) -> None:
    """Print one line."""
    shape = " ".join(f"{name}={value}" for name, value in point.items())
    text = row.get("note")
    if not text:
        text = f"{row['plain_ms']:8.2f} ms  " + "  ".join(
            f"{name} {value:.2f}" for name, value in row["ratios"].items()
        )
    print(f"{row['rule']:14} {shape:84} {row['pass']:8} {text}  {row['verdict']}".rstrip(), flush=True)


if __name__ == "__main__":
    main()
