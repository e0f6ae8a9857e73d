"""The networks of keras.applications load from their files, and give Keras's numbers.

One of each family; FNLAYERS_APPLICATIONS=all runs all of them (an hour), FNLAYERS_APPLICATIONS=VGG19,Xception those.
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


# In their networks random weights multiply the error of rounding by up to 1e8: in float32 no two algorithms agree.
IN_FLOAT64 = ("EfficientNetV2", "EfficientNetB6", "EfficientNetB7")
FLOAT32 = [name for name in NAMES if not name.startswith(IN_FLOAT64)]
FLOAT64 = [name for name in NAMES if name.startswith(IN_FLOAT64)]
# One process of Keras for each of two workers; where others are asked for, one for each network, and its file is gone
# before the next is written: they take up to 1.4 GB.
TOGETHER = [[name] for name in FLOAT32] if ASKED else [FLOAT32[::2], FLOAT32[1::2]]


def written_by_keras(folder, names, floatx):
    """Have Keras write the networks of those names, and what they give, in one process."""
    script = pathlib.Path(__file__).parent / "make_applications.py"
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    run = [sys.executable, str(script), str(folder), floatx, *names]
    done = subprocess.run(run, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def check(folder, names, floatx="float32"):
    """The networks of those names give what they give in Keras."""
    written_by_keras(folder, names, floatx)
    for name in names:
        loaded, arrays = fl.load_keras(folder / f"{name}.keras"), np.load(folder / f"{name}.npz")
        y = jax.jit(loaded.model.apply)(loaded.params, jnp.asarray(arrays["x"]), state=loaded.state)
        assert y.dtype == arrays["y"].dtype == floatx
        np.testing.assert_allclose(y, arrays["y"], rtol=1e-5, atol=1e-5 * np.abs(arrays["y"]).max(), err_msg=name)
        assert np.abs(arrays["y"]).max() > 1e-3, name
        for part in ("keras", "npz"):  # the largest take 1.4 GB
            (folder / f"{name}.{part}").unlink()


@pytest.mark.slow
@pytest.mark.parametrize("names", TOGETHER, ids=",".join)
def test_networks_give_the_numbers_of_keras(names, tmp_path):
    check(tmp_path, names)


@pytest.mark.slow
@pytest.mark.parametrize("name", FLOAT64)
def test_networks_give_the_numbers_of_keras_in_float64(name, tmp_path, x64):
    check(tmp_path, [name], "float64")
