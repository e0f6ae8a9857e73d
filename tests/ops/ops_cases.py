"""The table of operations: one line a case. `tests/golden/make_ops.py` runs it through Keras, the tests through ops."""

import itertools
import zlib
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnlayers import ops

LAST, FIRST = "channels_last", "channels_first"


@dataclass(frozen=True)
class Case:
    """An operation, its arrays (a shape stands for normal numbers) and its other arguments."""

    op: str
    arrays: tuple[Any, ...]
    static: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        arrays = " ".join(str(a if isinstance(a, tuple) else np.asarray(a).astype(int).tolist()) for a in self.arrays)
        return f"{self.op} {arrays} {self.static}"

    def inputs(self) -> list[np.ndarray]:
        # RandomState's numbers are frozen for all versions of numpy, so only results need to be stored.
        random = np.random.RandomState(zlib.crc32(self.name.encode()))
        return [random.normal(size=a).astype("float32") if isinstance(a, tuple) else a for a in self.arrays]

    def run(self, *arrays: Any) -> Any:
        function = COMPOSED.get(self.op) or getattr(ops, self.op)
        return function(*arrays, **self.static)


def quick_jit(function: Any) -> Any:
    """Compiled as one program, hardly optimized: for tests, which run it once."""
    return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})


def outputs_and_gradients(function: Any, arrays: list[Any]) -> list[Any]:
    """The outputs, and the gradients of a weighted sum of them with respect to the floating arrays."""
    floating = [i for i, a in enumerate(arrays) if np.issubdtype(a.dtype, np.floating)]

    def on_floating(*values: Any) -> list[Any]:
        merged: list[Any] = list(arrays)
        for i, value in zip(floating, values, strict=True):
            merged[i] = value
        return jax.tree.leaves(function(*merged))

    with jax.default_matmul_precision("float32"):
        y, back = jax.vjp(on_floating, *(jnp.asarray(arrays[i]) for i in floating))
        return [*y, *back([jnp.asarray(np.random.RandomState(7).normal(size=a.shape), a.dtype) for a in y])]


def _run(step: Any, carry: Any, projected: Any, mask: Any, **options: Any) -> Any:
    swapped = None if mask is None else jnp.swapaxes(mask, 0, 1)
    carry, last, ys = ops.scan_time(step, carry, jnp.swapaxes(projected, 0, 1), mask=swapped, **options)
    return last, jnp.swapaxes(ys, 0, 1), carry


def lstm(x: Any, kernel: Any, recurrent: Any, bias: Any, mask: Any = None, **options: Any) -> Any:
    def step(carry: Any, p: Any) -> Any:
        return ops.lstm_gates(carry[1], p + ops.dot(carry[0], recurrent), jnp.tanh, jax.nn.sigmoid)

    zeros = jnp.zeros((x.shape[0], recurrent.shape[0]), x.dtype)
    return _run(step, (zeros, zeros), ops.add_bias(ops.dot(x, kernel), bias), mask, **options)


def gru(x: Any, kernel: Any, recurrent: Any, bias: Any, mask: Any = None, **options: Any) -> Any:
    reset_after = bias.ndim == 2
    inner, outer = bias if reset_after else (bias, None)

    def step(carry: Any, p: Any) -> Any:
        two = 2 * recurrent.shape[0]
        u = ops.dot(carry, recurrent) + (outer if reset_after else 0)

        def candidate(r: Any) -> Any:
            return p[:, two:] + (r * u[:, two:] if reset_after else ops.dot(r * carry, recurrent[:, two:]))

        z, r = jnp.split(p[:, :two] + u[:, :two], 2, -1)
        return ops.gru_gates(carry, z, r, candidate, jnp.tanh, jax.nn.sigmoid)

    zeros = jnp.zeros((x.shape[0], recurrent.shape[0]), x.dtype)
    return _run(step, zeros, ops.add_bias(ops.dot(x, kernel), inner), mask, **options)


def simple_rnn(x: Any, kernel: Any, recurrent: Any, bias: Any, mask: Any = None, **options: Any) -> Any:
    def step(carry: Any, p: Any) -> Any:
        h = jnp.tanh(p + ops.dot(carry, recurrent))
        return h, h

    zeros = jnp.zeros((x.shape[0], recurrent.shape[0]), x.dtype)
    return _run(step, zeros, ops.add_bias(ops.dot(x, kernel), bias), mask, **options)


def group(x: Any, gamma: Any, beta: Any, groups: int, axis: int, epsilon: float) -> Any:
    return ops.group_normalize(x, groups, axis, gamma, beta, epsilon)


def dense(x: Any, kernel: Any, bias: Any) -> Any:
    return ops.add_bias(ops.dot(x, kernel), bias)


def masked_moments(x: Any, mask: Any) -> Any:
    return ops.moments(x, tuple(range(x.ndim - 1)), mask)


def layer_normalize(x: Any, gamma: Any, beta: Any, axes: tuple[int, ...]) -> Any:
    return ops.normalize(x, *ops.moments(x, axes, keepdims=True), gamma, beta, 1e-3)


def moments_over(x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    return ops.moments(x, axes, keepdims=keepdims)


def global_average(x: Any, mask: Any = None, keepdims: bool = False, data_format: str = LAST) -> Any:
    return ops.global_average_pool(x, keepdims, data_format, mask)


COMPOSED = {
    "lstm": lstm,
    "gru": gru,
    "simple_rnn": simple_rnn,
    "dense": dense,
    "group_normalize": group,
    "masked_moments": masked_moments,
    "layer_normalize": layer_normalize,
    "moments_over": moments_over,
    "global_average": global_average,
}


def _shape(space: tuple[int, ...], channels: int, data_format: str) -> tuple[int, ...]:
    return (2, *space, channels) if data_format == LAST else (2, channels, *space)


def _windows() -> list[Case]:
    """Convolutions and pools over ranks, formats, strides, paddings and dilations."""
    cases = []
    spaces = {1: (6,), 2: (5, 4), 3: (4, 3, 4)}
    for (rank, space), data_format, padding in itertools.product(spaces.items(), (LAST, FIRST), ("valid", "same")):
        x, ones, twos = _shape(space, 2, data_format), (1,) * rank, (2,) * rank
        window = (3, 2, 2)[:rank]
        for strides, dilation in ((ones, ones), (twos, ones), (ones, twos))[: 3 if rank < 3 else 2]:
            common = dict(strides=strides, padding=padding, dilation=dilation, data_format=data_format)
            cases.append(Case("conv", (x, (*window, 2, 3)), common))
            cases.append(Case("conv", (x, (*window, 1, 4)), {**common, "groups": 2}))
            cases.append(Case("depthwise_conv", (x, (*window, 2, 2)), common))
        strided = dict(strides=twos, padding=padding, dilation=ones, data_format=data_format)
        cases.append(Case("separable_conv", (x, (*window, 2, 2), (*ones, 4, 3)), strided))
        cases.append(Case("conv_transpose", (x, (*window, 3, 2)), {**strided, "output_padding": None}))
        for strides in (ones, twos, (3, 1, 2)[:rank]):
            pool = dict(window=window, strides=strides, padding=padding, data_format=data_format)
            cases += [Case("max_pool", (x,), pool), Case("average_pool", (x,), pool)]
    for dilation in ((1,), (2,)):
        causal = dict(strides=(1,), padding="causal", dilation=dilation)
        cases.append(Case("conv", ((2, 6, 2), (3, 2, 3)), causal))
        cases.append(Case("conv", ((2, 2, 6), (3, 2, 3)), {**causal, "data_format": FIRST}))
    return cases


def _transposes() -> list[Case]:
    """Transposed convolutions: window x stride x size x padding x dilation x output padding."""
    cases = []
    for window, stride, padding in itertools.product((1, 2, 3, 4), (1, 2, 3), ("valid", "same")):
        for size, dilation, extra in itertools.product((3, 4), (1, 2), (None, *range(stride))):
            if size == 4 and (dilation, extra) != (1, None) or dilation == 2 and window in (1, 4):
                continue  # neither brings anything new
            static = dict(strides=(stride,), padding=padding, dilation=(dilation,))
            static["output_padding"] = None if extra is None else (extra,)
            cases.append(Case("conv_transpose", ((1, size, 1), (window, 1, 1)), static))
    return cases


def _rest_of_windows() -> list[Case]:
    cases = []
    for data_format in (LAST, FIRST):
        line, plane = _shape((5,), 2, data_format), _shape((5, 4), 2, data_format)
        block = _shape((3, 2, 4), 2, data_format)
        layout = dict(data_format=data_format)
        for x, sizes in ((line, ((1,), (3,), (7,))), (plane, ((3, 2), (5, 3))), (block, ((2, 2, 3),))):
            for size in sizes:
                cases.append(Case("adaptive_average_pool", (x,), dict(output_size=size, **layout)))
                cases.append(Case("adaptive_max_pool", (x,), dict(output_size=size, **layout)))
        for x, keepdims in itertools.product((line, plane, block), (True, False)):
            cases.append(Case("global_average", (x,), dict(keepdims=keepdims, **layout)))
            cases.append(Case("global_max_pool", (x,), dict(keepdims=keepdims, **layout)))
        mask = np.array([[1, 1, 0, 1, 0], [0, 0, 0, 0, 1]], bool)
        cases += [Case("global_average", (line, mask), dict(keepdims=keepdims, **layout)) for keepdims in (True, False)]
        for x, pairs in ((plane, ((1, 2), (0, 1))), (block, ((1, 0), (0, 1), (2, 1)))):
            cases.append(Case("zero_pad", (x,), dict(padding=pairs, **layout)))
            cases.append(Case("crop", (x,), dict(cropping=pairs, **layout)))
        for interpolation in ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"):
            cases.append(Case("upsample", (plane,), dict(size=(2, 3), interpolation=interpolation, **layout)))
        cases.append(Case("upsample", (block,), dict(size=(2, 1, 3), interpolation="nearest", **layout)))
    cases.append(Case("zero_pad", ((2, 5, 2),), dict(padding=((1, 2),))))
    cases.append(Case("crop", ((2, 5, 2),), dict(cropping=((1, 2),))))
    cases.append(Case("upsample", ((2, 5, 2),), dict(size=(3,), interpolation="nearest")))
    return cases


def _normalizations() -> list[Case]:
    mask = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 0], [1, 1, 1]], bool)
    mask3 = np.stack([mask, ~mask], -1)
    return [
        Case("moments_over", ((4, 3, 2),), dict(axes=(0, 1), keepdims=False)),
        Case("moments_over", ((4, 3, 2),), dict(axes=(2,), keepdims=True)),
        Case("masked_moments", ((4, 3, 2), mask)),
        Case("masked_moments", ((4, 3, 2, 5), mask3)),
        Case("layer_normalize", ((4, 3, 2), (2,), (2,)), dict(axes=(2,))),
        Case("layer_normalize", ((4, 3, 2), (3, 2), (3, 2)), dict(axes=(1, 2))),
        Case("group_normalize", ((2, 3, 4), (4,), (4,)), dict(groups=2, axis=-1, epsilon=1e-3)),
        Case("group_normalize", ((2, 3, 3, 4), (4,), (4,)), dict(groups=-1, axis=-1, epsilon=1e-3)),
        Case("group_normalize", ((2, 4, 3), (4,), (4,)), dict(groups=2, axis=1, epsilon=1e-3)),
        Case("group_normalize", ((2, 6), (6,), (6,)), dict(groups=3, axis=-1, epsilon=1e-3)),
        Case("rms_normalize", ((4, 5), (5,)), dict(axes=(-1,), epsilon=1e-6)),
        Case("rms_normalize", ((4, 3, 5), (3, 5)), dict(axes=(1, 2), epsilon=1e-6)),
        Case("l2_normalize", ((4, 3, 5),), dict(axis=-1)),
        Case("l2_normalize", ((4, 3, 5),), dict(axis=(1, 2))),
    ]


def _recurrent() -> list[Case]:
    """Cells over masks with gaps at the start, in the middle and at the end, in both directions."""
    mask = np.array([[0, 1, 0, 1], [1, 1, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1]], bool)
    cells = {
        "lstm": ((4, 4, 3), (3, 8), (2, 8), (8,)),
        "gru": ((4, 4, 3), (3, 6), (2, 6), (2, 6)),
        "simple_rnn": ((4, 4, 3), (3, 2), (2, 2), (2,)),
    }
    cases = [Case("gru", ((4, 4, 3), (3, 6), (2, 6), (6,)))]
    for (cell, arrays), reverse in itertools.product(cells.items(), (False, True)):
        cases.append(Case(cell, arrays, dict(reverse=reverse)))
        for zero_output in (False, True):
            cases.append(Case(cell, (*arrays, mask), dict(reverse=reverse, zero_output=zero_output)))
    return cases


def _dense() -> list[Case]:
    return [Case("dense", ((2, 3), (3, 4), (4,))), Case("dense", ((2, 5, 3), (3, 4), (4,)))]


CASES = [*_dense(), *_windows(), *_transposes(), *_rest_of_windows(), *_normalizations(), *_recurrent()]
