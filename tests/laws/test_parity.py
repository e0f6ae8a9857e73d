"""Every layer gives what Keras gives: outputs, masks, losses, new state, gradients, projections (golden/layers.npz)."""

import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import fnlayers as fl
from cases import CASES
from passes import as_numpy

FILE = np.load(Path(__file__).parents[1] / "golden" / "layers.npz")
ROWS = dict(zip(FILE["names"].tolist(), np.split(FILE["values"], np.cumsum(FILE["lengths"])[:-1]), strict=True))


def parts(case, passes):
    """(name, array) for each part of a golden row, from our own pass, in the order of golden/make_layers.py."""
    run = passes.compiled["run"]
    yield from numbered("output", run.y)
    masks = [None] if run.mask is None else jax.tree.leaves(run.mask, is_leaf=lambda m: m is None)
    for mask in masks * len(jax.tree.leaves(run.y)) if run.mask is None else masks:
        yield from [("has mask", jnp.float32(mask is not None))] + ([] if mask is None else [("mask", mask)])
    projected = fl.project(case.layer, case.shape)(passes.params)
    yield from fl.paths({"projected": projected}).items()
    yield "penalty", fl.penalty(case.layer, case.shape)(passes.params)
    if not case.random:
        out = passes.compiled["train"]
        yield from numbered("training output", out.y)
        yield "losses", sum(out.losses, jnp.float32(0))
        yield from fl.paths({"new": out.state}).items()
        of_params, of_inputs = passes.compiled["gradients"]
        yield from fl.paths({"gradient": of_params}).items()
        yield from numbered("gradient of input", of_inputs)


def numbered(name, tree):
    return [(f"{name} {i}", leaf) for i, leaf in enumerate(jax.tree.leaves(tree))]


def test_every_case_with_a_twin_has_numbers():
    assert set(ROWS) == {str(case) for case in CASES if case.keras is None}


def test_parity(case, passes):
    if case.keras:  # says why there is nothing to compare
        return
    assert str(case) in ROWS, 'run tests/golden/make_layers.py, or say keras="why Keras has none" in the case'
    row = ROWS[str(case)]
    for name, ours in parts(case, passes):
        theirs, row = np.split(row, [math.prod(ours.shape)])
        theirs = theirs.reshape(ours.shape) if theirs.size == ours.size else theirs
        np.testing.assert_allclose(as_numpy(ours), theirs, **case.tolerance, err_msg=name)
    assert not row.size
