"""Arithmetic and slices of Symbols: nodes of plain data, which save and load."""

import jax
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
    lambda x: (x - np.array([1.0, 2.0, 4.0])) / jnp.array([[2.0], [4.0]]),
    lambda x: np.array([True, False, True]) * x @ np.arange(6).reshape(3, 2),
]


@pytest.mark.parametrize("number", range(len(FORMULAS)))
def test_formulas_have_numpys_values(number):
    x = fl.Input(X.shape[1:])
    model = fl.functional(x, FORMULAS[number](x))
    assert np.allclose(model.apply({}, X), FORMULAS[number](X), rtol=1e-5)


def test_two_symbols_and_a_file(tmp_path):
    x, y = fl.Input((2, 3)), fl.Input((3, 2))
    model = fl.functional((x, y), (x @ y)[:, 0] + np.array([1.0, -np.inf]))
    fl.save(tmp_path / "m.safetensors", model, {}, {})
    loaded = fl.load(tmp_path / "m.safetensors")[0]
    assert loaded == model
    other = X.reshape(2, 3, 2)
    assert np.allclose(loaded.apply({}, (X, other)), (X @ other)[:, 0] + np.array([1.0, -np.inf]))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda x: x > 0,
        lambda x: bool(x),
        lambda x: list(x),
        lambda x: len(x),
        lambda x: jnp.sin(x),
        lambda x: np.sin(x),
        lambda x: x * [1, 2, 3],
        lambda x: x * np.ones(4),
        lambda x: x * np.full(3, np.nan),
        lambda x: x * np.full(3, 1j),
        lambda x: x * np.full(3, 2**40),
        lambda x: x * np.array(["a", "b", "c"]),
        lambda x: x * np.ones((100, 2, 3, 20)),
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


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (lambda x: x == 0, r"== 0 compares values, .* fnlayers.Lambda\(lambda x: x == ...\)"),
        (lambda x: np.float32(1) != x, "not an array yet|compares values"),
        (lambda x: x == fl.Input((2, 3)), "or `is` to ask for the same Symbol"),
        (lambda x: x < 1, "no values to compare"),
        (lambda x: ~x, "is not an array yet"),
        (lambda x: round(x), "is not an array yet"),
        (lambda x: divmod(x, 2), "is not an array yet"),
        (lambda x: jax.nn.relu(x), r"wrap a function of arrays in fnlayers.Lambda"),
        (lambda x: fl.activations.gelu(x), r"wrap a function of arrays in fnlayers.Lambda"),
        (lambda x: jnp.concatenate([x, x]), r"wrap a function of arrays in fnlayers.Lambda"),
        (lambda x: jax.jit(lambda x: x)(x), r"wrap a function of arrays in fnlayers.Lambda"),
        (lambda x: x.mean(axis=1), r"no 'mean': .* fnlayers.Lambda\(lambda x: x.mean\(...\)\)"),
        (lambda x: x.T, r"write fnlayers.Lambda\(lambda x: x.T\)"),
        (lambda x: x.__setitem__(0, 1), r"does not change; .* x.at"),
    ],
)
def test_what_asks_a_symbol_for_values_says_what_to_write(wrong, text):
    with pytest.raises(fl.ConfigError, match=text):
        wrong(fl.Input((2, 3)))


def test_symbols_in_dicts_and_sets_and_beside_numbers_of_numpy():
    x, y = fl.Input((2, 3)), fl.Input((2, 3))
    assert {x: 1, y: 2}[y] == 2 and len({x, y, x}) == 2 and x == x and x != None and +x is x  # noqa: E711
    assert x.ndim == 3 and not hasattr(x, "nothing")
    model = fl.functional(x, np.sqrt(2.0) * x - np.float32(1))
    assert np.allclose(model.apply({}, X), np.sqrt(2.0) * X - 1)


def test_a_layer_is_called_with_arrays():
    x, row = fl.Input((3,)), np.array([[1.0, 2.0, 4.0]], "float32")
    model = fl.functional(x, fl.Multiply()(x, row) - fl.Add()([jnp.asarray(row), x]))
    assert np.allclose(model.apply({}, X[:, 0]), X[:, 0] * row - (X[:, 0] + row))
    for value in (2.0, "a", np.array(["a", "b", "c"]), np.ones((1, 10_001))):
        with pytest.raises(fl.ConfigError, match="together with <Symbol|constant"):
            fl.Add()(x, value)
