"""A padded, masked batch gives what its sequences give one by one, forward and backward, whatever the padding holds."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnlayers as fl
from cases import CASES, Case
from fnlayers.layers.recurrent.base import Recurrent
from fnlayers.plain_data import map_nest, nest_leaves
from passes import as_numpy, merge, split

RECURRENT = [
    case
    for case in CASES
    if isinstance(case.layer, (Recurrent, fl.Bidirectional)) and not getattr(case.layer, "time_major", False)
]


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
        inputs = (x, *states) if states else x
        masks = (mask, *(None for _ in states)) if states else mask
        out = self.layer.run(params, inputs, state=self.layer.init_state(shape), mask=masks)
        return jax.tree.leaves(out.y)

    @property
    def one(self):
        return getattr(self.layer, "layer", self.layer)

    @property
    def sequences(self):
        """How many of the outputs are sequences; they come first."""
        return self.one.return_sequences * (1 if getattr(self.layer, "merge_mode", "one") else 2)

    def padded(self, params, x):
        """The outputs of the padded batch, sequences first."""
        return self.run(params, x, self.states, self.mask)

    def one_by_one(self, params, x):
        """The same of the sequences alone, a list for each."""
        rows = []
        for row in range(len(x)):
            cut, states = x[row : row + 1, : self.lengths[row]], [s[row : row + 1] for s in self.states]
            rows.append([y[0] for y in self.run(params, cut, states)])
        return rows

    def real(self, y, row):
        """Of a sequence's output the real steps, which come last where it ran backwards."""
        back = self.one.go_backwards and not isinstance(self.layer, fl.Bidirectional)
        n = self.lengths[row]
        return y[len(y) - n :] if back else y[:n]

    def real_steps(self, outputs):
        """Of the padded batch's outputs what `one_by_one` returns."""
        return [
            [self.real(y[row], row) if i < self.sequences else y[row] for i, y in enumerate(outputs)]
            for row in range(len(self.x))
        ]

    def is_real(self, outputs):
        """1 for what `real_steps` keeps, 0 for the rest."""
        real = [np.zeros(y.shape, "float32") for y in outputs]
        for view in jax.tree.leaves(self.real_steps(real)):
            view[...] = 1
        return real

    @functools.cached_property
    def compiled(self):
        """(params, x, weight) -> the padded batch's outputs, and gradients of a number that they move.

        What is no real step moves it by that weight: one program, compiled once, for both laws.
        """

        def objective(params, x, weight):
            outputs = self.padded(params, x)
            weights = [real + (1 - real) * weight for real in self.is_real(outputs)]
            return moved(*([[a[row] for a in each] for row in range(len(x))] for each in (outputs, weights))), outputs

        return jax.jit(jax.grad(objective, (0, 1), has_aux=True))

    def alone(self):
        """The same of `one_by_one`."""

        def objective(params, x):
            rows = self.one_by_one(params, x)
            return moved(rows, jax.tree.map(lambda y: 1, rows)), rows

        return jax.jit(jax.grad(objective, (0, 1), has_aux=True))(self.params, self.x)


def moved(rows, weights):
    """A number that all elements whose weight is not 0 move, each output of each row in a way of its own."""
    pairs = zip(jax.tree.leaves(rows), jax.tree.leaves(weights), strict=True)
    return sum(jnp.sum(w * jnp.sin(i + y.astype("float32"))) for i, (y, w) in enumerate(pairs))


@pytest.fixture(scope="session")
def padded(recurrent):
    return Padded(recurrent)


# Of the session's scope, so that both laws of one case run one after the other, and share what it compiled.
of_recurrent = pytest.mark.parametrize("recurrent", RECURRENT, ids=str, scope="session")


@of_recurrent
def test_padding_changes_nothing_in_a_recurrence(recurrent, padded):
    if padded.one.zero_output_for_mask and not padded.one.return_sequences and not padded.one.go_backwards:
        return  # it asks for the output of the last step, which is padding
    gradients, outputs = padded.compiled(padded.params, padded.x, 0.0)
    got, wanted = (gradients, padded.real_steps(outputs)), padded.alone()
    assert jax.tree.structure(got) == jax.tree.structure(wanted)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(as_numpy(a), as_numpy(b), **recurrent.tolerance)


@of_recurrent
def test_junk_in_padded_steps_reaches_nothing_in_a_recurrence(recurrent, padded):
    real = padded.mask.reshape(padded.mask.shape + (1,) * (padded.x.ndim - 2))
    clean, *soiled = (
        padded.compiled(padded.params, jnp.where(real, padded.x, junk), 1.0) for junk in (0, jnp.nan, jnp.inf)
    )
    for got in soiled:
        jax.tree.map(np.testing.assert_array_equal, jax.tree.map(as_numpy, got), jax.tree.map(as_numpy, clean))


MASKED = [case for case in CASES if case.masks is not None and case not in RECURRENT]
# What a masked step is to these is not padding at the end of a sequence.
NO_SEQUENCE = {
    "CopyMask(": "one array gets another's mask",
    "DropMask(": "padding counts as data from there on",
    "BatchNormalization(axis=1)": "each step has weights of its own",
    "LayerNormalization() (2, 5)": "it normalizes over the steps",
    "UnitNormalization() (2, 4)": "it normalizes over the steps",
    "GroupNormalization(": "Keras's statistics are those of all steps",
    "Concatenate(axis=1)": "steps come after another sequence's padding",
    "Dot(": "each step meets each, and the mask ends",
    "return_attention_scores": "the weights have a row and a column for padding too",
    "cache=": "a cache is of one batch size",
    "Softmax(axis=(1, 2))": "a mask of elements, not of steps",
}
NO_SEQUENCES = [case for case in MASKED if any(part in str(case) for part in NO_SEQUENCE)]
SEQUENCES = [case for case in MASKED if case not in NO_SEQUENCES]


def branches():
    """A graph whose branches meet again."""
    x = fl.Input((None, 4))
    return fl.functional(x, fl.Add()(fl.Dense(4)(x), fl.LSTM(4, return_sequences=True)(x)))


BEFORE = [
    fl.Dense(4, "tanh"),
    fl.BatchNormalization(),
    fl.LayerNormalization(),
    fl.TimeDistributed(fl.Dense(4)),
    fl.GRU(4, return_sequences=True),
    fl.Bidirectional(fl.LSTM(2, return_sequences=True)),
    fl.TransformerEncoder(3, 2),
    fl.Repeat(fl.SimpleRNN(4, return_sequences=True), 2),
    branches(),
]
AFTER = [
    fl.LSTM(3),
    fl.Bidirectional(fl.SimpleRNN(2)),
    fl.RNN([fl.GRUCell(2), fl.LSTMCell(3)], return_sequences=True),
    fl.GlobalAveragePooling1D(),
    fl.MultiHeadAttention(2, 2, use_causal_mask=True),
    fl.Sequential([fl.Dropout(0.5), fl.Attention()]),
]
PAIRS = [
    Case(
        fl.Sequential([a, b]),
        (2, 4, 4),
        mask=[[1, 1, 1, 1], [1, 0, 0, 0]],
        name=f"{type(a).__name__}, {type(b).__name__}",
    )
    for a in BEFORE
    for b in AFTER
]


def real_part(out):
    """A number that depends on all valid elements of the output."""

    def term(mask, y):
        if mask is None:
            return sum(jnp.sum(jnp.sin(leaf.astype("float32"))) for leaf in jax.tree.leaves(y))
        return jnp.sum(jnp.where(over(mask, y), jnp.sin(y.astype("float32")), 0))

    return term(None, out.y) if out.mask is None else sum(jax.tree.leaves(map_nest(term, out.mask, out.y)))


def over(mask, x):
    return mask.reshape(mask.shape + (1,) * (x.ndim - mask.ndim))


@pytest.fixture(scope="session")
def gradients(masked):
    """(inputs, masks) -> `real_part`, and its gradients for params and floating inputs; compiled once for both laws."""
    params, state = masked.params, masked.state

    def objective(params, floats, rest, masks):
        return real_part(masked.layer.run(params, merge(floats, rest), state=state, mask=masks))

    compiled = jax.jit(jax.value_and_grad(objective, (0, 1)))
    return lambda x, masks: compiled(params, *split(x), masks)


@pytest.mark.parametrize("masked", SEQUENCES + PAIRS, ids=str, scope="session")
def test_padding_changes_nothing(masked, gradients):
    x = masked.inputs()
    steps = {m.shape[1] for m in nest_leaves(masked.masks) if m is not None}  # what has so many, is a sequence

    def lengths(a):
        return [a.shape[1]] + [1] * (len(a) - 1)

    def mask(a):
        return np.arange(a.shape[1]) < np.array(lengths(a))[:, None] if a.shape[1] in steps else None

    def cut(row):
        return map_nest(lambda a: a[row : row + 1, : lengths(a)[row]] if a.shape[1] in steps else a[row : row + 1], x)

    value, (for_params, for_x) = gradients(x, map_nest(mask, x))
    rows = [gradients(cut(row), None) for row in range(2)]
    close = functools.partial(np.testing.assert_allclose, **masked.tolerance)
    close(as_numpy(value), sum(as_numpy(row) for row, _ in rows))
    for got, *parts in zip(jax.tree.leaves(for_params), *(jax.tree.leaves(g[0]) for _, g in rows), strict=True):
        close(as_numpy(got), sum(map(as_numpy, parts)))
    for row, (_, (_, wanted)) in enumerate(rows):
        for got, part in zip(jax.tree.leaves(for_x), jax.tree.leaves(wanted), strict=True):
            close(as_numpy(got)[row, : part.shape[1]], as_numpy(part)[0])


@pytest.mark.parametrize("masked", SEQUENCES + PAIRS + NO_SEQUENCES, ids=str, scope="session")
def test_junk_in_masked_cells_reaches_no_output_and_no_gradient(masked, gradients):
    """Where a layer counts masked elements as data, as Keras does, junk counts as 0."""

    def filled(junk):
        def fill(mask, a):
            plain = mask is None or not np.issubdtype(a.dtype, np.floating)
            return a if plain else np.where(over(mask, a), a, np.asarray(junk, a.dtype))

        return map_nest(fill, masked.masks, masked.inputs())

    def result(junk):
        value, (for_params, for_x) = gradients(filled(junk), masked.masks)
        at_real = map_nest(lambda mask, g: g if mask is None else jnp.where(over(mask, g), g, 0), masked.masks, for_x)
        return jax.tree.map(as_numpy, (value, for_params, at_real))

    if not jax.tree.leaves(split(masked.inputs())[0]):
        return  # integers are never junk
    clean = result(0)
    for junk in (np.nan, np.inf):
        jax.tree.map(np.testing.assert_array_equal, result(junk), clean)
