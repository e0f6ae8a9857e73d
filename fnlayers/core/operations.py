"""The functions of arrays that an Operation may be: those of keras.ops, with its names, arguments and numbers."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnlayers.core.errors import ConfigError
from fnlayers.functions import activations
from fnlayers.functions.activations import ACTIVATIONS
from fnlayers.plain_data import FrozenDict, choices

MOST_OUTPUTS = 1_000  # of one operation
MOST_DIFFERENCES = 100
PADDED = ("constant", "reflect", "symmetric")


def _reduce(function: Callable) -> Callable:
    return lambda x, axis=None, keepdims=False: function(x, axis=axis, keepdims=keepdims)


def _reduce_from(function: Callable) -> Callable:
    return lambda x, axis=None, keepdims=False, initial=None: function(x, axis, keepdims=keepdims, initial=initial)


def _accumulate(function: Callable) -> Callable:
    return lambda x, axis=None, dtype=None: function(x, axis, dtype=dtype)


def _split(x: Any, indices_or_sections: Any, axis: int = 0) -> tuple:
    _check_outputs(len(indices_or_sections) if isinstance(indices_or_sections, tuple) else indices_or_sections)
    return tuple(jnp.split(x, indices_or_sections, axis))


def _unstack(x: Any, num: int | None = None, axis: int = 0) -> tuple:
    _check_outputs(x.shape[axis])
    return tuple(jnp.unstack(x, axis=axis))


def _check_outputs(count: int) -> None:
    if count > MOST_OUTPUTS:
        raise ConfigError(f"an operation makes {count} arrays, where at most {MOST_OUTPUTS} are taken; keep one array")


def _pad(x: Any, constant_values: Any = None, *, pad_width: Any, mode: str = "constant") -> Any:
    if mode not in PADDED:
        raise ConfigError(f"Pad: {choices('mode', mode, PADDED)}")
    if mode == "constant":
        return jnp.pad(x, pad_width, constant_values=0 if constant_values is None else constant_values)
    for width, size in zip(np.broadcast_to(np.asarray(pad_width), (x.ndim, 2)), x.shape, strict=True):
        if max(width) > size - (mode == "reflect"):  # NumPy would reflect again and again
            raise ConfigError(f"Pad: an axis of {size} elements is padded by {max(width)} in mode={mode!r}; pad less")
    return jnp.pad(x, pad_width, mode)


def _diff(a: Any, n: int = 1, axis: int = -1) -> Any:
    if n > MOST_DIFFERENCES:
        raise ConfigError(f"Diff: n={n}, where at most {MOST_DIFFERENCES} are taken")
    return jnp.diff(a, n, axis)


def _normalize(x: Any, axis: Any = -1, order: int = 2, epsilon: float | None = None) -> Any:
    """As keras.ops.normalize: by the norm of that order, or by epsilon where it is smaller."""
    epsilon = 1e-7 if epsilon is None else epsilon
    if order == 2:
        return x * jnp.minimum(jax.lax.rsqrt(jnp.sum(jnp.square(x), axis=axis, keepdims=True)), 1 / epsilon)
    return x / jnp.maximum(jnp.linalg.norm(x, ord=order, axis=axis, keepdims=True), epsilon)


def _divide_no_nan(x: Any, y: Any) -> Any:
    return jnp.where(y == 0, 0, jnp.divide(x, jnp.where(y == 0, 1, y)))


def _moments(x: Any, axes: Any, keepdims: bool = False, synchronized: bool = False) -> tuple:
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    moments = jnp.mean(wide, axes, keepdims=keepdims), jnp.var(wide, axes, keepdims=keepdims)
    return tuple(value.astype(x.dtype) for value in moments)


ARITHMETIC: Mapping[str, Callable] = FrozenDict(
    Add=jnp.add,
    Subtract=jnp.subtract,
    Multiply=jnp.multiply,
    Divide=jnp.divide,
    DivideNoNan=_divide_no_nan,
    TrueDivide=jnp.true_divide,
    FloorDivide=jnp.floor_divide,
    Mod=jnp.mod,
    Power=jnp.power,
    Negative=jnp.negative,
    Absolute=jnp.abs,
    Abs=jnp.abs,
    Sign=jnp.sign,
    Square=jnp.square,
    Sqrt=jnp.sqrt,
    Rsqrt=jax.lax.rsqrt,
    Cbrt=jnp.cbrt,
    Reciprocal=jnp.reciprocal,
    Exp=jnp.exp,
    Exp2=jnp.exp2,
    Expm1=jnp.expm1,
    Log=jnp.log,
    Log1p=jnp.log1p,
    Log2=jnp.log2,
    Log10=jnp.log10,
    Logaddexp=jnp.logaddexp,
    Sin=jnp.sin,
    Cos=jnp.cos,
    Tan=jnp.tan,
    Sinh=jnp.sinh,
    Cosh=jnp.cosh,
    Tanh=jnp.tanh,
    Arcsin=jnp.arcsin,
    Arccos=jnp.arccos,
    Arctan=jnp.arctan,
    Arctan2=jnp.arctan2,
    Arcsinh=jnp.arcsinh,
    Arccosh=jnp.arccosh,
    Arctanh=jnp.arctanh,
    Erf=jax.scipy.special.erf,
    Floor=jnp.floor,
    Ceil=jnp.ceil,
    Trunc=jnp.trunc,
    Round=lambda x, decimals=0: jnp.round(x, decimals),
    Maximum=jnp.maximum,
    Minimum=jnp.minimum,
    Clip=lambda x, x_min, x_max: jnp.clip(x, x_min, x_max),
    Matmul=jnp.matmul,
    Dot=jnp.dot,
    Outer=jnp.outer,
    Tensordot=lambda x, y, axes=2: jnp.tensordot(x, y, axes),
    Einsum=lambda *arrays, subscripts: jnp.einsum(subscripts, *arrays),
    StopGradient=jax.lax.stop_gradient,
)

CHOICE: Mapping[str, Callable] = FrozenDict(
    Equal=jnp.equal,
    NotEqual=jnp.not_equal,
    Greater=jnp.greater,
    GreaterEqual=jnp.greater_equal,
    Less=jnp.less,
    LessEqual=jnp.less_equal,
    LogicalAnd=jnp.logical_and,
    LogicalOr=jnp.logical_or,
    LogicalXor=jnp.logical_xor,
    LogicalNot=jnp.logical_not,
    Isnan=jnp.isnan,
    Isinf=jnp.isinf,
    Isfinite=jnp.isfinite,
    NanToNum=lambda x, nan=0.0, posinf=None, neginf=None: jnp.nan_to_num(x, nan=nan, posinf=posinf, neginf=neginf),
    Where=jnp.where,
    Take=lambda x, indices, axis=None: jnp.take(x, jnp.asarray(indices), axis),
    TakeAlongAxis=lambda x, indices, axis=None: jnp.take_along_axis(x, jnp.asarray(indices), axis),
    Sort=lambda x, axis=-1: jnp.sort(x, axis),
    Argsort=lambda x, axis=-1: jnp.argsort(x, axis),
    TopK=lambda x, k, sorted=True: tuple(jax.lax.top_k(x, k)),
    Tril=lambda x, k=0: jnp.tril(x, k),
    Triu=lambda x, k=0: jnp.triu(x, k),
    OneHot=lambda x, num_classes, axis=-1, dtype="float32", sparse=False: jax.nn.one_hot(
        x, num_classes, axis=axis, dtype=dtype
    ),
)

REDUCTIONS: Mapping[str, Callable] = FrozenDict(
    Sum=_reduce(jnp.sum),
    Mean=_reduce(jnp.mean),
    Median=_reduce(jnp.median),
    Average=lambda x, weights=None, axis=None: jnp.average(x, axis, weights),
    Max=_reduce_from(jnp.max),
    Min=_reduce_from(jnp.min),
    Amax=_reduce(jnp.max),
    Amin=_reduce(jnp.min),
    Prod=lambda x, axis=None, keepdims=False, dtype=None: jnp.prod(x, axis, dtype, keepdims=keepdims),
    Var=_reduce(jnp.var),
    Std=_reduce(jnp.std),
    Moments=_moments,
    Any=_reduce(jnp.any),
    All=_reduce(jnp.all),
    CountNonzero=lambda x, axis=None: jnp.count_nonzero(x, axis),
    Argmax=_reduce(jnp.argmax),
    Argmin=_reduce(jnp.argmin),
    Logsumexp=_reduce(jax.scipy.special.logsumexp),
    Norm=lambda x, ord=None, axis=None, keepdims=False: jnp.linalg.norm(x, ord, axis, keepdims),
    Normalize=_normalize,
    Cumsum=_accumulate(jnp.cumsum),
    Cumprod=_accumulate(jnp.cumprod),
    Diff=_diff,
    Trace=lambda x, offset=0, axis1=0, axis2=1: jnp.trace(x, offset, axis1, axis2),
    Diagonal=lambda x, offset=0, axis1=0, axis2=1: jnp.diagonal(x, offset, axis1, axis2),
)

SHAPES: Mapping[str, Callable] = FrozenDict(
    GetItem=lambda x, key: x[key],
    Reshape=lambda x, newshape: jnp.reshape(x, newshape),
    Ravel=jnp.ravel,
    Transpose=lambda x, axes=None: jnp.transpose(x, axes),
    Swapaxes=lambda x, axis1, axis2: jnp.swapaxes(x, axis1, axis2),
    Moveaxis=lambda x, source, destination: jnp.moveaxis(x, source, destination),
    ExpandDims=lambda x, axis: jnp.expand_dims(x, axis),
    Squeeze=lambda x, axis=None: jnp.squeeze(x, axis),
    BroadcastTo=lambda x, shape: jnp.broadcast_to(x, shape),
    Concatenate=lambda arrays, axis=0: jnp.concatenate(arrays, axis),
    Append=lambda x, y, axis=None: jnp.append(x, y, axis),
    Hstack=lambda arrays: jnp.hstack(arrays),
    Vstack=lambda arrays: jnp.vstack(arrays),
    Stack=lambda arrays, axis=0: jnp.stack(arrays, axis),
    Unstack=_unstack,
    Split=_split,
    Repeat=lambda x, repeats, axis=None: jnp.repeat(x, repeats, axis),
    Tile=lambda x, repeats: jnp.tile(x, repeats),
    Pad=_pad,
    Roll=lambda x, shift, axis=None: jnp.roll(x, shift, axis),
    Flip=lambda x, axis=None: jnp.flip(x, axis),
    Copy=lambda x: x,
    Cast=lambda x, dtype: x.astype(dtype),
    ConvertToTensor=lambda x, dtype=None, sparse=None, ragged=None: x if dtype is None else x.astype(dtype),
    ZerosLike=lambda x, dtype=None: jnp.zeros_like(x, dtype),
    OnesLike=lambda x, dtype=None: jnp.ones_like(x, dtype),
    FullLike=lambda x, fill_value, dtype=None: jnp.full_like(x, fill_value, dtype),
)

# keras.ops.gelu approximates by default, unlike the activation, and its sparsemax is the one that we call legacy
NONLINEAR: Mapping[str, Callable] = FrozenDict(
    Relu=activations.relu,
    Relu6=activations.relu6,
    Sigmoid=activations.sigmoid,
    HardSigmoid=activations.hard_sigmoid,
    LogSigmoid=ACTIVATIONS["log_sigmoid"],
    SparseSigmoid=ACTIVATIONS["sparse_sigmoid"],
    Silu=activations.silu,
    HardSilu=ACTIVATIONS["hard_silu"],
    HardTanh=ACTIVATIONS["hard_tanh"],
    Softplus=activations.softplus,
    Softsign=ACTIVATIONS["softsign"],
    SparsePlus=ACTIVATIONS["sparse_plus"],
    Squareplus=lambda x, b=4: ACTIVATIONS["squareplus"](x, b),
    Softmax=lambda x, axis=-1: activations.softmax(x, axis),
    LogSoftmax=lambda x, axis=-1: activations.log_softmax(x, axis),
    Sparsemax=lambda x, axis=-1: ACTIVATIONS["legacy_sparsemax"](x, axis),
    Glu=lambda x, axis=-1: ACTIVATIONS["glu"](x, axis),
    Gelu=lambda x, approximate=True: activations.gelu(x, approximate),
    Elu=lambda x, alpha=1.0: activations.elu(x, alpha),
    Celu=lambda x, alpha=1.0: ACTIVATIONS["celu"](x, alpha),
    Selu=activations.selu,
    LeakyRelu=lambda x, negative_slope=0.2: activations.leaky_relu(x, negative_slope),
    TanhShrink=ACTIVATIONS["tanh_shrink"],
    SoftShrink=lambda x, threshold=0.5: ACTIVATIONS["soft_shrink"](x, threshold),
    HardShrink=lambda x, threshold=0.5: ACTIVATIONS["hard_shrink"](x, threshold),
    Threshold=lambda x, threshold, default_value: ACTIVATIONS["threshold"](x, threshold, default_value),
)

OPERATIONS: Mapping[str, Callable] = FrozenDict({**ARITHMETIC, **CHOICE, **REDUCTIONS, **SHAPES, **NONLINEAR})
