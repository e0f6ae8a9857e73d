"""Shapes: those that are traced, declared and drawn are those that come out."""

import jax
import jax.numpy as jnp
import pytest

import fnlayers as fl
from fnlayers.core.shapes import canonical, is_shape
from fnlayers.core.spec import map_specs, only, structs
from fnlayers.plain_data import map_nest, nest_leaves


def shapes(tree):
    return jax.tree.map(lambda a: tuple(a.shape), tree)


def names(tree):
    """The names in a tree, in its own order, which jax.tree would sort."""
    return [(name, names(sub)) for name, sub in tree.items()] if isinstance(tree, dict) else None


def leaves(shape):
    return jax.tree.leaves(shape, is_leaf=is_shape)


def without(shape, axis):
    """The shape with that axis unknown, in each input that has it."""

    def forget(sizes):
        return tuple(None if i == axis else n for i, n in enumerate(sizes))

    return map_nest(forget, canonical(shape), is_leaf=is_shape)


def agrees(known, guess):
    return len(known) == len(guess) and all(b is None or a == b for a, b in zip(known, guess, strict=True))


def test_out_shape_is_the_shape_that_comes_out(case, passes):
    y = passes.eager["run"].y
    assert case.layer.out_shape(case.shape) == shapes(y)
    train = passes.eager["train"].y
    assert shapes(train) == shapes(y)


def test_the_batch_axis_may_be_unknown(case, passes):
    wanted, got = leaves(shapes(passes.eager["run"].y)), leaves(case.layer.out_shape(without(case.shape, 0)))
    assert [(None, *shape[1:]) for shape in wanted] == got
    assert shapes(case.layer.init(jax.random.key(0), without(case.shape, 0))) == shapes(passes.params)


def test_an_unknown_axis_is_right_or_refused(case, passes):
    wanted = leaves(shapes(passes.eager["run"].y))
    for axis in range(1, max(map(len, nest_leaves(canonical(case.shape), is_leaf=is_shape)))):
        try:
            got = leaves(case.layer.out_shape(without(case.shape, axis)))
        except fl.ShapeError:
            continue
        assert all(agrees(a, b) for a, b in zip(wanted, got, strict=True)), (axis, wanted, got)


def test_specs_are_the_shapes_and_dtypes_of_params_and_state(case):
    params, state = structs(case.layer.specs(case.shape))
    drawn, started = case.layer.init(jax.random.key(0), case.shape), case.layer.init_state(case.shape)
    for wanted, actual in ((params, drawn), (state, started)):
        assert names(wanted) == names(actual)
        assert jax.tree.map(lambda a: (a.shape, a.dtype), wanted) == jax.tree.map(lambda a: (a.shape, a.dtype), actual)
        assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(actual))


def test_each_weight_says_its_logical_axes_or_nothing(case):
    def check(spec):
        assert spec.axes == () or len(spec.axes) == len(spec.shape)

    map_specs(check, only(case.layer.specs(case.shape), fl.Param))


def test_init_traces(case, passes):
    """init and init_state under eval_shape: nothing of a shape depends on a number."""
    abstract = jax.eval_shape(lambda key: case.layer.init(key, case.shape), jax.random.key(0))
    assert shapes(abstract) == shapes(passes.params)
    assert shapes(jax.eval_shape(lambda: case.layer.init_state(case.shape))) == shapes(passes.state)


def test_a_shape_is_not_an_array(case, passes):
    with pytest.raises(fl.LayerError):
        case.layer.init(jax.random.key(0), passes.x)
