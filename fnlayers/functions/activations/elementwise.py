"""Activations of each element by itself."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from fnlayers.functions.activations.common import Array, checked, floating, through_float32


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
        x = floating(x)
        return 0.5 * x * _erfc(-x * math.sqrt(0.5))
    far = jnp.abs(x) > 10  # y is 0 or x there, and the cube overflows (in float16 from 41): its gradient is 0 * inf
    return jnp.where(far, jnp.maximum(x, 0), jax.nn.gelu(jnp.where(far, 0, x), approximate=True))


@checked
def sigmoid(x: Array) -> Array:
    """`1 / (1 + exp(-x))`."""
    return jax.nn.sigmoid(floating(x))


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
    return jax.nn.silu(floating(x))


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
    return through_float32(_squareplus, x, b)


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
def legacy_hard_sigmoid(x: Array) -> Array:
    """`clip(0.2 x + 0.5, 0, 1)`: what Keras 1 and 2 computed for hard_sigmoid, for models that were trained with it.

    >>> legacy_hard_sigmoid(jnp.array([-3.0, 0.0, 1.25])).tolist()
    [0.0, 0.5, 0.75]
    """
    return jnp.clip(0.2 * x + 0.5, 0, 1)


def _squareplus(x: Array, b: float) -> Array:
    far = jnp.abs(x) > 1e18  # x**2 overflows in float32; b is far below its rounding
    near = jnp.where(far, 0, x)
    return jnp.where(far, jnp.maximum(x, 0), 0.5 * (near + jnp.sqrt(near * near + b)))


@jax.custom_jvp
def _erfc(x: Array) -> Array:
    """1 - erf(x), with a derivative of its own: that of jax 0.12.0 fails the checks of `jax.shard_map`."""
    return jax.lax.erfc(x)


@_erfc.defjvp
def _(primals: tuple, tangents: tuple) -> tuple:
    (x,), (tangent,) = primals, tangents
    return _erfc(x), -2 / math.sqrt(math.pi) * (tangent * jnp.exp(-jnp.square(x)))
