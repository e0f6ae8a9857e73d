"""On accelerators a training step under a mixed policy multiplies nothing in float32, forward or backward.

A product in float32 takes twice the time of one in half precision, or more, and twice the memory. The program is traced
once, and read as it is lowered for each platform.
"""

import pytest

import fnlayers as fl
from cases import layers_in
from products import in_full_precision

# Layers that multiply in float32 all the same.
IN_FLOAT32 = {fl.SpectralNormalization: "the largest singular value is a statistic, of a kernel alone, as in norms"}


@pytest.mark.parametrize("name", ["mixed_bfloat16", "mixed_float16"])
def test_training_multiplies_in_half_precision(case, passes, name):
    program, _ = passes.training(name, strict="outputs_have_the_compute_dtype" not in case.exempt)
    found = {platform: in_full_precision(program, platform) for platform in ("cuda", "tpu")}
    if any(type(layer) in IN_FLOAT32 for layer in layers_in(case.layer)):
        assert all(found.values())  # else it has no reason to be in the list
    else:
        assert not any(found.values()), found
