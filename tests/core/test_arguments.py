"""What public functions are given: a truth value for train, a layer for a model, a path for a file."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import fnlayers as fl
from fnlayers.core.errors import ConfigError

X = np.ones((2, 3), "float32")
SGD = optax.sgd(0.1)


@pytest.mark.parametrize("train", ["False", 1, 0, None, jnp.array(True)])
def test_train_is_true_or_false(train):
    for call in (fl.Dropout(0.5).apply, fl.Sequential([fl.Dropout(0.5)]).run):
        with pytest.raises(ConfigError, match="train=.* is wrong; give True or False"):
            call({}, X, train=train)


def test_a_truth_value_of_numpy_is_one():
    assert fl.Dropout(0.5).apply({}, X, train=np.bool_(False)).tolist() == X.tolist()  # pyright: ignore[reportArgumentType]


TAKES_A_MODEL = {
    "fit": lambda model: fl.fit(model, (X, X), loss=optax.squared_error, optimizer=SGD),
    "evaluate": lambda model: fl.evaluate(model, {}, (X, X), loss=optax.squared_error),
    "predict": lambda model: fl.predict(model, {}, X),
    "make_step": lambda model: fl.make_step(model, optax.squared_error, SGD),
    "TrainState.create": lambda model: fl.TrainState.create(model, X.shape, SGD),
    "summary": lambda model: fl.summary(model, X.shape),
    "save": lambda model: fl.save("model.safetensors", model, {}),
}


@pytest.mark.parametrize("name", TAKES_A_MODEL)
def test_a_class_or_no_layer_in_place_of_a_model_is_an_error(name):
    with pytest.raises(ConfigError, match=rf"{name}.* takes a layer, got the class Dense; make one, Dense\(...\)"):
        TAKES_A_MODEL[name](fl.Dense)
    with pytest.raises(ConfigError, match=f"{name}.* takes a layer, got dict"):
        TAKES_A_MODEL[name]({})


@pytest.mark.parametrize("path", [None, 3])
def test_a_path_is_a_path(path: Any):
    with pytest.raises(ConfigError, match="path"):
        fl.load(path)
    with pytest.raises(ConfigError, match="path"):
        fl.save(path, fl.Dropout(0.5), {})
