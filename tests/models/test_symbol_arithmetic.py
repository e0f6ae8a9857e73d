"""Arithmetic and slices of Symbols: nodes of plain data, which save and load."""

import jax.numpy as jnp
import numpy as np
import pytest

import fnlayers as fl

X = np.arange(1.0, 13.0, dtype=np.float32).reshape(2, 2, 3)
FORMULAS = [
    lambda x: x * 2,
    lambda x: 1 - x,
    lambda x: 2 / x + x / 4,
    lambda x: -x + x * x,
    lambda x: x**2 - 2**x,
    lambda x: x // 2 + x % 2 + abs(x),
    lambda x: x[:, 0],
    lambda x: x[..., -1],
    lambda x: x[:, ::-1, 1:],
    lambda x: x[:, None, 0],
    lambda x: x * np.int64(3),
]


@pytest.mark.parametrize("number", range(len(FORMULAS)))
def test_formulas_have_numpys_values(number):
    x = fl.Input(X.shape[1:])
    model = fl.functional(x, FORMULAS[number](x))
    assert np.allclose(model.apply({}, X), FORMULAS[number](X), rtol=1e-5)


def test_two_symbols_and_a_file(tmp_path):
    x, y = fl.Input((2, 3)), fl.Input((3, 2))
    model = fl.functional((x, y), (x @ y)[:, 0] + 1)
    fl.save(tmp_path / "m.safetensors", model, {}, {})
    loaded = fl.load(tmp_path / "m.safetensors")[0]
    assert loaded == model
    other = X.reshape(2, 3, 2)
    assert np.allclose(loaded.apply({}, (X, other)), (X @ other)[:, 0] + 1)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda x: x > 0,
        lambda x: bool(x),
        lambda x: list(x),
        lambda x: len(x),
        lambda x: jnp.sin(x),
        lambda x: np.sin(x),
        lambda x: x * np.ones(3),
        lambda x: x + "a",
        lambda x: x + fl.Input((5, 7)),
        lambda x: x[:, 2],
        lambda x: x[:, :, :, 0],
        lambda x: x[:, "a"],
        lambda x: x[:, 0.5],
    ],
)
def test_what_has_no_meaning_is_an_error_of_ours(wrong):
    with pytest.raises((fl.ConfigError, fl.ShapeError)):
        wrong(fl.Input((2, 3)))
