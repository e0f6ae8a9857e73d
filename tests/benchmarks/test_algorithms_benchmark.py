"""The comparison of algorithms runs, for each of its rules, and sees what is slower."""

import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import algorithms
from algorithms import RULES, Contest, Rule


@pytest.mark.parametrize("name", RULES)
def test_every_rule_has_a_typical_shape_whose_functions_agree_in_shape(name):
    (_, point, contest), *_ = algorithms.contests({name: RULES[name]}, 1, 2)
    assert point.keys() == RULES[name].axes.keys()
    shapes = [jax.eval_shape(function, *contest.arrays) for function in contest.functions.values()]
    assert {"ours", "plain"} <= contest.functions.keys() and all(shape == shapes[0] for shape in shapes)


def test_the_grid_goes_from_the_typical_shape_outward():
    rule = Rule(lambda a, b, c: None, {"a": (1, 2, 3), "b": (1, 2), "c": (1, 2)})
    assert list(algorithms.grid(rule, 0)) == [{"a": 1, "b": 1, "c": 1}]
    far = [[p["a"] > 1, p["b"] > 1, p["c"] > 1] for p in algorithms.grid(rule, 3)]
    assert len(far) == 12 and [sum(p) for p in far] == [0] + 4 * [1] + 5 * [2] + 2 * [3]
    assert len(list(algorithms.grid(rule, 1, 2))) == 4
    assert len(list(algorithms.grid(rule, 1, None, 3))) == 8


@pytest.mark.parametrize("ours, wrong", [(1, 0), (40, 2)])
def test_a_run_says_what_is_wrong(ours, wrong, monkeypatch, tmp_path, capsys):
    def contest(size):
        def function(times):
            return lambda x: jax.lax.fori_loop(0, times, lambda _, y: jnp.sin(x + 0 * y), x)

        return Contest([jax.ShapeDtypeStruct((size,), "float32")], {"ours": function(ours), "plain": function(4)}, size)

    monkeypatch.setattr(algorithms, "RULES", {"toy": Rule(contest, {"size": (20_000,)})})
    monkeypatch.setattr(sys, "argv", ["algorithms.py", "--pace", "0.01", "--json", str(tmp_path / "written.json")])
    with pytest.raises(SystemExit) as stop:
        algorithms.main()
    assert bool(stop.value.code) == bool(wrong) and f"{wrong} WRONG" in capsys.readouterr().out
    written = json.loads((tmp_path / "written.json").read_text())
    assert [row["pass"] for row in written["rows"]] == ["forward", "train"] and written["machine"]["cores"] > 0


def test_functions_that_differ_are_named():
    contest = Contest([jax.ShapeDtypeStruct((3,), "float32")], {"ours": jnp.sin, "plain": jnp.cos}, 3)
    measured = algorithms.measured(contest, 0.01)
    assert measured["train"]["verdict"] == "DIFFERS" and measured["train"]["note"].startswith("ours is off by")


def test_what_is_said_of_ratios():
    assert algorithms.verdict({"ours": 1.2, "other": 0.5}) == "WRONG"
    assert algorithms.verdict({"ours": 0.9, "other": 0.5}) == "MISSED"
    assert algorithms.verdict({"ours": 0.5, "other": 0.5}) == ""


def test_integers_get_no_gradient():
    run = algorithms.with_gradients(lambda table, ids: table[ids], [0])
    y, (gradient,) = run(jnp.ones((2, 3)), jnp.ones((4, 3)), jnp.array([1, 1]))
    assert y.shape == (2, 3) and np.array_equal(gradient[:, 0], [0, 2, 0, 0])
