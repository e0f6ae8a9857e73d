"""Writes functions.npz: activations, initializers, regularizers and constraints as Keras 3.15.1 computes them on JAX.

Run it from the repository root, where Keras is installed: KERAS_BACKEND=jax python tests/golden/make_functions.py
Each key of the file is "kind name {arguments as JSON} what", so the tests need no table of their own.
"""

import json
import os
from pathlib import Path

os.environ["KERAS_BACKEND"] = "jax"

import jax
import jax.numpy as jnp
import keras
import numpy as np
from keras.src import activations, constraints, initializers, regularizers
from keras.src.initializers.random_initializers import compute_fans

BIG = [1e4, -1e4, 1e9, -1e9]
KINKS = [0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 2.0, 3.0, -3.0, 6.0, 1e-6, -1e-6, 12.0, -12.0, 90.0, -90.0]
POINTS = np.array([*np.linspace(-8, 8, 65), *KINKS, *BIG], "float32")

POINTWISE = [
    *(
        (name, {})
        for name in (
            "celu elu exponential gelu hard_shrink hard_sigmoid hard_silu hard_tanh leaky_relu linear log_sigmoid "
            "mish relu relu6 selu sigmoid silu soft_shrink softplus softsign sparse_plus sparse_sigmoid "
            "squareplus tanh tanh_shrink"
        ).split()
    ),
    ("celu", {"alpha": 0.3}),
    ("elu", {"alpha": 2.0}),
    ("gelu", {"approximate": True}),
    ("hard_shrink", {"threshold": 1.0}),
    ("leaky_relu", {"negative_slope": 0.01}),
    ("relu", {"max_value": 6}),
    ("relu", {"max_value": 6.0, "negative_slope": 0.1}),
    ("relu", {"max_value": 3.0}),
    ("relu", {"max_value": 6.0, "threshold": 1.0}),
    ("relu", {"negative_slope": 0.1}),
    ("relu", {"negative_slope": 0.1, "threshold": 0.5}),
    ("relu", {"negative_slope": 0.25, "max_value": 2.0, "threshold": -1.0}),
    ("relu", {"threshold": 1.0}),
    ("soft_shrink", {"threshold": 1.0}),
    ("squareplus", {"b": 1}),
    ("threshold", {"threshold": 1.0, "default_value": -2.0}),
]
OVER_AXIS = [
    ("glu", {}),
    ("glu", {"axis": 0}),
    ("log_softmax", {}),
    ("log_softmax", {"axis": 1}),
    ("log_softmax", {"axis": [0, 2]}),
    ("softmax", {}),
    ("softmax", {"axis": 1}),
    ("softmax", {"axis": [0, 2]}),
    ("softmax", {"axis": [1, 2]}),
]
REGULARIZERS = [
    ("l1", {}),
    ("l2", {}),
    ("l1l2", {}),
    ("L1", {"l1": 0.3}),
    ("L2", {"l2": 0.2}),
    ("L1L2", {"l1": 0.1, "l2": 0.2}),
    ("orthogonal_regularizer", {}),
    ("OrthogonalRegularizer", {"factor": 0.5, "mode": "columns"}),
]
CONSTRAINTS = [
    ("max_norm", {}),
    ("MaxNorm", {"max_value": 0.5, "axis": 1}),
    ("MaxNorm", {"max_value": 1.5, "axis": [0, 1]}),
    ("min_max_norm", {}),
    ("MinMaxNorm", {"min_value": 0.7, "max_value": 1.2, "rate": 0.4, "axis": [0, 1]}),
    ("MinMaxNorm", {"min_value": 3.0, "max_value": 4.0, "axis": -1}),
    ("non_neg", {}),
    ("unit_norm", {}),
    ("UnitNorm", {"axis": [0, 1]}),
]
RANDOM = [
    ("glorot_normal", {}),
    ("glorot_uniform", {}),
    ("he_normal", {}),
    ("he_uniform", {}),
    ("lecun_normal", {}),
    ("lecun_uniform", {}),
    ("random_normal", {}),
    ("random_uniform", {}),
    ("truncated_normal", {}),
    ("variance_scaling", {}),
    ("orthogonal", {}),
    ("Orthogonal", {"gain": 2.0}),
    ("GlorotUniform", {"input_axes": [0], "output_axes": [1, 2]}),
    ("RandomNormal", {"mean": 1.0, "stddev": 2.0}),
    ("RandomUniform", {"minval": 1.0, "maxval": 4.0}),
    ("TruncatedNormal", {"mean": 1.0, "stddev": 2.0}),
    ("VarianceScaling", {"scale": 3.0, "mode": "fan_out", "distribution": "uniform"}),
    ("VarianceScaling", {"scale": 3.0, "mode": "fan_avg", "distribution": "untruncated_normal"}),
    ("VarianceScaling", {"scale": 3.0, "mode": "fan_out", "distribution": "normal"}),
]
WINDOWS = (
    "barthann bartlett blackman blackmanharris bohman boxcar cosine exponential flattop hamming hann lanczos nuttall "
    "parzen triang tukey"
).split()
STFTS = [
    *({"window": name, "scaling": None} for name in WINDOWS),
    *({"window": name, "scaling": None, "periodic": True} for name in WINDOWS),
    {},
    {"side": "imag"},
    {"side": "imag", "scaling": "spectrum", "periodic": True},
    {"window": None},
    {"window": [1.0, 2.0, 3.0, 2.0, 1.0, 0.5, 0.25]},
]
FANS = [(), (5,), (4, 6), (3, 4, 6), (3, 3, 4, 6), (2, 3, 3, 4, 6), (3, 3, 8, 2), (0, 6)]


def tuples(arguments):
    return {name: tuple(value) if isinstance(value, list) else value for name, value in arguments.items()}


def differentiable(function, x, weights):
    """Values and the gradient of their weighted sum."""
    y, pull = jax.vjp(function, jnp.asarray(x))
    return np.asarray(y), np.asarray(
        pull(jnp.asarray(weights, y.dtype).reshape(y.shape) if y.ndim else jnp.ones_like(y))[0]
    )


def make_activations(out, rng):
    cube = rng.normal(size=(4, 3, 6)).astype("float32") * 3
    cube[0, 0] = [1, 1, 1, -1, -1, 0]
    cube[1, 1] = [1e4, -1e4, 0, 9999, 5, 1e4]
    pull = rng.normal(size=cube.shape).astype("float32")
    out["activations names"] = np.array(sorted(activations.ALL_OBJECTS_DICT))
    out["activations points"], out["activations cube"], out["activations pull"] = POINTS, cube, pull
    for cases, x in ((POINTWISE, POINTS), (OVER_AXIS, cube)):
        for name, arguments in cases:
            function = activations.get(name)
            y = function(jnp.asarray(x), **tuples(arguments))
            weights = np.ones(y.shape) if x is POINTS else pull.ravel()[: y.size].reshape(y.shape)
            y, g = differentiable(lambda x, f=function, a=arguments: f(x, **tuples(a)), x, weights)
            key = f"activation {name} {json.dumps(arguments)}"
            out[f"{key} value"], out[f"{key} gradient"] = y, g
    # Keras 3.15.1 is right about sparsemax where one entry of a row stays positive, so only such rows are used.
    rows = np.array([[5, 1, 0, -2], [-0.5, 3, 1, 2], [1e4, -1e4, 0, 7], [1, 0, -1, -9]], "float32")
    y, g = differentiable(activations.sparsemax, rows, pull.ravel()[:16])
    out["sparsemax rows"], out["sparsemax value"], out["sparsemax gradient"] = rows, y, g


def make_initializers(out):
    out["initializers names"] = np.array(sorted(set(initializers.ALL_OBJECTS_DICT) - {"Initializer", "initializer"}))
    for shape in FANS:
        out[f"fans {list(shape)}"] = np.array(compute_fans(shape))
    out["fans axes [3, 4, 6] [0, 1] [2]"] = np.array(compute_fans((3, 4, 6), (0, 1), (2,)))
    for shape in ((3, 3), (2, 4), (4, 2)):
        out[f"identity {list(shape)}"] = np.asarray(initializers.Identity(gain=1.5)(shape))
    for arguments in STFTS:
        keras_arguments = {k: np.array(v) if isinstance(v, list) else v for k, v in arguments.items()}
        out[f"stft {json.dumps(arguments)}"] = np.asarray(initializers.STFT(**keras_arguments)((7, 1, 5)))
    out["stft long"] = np.asarray(initializers.STFT()((256, 1, 9)))
    for name, arguments in RANDOM:
        for shape in ((60, 300, 8), (300, 400)):
            if "input_axes" in arguments and len(shape) < 3:
                continue
            draw = initializers.deserialize({"class_name": name, "config": {**arguments, "seed": 3}})(shape)
            draw = np.asarray(draw, "float64")
            summary = [draw.mean(), draw.std(), draw.min(), draw.max()]
            out[f"random {name} {json.dumps(arguments)} {list(shape)}"] = np.array(summary)


def make_regularizers(out, rng):
    w = rng.normal(size=(5, 4)).astype("float32")
    w[1, 2] = 0
    out["regularizers names"] = np.array(sorted(set(regularizers.ALL_OBJECTS_DICT) - {"Regularizer", "regularizer"}))
    out["regularizers weight"] = w
    for name, arguments in REGULARIZERS:
        penalty = regularizers.deserialize({"class_name": name, "config": arguments})
        y, g = differentiable(penalty, w, 1.0)
        key = f"regularizer {name} {json.dumps(arguments)}"
        out[f"{key} value"], out[f"{key} gradient"] = y, g
    w = w.copy()
    w[3] = 0
    out["orthogonal zero row"] = np.asarray(regularizers.OrthogonalRegularizer()(jnp.asarray(w)))


def make_constraints(out, rng):
    w = rng.normal(size=(3, 2, 4, 5)).astype("float32")
    w[:, :, 1, 2] = 0
    w[:, 1, 0] = 0
    out["constraints names"] = np.array(sorted(set(constraints.ALL_OBJECTS_DICT) - {"Constraint", "constraint"}))
    out["constraints weight"] = w
    for name, arguments in CONSTRAINTS:
        move = constraints.deserialize({"class_name": name, "config": arguments})
        out[f"constraint {name} {json.dumps(arguments)} value"] = np.asarray(move(jnp.asarray(w)))


def main():
    assert keras.__version__ == "3.15.1" and keras.backend.backend() == "jax"
    rng = np.random.default_rng(0)
    out = {}
    make_activations(out, rng)
    make_initializers(out)
    make_regularizers(out, rng)
    make_constraints(out, rng)
    np.savez_compressed(Path(__file__).with_name("functions.npz"), **out)
    print(len(out), "arrays")


if __name__ == "__main__":
    main()
