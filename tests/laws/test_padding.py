"""A padded, masked batch gives a recurrent layer what its sequences give one by one, forward and backward."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnlayers as fl
from cases import CASES
from fnlayers.layers.recurrent_base import Recurrent
from passes import as_numpy, quickly

RECURRENT = [case for case in CASES if isinstance(case.layer, (Recurrent, fl.Bidirectional))]


class Padded:
    """A recurrent case whose second sequence has one step, padded to the length of the first."""

    def __init__(self, case):
        self.case, self.layer, self.params = case, case.layer, case.params
        x = jax.tree.map(jnp.asarray, case.inputs())
        self.x, *self.states = jax.tree.leaves(x)
        self.lengths = (self.x.shape[1], 1)
        self.mask = jnp.arange(self.x.shape[1]) < jnp.array(self.lengths)[: len(self.x), None]

    def run(self, params, x, states, mask=None):
        shape = (x.shape, *(s.shape for s in states)) if states else x.shape
        given = (x, *states) if states else x
        masks = (mask, *(None for _ in states)) if states else mask
        out = self.layer.run(params, given, state=self.layer.init_state(shape), mask=masks)
        leaves = jax.tree.leaves(out.y)
        sequences = self.one.return_sequences * (1 if getattr(self.layer, "merge_mode", "one") else 2)
        return leaves[:sequences], leaves[sequences:]

    @property
    def one(self):
        return getattr(self.layer, "layer", self.layer)

    def padded(self, params, x):
        """The outputs of the padded batch."""
        return self.run(params, x, self.states, self.mask)

    def real_steps(self, params, x):
        """Of those the real steps of each sequence, and what stands behind the sequences."""
        sequences, rest = self.padded(params, x)
        rows = list(enumerate(self.lengths))[: len(x)]
        return [([self.real(y[row], n) for y in sequences], [y[row] for y in rest]) for row, n in rows]

    def real(self, y, n):
        """Of one sequence the real steps, which come last where it ran backwards."""
        back = self.one.go_backwards and not isinstance(self.layer, fl.Bidirectional)
        return y[len(y) - n :] if back else y[:n]

    def one_by_one(self, params, x):
        found = []
        for row in range(len(x)):
            cut, states = x[row : row + 1, : self.lengths[row]], [s[row : row + 1] for s in self.states]
            sequences, rest = self.run(params, cut, states)
            found.append(([y[0] for y in sequences], [y[0] for y in rest]))
        return found

    def found(self, function):
        """The function's outputs, and the gradients of a number that all of them move, for params and x."""

        def objective(params, x):
            y = function(params, x)
            terms = (jnp.sum(jnp.sin(i + leaf.astype("float32"))) for i, leaf in enumerate(jax.tree.leaves(y)))
            return sum(terms), y

        return quickly(jax.grad(objective, (0, 1), has_aux=True))


@pytest.mark.parametrize("variant", RECURRENT, ids=str)
def test_padding_changes_nothing(variant):
    padded = Padded(variant)
    if padded.one.zero_output_for_mask and not padded.one.return_sequences and not padded.one.go_backwards:
        return  # it asks for the output of the last step, which is padding
    got, wanted = (padded.found(f)(padded.params, padded.x) for f in (padded.real_steps, padded.one_by_one))
    assert jax.tree.structure(got) == jax.tree.structure(wanted)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(as_numpy(a), as_numpy(b), **variant.tolerance)


@pytest.mark.parametrize("variant", RECURRENT, ids=str)
def test_junk_in_padded_steps_reaches_no_output_and_no_gradient(variant):
    padded = Padded(variant)
    real, found = padded.mask.reshape(padded.mask.shape + (1,) * (padded.x.ndim - 2)), padded.found(padded.padded)
    clean, *soiled = (found(padded.params, jnp.where(real, padded.x, junk)) for junk in (0, jnp.nan, jnp.inf))
    for got in soiled:
        jax.tree.map(np.testing.assert_array_equal, jax.tree.map(as_numpy, got), jax.tree.map(as_numpy, clean))
