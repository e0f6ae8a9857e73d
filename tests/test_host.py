"""Options of the compiler and of the allocator: the same numbers, and no harm where there is nothing to set."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import fnlayers as fl
from fnlayers import host
from fnlayers.ops import program
from fnlayers.ops.cpu.limits import Limits

MODEL = fl.Sequential([fl.Conv2D(32, 3, activation="relu"), fl.GlobalAveragePooling2D(), fl.Dense(2)])
BATCH = jnp.linspace(-1, 1, 4 * 36 * 36 * 3).reshape(4, 36, 36, 3), jnp.arange(4) % 2


def trained(step):
    state = fl.TrainState.create(MODEL, (None, 36, 36, 3), optax.sgd(0.1), jax.random.key(0))
    for _ in range(2):
        state, logs = step(state, BATCH)
    return [*jax.tree.leaves(state.params), logs["loss"]]


def make():
    return fl.make_step(MODEL, optax.softmax_cross_entropy_with_integer_labels, optax.sgd(0.1))


def test_a_step_is_the_same_with_and_without_the_options(monkeypatch):
    with_options = trained(make())
    monkeypatch.setattr(host, "_accepts_options", lambda: False)
    for a, b in zip(with_options, trained(make()), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_a_step_runs_within_jit_and_scan():
    step = make()
    alone = trained(step)
    state = fl.TrainState.create(MODEL, (None, 36, 36, 3), optax.sgd(0.1), jax.random.key(0))
    batches = jax.tree.map(lambda a: jnp.stack([a, a]), BATCH)
    scanned, logs = jax.jit(lambda state: jax.lax.scan(step, state, batches))(state)
    for a, b in zip(alone, [*jax.tree.leaves(scanned.params), logs["loss"][-1]], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_an_error_of_the_function_is_its_own():
    def fails(x):
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        fl.jit(fails)(1.0)
    assert not program.uses_xla_convolutions()


@pytest.mark.skipif(not host._accepts_options(), reason="this XLA does not know the option")
def test_what_fl_jit_compiles_has_the_convolutions_of_xla():
    seen = []

    def function(x):
        seen.append(program.uses_xla_convolutions())
        return fl.Conv2D(32, 3).apply(params, x)

    params = fl.Conv2D(32, 3).init(jax.random.key(0), BATCH[0].shape)
    assert "ynn" not in fl.jit(function).lower(BATCH[0]).compile().as_text()
    jax.jit(function).lower(BATCH[0])
    assert seen == [True, False]


@pytest.mark.skipif(not host._accepts_options(), reason="this XLA does not know the option")
@pytest.mark.parametrize("rows", [Limits().product_rows, Limits().product_rows - 1])
def test_products_of_many_rows_are_compiled_by_xla(rows):
    dense, x = fl.Dense(32), jnp.ones((rows, 32))
    step = fl.jit(lambda x: dense.apply(dense.init(jax.random.key(0), x.shape), x))
    assert ("ynn" in step.lower(x).compile().as_text()) == (rows < Limits().product_rows)


@pytest.mark.skipif(not host._accepts_options(), reason="this XLA does not know the option")
def test_a_function_is_traced_once_and_its_options_pass_through():
    traced = []

    def function(x, *, times, power):
        traced.append(power)
        return (times * fl.Dense(1).apply({"kernel": x, "bias": x[0]}, x)) ** power

    step, x = fl.jit(function, static_argnames="power"), jnp.ones((1, 1))
    assert step(x, times=2.0, power=2) == step(x, times=2.0, power=2) == 16 and traced == [2]
    assert step(x, times=2.0, power=1) == 4 and traced == [2, 1]


def printed(code: str) -> str:
    program = f"import jax, fnlayers as fl\n{code}\nprint(*fl.tune_host(), sep='; ')"
    environment = {**os.environ, "XLA_FLAGS": "", "JAX_PLATFORMS": "cpu"}
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment
    ).stdout


@pytest.mark.slow
def test_tune_host_says_what_it_did():
    out = printed("")
    assert out.startswith("freed memory stays" if sys.platform == "linux" else "memory as it was")
    own, as_they_were = "convolutions are XLA's own", "convolutions as they were"
    assert (own if host._knows_flag() else as_they_were) in out
    assert (own if host._knows_flag() else as_they_were) in printed("fl.tune_host()")  # a second time
    late = printed("jax.numpy.ones(3) + 1")
    assert (as_they_were if host._accepts_options() else "convolutions") in late


def test_elsewhere_it_does_nothing(monkeypatch):
    monkeypatch.setattr(host.sys, "platform", "darwin")
    monkeypatch.setattr(host, "_knows_flag", lambda: False)
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    memory, convolutions = fl.tune_host()
    assert memory.startswith("memory as it was") and convolutions.startswith("convolutions as they were")
    assert "XLA_FLAGS" not in os.environ
