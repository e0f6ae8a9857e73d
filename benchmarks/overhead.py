"""What fnlayers costs above plain JAX: import, init, eager apply, a training step traced, compiled and run.

    python benchmarks/overhead.py [--only NAME ...] [--json FILE]

Each ratio or difference compares two contenders in one run, interleaved; the third column is what the project promises.
Init is timed in fresh processes, where nothing is compiled yet.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import fnlayers as fl
import machine
from figures import write
from networks import FULL, Network, ours
from timing import difference, interleaved, ratio

RESNET = FULL[0]._replace(shape=(8, 64, 64, 3))  # images so small that it is compiled for the layers' sake
FRESH_INIT = """
import time, jax, fnlayers as fl
from networks import FULL, ours
key, models = jax.random.key(0), {
    "dense": lambda: (fl.Sequential([fl.Dense(256) for _ in range(20)]), (None, 256)),
    "resnet": lambda: (ours.model_of(FULL[0], "float32"), FULL[0].shape),
}
model, shape = models[NAME]()
start = time.perf_counter()
jax.block_until_ready(model.init(key, shape))
print(time.perf_counter() - start)
"""


def import_ratio() -> float:
    """The time of `import fnlayers` over that of `import jax, optax`, each in a process of its own."""

    def run(code: str) -> Callable[[], object]:
        return lambda: subprocess.run([sys.executable, "-c", code], check=True)

    contenders = {"fnlayers": run("import fnlayers"), "plain": run("import jax, optax")}
    return ratio(interleaved(contenders, rounds=9, calls=1), "fnlayers", "plain")


def eager_microseconds() -> float:
    """What `apply` of a Dense adds to the same product and sum written by hand."""
    layer, x = fl.Dense(64), jnp.ones((32, 64))
    params = layer.init(jax.random.key(0), x.shape)

    def plain() -> jax.Array:
        return x @ params["kernel"] + params["bias"]

    contenders = {"fnlayers": lambda: layer.apply(params, x), "plain": plain}
    return 1e6 * difference(interleaved(contenders, rounds=31, calls=200), "fnlayers", "plain")


def init_milliseconds(name: str, rounds: int = 5) -> float:
    """The first init of a model, in processes of their own; the key is there before."""
    command = [sys.executable, "-c", FRESH_INIT.replace("NAME", repr(name))]
    folder = Path(__file__).parent
    runs = [subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder) for _ in range(rounds)]
    return 1e3 * statistics.median(float(run.stdout) for run in runs)


class Steps(NamedTuple):
    """A jitted training step of a deep MLP, by fnlayers and written by hand, with the initial state of each."""

    ours: Any
    plain: Any
    state: fl.TrainState
    plain_state: tuple
    batch: tuple


def steps(layers: int = 20, width: int = 256, batch: int = 64, guard: bool = True) -> Steps:
    """Both, not yet traced; `guard` is that of `fl.make_step`."""
    model = fl.Sequential([*(fl.Dense(width, "relu") for _ in range(layers - 1)), fl.Dense(10)])
    x, y = jax.random.normal(jax.random.key(1), (batch, width)), jnp.arange(batch) % 10
    optimizer = optax.adam(1e-3)
    state = fl.TrainState.create(model, (None, width), optimizer, jax.random.key(0))

    def forward(params: Any, x: jax.Array) -> jax.Array:
        *hidden, last = params
        for kernel, bias in hidden:
            x = jax.nn.relu(x @ kernel + bias)
        return x @ last[0] + last[1]

    def plain(params: Any, state: Any, x: jax.Array, y: jax.Array) -> tuple:
        def loss(params: Any) -> jax.Array:
            return optax.softmax_cross_entropy_with_integer_labels(forward(params, x), y).mean()

        value, gradients = jax.value_and_grad(loss)(params)
        updates, state = optimizer.update(gradients, state, params)
        return optax.apply_updates(params, updates), state, value

    params = [
        (state.params[name]["kernel"] + 0, state.params[name]["bias"] + 0)
        for name in dict(model.children((None, width)))
    ]
    step = fl.make_step(model, optax.softmax_cross_entropy_with_integer_labels, optimizer, guard=guard)
    return Steps(step, jax.jit(plain, donate_argnums=(0, 1)), state, (params, optimizer.init(params)), (x, y))


def step_ratio() -> float:
    """The time of a step."""
    pair = steps()
    current: dict[str, Any] = {"fnlayers": pair.state, "plain": pair.plain_state}

    def run_ours() -> object:
        current["fnlayers"], logs = pair.ours(current["fnlayers"], pair.batch)
        return jax.block_until_ready(logs)

    def run_plain() -> object:
        *state, value = pair.plain(*current["plain"], *pair.batch)
        current["plain"] = state
        return jax.block_until_ready(value)

    return ratio(interleaved({"fnlayers": run_ours, "plain": run_plain}, rounds=31, calls=20), "fnlayers", "plain")


def compile_ratios(layers: int = 20, rounds: int = 7, guard: bool = True) -> dict[str, float]:
    """The time to trace a step, and to compile it, both from nothing in each round; and that of both together.

    The step written by hand has no guard, which is a branch with the optimizer's update in it.
    """
    times: dict[str, list[float]] = {"trace": [], "compile": [], "both": []}
    for _ in range(rounds + 1):
        pair = steps(layers, guard=guard)
        own = build_seconds(pair.ours, pair.state, pair.batch)
        plain = build_seconds(pair.plain, *pair.plain_state, *pair.batch)
        times["trace"].append(own[0] / plain[0])
        times["compile"].append(own[1] / plain[1])
        times["both"].append(sum(own) / sum(plain))
    return {name: statistics.median(ratios[1:]) for name, ratios in times.items()}  # the first round also warms jax up


def build_seconds(step: Any, *args: Any) -> tuple[float, float]:
    """(tracing and lowering, compiling)."""
    start = time.perf_counter()
    lowered = step.lower(*args)
    traced = time.perf_counter()
    lowered.compile()
    return traced - start, time.perf_counter() - traced


def resnet_ratio(network: Network = RESNET, rounds: int = 3) -> float | None:
    """The time to trace and compile ResNet-50's training step over Flax linen's; None where Flax is not installed."""
    installed: Any = machine.facts()["versions"]
    if "flax" not in installed:
        return None
    from networks import linen

    times: dict[str, list[float]] = {"fnlayers": [], "linen": []}
    for _ in range(rounds):
        for name, library in (("fnlayers", ours), ("linen", linen)):
            seconds = library.prepare(network, "float32").compile_seconds
            times[name].append(seconds or float("nan"))
    return ratio(times, "fnlayers", "linen")


class SeesSteps:
    """A callback that looks at each step."""

    def on_step(self, event: fl.training.StepEvent) -> None:
        assert event.logs["loss"] >= 0


def fit_microseconds(steps: int = 2000, rounds: int = 5) -> dict[str, float]:
    """The processor time of a step of `fit` above that of the bare loop over `make_step`, alone and with callbacks.

    Of all cores, and of a model so small that a step is nothing but calls.
    """
    x, y = np.zeros((steps, 4), "float32"), np.zeros((steps, 1), "float32")
    model, loss, optimizer = fl.Dense(1), optax.squared_error, optax.sgd(0.1)
    step = fl.make_step(model, loss, optimizer)
    with tempfile.TemporaryDirectory() as folder:
        log = fl.JSONLog(f"{folder}/log.jsonl", steps=100)

        def bare() -> None:
            state = fl.TrainState.create(model, (None, 4), optimizer)
            for at in range(steps):
                state, _ = step(state, (x[at : at + 1], y[at : at + 1]))
            jax.block_until_ready(state)

        def fitted(*callbacks: Any) -> None:
            fl.fit(
                model, (x, y), loss=loss, optimizer=optimizer, batch_size=1, callbacks=callbacks, shuffle=False,
                verbose=False,
            )  # fmt: skip

        contenders = {"bare": bare, "fit": fitted, "fit, seen and logged": lambda: fitted(SeesSteps(), log)}
        times: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(rounds):
            for name, run in contenders.items():
                start = time.process_time()
                run()
                times[name].append(1e6 * (time.process_time() - start) / steps)
    best = {name: min(microseconds) for name, microseconds in times.items()}
    return {name: best[name] - best["bare"] for name in contenders if name != "bare"}


class Figure(NamedTuple):
    """What is measured, how, and what is promised of it."""

    text: str
    measure: Callable[[], Any]
    promise: str


FIGURES = {
    "import": Figure("import fnlayers / import jax, optax", import_ratio, "at most 1.1"),
    "init": Figure("first init of 20 x Dense(256) (ms)", lambda: init_milliseconds("dense"), "at most 60"),
    "init resnet": Figure("first init of ResNet-50 (ms)", lambda: init_milliseconds("resnet"), "at most 1000"),
    "eager": Figure("eager Dense.apply above x @ w + b (us)", eager_microseconds, "at most 30"),
    "step": Figure("jitted step of 20 layers / by hand", step_ratio, "at most 1.03"),
    "fit": Figure("a step of fit above the bare loop (us)", fit_microseconds, "at most 40, and 60"),
    "compile": Figure("building that step / by hand", compile_ratios, "both at most 1.1"),
    "compile unguarded": Figure("building it, guard=False / by hand", lambda: compile_ratios(guard=False), "reported"),
    "compile resnet": Figure("building ResNet-50's step / Flax linen's", resnet_ratio, "at most 1.3"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=FIGURES, default=list(FIGURES), help="these figures alone")
    parser.add_argument("--json", help="also write the figures to this file")
    args = parser.parse_args()
    figures = {}
    for name in args.only:
        text, measure, promise = FIGURES[name]
        figures[text] = measure()
        print(f"{text:42} {shown(figures[text])}   {promise}", flush=True)
        write(args.json, figures=figures)


def shown(figure: Any) -> str:
    """A figure, or several by name."""
    if isinstance(figure, dict):
        return "  ".join(f"{name} {value:.3f}" for name, value in figure.items())
    return "not measured" if figure is None else f"{figure:8.3f}"


if __name__ == "__main__":
    main()
