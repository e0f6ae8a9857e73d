"""`params = layer.init(rng, shape); y = layer.apply(params, x)`: literal, pure, and loud where something is missing."""

import re

import jax
import numpy as np
import pytest

import fnlayers as fl
from passes import close


def test_init_and_apply_unpack(case, passes):
    init, apply = case.layer
    params = init(jax.random.key(0), case.shape)
    assert jax.tree.structure(params) == jax.tree.structure(passes.params)
    if not passes.state:
        close(apply(passes.params, passes.x, mask=case.masks), passes.eager["run"].y)


def test_apply_is_run(case, passes):
    y = case.layer.apply(passes.params, passes.x, state=passes.state, mask=case.masks)
    close(y, passes.eager["run"].y)


def test_inference_returns_the_state_it_was_given(case, passes):
    close(passes.eager["run"].state, passes.state)


def test_same_inputs_same_outputs(case, passes):
    again = passes.run(passes.params, passes.floats, passes.key, train=True)
    close(again, passes.eager["train"])


def test_inputs_are_untouched(case):
    arguments = {"params": case.params, "x": case.inputs(), "state": case.state, "mask": case.masks}
    case.layer.run(**arguments, rng=jax.random.key(0), train=True)
    wanted = {"params": case.params, "x": case.inputs(), "state": case.state, "mask": case.masks}
    close(arguments, wanted)


def test_training_keeps_the_structure_of_the_state(case, passes):
    got, wanted = passes.eager["train"].state, passes.state
    assert jax.tree.map(lambda a: (a.shape, a.dtype), got) == jax.tree.map(lambda a: (a.shape, a.dtype), wanted)


def test_apply_refuses_to_drop_state_or_losses(case, passes):
    out = passes.eager["train"]
    context = dict(state=passes.state, rng=passes.key, mask=case.masks, train=True)
    if not (out.state or out.losses):
        close(case.layer.apply(passes.params, passes.x, **context), out.y)
        return
    with pytest.raises(fl.MissingError, match=r"apply\(train=True\) would drop .*run\(\.\.\., train=True\)"):
        case.layer.apply(passes.params, passes.x, **context)


def test_missing_state_is_an_error_that_says_what_to_write(case, passes):
    if not passes.state:
        return
    with pytest.raises(fl.MissingError, match=r"state = model\.init_state\(shape\)") as error:
        case.run(state=None)
    assert error.value.path in owners(passes.state)


def test_missing_rng_is_an_error_that_says_what_to_write(case, passes):
    if not case.random or not draws(case, passes):
        return
    with pytest.raises(fl.MissingError, match=re.escape("pass rng=jax.random.key(...) to run or apply")):
        case.run(train=True, rng=None)


def test_a_random_case_draws(case, passes):
    """Two keys give two outputs where the table says so, and nowhere else."""
    assert draws(case, passes) <= case.random
    if not case.random:
        case.run(train=True, rng=None)


def draws(case, passes):
    mapped = jax.tree.leaves(passes.compiled["vmap over keys"])
    return not all(np.array_equal(a[0], a[1]) for a in mapped)


def owners(state, path=()):
    """The paths of the layers that own arrays of a state."""
    if not isinstance(state, dict):
        return {path[:-1]}
    return set().union(*(owners(sub, (*path, name)) for name, sub in state.items()))
