"""A batch of 0 examples: every layer runs, its gradients are 0, and its state stays as it was."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cases import Case
from fnlayers.core.shapes import canonical, is_shape
from fnlayers.plain_data import map_nest
from passes import Passes

# State that is not about examples moves as ever.
MOVES = {
    "vector_u": "the power iteration of SpectralNormalization follows the kernel",
    "place": "a cache counts the steps that it has seen, of however many examples",
}


class Empty(Passes):
    """A case whose inputs, masks and state have no examples."""

    def __init__(self, case: Case) -> None:
        axis = 1 if getattr(case.layer, "time_major", False) else 0

        def none(sizes: tuple[int, ...]) -> tuple[int, ...]:
            where = axis if len(sizes) > 2 else 0  # inputs besides a sequence begin with the batch
            return tuple(0 if i == where else n for i, n in enumerate(sizes))

        super().__init__(replace(case, shape=map_nest(none, canonical(case.shape), is_leaf=is_shape)))
        self.masks = jax.tree.map(lambda mask: mask[(slice(None),) * axis + (slice(0),)], case.masks)

    def trained(self, params, floats, key):
        """What the training pass leaves as state, its objective, and the gradients of that."""
        value, gradients = jax.value_and_grad(self.objective, (0, 1))(params, floats, key, train=True)
        return self.run(params, floats, key, train=True).state, value, gradients


@pytest.fixture(scope="session")
def empty(case):
    return Empty(case)


def test_no_examples_have_no_loss_and_no_gradient_and_leave_the_state(case, empty):
    forward = jax.eval_shape(empty.run, empty.params, empty.floats)
    assert jax.tree.map(lambda a: a.shape, forward.y) == case.layer.out_shape(empty.case.shape)
    state, value, gradients = jax.jit(empty.trained)(empty.params, empty.floats, empty.key)
    assert value == 0
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradients):
        assert (leaf == 0).all(), (path, leaf)
    assert jax.tree.structure(state) == jax.tree.structure(empty.state)
    for (path, new), old in zip(jax.tree_util.tree_leaves_with_path(state), jax.tree.leaves(empty.state), strict=True):
        assert new.shape == old.shape and jnp.isfinite(new).all(), (path, new)
        if path[-1].key not in MOVES:
            np.testing.assert_array_equal(new, old, err_msg=str(path))
