"""The experiments of examples/activations.py at a small size, compiled quickly; CI runs them at full size, optimized."""

import pathlib

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture
def activations(monkeypatch):
    monkeypatch.syspath_prepend(pathlib.Path(__file__).parents[2] / "examples")
    import activations

    return activations


@pytest.mark.parametrize("name", ["dead", "deep", "classes", "binary", "regression", "gates", "transformer"])
def test_each_experiment_with_activations_prints_its_table(activations, name, capsys):
    activations.EXPERIMENTS[name](0.02)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    assert len(lines) >= 3 and len(set(map(len, lines))) <= 2  # columns of one width, and a second table at most


def test_gradients_vanish_through_sigmoids_alone(activations, capsys):
    activations.deep(1.0)
    left = {tuple(line.split()[:3]): float(line.split()[3]) for line in capsys.readouterr().out.splitlines()[3:]}
    assert left["sigmoid", "glorot_uniform", "no"] < 1e-15
    assert all(0.01 < value < 100 for (name, *_), value in left.items() if name != "sigmoid")
