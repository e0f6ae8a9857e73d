"""fl.debug: numbers of layers, gradients by layer, the first number that is not finite, repeated tracing."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import fnlayers as fl

ONES = {"kernel_initializer": "ones"}


def small():
    model = fl.Sequential([fl.Dense(3, "relu", **ONES), fl.Dropout(0.5), fl.Dense(1, **ONES)])
    return model, model.init(jax.random.key(0), (None, 2))


def test_trace_says_what_each_layer_returned():
    model, params = small()
    trace = fl.debug.trace(model, params, jnp.array([[1.0, 2.0], [-1.0, jnp.inf]]))
    assert [row.path for row in trace.outputs] == ["dense", "dropout", "dense_1", ""]
    first = trace.outputs[0]
    assert (first.layer, first.shapes, first.dtypes) == ("Dense", ((2, 3),), ("float32",))
    assert first.numbers[:5] == (3, 3, 3, np.sqrt(27), 0) and first.numbers.not_finite == 3
    assert "3 of 6 numbers are not finite" in str(trace) and max(map(len, str(trace).splitlines())) <= 80
    assert np.isnan(fl.debug.trace(fl.Identity(), {}, jnp.full((2, 2), jnp.nan)).outputs[0].numbers.mean)


def test_trace_of_several_outputs_of_shared_layers_and_of_a_repeat():
    x = fl.Input((2,))
    layer = fl.Dense(2, name="shared")
    model = fl.functional(x, {"a": layer(layer(x)), "b": fl.Repeat(fl.Dense(2), 3, name="deep")(x)})
    params = model.init(jax.random.key(0))
    rows = {row.path: row for row in fl.debug.trace(model, params, jnp.ones((4, 2))).outputs}
    assert {"shared#1", "shared#2", "deep/layer", "deep", ""} <= set(rows)
    assert rows["deep/layer"].shapes == ((3, 4, 2),) and rows[""].shapes == ((4, 2), (4, 2))


def test_large_numbers_have_a_norm():
    numbers = fl.debug.trace(fl.Identity(), {}, jnp.full((1, 4), 1e38)).outputs[0].numbers
    np.testing.assert_allclose(numbers.norm, 2e38, rtol=1e-6)


def test_gradients_are_those_of_the_loss():
    model, params = small()
    batch = np.float32([[1, 2], [3, -1]]), np.float32([[1], [0]])
    result = fl.debug.gradients(model, params, batch, optax.l2_loss, rng=3)
    with_penalty = fl.debug.gradients(
        fl.Sequential([fl.Dense(3, "relu", **ONES), fl.Dense(1, **ONES, kernel_regularizer="l2", trainable=False)]),
        params, batch, optax.l2_loss,
    )  # fmt: skip
    assert [row.path for row in with_penalty.layers] == ["dense"]  # what is frozen has no gradient
    plain = fl.Sequential([fl.Dense(3, "relu", **ONES), fl.Dense(1, **ONES)])
    wanted = jax.grad(lambda p: jnp.mean(optax.l2_loss(plain.apply(p, batch[0]), batch[1])))(params)
    result = fl.debug.gradients(plain, params, batch, optax.l2_loss)
    assert [row.path for row in result.layers] == ["dense", "dense_1"]
    for row in result.layers:
        np.testing.assert_allclose(row.numbers.norm, optax.tree.norm(wanted[row.path]), rtol=1e-6)
        np.testing.assert_allclose(row.params_norm, optax.tree.norm(params[row.path]), rtol=1e-6)
    np.testing.assert_allclose(result.norm, optax.tree.norm(wanted), rtol=1e-6)
    assert f"loss {result.loss:.6g}" in str(result)


def test_a_layer_that_the_loss_does_not_reach():
    model = fl.Sequential([fl.Dense(3, "relu", kernel_initializer=fl.initializers.Constant(-1)), fl.Dense(1)])
    params = model.init(jax.random.key(0), (None, 2))
    dead, alive = fl.debug.gradients(model, params, (np.ones((4, 2)), np.ones((4, 1))), optax.l2_loss).layers
    assert dead.numbers.zeros == 1 and dead.ratio == 0 and alive.numbers.norm > 0


def test_gradients_of_a_model_without_params():
    with pytest.raises(fl.MissingError, match="no trainable params"):
        fl.debug.gradients(fl.ReLU(), {}, (np.ones((2, 2)), np.ones((2, 2))), optax.l2_loss)


def test_nan_names_the_first_layer():
    model = fl.Sequential([fl.Dense(2, **ONES), fl.Lambda(jnp.log, name="log"), fl.Dense(1)])
    params, x = model.init(jax.random.key(0), (None, 1)), jnp.array([[1.0], [-1.0]])
    message = "the first that is not finite: it holds nan (2 of 4 numbers, the first at [1, 0])"
    assert fl.debug.nan(model, params, x).startswith("the output of layer log, ") and message in fl.debug.nan(
        model, params, x
    )
    assert fl.debug.nan(model, params, jnp.ones((1, 1))) is None
    assert fl.debug.nan(model, params, x / 0) == "x  holds inf (2 of 2 numbers, the first at [0, 0])".replace("  ", " ")
    broken = params | {"dense": params["dense"] | {"bias": jnp.array([0, jnp.nan])}}
    assert fl.debug.nan(model, broken, x).startswith("params ['dense']['bias'] holds nan")


def test_nan_in_a_scan_is_that_of_its_earliest_step():
    """In step 0 the second layer overflows; from step 1 on the first one, which ends first, sees it."""
    block = fl.Sequential([fl.Dense(2, name="first"), fl.Lambda(lambda x: x * 1e30, name="second")])
    model = fl.Repeat(block, 3)
    params = model.init(jax.random.key(0), (None, 2))
    message = fl.debug.nan(model, params, jnp.full((1, 2), 1e20))
    assert message.startswith("the output of layer layer/second, ") and "the first at [0, 0, 0]" in message


def test_nan_step_says_which_step():
    model, optimizer = fl.Dense(1), optax.sgd(1e30)
    start = fl.TrainState.create(model, (None, 2), optimizer)
    batch = np.ones((4, 2), "float32"), np.ones((4, 1), "float32")
    step, why = fl.debug.nan_step(model, start, 5 * [batch], optax.l2_loss, optimizer)
    assert step == 2 and "of it is inf" in why
    assert int(start.step) == 0 and np.isfinite(start.params["kernel"]).all()  # what was given is not donated
    assert fl.debug.nan_step(model, start, [batch], optax.l2_loss, optax.sgd(1e30)) is None
    with pytest.raises(fl.ConfigError, match="is no iterable"):
        fl.debug.nan_step(model, start, 3, optax.l2_loss, optimizer)


@pytest.mark.parametrize("ask", [fl.debug.trace, fl.debug.nan])
def test_numbers_are_unknown_under_jit(ask):
    with pytest.raises(fl.ConfigError, match="call it outside jit"):
        jax.jit(lambda x: ask(fl.Identity(), {}, x))(jnp.ones((1, 2)))


def warned(*calls, after=1):
    function = jax.jit(
        fl.debug.retraces(lambda batch, scale=1.0: jax.tree.map(lambda a: a * scale, batch), after=after)
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for call in calls:
            function(*call)
    return [str(warning.message) for warning in caught]


def test_retraces_name_what_changed():
    x = jnp.ones((4, 2))
    assert warned((x,), (x + 1,)) == []
    assert warned((x,), (x[:3],)) == ["<lambda> is traced for the 2nd time: batch is float32[3,2], was float32[4,2]"]
    assert warned((x,), (x[:3],), after=2) == []
    assert warned((x, 1.0), (x, jnp.float32(1)))[0].endswith("scale is float32[], was float32[] from a Python number")
    assert warned(({"a": x},), ({"b": x},))[0].endswith("batch/b is new, batch/a is missing")
    third = warned((x,), (x[:3],), (x[:1],))[1]  # compared with the nearest of those before
    assert "3rd time: batch is float32[1,2]" in third


def test_retraces_where_jit_itself_is_new():
    traced = fl.debug.retraces(lambda x: x * 2)
    with pytest.warns(fl.debug.RetraceWarning, match="a new jit was made"):
        for _ in range(2):
            jax.jit(lambda x: traced(x))(jnp.ones(2))
    with pytest.raises(fl.ConfigError, match="1 or more"):
        fl.debug.retraces(traced, after=0)
    with pytest.raises(fl.ConfigError, match="is no function"):
        fl.debug.retraces(3)
