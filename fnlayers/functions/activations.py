"""Activations: functions of an array that keep its shape (`glu` halves one axis) and its dtype.

Names, arguments, defaults and float32 numbers are Keras's, gradients at kinks and ties included. Functions over an
axis (softmax, log_softmax, sparsemax) compute in float32 when the input is float16 or bfloat16.
`ACTIVATIONS` is the table of names; `activation` reads a layer's argument.
"""

import functools
import inspect
import typing
from collections.abc import Callable, Sequence
from typing import Annotated, Any, ParamSpec

import jax
import jax.numpy as jnp

from fnlayers.functions.options import check_array, check_axes, check_home, look_up, refused, shown
from fnlayers.half_precision import in_float32, is_half_precision
from fnlayers.kinds import kind_of

Array = jax.Array
P = ParamSpec("P")
Axis = int | Sequence[int]
Activation = Annotated[str | Callable[..., Any] | None, lambda value: activation(value)]  # checked by core.options


def activation(identifier: Activation) -> Callable[..., Any]:
    """The function that a layer's argument means: None is `linear`, a string a name, a callable itself.

    >>> activation("swish") is silu, activation(None) is linear
    (True, True)
    """
    if identifier is None:
        return linear
    if isinstance(identifier, str):
        return look_up("activation", identifier, ACTIVATIONS)
    if not callable(identifier):
        raise refused("activation", identifier, "of one array")
    check_home("activation", identifier)
    return identifier


def checked(function: Callable[P, Array]) -> Callable[P, Array]:
    """A function of an array of real numbers, whose options are checked where they are given.

    Raises ValueError for what is not such an array, for an option that is not of its annotated type (an array counts as
    a number), and for an axis that the array does not have.
    """

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> Array:
        check_array(function.__name__, args[0] if args else kwargs.get("x"))
        if len(args) + len(kwargs) > 1 or function.__name__ in _OVER_AXES:
            _check_options(function, args, kwargs)
        return function(*args, **kwargs)

    return call


_OVER_AXES = ("glu", "softmax", "log_softmax", "sparsemax", "legacy_sparsemax")


def _check_options(function: Callable, args: tuple, kwargs: dict) -> None:
    given = inspect.signature(function).bind(*args, **kwargs)
    given.apply_defaults()
    x, hints = given.arguments.pop("x"), typing.get_type_hints(function)
    for name, value in given.arguments.items():
        kind = kind_of(hints[name])
        if not hasattr(value, "dtype") and not kind.accepts(tuple(value) if isinstance(value, list) else value):
            raise ValueError(f"{function.__name__}: {name}={shown(value)} is wrong; give {kind.words}")
        if name == "axis":
            check_axes(function.__name__, tuple(value) if isinstance(value, Sequence) else value, jnp.ndim(x))


def linear(x: Any) -> Any:
    """The array as it is."""
    return x


@checked
def relu(x: Array, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Array:
    """`max(x, 0)`; in general max_value where x >= max_value, x where x > threshold, and
    negative_slope * (x - threshold) elsewhere.

    Arguments:
        x: an array of any shape.
        negative_slope: the slope below the threshold.
        max_value: the largest value returned; None is not a bound.
        threshold: where the function starts to pass x on.

    >>> relu(jnp.array([-2.0, 1.0, 9.0]), negative_slope=0.5, max_value=6.0).tolist()
    [-1.0, 1.0, 6.0]
    """
    if negative_slope != 0 and max_value is None and threshold == 0:
        return jax.nn.leaky_relu(x, negative_slope)
    if threshold != 0:
        positive = jnp.where(x > threshold, x, 0)
    else:
        positive = jax.nn.relu6(x) if max_value == 6 else jax.nn.relu(x)  # Keras: so relu6 has gradient 1/2 at 0
    if max_value is not None and (threshold != 0 or max_value != 6):
        positive = jnp.clip(positive, 0, max_value)
    if negative_slope == 0:
        return positive
    return positive - negative_slope * jax.nn.relu(threshold - x)


@checked
def relu6(x: Array) -> Array:
    """`min(max(x, 0), 6)`.

    Reference: A. Krizhevsky, "Convolutional deep belief networks on CIFAR-10", 2010.
    """
    return jax.nn.relu6(x)


@checked
def leaky_relu(x: Array, negative_slope: float = 0.2) -> Array:
    """`x` where x >= 0, `negative_slope * x` elsewhere.

    Arguments:
        x: an array of any shape.
        negative_slope: 0.2 here; the layer LeakyReLU has 0.3.

    Reference: A. Maas, A. Hannun, A. Ng, "Rectifier nonlinearities improve neural network acoustic models", 2013.
    """
    return jax.nn.leaky_relu(x, negative_slope)


@checked
def elu(x: Array, alpha: float = 1.0) -> Array:
    """`x` where x > 0, `alpha * (exp(x) - 1)` elsewhere.

    Reference: D.-A. Clevert, T. Unterthiner, S. Hochreiter, "Fast and accurate deep network learning by exponential
    linear units (ELUs)", 2016.
    """
    return jax.nn.elu(x, alpha)


@checked
def celu(x: Array, alpha: float = 1.0) -> Array:
    """`max(x, 0) + min(alpha * (exp(x / alpha) - 1), 0)`: an `elu` whose slope is continuous for every alpha.

    Reference: J. T. Barron, "Continuously differentiable exponential linear units", 2017.
    """
    return jax.nn.celu(x, alpha)


@checked
def selu(x: Array) -> Array:
    """`1.05070098 * elu(x, alpha=1.67326324)`.

    Keeps mean 0 and variance 1 from layer to layer, with `lecun_normal` kernels and AlphaDropout.

    Reference: G. Klambauer, T. Unterthiner, A. Mayr, S. Hochreiter, "Self-normalizing neural networks", 2017.
    """
    return jax.nn.selu(x)


@checked
def gelu(x: Array, approximate: bool = False) -> Array:
    """`x * P(X <= x)` for X normal, which is `x / 2 * (1 + erf(x / sqrt(2)))`.

    Arguments:
        x: an array of any shape.
        approximate: use x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))). False here and in Keras's
            activations; `jax.nn.gelu` has True.

    Reference: D. Hendrycks, K. Gimpel, "Gaussian error linear units (GELUs)", 2016.

    >>> [round(float(gelu(jnp.array(1.0), approximate=flag)), 5) for flag in (False, True)]
    [0.84134, 0.84119]
    """
    if not approximate:
        return jax.nn.gelu(x, approximate=False)
    far = jnp.abs(x) > 10  # y is 0 or x there, and the cube overflows (in float16 from 41): its gradient is 0 * inf
    return jnp.where(far, jnp.maximum(x, 0), jax.nn.gelu(jnp.where(far, 0, x), approximate=True))


@checked
def sigmoid(x: Array) -> Array:
    """`1 / (1 + exp(-x))`."""
    return jax.nn.sigmoid(_floating(x))


@checked
def log_sigmoid(x: Array) -> Array:
    """`log(sigmoid(x))`, computed as -softplus(-x) and so finite where sigmoid(x) underflows."""
    return jax.nn.log_sigmoid(x)


@checked
def hard_sigmoid(x: Array) -> Array:
    """`relu6(x + 3) / 6`: 0 up to -3, 1 from 3 on, a line between.

    Keras 1 and 2 had `legacy_hard_sigmoid`, which matters for weights trained with it.
    """
    return jax.nn.hard_sigmoid(x)


@checked
def sparse_sigmoid(x: Array) -> Array:
    """`clip((x + 1) / 2, 0, 1)`.

    Reference: M. Blondel, A. Martins, V. Niculae, "Learning classifiers with Fenchel-Young losses", 2019.
    """
    return jax.nn.sparse_sigmoid(x)


@checked
def silu(x: Array) -> Array:
    """`x * sigmoid(x)`; also called swish.

    Reference: P. Ramachandran, B. Zoph, Q. V. Le, "Searching for activation functions", 2017.
    """
    return jax.nn.silu(_floating(x))


@checked
def hard_silu(x: Array) -> Array:
    """`x * hard_sigmoid(x)`; also called hard_swish.

    Reference: A. Howard and others, "Searching for MobileNetV3", 2019.
    """
    return jax.nn.hard_silu(x)


@checked
def mish(x: Array) -> Array:
    """`x * tanh(softplus(x))`.

    Reference: D. Misra, "Mish: a self regularized non-monotonic activation function", 2019.
    """
    return x * jnp.tanh(jax.nn.softplus(x))


@checked
def softplus(x: Array) -> Array:
    """`log(1 + exp(x))`, without overflow."""
    return jax.nn.softplus(x)


@checked
def squareplus(x: Array, b: float = 4) -> Array:
    """`(x + sqrt(x**2 + b)) / 2`: algebraic, and near to softplus.

    Arguments:
        x: an array of any shape.
        b: the width of the bend at 0; b = 0 is relu.

    Reference: J. T. Barron, "Squareplus: a softplus-like algebraic rectifier", 2021.
    """
    return _in_float32(_squareplus, x, b)


@checked
def sparse_plus(x: Array) -> Array:
    """`0` where x <= -1, `(x + 1)**2 / 4` where -1 < x < 1, `x` where x >= 1.

    Reference: M. Blondel, A. Martins, V. Niculae, "Learning classifiers with Fenchel-Young losses", 2019.
    """
    bend = jnp.where(jnp.abs(x) > 1, 0, x)  # far out the square overflows, and its unused gradient would be NaN
    return jnp.where(x <= -1, 0, jnp.where(x >= 1, x, (bend + 1) ** 2 / 4))


@checked
def softsign(x: Array) -> Array:
    """`x / (1 + |x|)`."""
    return jax.nn.soft_sign(x)


@checked
def tanh(x: Array) -> Array:
    """`(exp(x) - exp(-x)) / (exp(x) + exp(-x))`."""
    return jnp.tanh(x)


@checked
def hard_tanh(x: Array) -> Array:
    """`clip(x, -1, 1)`."""
    return jax.nn.hard_tanh(x)


@checked
def tanh_shrink(x: Array) -> Array:
    """`x - tanh(x)`."""
    return x - jnp.tanh(x)


@checked
def soft_shrink(x: Array, threshold: float = 0.5) -> Array:
    """`x - threshold` where x > threshold, `x + threshold` where x < -threshold, `0` between."""
    return jnp.where(x > threshold, x - threshold, jnp.where(x < -threshold, x + threshold, 0))


@checked
def hard_shrink(x: Array, threshold: float = 0.5) -> Array:
    """`x` where |x| > threshold, `0` elsewhere."""
    return jnp.where(jnp.abs(x) > threshold, x, 0)


@checked
def threshold(x: Array, threshold: float, default_value: float) -> Array:
    """`x` where x > threshold, `default_value` elsewhere."""
    return jnp.where(x > threshold, x, default_value)


@checked
def exponential(x: Array) -> Array:
    """`exp(x)`."""
    return jnp.exp(x)


@checked
def glu(x: Array, axis: int = -1) -> Array:
    """`a * sigmoid(b)`, where a and b are the first and the second half of x along the axis.

    Raises ValueError where that axis has an odd size.

    Reference: Y. Dauphin, A. Fan, M. Auli, D. Grangier, "Language modeling with gated convolutional networks", 2017.
    """
    if x.shape[axis] % 2:
        raise ValueError(
            f"glu(axis={axis}) got an array of shape {x.shape}, whose axis {axis} has the odd size {x.shape[axis]}; "
            "glu halves that axis, so give it an even size"
        )
    return jax.nn.glu(_floating(x), axis=axis)


@checked
def softmax(x: Array, axis: Axis = -1) -> Array:
    """`exp(x) / sum(exp(x))` over the axis, or over all of a tuple of axes together.

    >>> [round(value, 4) for value in softmax(jnp.array([0.0, 1.0, 1.0])).tolist()]
    [0.1554, 0.4223, 0.4223]
    """
    x = jnp.asarray(x)
    return _half_precision_softmax(x, _axes(axis)) if is_half_precision(x) else jax.nn.softmax(x, _axes(axis))


@checked
def log_softmax(x: Array, axis: Axis = -1) -> Array:
    """`x - log(sum(exp(x)))`, over the axis or a tuple of axes together."""
    return _in_float32(jax.nn.log_softmax, x, _axes(axis))


@checked
def sparsemax(x: Array, axis: int = -1) -> Array:
    """`max(x - tau, 0)`, with the tau that makes each row sum to 1: the point of the simplex nearest to x.

    Keras 3.15 finds a tau too large as soon as two entries of a row stay positive, and its rows then sum to less
    than 1; this function computes what the paper defines.

    Reference: A. Martins, R. Astudillo, "From softmax to sparsemax", 2016.

    >>> sparsemax(jnp.array([3.0, 3.0, 1.0])).tolist()
    [0.5, 0.5, 0.0]
    """
    return _in_float32(_sparsemax, x, axis)


@checked
def legacy_hard_sigmoid(x: Array) -> Array:
    """`clip(0.2 x + 0.5, 0, 1)`: what Keras 1 and 2 computed for hard_sigmoid, for models that were trained with it.

    >>> legacy_hard_sigmoid(jnp.array([-3.0, 0.0, 1.25])).tolist()
    [0.0, 0.5, 0.75]
    """
    return jnp.clip(0.2 * x + 0.5, 0, 1)


@checked
def legacy_sparsemax(x: Array, axis: int = -1) -> Array:
    """What Keras up to 3.15 computes for sparsemax, for models that were trained with it.

    Its tau is (the sum of all cumulative sums of the support - 1) / k, where only the last cumulative sum belongs.
    """
    return _in_float32(_legacy_sparsemax, x, axis)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _half_precision_softmax(x: Array, axis: int | tuple[int, ...]) -> Array:
    return jax.nn.softmax(x.astype(jnp.float32), axis).astype(x.dtype)


@_half_precision_softmax.defjvp
def _(axis: int | tuple[int, ...], primals: tuple, tangents: tuple) -> tuple:
    """The backward pass keeps x, the maximum and the sum."""
    (x,), (dx,) = primals, tangents
    top = jax.lax.stop_gradient(jnp.max(x, axis, keepdims=True, initial=-jnp.inf)).astype(jnp.float32)
    total = jnp.sum(jnp.exp(x.astype(jnp.float32) - top), axis, keepdims=True)

    def tangent(x: Array, top: Array, total: Array, dx: Array) -> Array:
        y, dx = jnp.exp(x - top) / total, dx.astype(jnp.float32)
        return y * (dx - jnp.sum(y * dx, axis, keepdims=True))

    return _half_precision_softmax(x, axis), in_float32(tangent, x, top, total, dx).astype(x.dtype)


def _legacy_sparsemax(x: Array, axis: int) -> Array:
    ordered = jnp.flip(jnp.sort(x, axis), axis)
    total = jnp.cumsum(ordered, axis=axis)
    rank = jnp.arange(1, x.shape[axis] + 1, dtype=x.dtype).reshape(
        [-1 if i == axis % x.ndim else 1 for i in range(x.ndim)]
    )
    support = ordered - (total - 1) / rank > 0
    count = jnp.sum(support, axis, keepdims=True, dtype=x.dtype)
    return jnp.maximum(x - (jnp.sum(jnp.where(support, total, 0), axis, keepdims=True) - 1) / count, 0)


def _squareplus(x: Array, b: float) -> Array:
    far = jnp.abs(x) > 1e18  # x**2 overflows in float32; b is far below its rounding
    near = jnp.where(far, 0, x)
    return jnp.where(far, jnp.maximum(x, 0), 0.5 * (near + jnp.sqrt(near * near + b)))


def _sparsemax(x: Array, axis: int) -> Array:
    x = x - jax.lax.stop_gradient(jnp.max(x, axis, keepdims=True))  # a shift changes nothing, and 1e8 - 1 is not 1e8
    ordered = jnp.sort(x, axis, descending=True)
    rank = jnp.expand_dims(
        jnp.arange(1, x.shape[axis] + 1, dtype=x.dtype), [i for i in range(x.ndim) if i != axis % x.ndim]
    )
    support = 1 + rank * ordered > jnp.cumsum(ordered, axis=axis)
    count = jnp.sum(support, axis, keepdims=True, dtype=x.dtype)
    tau = (jnp.sum(jnp.where(support, ordered, 0), axis, keepdims=True) - 1) / count
    return jnp.maximum(x - tau, 0)


def _floating(x: Array) -> Array:
    """The array, integers as float32."""
    return x if jnp.issubdtype(jnp.result_type(x), jnp.floating) else jnp.asarray(x, jnp.float32)


def _in_float32(function: Callable[..., Array], x: Array, *args: Any) -> Array:
    """function(x), computed in float32 where x is float16 or bfloat16, and returned in x's dtype."""
    x = jnp.asarray(x)
    y = in_float32(lambda x: function(x, *args), x)
    return y.astype(x.dtype) if is_half_precision(x) else y


def _axes(axis: Axis) -> int | tuple[int, ...]:
    return axis if isinstance(axis, int) else tuple(axis)


ACTIVATIONS: dict[str, Callable[..., Any]] = {
    "celu": celu,
    "elu": elu,
    "exponential": exponential,
    "gelu": gelu,
    "glu": glu,
    "hard_shrink": hard_shrink,
    "hard_sigmoid": hard_sigmoid,
    "hard_silu": hard_silu,
    "hard_swish": hard_silu,
    "hard_tanh": hard_tanh,
    "leaky_relu": leaky_relu,
    "legacy_hard_sigmoid": legacy_hard_sigmoid,  # not in Keras 3: the hard_sigmoid of Keras 1 and 2
    "legacy_sparsemax": legacy_sparsemax,  # not in Keras: its own sparsemax by another name
    "linear": linear,
    "log_sigmoid": log_sigmoid,
    "log_softmax": log_softmax,
    "mish": mish,
    "relu": relu,
    "relu6": relu6,
    "selu": selu,
    "sigmoid": sigmoid,
    "silu": silu,
    "soft_shrink": soft_shrink,
    "softmax": softmax,
    "softplus": softplus,
    "softsign": softsign,
    "sparse_plus": sparse_plus,
    "sparse_sigmoid": sparse_sigmoid,
    "sparsemax": sparsemax,
    "squareplus": squareplus,
    "swish": silu,
    "tanh": tanh,
    "tanh_shrink": tanh_shrink,
    "threshold": threshold,
}
