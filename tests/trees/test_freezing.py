"""freeze and thaw: one way that means params, state and the optimizer alike."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import fnlayers as fl

SHAPE = (None, 4)
KEY = jax.random.key(0)
X = np.random.default_rng(0).normal(3, 2, (8, 4)).astype("float32")
Y = np.arange(8) % 2
LOSS = optax.softmax_cross_entropy_with_integer_labels
CONSTRAINED = {"kernel_constraint": "unit_norm", "kernel_regularizer": "l2"}


def base():
    return fl.Sequential([fl.Dense(4, **CONSTRAINED), fl.BatchNormalization(), fl.Dropout(0.1)], name="base")


def model():
    return fl.Sequential([base(), fl.Dense(4), fl.Dense(2, name="head", **CONSTRAINED)])


def training(layer, shape=SHAPE):
    """The layers whose params train, by path."""
    return sorted({p.rsplit("/", 1)[0] for p, trains in fl.paths(fl.trainable_mask(layer, shape)).items() if trains})


def graph():
    a = fl.Input((4,))
    shared = fl.Dense(4, name="shared")
    return fl.functional(a, fl.Dense(2, name="head")(shared(base()(shared(a)))))


def steps():
    inner = fl.Sequential([fl.Dense(4, name="first"), fl.Dense(4, name="second")])
    return fl.Sequential(
        [
            fl.TimeDistributed(fl.SpectralNormalization(fl.Dense(4))),
            fl.Repeat(inner, 2),
            fl.Bidirectional(fl.LSTM(2, return_sequences=True)),
            fl.RNN(fl.StackedRNNCells([fl.GRUCell(2), fl.LSTMCell(2)])),
        ]
    )


WORDS = (None, 3, 4)
BOTH = ["base/batch_normalization", "base/dense", "head", "shared"]
CELLS = ["rnn/cell/gru_cell", "rnn/cell/lstm_cell"]
SIDES = ["bidirectional/backward_layer/cell", "bidirectional/forward_layer/cell"]
HALVES = ["repeat/layer/first", "repeat/layer/second"]
SPECTRAL = ["time_distributed/layer/layer"]


@pytest.mark.parametrize(
    ("make", "shape", "patterns", "wanted"),
    [
        (model, SHAPE, ["base/**"], ["dense", "head"]),
        (model, SHAPE, ["base"], ["dense", "head"]),
        (model, SHAPE, ["base/dense"], ["base/batch_normalization", "dense", "head"]),
        (model, SHAPE, ["**/dense*", "head"], ["base/batch_normalization"]),
        (model, SHAPE, [], []),
        (graph, SHAPE, ["base/**"], ["head", "shared"]),
        (graph, SHAPE, ["**/batch_*", "shared"], ["base/dense", "head"]),
        (steps, WORDS, ["time_distributed", "repeat/*/first"], sorted([*SIDES, *CELLS, HALVES[1]])),
        (steps, WORDS, ["*/layer/layer", "*/backward_layer"], sorted([SIDES[1], *CELLS, *HALVES])),
        (steps, WORDS, ["rnn/**", "bidirectional/**"], sorted([*HALVES, *SPECTRAL])),
        (steps, WORDS, ["rnn/cell/gru_cell"], sorted([*SIDES, *HALVES, *SPECTRAL, CELLS[1]])),
    ],
)
def test_what_trains(make, shape, patterns, wanted):
    whole, frozen = make(), fl.freeze(make(), *patterns)
    assert training(frozen, shape) == wanted
    assert fl.weight_paths(frozen, shape) == fl.weight_paths(whole, shape)  # the order of files
    assert training(fl.thaw(frozen, *patterns), shape) == training(whole, shape)
    assert whole == make()


def test_the_layers_named_say_so():
    frozen = fl.freeze(model(), "base/**")
    assert [layer.trainable for layer in frozen.layers] == [False, True, True]
    assert not any(layer.trainable for layer in frozen.layers[0].layers)
    assert [layer.name for layer in frozen.layers] == ["base", "dense", "head"]


def test_a_part_of_what_is_frozen_thaws():
    frozen = fl.freeze(model(), "base")
    assert training(fl.thaw(frozen, "base/dense")) == ["base/dense", "dense", "head"]
    outside = fl.Sequential([base(), fl.Dense(2)], trainable=False)  # frozen by its own argument alone
    assert training(fl.thaw(outside, "base/batch_normalization")) == ["base/batch_normalization"]
    assert training(fl.thaw(outside, "dense")) == ["dense"]


def test_a_shared_layer_stays_one():
    shared = fl.Dense(4)
    frozen = fl.freeze(fl.Sequential([shared, fl.ReLU(), shared]), "dense")
    assert frozen.layers[0] is frozen.layers[2] and training(frozen) == []


@pytest.mark.parametrize(
    ("patterns", "text"),
    [
        (["bse/**"], r"'bse/\*\*' matches no layer; the layers are base, base/dense, .*head"),
        (["base/dense/kernel"], "for single weights: fnlayers.labels"),
        ([["base"]], r"\['base'\] is not a pattern; give strings"),
    ],
)
def test_patterns_that_match_nothing(patterns, text):
    for verb in (fl.freeze, fl.thaw):
        with pytest.raises(fl.ConfigError, match=text):
            verb(model(), *patterns)
    with pytest.raises(fl.ConfigError, match="freeze takes a model"):
        fl.freeze({}, "base")


@pytest.mark.parametrize("wrap", [lambda adam, frozen: adam, lambda adam, frozen: fl.projected(adam, frozen, SHAPE)])
def test_params_and_state_stay_and_the_optimizer_holds_nothing(wrap):
    frozen = fl.freeze(model(), "base/**")
    params, state = jax.tree.map(lambda a: a + 0.5, (frozen.init(KEY, SHAPE), frozen.init_state(SHAPE)))
    optimizer = wrap(optax.adam(0.1), frozen)
    result = fl.fit(frozen, (X, Y), loss=LOSS, optimizer=optimizer, params=params, state=state, verbose=False)
    jax.tree.map(np.testing.assert_array_equal, (result.params["base"], result.state), (params["base"], state))
    norms = jnp.linalg.norm(result.params["head"]["kernel"], axis=0)
    np.testing.assert_allclose(norms, 1, rtol=1e-5)
    assert not (result.params["dense"]["kernel"] == params["dense"]["kernel"]).any()
    paths = [path for path in fl.paths(result.train_state.opt_state) if "base" in path]
    assert not paths
    out = frozen.run(params, X, state=state, rng=KEY, train=True)
    assert not out.losses and float(fl.penalty(frozen, SHAPE)(params)) == pytest.approx(
        0.01 * float((params["head"]["kernel"] ** 2).sum()), rel=1e-5
    )


def test_projection_leaves_out_what_optimizers_do():
    frozen = fl.freeze(model(), "base/**")
    params = jax.tree.map(lambda a: a + 0.5, frozen.init(KEY, SHAPE))
    onto = fl.project(frozen, SHAPE)
    jax.tree.map(np.testing.assert_array_equal, onto(params)["base"], params["base"])
    for absent in (None, optax.MaskedNode()):
        part = onto({**params, "base": absent})
        assert part["base"] == absent and np.allclose(jnp.linalg.norm(part["head"]["kernel"], axis=0), 1)
        assert onto({**params, "dense": {**params["dense"], "bias": absent}})["dense"]["bias"] == absent
    masked = optax.masked(fl.projected(optax.sgd(0.1), frozen, SHAPE), fl.trainable_mask(frozen, SHAPE))
    updates, _ = masked.update(jax.tree.map(jnp.zeros_like, params), masked.init(params), params)
    landed = optax.apply_updates(params, updates)
    np.testing.assert_allclose(jnp.linalg.norm(landed["head"]["kernel"], axis=0), 1, rtol=1e-5)
    with pytest.raises(fl.MissingError, match="missing: head/bias, head/kernel"):
        onto({name: params[name] for name in ("base", "dense")})
