"""A Dense of one's own, written three ways: as a layer, as a pair of functions, and read back from a file.

The weights of a layer are declared once. Shapes, counts, the summary, penalties and files all follow from that.
"""

import math
import tempfile

import jax
import jax.numpy as jnp

import fnlayers as fl


@fl.layerclass
class Linear(fl.Layer):
    """y = x @ w + b, with weights drawn from a normal distribution."""

    units: int = 32
    w_initializer: str = "random_normal"

    def weights(self, shape):
        return {
            "w": fl.Param((fl.known(shape, -1), self.units), self.w_initializer),
            "b": fl.Param((self.units,), "random_normal"),
        }

    def call(self, params, x):
        return x @ params["w"] + params["b"]


def init(rng, shape):
    """The same weights as a plain function, and as a tuple."""
    w_key, b_key = jax.random.split(rng)
    return 0.05 * jax.random.normal(w_key, (shape[-1], 10)), 0.05 * jax.random.normal(b_key, (10,))


def apply(params, x):
    w, b = params
    return x @ w + b


x = jax.random.normal(jax.random.key(1), (3, 4))
as_layer = fl.Sequential([Linear(10), fl.ReLU()])
params = as_layer.init(jax.random.key(0), x.shape)
y = as_layer.apply(params, x)
print(f"1. a layer: {as_layer}\n{fl.summary(as_layer, (None, 4))}")
deviation = math.sqrt(sum(float((leaf**2).sum()) for leaf in params["linear"].values()) / fl.count(params))
print(f"on 4 features: {y.shape}, weights of deviation {deviation:.3f}")

as_pair = fl.Sequential([fl.Pair(init, apply), fl.ReLU()])
print(f"\n2. a pair of functions: {fl.count(as_pair.init(jax.random.key(0), x.shape))} numbers")
same = {"pair": {"pair": (params["linear"]["w"], params["linear"]["b"])}}
print(f"with the layer's weights, the same answers: {bool(jnp.array_equal(as_pair.apply(same, x), y))}")

with tempfile.TemporaryDirectory() as folder:
    path = f"{folder}/model.safetensors"
    fl.save(path, as_layer, params)
    loaded, its_params, _ = fl.load(
        path, layers=[Linear]
    )  # a file names a class, and whoever reads it passes the class
    print(f"\n3. read back from a file, an equal layer: {loaded == as_layer}", end="")
    print(f", the same answers: {bool(jnp.array_equal(loaded.apply(its_params, x), y))}")
