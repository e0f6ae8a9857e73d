"""The networks of keras.applications load from their files, and give Keras's numbers.

One of each family; FNLAYERS_APPLICATIONS=all runs all of them, FNLAYERS_APPLICATIONS=VGG19,Xception those.
"""

import os
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnlayers as fl

ONE_OF_EACH = (
    ("ConvNeXtTiny", "DenseNet121", "EfficientNetB0", "EfficientNetV2B0", "InceptionResNetV2", "InceptionV3", "MobileNet")
    + ("MobileNetV2", "MobileNetV3Small", "NASNetMobile", "ResNet50", "ResNet50V2", "VGG16", "Xception")
)  # fmt: skip
OTHERS = (
    *(f"ConvNeXt{size}" for size in ("Small", "Base", "Large", "XLarge")), "DenseNet169", "DenseNet201",
    *(f"EfficientNetB{n}" for n in range(1, 8)), *(f"EfficientNetV2{size}" for size in ("B1", "B2", "B3", "S", "M", "L")),
    "MobileNetV3Large", "NASNetLarge", "ResNet101", "ResNet101V2", "ResNet152", "ResNet152V2", "VGG19",
)  # fmt: skip
ASKED = os.environ.get("FNLAYERS_APPLICATIONS", "")
NAMES = (*ONE_OF_EACH, *OTHERS) if ASKED == "all" else ASKED.split(",") if ASKED else ONE_OF_EACH


def written_by_keras(folder, names):
    """Have Keras write the networks of those names, and what they give, in one process."""
    script = pathlib.Path(__file__).parent / "make_applications.py"
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    run = [sys.executable, str(script), str(folder), *names]
    done = subprocess.run(run, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.slow
@pytest.mark.parametrize("names", [part for part in (NAMES[::2], NAMES[1::2]) if part], ids=",".join)
def test_networks_give_the_numbers_of_keras(names, tmp_path):
    """Two tests for all, so that each of two workers has Keras write a half of them."""
    written_by_keras(tmp_path, names)
    for name in names:
        loaded, arrays = fl.load_keras(tmp_path / f"{name}.keras"), np.load(tmp_path / f"{name}.npz")
        y = jax.jit(loaded.model.apply)(loaded.params, jnp.asarray(arrays["x"]), state=loaded.state)
        np.testing.assert_allclose(y, arrays["y"], rtol=1e-5, atol=1e-5 * np.abs(arrays["y"]).max(), err_msg=name)
        assert np.abs(arrays["y"]).max() > 1e-3, name
