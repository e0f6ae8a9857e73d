"""Initializers: frozen options, called as initializer(key, shape, dtype) for the initial values of a weight.

Nothing random is hidden: the same key, shape and dtype give the same numbers. The distributions are Keras's, the
draws are not. Numbers are drawn in float32 (float64 for float64 weights), then cast, so that float16 and bfloat16
weights are well distributed too.

`seed` keeps Keras's name, yet is not a generator of its own: it is folded into the key. So two weights
with the same key and other seeds differ, and the key still decides.

`INITIALIZERS` is the table of names; `initializer` reads a layer's argument.
"""

import math
from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np

from fnlayers.functions import draws
from fnlayers.functions.options import Options, check_axes, is_axes, is_number, resolve, shown
from fnlayers.functions.windows import WINDOWS, stft_kernel, window
from fnlayers.half_precision import accumulation_dtype
from fnlayers.kinds import Seed
from fnlayers.plain_data import recordclass

Key = draws.Key
Shape = tuple[int, ...]
Axes = Sequence[int] | None
Initializer = Annotated[str | Callable[..., jax.Array], lambda value: initializer(value)]  # checked by core.options

Mode = Literal["fan_in", "fan_out", "fan_avg"]
Distribution = Literal["uniform", "truncated_normal", "untruncated_normal", "normal"]
DISTRIBUTIONS = ("uniform", "truncated_normal", "untruncated_normal")
TRUNCATED_STDDEV = 0.87962566103423978  # of a unit normal that is cut at -2 and 2


def initializer(identifier: Initializer) -> Callable[..., jax.Array]:
    """The initializer that a layer's argument means: a string is a name, a callable (key, shape, dtype) itself.

    >>> initializer("he_normal")
    HeNormal()
    """
    return resolve("initializer", identifier, INITIALIZERS, "(key, shape, dtype)")


def fans(shape: Sequence[int], input_axes: Axes = None, output_axes: Axes = None) -> tuple[int, int]:
    """How many inputs and how many outputs a unit of a weight of that shape has.

    A vector of n counts as n and n. A kernel (*space, in, out) has in * prod(space) and out * prod(space), a depthwise
    one (*space, channels, multiplier) accordingly. Where both `input_axes` and `output_axes` are given, the fans are
    the products of those axes.

    >>> fans((20, 30)), fans((3, 3, 8, 16)), fans((8, 4, 16), input_axes=(0,), output_axes=(1, 2))
    ((20, 30), (72, 144), (8, 64))
    """
    if input_axes is not None and output_axes is not None:  # Keras: one without the other is ignored
        return math.prod(shape[axis] for axis in input_axes), math.prod(shape[axis] for axis in output_axes)
    if len(shape) < 2:
        return (shape[0], shape[0]) if shape else (1, 1)
    space = math.prod(shape[:-2])
    return space * shape[-2], space * shape[-1]


class _Initializer(Options):
    """Base of all initializers; a subclass writes `_values`. All of them take both kinds of keys."""

    takes_host_key: ClassVar = True

    def __call__(self, key: Key, shape: Sequence[int], dtype: Any = "float32") -> jax.Array:
        """The initial values of a weight: an array of that shape and dtype. Only random ones look at the key."""
        return self._values(key, self._sizes(shape), self._dtype(dtype))

    def _sizes(self, shape: Any) -> Shape:
        """The shape as a tuple of sizes."""
        sizes = shape if isinstance(shape, (tuple, list)) else (None,)
        if not all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) and 0 <= n < 2**63 for n in sizes):
            raise ValueError(
                f"{self} takes the shape of the weight, got {shown(shape)}; give a tuple of sizes, as (3, 4)"
            )
        return tuple(int(n) for n in shape)

    def _dtype(self, dtype: Any) -> np.dtype:
        """The dtype of the weight."""
        try:
            found = jnp.dtype(dtype)
        except TypeError:
            found = np.dtype("O")
        if dtype is None or not (jnp.issubdtype(found, jnp.number) or found.kind == "b"):
            raise ValueError(f"{self}: dtype={shown(dtype)} is not a dtype of numbers; give one, such as 'float32'")
        return found

    def _values(self, key: Key, shape: Shape, dtype: np.dtype) -> jax.Array:
        raise NotImplementedError


class _Random(_Initializer):
    """Base of the random initializers; a subclass writes `_sample`, for a dtype of floats."""

    seed: Seed  # not a field here: a subclass declares it among its fields

    def _values(self, key: Key, shape: Shape, dtype: np.dtype) -> jax.Array:
        if key is None:
            raise ValueError(f"{self} draws random numbers and got no key; pass one, as jax.random.key(0)")
        if not draws.is_key(key):
            raise ValueError(f"{self} draws from a random key, got {shown(key)}; pass one, as jax.random.key(0)")
        if not jnp.issubdtype(dtype, jnp.floating):
            raise ValueError(
                f"{self} draws floats, and the weight is {dtype}; choose zeros, ones, constant or a float dtype"
            )
        if self.seed is not None:
            key = draws.fold_in(key, self.seed & 0xFFFFFFFF)  # fold_in takes 32 bits
        return self._sample(key, shape, dtype)

    def _sample(self, key: Key, shape: Shape, dtype: np.dtype) -> Any:
        raise NotImplementedError


@recordclass
class Zeros(_Initializer):
    """0 everywhere."""

    def _values(self, key: Key, shape: Shape, dtype: np.dtype) -> jax.Array:
        return draws.full(key, shape, 0, dtype)


@recordclass
class Ones(_Initializer):
    """1 everywhere."""

    def _values(self, key: Key, shape: Shape, dtype: np.dtype) -> jax.Array:
        return draws.full(key, shape, 1, dtype)


@recordclass
class Constant(_Initializer):
    """One value everywhere, or the values of a nested tuple broadcast to the shape.

    Arguments:
        value: a number, or a nested tuple or list of numbers. Arrays are refused: options are compared and hashed.

    >>> Constant([[1, 2], [3, 4]])(None, (2, 2)).tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """

    value: Any = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            numbers = np.asarray(self.value)
        except ValueError:  # rows of several lengths
            numbers = np.asarray(None)
        good = numbers.dtype.kind in "fiubc" and not np.isnan(numbers).any()
        self._check(bool(good), "value", "a number, or a nested tuple of them with rows of one length")

    def _values(self, key: Key, shape: Shape, dtype: np.dtype) -> jax.Array:
        value = np.asarray(self.value)
        if value.dtype.kind == "c" and dtype.kind != "c":
            raise ValueError(f"{self}: the weight is {dtype}, which loses the imaginary part; give a complex dtype")
        try:
            return draws.full(key, shape, value, dtype)
        except ValueError:
            raise ValueError(
                f"Constant: the weight has shape {shape}, the value {value.shape}; give a number, or a value of {shape}"
            ) from None


@recordclass
class Identity(_Initializer):
    """gain on the diagonal of a matrix, 0 elsewhere; the matrix need not be square.

    Arguments:
        gain: the value on the diagonal.
    """

    gain: float = 1.0

    def _values(self, key: Key, shape: Shape, dtype: np.dtype) -> jax.Array:
        if len(shape) != 2:
            raise ValueError(
                f"Identity fills matrices, and the weight has shape {shape}, of rank {len(shape)}; choose another one"
            )
        return jnp.asarray(self.gain, dtype) * jnp.eye(*shape, dtype=dtype)


@recordclass
class _Normal(_Random):
    """Base of the two normal initializers."""

    mean: float = 0.0
    stddev: float = 0.05
    seed: Seed = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check(is_number(self.mean), "mean", "a finite number")
        self._check(is_number(self.stddev, least=0), "stddev", "a number, 0 or more")


@recordclass
class RandomNormal(_Normal):
    """Normal numbers of the given mean and standard deviation.

    Arguments:
        mean, stddev: of the distribution.
        seed: an integer folded into the key, or None.
    """

    def _sample(self, key: Key, shape: Shape, dtype: np.dtype) -> Any:
        return draws.normal(key, shape, dtype, lambda x: self.mean + self.stddev * x)


@recordclass
class TruncatedNormal(_Normal):
    """Normal numbers, those more than two standard deviations from the mean drawn again.

    The standard deviation of what is left is 0.88 * stddev.

    Arguments:
        mean, stddev: of the normal distribution before it is cut.
        seed: an integer folded into the key, or None.
    """

    def _sample(self, key: Key, shape: Shape, dtype: np.dtype) -> Any:
        return draws.truncated_normal(key, shape, dtype, lambda x: self.mean + self.stddev * x)


@recordclass
class RandomUniform(_Random):
    """Uniform numbers over [minval, maxval).

    Arguments:
        minval, maxval: the bounds.
        seed: an integer folded into the key, or None.
    """

    minval: float = -0.05
    maxval: float = 0.05
    seed: Seed = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check(is_number(self.minval), "minval", "a finite number")
        self._check(is_number(self.maxval, least=self.minval), "maxval", f"a number, minval={self.minval} or more")

    def _sample(self, key: Key, shape: Shape, dtype: np.dtype) -> Any:
        return draws.uniform(key, shape, dtype, self.minval, self.maxval)


class _ByFans(_Random):
    """Base of the initializers that look at a unit's fans; a subclass says its scale, mode and distribution."""

    input_axes: Axes
    output_axes: Axes

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("input_axes", "output_axes"):
            axes = getattr(self, name)
            self._check(axes is None or (isinstance(axes, tuple) and is_axes(axes)), name, "a tuple of axes or None")

    def _law(self) -> tuple[float, str, str]:
        raise NotImplementedError

    def _sample(self, key: Key, shape: Shape, dtype: np.dtype) -> Any:
        scale, mode, distribution = self._law()
        for axes in (self.input_axes, self.output_axes):
            check_axes(type(self).__name__, axes or (), len(shape))
        fan_in, fan_out = fans(shape, self.input_axes, self.output_axes)
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[mode]
        stddev = math.sqrt(scale / max(1.0, fan))
        if distribution == "uniform":
            limit = math.sqrt(3) * stddev
            return draws.uniform(key, shape, dtype, -limit, limit)
        if distribution == "untruncated_normal":
            return draws.normal(key, shape, dtype, lambda x: stddev * x)
        return draws.truncated_normal(key, shape, dtype, lambda x: stddev / TRUNCATED_STDDEV * x)


@recordclass
class VarianceScaling(_ByFans):
    """Numbers of mean 0 and variance scale / n, where n is the number of units that a unit is connected with.

    Arguments:
        scale: a positive number.
        mode: what n is: "fan_in" the inputs of a unit, "fan_out" its outputs, "fan_avg" their mean. See `fans`.
        distribution: "truncated_normal" (or "normal"; cut at two standard deviations, and scaled so that the
            variance is right after the cut), "untruncated_normal" or "uniform".
        seed: an integer folded into the key, or None.
        input_axes, output_axes: the axes of the weight that count as inputs and as outputs; give both or neither.

    Reference: K. He, X. Zhang, S. Ren, J. Sun, "Delving deep into rectifiers", 2015.

    >>> VarianceScaling(2.0, mode="fan_out")
    VarianceScaling(scale=2.0, mode='fan_out')
    """

    scale: float = 1.0
    mode: Mode = "fan_in"
    distribution: Distribution = "truncated_normal"
    seed: Seed = None
    input_axes: Axes = None
    output_axes: Axes = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check(is_number(self.scale) and self.scale > 0, "scale", "a positive number")
        name = str(self.distribution).lower()
        self._store("distribution", "truncated_normal" if name == "normal" else name)
        self._choose("distribution", DISTRIBUTIONS)

    def _law(self) -> tuple[float, str, str]:
        return self.scale, self.mode, self.distribution


@recordclass
class _NamedScaling(_ByFans):
    """Base of the six cases of VarianceScaling that have names of their own."""

    seed: Seed = None
    input_axes: Axes = None
    output_axes: Axes = None
    law: ClassVar[tuple[float, str, str]]

    def _law(self) -> tuple[float, str, str]:
        return self.law


@recordclass
class GlorotUniform(_NamedScaling):
    """Uniform over [-limit, limit), limit = sqrt(6 / (fan_in + fan_out)). Arguments as in VarianceScaling.

    Reference: X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010.
    """

    law: ClassVar = (1.0, "fan_avg", "uniform")


@recordclass
class GlorotNormal(_NamedScaling):
    """Truncated normal of standard deviation sqrt(2 / (fan_in + fan_out)). Arguments as in VarianceScaling.

    Reference: X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010.
    """

    law: ClassVar = (1.0, "fan_avg", "truncated_normal")


@recordclass
class HeUniform(_NamedScaling):
    """Uniform over [-limit, limit), limit = sqrt(6 / fan_in). Arguments as in VarianceScaling.

    Reference: K. He, X. Zhang, S. Ren, J. Sun, "Delving deep into rectifiers", 2015.
    """

    law: ClassVar = (2.0, "fan_in", "uniform")


@recordclass
class HeNormal(_NamedScaling):
    """Truncated normal of standard deviation sqrt(2 / fan_in). Arguments as in VarianceScaling.

    Reference: K. He, X. Zhang, S. Ren, J. Sun, "Delving deep into rectifiers", 2015.
    """

    law: ClassVar = (2.0, "fan_in", "truncated_normal")


@recordclass
class LecunUniform(_NamedScaling):
    """Uniform over [-limit, limit), limit = sqrt(3 / fan_in). Arguments as in VarianceScaling.

    Reference: Y. LeCun, L. Bottou, G. Orr, K.-R. Müller, "Efficient backprop", 1998.
    """

    law: ClassVar = (1.0, "fan_in", "uniform")


@recordclass
class LecunNormal(_NamedScaling):
    """Truncated normal of standard deviation sqrt(1 / fan_in). Arguments as in VarianceScaling.

    Reference: Y. LeCun, L. Bottou, G. Orr, K.-R. Müller, "Efficient backprop", 1998.
    """

    law: ClassVar = (1.0, "fan_in", "truncated_normal")


@recordclass
class Orthogonal(_Random):
    """gain times a random matrix with orthonormal columns (rows, where there are fewer rows than columns).

    A weight of higher rank is that matrix with all axes but the last flattened into its rows. Drawing takes 36 bytes of
    memory a number, whatever the weight's dtype: it is a QR decomposition in float64.

    Arguments:
        gain: the factor.
        seed: an integer folded into the key, or None.

    Reference: A. Saxe, J. McClelland, S. Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep
    linear neural networks", 2014.
    """

    gain: float = 1.0
    seed: Seed = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check(is_number(self.gain), "gain", "a finite number")

    def _sample(self, key: Key, shape: Shape, dtype: np.dtype) -> Any:
        if len(shape) < 2:
            raise ValueError(
                f"Orthogonal fills weights of rank 2 or more, and this one has shape {shape}; choose another one"
            )
        rows, columns = math.prod(shape[:-1]), shape[-1]
        if rows * columns == 0:
            return jnp.zeros(shape, dtype)
        values = draws.normal(key, (max(rows, columns), min(rows, columns)), accumulation_dtype(dtype))
        xp: Any = np if isinstance(values, np.ndarray) else jnp
        q, r = xp.linalg.qr(values)
        del values
        q *= xp.sign(xp.diagonal(r))  # QR alone favors some rotations; with these signs all are equally likely
        q *= self.gain
        return (q if rows >= columns else q.T).reshape(shape).astype(dtype, copy=False)


@recordclass
class STFT(_Initializer):
    """The kernel of shape (frame_length, 1, bins) whose convolution is a short-time Fourier transform:
    window[t] / scale * cos(2 * pi * t * f / fft_length) for the real side, and -sin for the imaginary one, with
    fft_length = 2 * (bins - 1).

    Arguments:
        side: "real" or "imag".
        window: a name of `windows.WINDOWS`, a tuple of frame_length values, or None for no window.
        scaling: "density" divides by the root of the window's summed squares, "spectrum" by the sum of its absolute
            values, None by 1. Without a window there is no scaling.
        periodic: whether a named window is periodic or symmetric.
    """

    side: Literal["real", "imag"] = "real"
    window: str | Sequence[float] | None = "hann"
    scaling: Literal["density", "spectrum"] | None = "density"
    periodic: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.window, str):
            self._choose("window", WINDOWS)

    def _values(self, key: Key, shape: Shape, dtype: np.dtype) -> jax.Array:
        if len(shape) != 3 or shape[1] != 1:
            raise ValueError(f"STFT fills kernels of shape (frame_length, 1, bins), got {shape}; give such a shape")
        taper = self.window
        if taper is not None:
            taper = jnp.asarray(
                window(taper, shape[0], self.periodic) if isinstance(taper, str) else taper, accumulation_dtype(dtype)
            )
            if taper.shape != shape[:1]:
                raise ValueError(
                    f"STFT: the window has shape {taper.shape}, and a frame {shape[0]} values; give that many"
                )
        return stft_kernel(self.side, taper, self.scaling, shape, accumulation_dtype(dtype)).astype(dtype)


# fmt: off
INITIALIZERS: dict[str, type[_Initializer]] = {
    "Constant": Constant, "constant": Constant,
    "GlorotNormal": GlorotNormal, "glorot_normal": GlorotNormal,
    "GlorotUniform": GlorotUniform, "glorot_uniform": GlorotUniform,
    "HeNormal": HeNormal, "he_normal": HeNormal,
    "HeUniform": HeUniform, "he_uniform": HeUniform,
    "Identity": Identity, "identity": Identity, "IdentityInitializer": Identity,
    "LecunNormal": LecunNormal, "lecun_normal": LecunNormal,
    "LecunUniform": LecunUniform, "lecun_uniform": LecunUniform,
    "Ones": Ones, "ones": Ones, "one": Ones,
    "Orthogonal": Orthogonal, "orthogonal": Orthogonal, "OrthogonalInitializer": Orthogonal,
    "RandomNormal": RandomNormal, "random_normal": RandomNormal, "normal": RandomNormal,
    "RandomUniform": RandomUniform, "random_uniform": RandomUniform, "uniform": RandomUniform,
    "STFT": STFT, "stft": STFT, "STFTInitializer": STFT,
    "TruncatedNormal": TruncatedNormal, "truncated_normal": TruncatedNormal,
    "VarianceScaling": VarianceScaling, "variance_scaling": VarianceScaling,
    "Zeros": Zeros, "zeros": Zeros, "zero": Zeros,
}
# fmt: on
