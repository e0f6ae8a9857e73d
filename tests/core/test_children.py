"""Layers made of layers: `ctx.run` gives a child its params, state, key, path and mask, and keeps what it returns."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnlayers as fl

KEY = jax.random.key(0)
X = jnp.asarray(np.random.RandomState(0).normal(size=(4, 3)), "float32")


@fl.layerclass
class Around(fl.Layer):
    """A layer around one child, run as `how` says: how(layer, params, x, ctx)."""

    child: fl.Layer
    how: object = None

    def children(self, shape):
        return {"child": (self.child, shape)}

    def forward(self, params, x, ctx):
        if self.how is not None:
            return self.how(self, params, x, ctx)
        out = ctx.run("child", self.child, params, x, ctx.mask)
        return fl.Out(2 * out.y, mask=out.mask)


@fl.layerclass
class Counted(fl.Layer):
    """A child that is run twice, between a state and a loss of the layer's own."""

    child: fl.Layer

    def weights(self, shape):
        return {"runs": fl.State(())}

    def children(self, shape):
        return {"child": (self.child, shape), "idle": (fl.BatchNormalization(), shape)}

    def forward(self, params, x, ctx):
        first = ctx.run("child", self.child, params, x)
        second = ctx.run("child", self.child, params, first.y)
        return fl.Out((first.y, second.y), {"runs": ctx.read(self, "runs") + 1}, losses=(jnp.float32(7),))


def in_sequence(layer):
    """The same child as a Sequential would run it, under the same name."""
    return fl.Sequential([layer.renamed("child")])


@pytest.mark.parametrize(
    "child",
    [
        fl.Dense(3, activity_regularizer="l2"),
        fl.Dropout(0.5),
        fl.BatchNormalization(),
        fl.Sequential([fl.BatchNormalization(), fl.Dropout(0.5), fl.Dense(3, activity_regularizer="l1")]),
        fl.SpectralNormalization(fl.Dense(3, activity_regularizer="l2")),
        fl.Repeat(fl.Sequential([fl.BatchNormalization(), fl.Dropout(0.5), fl.ActivityRegularization(0.1)]), 2),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_a_child_has_its_own_state_key_and_losses(child):
    layer, alike = Around(child), in_sequence(child)
    params, state = layer.init(KEY, X.shape), layer.init_state(X.shape)
    out, wanted = (m.run(params, X, state=state, rng=KEY, train=True) for m in (layer, alike))
    jax.tree.map(np.testing.assert_array_equal, out.y, 2 * wanted.y)
    jax.tree.map(np.testing.assert_array_equal, (out.state, out.losses), (wanted.state, wanted.losses))


def test_a_child_has_the_mask_and_returns_its_own():
    x, mask = jnp.ones((2, 4, 3)), jnp.array([[True, True, False, False], [True] * 4])
    layer = Around(fl.LSTM(3, return_sequences=True))
    out = layer.run(layer.init(KEY, x.shape), x, mask=mask)
    np.testing.assert_array_equal(out.mask, mask)
    np.testing.assert_array_equal(out.y[0, 1], out.y[0, 3])


def test_a_child_that_is_run_twice_goes_on_and_draws_anew():
    layer = Counted(
        fl.Sequential([fl.BatchNormalization(momentum=0.5), fl.Dropout(0.5), fl.ActivityRegularization(1.0)])
    )
    params, state = layer.init(KEY, X.shape), layer.init_state(X.shape)
    out = jax.jit(lambda p, s, x: layer.run(p, x, state=s, rng=KEY, train=True))(params, state, X)
    assert out.state.keys() == state.keys() and out.state["runs"] == 1
    assert len(out.losses) == 3 and out.losses[0] == 7
    once = layer.child.run(params["child"], X, state=state["child"], rng=KEY, train=True).state
    again = layer.child.run(params["child"], out.y[0], state=once, rng=KEY, train=True).state
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), out.state["child"], again)
    assert ((out.y[0] == 0) != (out.y[1] == 0)).any()
    jax.tree.map(np.testing.assert_array_equal, out.state["idle"], state["idle"])


def test_an_error_in_a_child_has_its_path():
    layer = fl.Sequential([Around(fl.Dense(3), name="outer")])
    with pytest.raises(fl.MissingError, match="^outer/child: Dense.* has no bias in its params"):
        layer.apply({"outer": {"child": {"kernel": jnp.ones((3, 3))}}}, X)


FORWARD = (
    lambda self, params, x, ctx: self.child.forward(params["child"], x, ctx.at("child")),
    lambda self, params, x, ctx: self.child.forward(params["child"], x, ctx.at("child", ctx.mask)),
    lambda self, params, x, ctx: self.child.forward(params["child"], x, ctx),
    lambda self, params, x, ctx: fl.Out(self.child.forward(params["child"], x, fl.Context(train=ctx.train)).y),
)


@pytest.mark.parametrize("child", [fl.Dense(3, activity_regularizer="l2"), fl.BatchNormalization()], ids=str)
@pytest.mark.parametrize("how", FORWARD)
def test_forward_called_by_hand_is_an_error_that_says_what_to_write(child, how):
    layer = Around(child, how)
    params = {"child": child.init(KEY, X.shape)}
    with pytest.raises(fl.ConfigError, match=r'write out = ctx.run\("name", child, params, x, mask\)'):
        layer.run(params, X, state={"child": child.init_state(X.shape)} if child.init_state(X.shape) else None)
    with pytest.raises(fl.ConfigError, match=r"elsewhere layer.run\(params, x\)"):
        child.forward(params["child"], X, fl.Context())


WRONG = {
    "of the layer that calls it, whole": lambda self, params, x, ctx: ctx.run("child", self.child, params["child"], x),
    "ctx.run takes a child's name, the layer": lambda self, params, x, ctx: ctx.run(self.child, "child", params, x),
    "Dense has no": lambda self, params, x, ctx: ctx.run("child", self.child, {}, x),
    "params of the layer that calls it, and x; got 'child'": lambda self, params, x, ctx: ctx.run(
        "child", self.child, None, x
    ),
    "cannot be gathered": lambda self, params, x, ctx: jax.lax.scan(
        lambda x, _: (ctx.run("child", self.child, params, x).y, None), x, None, 2
    ),
}


@pytest.mark.parametrize("text", WRONG)
def test_wrong_calls_say_what_to_write(text):
    layer = Around(fl.Dense(3, activity_regularizer="l2"), WRONG[text])
    with pytest.raises(fl.LayerError) as error:
        layer.run({"child": fl.Dense(3).init(KEY, X.shape)}, X)
    assert text.replace("Dense has no", "has no kernel, bias in its params") in str(error.value)


def test_in_the_body_of_a_scan_a_child_is_run_alone():
    def twice(self, params, x, ctx):
        def step(x, i):
            key = jax.random.fold_in(ctx.key(self), i)
            out = ctx.run_alone("child", self.child, params, x, state={}, key=key)
            return out.y, out.losses

        y, losses = jax.lax.scan(step, x, jnp.arange(2))
        return fl.Out(y, losses=tuple(map(jnp.sum, losses)))

    child = fl.Sequential([fl.Dropout(0.5), fl.Dense(3, activity_regularizer="l2")])
    layer, params = Around(child, twice), {"child": child.init(KEY, X.shape)}
    out = layer.run(params, X, rng=KEY, train=True)
    first = child.run(params["child"], X, rng=jax.random.fold_in(KEY, 0), train=True)
    second = child.run(params["child"], first.y, rng=jax.random.fold_in(KEY, 1), train=True)
    np.testing.assert_allclose(out.y, second.y, rtol=1e-6)
    np.testing.assert_allclose(out.losses[0], first.losses[0] + second.losses[0], rtol=1e-6)


@pytest.mark.parametrize(
    "key", ["0", 3, jnp.ones(2), jax.random.split(KEY, 2)], ids=["text", "number", "floats", "two"]
)
def test_a_wrong_key_of_a_child_says_what_to_write(key):
    layer = Around(fl.Dropout(0.5), lambda self, params, x, ctx: ctx.run_alone("child", self.child, params, x, key=key))
    with pytest.raises(fl.ConfigError, match=r"run_alone\('child', ...\): key= is the random key .*; (write|jax)"):
        layer.run({}, X, rng=KEY, train=True)


class HasForward:
    """A base that is no layer, with the method of one."""

    def forward(self, params, x, ctx):
        return fl.Out(x + 1)


@fl.layerclass
class Inherits(HasForward, fl.Layer):
    pass


def test_forward_may_stand_in_a_base_that_is_no_layer():
    np.testing.assert_array_equal(Inherits().apply({}, X), X + 1)
    np.testing.assert_array_equal(fl.Sequential([Inherits(), Inherits()]).apply({}, X), X + 2)


def test_from_apply_to_the_product_in_six_calls(monkeypatch):
    """As docs/design.md says it: who looks for the arithmetic of a layer is there soon."""
    layer, called = fl.Dense(3), []
    params, matmul = layer.init(KEY, X.shape), jnp.matmul

    def spy(*arrays):
        frame = sys._getframe(1)
        while frame.f_code.co_name != "apply":
            called.insert(0, frame.f_code.co_name)
            frame = frame.f_back
        return matmul(*arrays)

    monkeypatch.setattr(jnp, "matmul", spy)
    layer.apply(params, X)
    assert called == ["run", "run_in", "forward", "call", "dot", "dot"]
