"""Keys are folded from paths: a layer's numbers depend on its own name and on no other layer."""

import jax
import numpy as np

import fnlayers as fl
from fnlayers.core.shapes import canonical, is_shape
from fnlayers.plain_data import map_nest


def test_no_key_is_used_twice(case, passes):
    with jax.debug_key_reuse(True):
        jax.eval_shape(lambda key: case.layer.init(key, case.shape), jax.random.key(0))
        jax.eval_shape(lambda key: passes.run(passes.params, passes.floats, key, train=True), jax.random.key(0))


def test_adding_a_layer_moves_no_other_numbers(case, passes):
    """Alone in a graph or with another layer, a layer draws the same params and the same noise."""
    key, added = jax.random.key(3), fl.Input((3,))
    symbols = map_nest(lambda s: start(s, case), canonical(case.shape), is_leaf=is_shape)
    if isinstance(case.shape, dict) and "attention_mask" in case.shape:
        symbols = {**symbols, "attention_mask": fl.Input(batch_shape=case.shape["attention_mask"], dtype="bool")}
    y = case.layer(symbols)
    alone = fl.functional({"x": symbols}, {"y": y})
    both = fl.functional({"x": symbols, "new": added}, {"y": y, "new": fl.Dense(2, name="added")(added)})
    shape = {"x": case.shape, "new": (2, 3)}
    one, two = alone.init(key, {"x": case.shape}), both.init(key, shape)
    assert two.pop("added")
    jax.tree.map(np.testing.assert_array_equal, one, two)
    if case.random:
        x = {"x": passes.x, "new": np.ones((2, 3), "float32")}
        context = dict(state=both.init_state(shape), rng=key, train=True)
        first = alone.run(one, {"x": passes.x}, **context).y["y"]
        second = both.run(both.init(key, shape), x, **context).y["y"]
        jax.tree.map(np.testing.assert_array_equal, first, second)


def start(shape, case):
    return fl.Symbol(tuple(shape), "int32" if case.below else "float32")
