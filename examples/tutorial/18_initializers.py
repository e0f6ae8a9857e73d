"""Every initializer: the distribution of what it draws, and which of them keeps a deep net's numbers alive.

Random ones differ in shape (uniform, normal, normal cut off at two deviations) and in width: a fixed one, or one that
follows from how many inputs (fan in) and outputs (fan out) a unit has.
"""

import math

import jax
import jax.numpy as jnp

import fnlayers as fl

BARS = " ▁▂▃▄▅▆▇█"
make, key = fl.initializers, jax.random.key(0)
fan_in, fan_out = shape = (400, 200)
cut = 0.8796  # of a normal distribution's deviation is left when it is cut off at two of them
rules = {
    make.Zeros(): 0,
    make.Ones(): 0,
    make.Constant(0.3): 0,
    make.Identity(): math.sqrt(1 / fan_in),
    make.RandomNormal(): 0.05,
    make.TruncatedNormal(): 0.05 * cut,
    make.RandomUniform(): 0.1 / math.sqrt(12),
    make.LecunNormal(): math.sqrt(1 / fan_in),
    make.LecunUniform(): math.sqrt(1 / fan_in),
    make.GlorotNormal(): math.sqrt(2 / (fan_in + fan_out)),
    make.GlorotUniform(): math.sqrt(2 / (fan_in + fan_out)),
    make.HeNormal(): math.sqrt(2 / fan_in),
    make.HeUniform(): math.sqrt(2 / fan_in),
    make.VarianceScaling(scale=3, mode="fan_out"): math.sqrt(3 / fan_out),
    make.Orthogonal(): math.sqrt(1 / fan_in),
}
print(f"a kernel {shape}                                 mean   deviation     rule   from      to  -0.15 to 0.15")
for initializer, rule in rules.items():
    w = initializer(key, shape)
    counts = jnp.histogram(w, bins=20, range=(-0.15, 0.15))[0]
    drawn = "".join(BARS[math.ceil(float(n) * (len(BARS) - 1))] for n in counts / max(1, counts.max()))
    numbers = f"{w.mean():8.4f} {w.std():11.4f} {rule:8.4f} {w.min():6.2f} {w.max():7.2f}"
    print(f"{initializer!r:<44} {numbers}  {drawn}")
columns = make.Orthogonal()(key, shape)
error = jnp.abs(columns.T @ columns - jnp.eye(fan_out)).max()
print(f"Orthogonal columns: {error:.0e} from unit length and right angles")
wave = make.STFT("imag")(key, (64, 1, 33))[:, 0, 2]  # of Conv1D kernels that make a spectrogram, the third
drawn = "".join(BARS[round(4 + float(n) * 4)] for n in wave / jnp.abs(wave).max())
print(f"STFT: windowed sines and cosines, such as {drawn}")

print("\nvariance after so many layers of 256 units             1        10        30")
for activation, name in (
    ("relu", "random_normal"),
    ("relu", "glorot_uniform"),
    ("relu", "he_normal"),
    ("tanh", "glorot_uniform"),
    ("selu", "lecun_normal"),
):
    layer, y = fl.Dense(256, activation, kernel_initializer=name), jax.random.normal(key, (64, 256))
    variances = []
    for n in range(30):
        y = layer.apply(layer.init(jax.random.fold_in(key, n), y.shape), y)
        variances.append(y.var())
    print(f"  {activation:<6} {name:<38}" + "".join(f"{variances[n - 1]:10.0e}" for n in (1, 10, 30)))
