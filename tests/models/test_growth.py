"""The work that models take grows with their size, and not faster: Python calls are counted, since clocks are busy."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import pytest

import fnlayers as fl
from counting import python_calls
from fnlayers.core import declared, outline
from fnlayers.core.trace import _trace
from fnlayers.saving.config import from_config, to_config

SHAPE = (None, 4)
CACHES = (
    _trace, outline._outlined, outline._holds, outline.declared_by, declared._names, declared._declared_arrays,
    declared._expected,
)  # fmt: skip


def chain(n: int) -> fl.Layer:
    return fl.Sequential([fl.Dense(4) for _ in range(n)])


def graph(n: int) -> fl.Layer:
    first = x = fl.Input((4,))
    for _ in range(n):
        x = fl.Dense(4)(x)
    return fl.functional(first, x)


def nested(n: int) -> fl.Layer:
    model: fl.Layer = fl.Dense(4)
    for _ in range(n):
        model = fl.Sequential([fl.Dense(4), model, fl.Dense(4)])
    return model


def nested_graphs(n: int) -> fl.Layer:
    model: fl.Layer = fl.Dense(4)
    for _ in range(n):
        first = fl.Input((4,))
        model = fl.functional(first, fl.Dense(4)(model(first)))
    return model


def distributed(n: int) -> fl.Layer:
    model: fl.Layer = fl.Dense(4)
    for _ in range(n):
        model = fl.Sequential([fl.RepeatVector(2), fl.TimeDistributed(model), fl.GlobalMaxPooling1D()])
    return model


def repeated(n: int) -> fl.Layer:
    model: fl.Layer = fl.Dense(4)
    for _ in range(n):
        model = fl.Sequential([fl.Dense(4), fl.Repeat(model, 1), fl.Dense(4)])
    return model


@fl.layerclass
class Residual(fl.Layer):
    inner: fl.Layer

    def children(self, shape):
        return {"inner": (self.inner, shape)}

    def forward(self, params, x, ctx):
        out = ctx.run("inner", self.inner, params, x, ctx.mask)
        return fl.Out(x + out.y, mask=out.mask)


@fl.layerclass
class Two(fl.Layer):
    first: fl.Layer
    second: fl.Layer

    def children(self, shape):
        return {"first": (self.first, shape), "second": (self.second, self.first.out_shape(shape))}

    def forward(self, params, x, ctx):
        y = ctx.run("first", self.first, params, x).y
        return fl.Out(ctx.run("second", self.second, params, y).y)


def residuals(n: int) -> fl.Layer:
    model: fl.Layer = fl.Dense(4)
    for _ in range(n):
        model = Residual(model)
    return model


def of_two(n: int) -> fl.Layer:
    model: fl.Layer = fl.Dense(4)
    for i in range(n):
        model = Two(model, fl.Dense(4)) if i % 2 else Two(fl.Dense(4), fl.Sequential([model]))
    return model


USES: dict[str, Callable[[fl.Layer], Any]] = {
    "hash": hash,
    "init": lambda model: model.init(jax.random.key(0), SHAPE),
    "out_shape": lambda model: model.out_shape(SHAPE),
    "summary": lambda model: fl.summary(model, SHAPE),
    "repr": repr,
}
MODELS: dict[str, tuple[Callable[[int], fl.Layer], int]] = {
    "chain": (chain, 60),
    "graph": (graph, 80),
    "nested": (nested, 50),
    "nested_graphs": (nested_graphs, 50),
    "distributed": (distributed, 20),
    "repeated": (repeated, 12),
    "residuals": (residuals, 20),
    "of_two": (of_two, 12),
}


def calls(make: Callable[[int], fl.Layer], n: int) -> dict[str, int]:
    """How many calls each use of the model takes, from empty caches."""
    for cache in CACHES:
        cache.cache_clear()
    models: list[fl.Layer] = []
    counted = {"build": python_calls(lambda: models.append(make(n)))}
    return counted | {name: python_calls(lambda use=use: use(models[0])) for name, use in USES.items()}


@pytest.mark.parametrize("name", MODELS)
def test_work_grows_with_the_size(name):
    make, n = MODELS[name]
    jax.tree.map(lambda use: use(make(2)), USES)  # what is imported and compiled once
    half, whole = calls(make, n // 2), calls(make, n)
    grown = {use: round(whole[use] / half[use], 2) for use in half}
    assert max(grown.values()) < 2.5, grown


@pytest.mark.parametrize("make", [residuals, of_two])
def test_a_run_checks_each_layer_once(make):
    def run(model):
        x = jax.ShapeDtypeStruct((2, 4), "float32")
        return jax.eval_shape(lambda key, x: model.run(model.init(key, x.shape), x).y, jax.random.key(0), x)

    run(make(2))
    half, whole = (python_calls(functools.partial(run, make(n))) for n in (7, 14))
    assert whole < 2.5 * half


@pytest.mark.parametrize("make", [distributed, residuals, nested_graphs])
def test_writing_and_reading_a_config_take_each_layer_once(make):
    models = [make(n) for n in (7, 14)]
    half, whole = (python_calls(lambda m=m: from_config(to_config(m), layers=[Residual])) for m in models)
    assert whole < 2.5 * half


def around(model: fl.Layer, name: str) -> fl.Layer:
    return fl.Sequential([fl.Dense(4), model, fl.Dense(4)], name=name)


@pytest.mark.parametrize(
    ("place", "path"),
    [(around, "level_0/wrong"), (lambda model, name: Residual(around(model, name)), "residual/inner/wrong")],
)
def test_an_error_deep_inside_is_found_once(place, path):
    """Each level traced the ones inside twice, so that twenty of them took minutes."""

    def wrong(n):
        model = fl.Conv2D(2, 3, name="wrong")
        for i in range(n):
            model = place(model, f"level_{i}")
        return model

    def find(model):
        with pytest.raises(fl.ShapeError, match=f"{path}: Conv2D.*name='wrong'"):
            model.out_shape(SHAPE)

    find(wrong(2))
    half, whole = (python_calls(functools.partial(find, wrong(n))) for n in (8, 16))
    assert whole < 2.5 * half


def test_a_deep_model_can_be_saved(tmp_path):
    model = nested(50)
    params = model.init(jax.random.key(0), SHAPE)
    fl.save(tmp_path / "deep.safetensors", model, params)
    assert fl.load(tmp_path / "deep.safetensors")[0] == model


@pytest.mark.parametrize("levels", [70, 300])
def test_a_model_that_is_too_deep_to_be_loaded_is_not_saved(levels):
    model = fl.Dense(4)
    for _ in range(levels):
        model = fl.Sequential([model])
    with pytest.raises(fl.ConfigError, match=r"levels|nested too deeply"):
        to_config(model)
