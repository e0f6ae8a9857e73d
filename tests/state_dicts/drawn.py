"""Weights that need not be stored: drawn from their names, alike here and where PyTorch runs."""

import zlib

import numpy as np


def drawn_weight(name, shape, dtype="float32"):
    """Numbers that keep activations near 1: kernels by their inputs, scales near 1, variances above 0."""
    if dtype != "float32":
        return np.zeros(shape, dtype)
    noise = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape).astype("float32")
    last = name.rsplit(".", 1)[-1]
    if last == "running_var":
        return np.abs(noise) + np.float32(0.5)
    if len(shape) > 1:
        return noise / np.float32(np.sqrt(np.prod(shape[1:])))
    return noise * np.float32(0.1) + np.float32(last == "weight")
