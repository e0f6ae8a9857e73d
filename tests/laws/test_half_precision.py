"""On accelerators a training step under a mixed policy multiplies and keeps nothing in float32, forward or backward.

A product in float32 takes twice the time of one in half precision, or more, and twice the memory, as do residuals. The
program is traced once, and read as it is lowered for each platform.
"""

import math

import jax
import pytest

import fnlayers as fl
from cases import layers_in
from products import in_full_precision
from residuals import computed_in_float32

# Layers that multiply in float32 all the same.
IN_FLOAT32 = {
    fl.SpectralNormalization: "the largest singular value is a statistic, of a kernel alone, as in norms",
    fl.MelSpectrogram: "powers span ten digits, and Keras computes them in float32, too",
    fl.LoRA: "the product of the factors is of weights alone, and added to a kernel in float32, as by merge",
}


@pytest.mark.parametrize("name", ["mixed_bfloat16", "mixed_float16"])
def test_training_multiplies_in_half_precision(case, passes, name):
    program, _ = trained(case, passes, name)
    products = {platform: in_full_precision(program, platform) for platform in ("cuda", "tpu")}
    if any(type(layer) in IN_FLOAT32 for layer in layers_in(case.layer)):
        assert all(products.values())  # else it has no reason to be in the list
    else:
        assert not any(products.values()), products


@pytest.mark.parametrize("name", ["mixed_bfloat16", "mixed_float16"])
def test_residuals_are_in_half_precision(case, passes, name):
    """Of what the backward pass keeps, float32 arrays are smaller than the inputs: statistics, or weights as they are."""
    program, (_, _, residuals) = trained(case, passes, name)
    least = min((a.size for a in jax.tree.leaves(passes.floats)), default=math.inf)
    for platform in ("cuda", "tpu"):
        shapes = computed_in_float32(program, len(residuals), platform)
        assert not [shape for shape in shapes if math.prod(shape) >= least and shape[-1:] != (1,)], (platform, shapes)


def trained(case, passes, name):
    return passes.training(name, strict="outputs_have_the_compute_dtype" not in case.exempt)
