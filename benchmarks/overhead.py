"""What the library costs above plain JAX: import, eager apply, a jitted training step.

    python benchmarks/overhead.py [--json FILE]

Each figure compares two contenders in one run, interleaved; the third column is what the project promises.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

import fnlayers as fl
from timing import difference, interleaved, ratio


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


def step_ratio(layers: int = 20, width: int = 256, batch: int = 64) -> float:
    """A jitted training step of a deep MLP, by the library and written by hand."""
    model = fl.Sequential([*(fl.Dense(width, "relu") for _ in range(layers - 1)), fl.Dense(10)])
    x, y = jax.random.normal(jax.random.key(1), (batch, width)), jnp.arange(batch) % 10
    optimizer = optax.adam(1e-3)
    step = fl.make_step(model, optax.softmax_cross_entropy_with_integer_labels, optimizer)
    ours = fl.TrainState.create(model, (None, width), optimizer, jax.random.key(0))

    def forward(params: Any, x: jax.Array) -> jax.Array:
        *hidden, last = params
        for kernel, bias in hidden:
            x = jax.nn.relu(x @ kernel + bias)
        return x @ last[0] + last[1]

    def plain_step(params: Any, state: Any, x: jax.Array, y: jax.Array) -> tuple:
        def loss(params: Any) -> jax.Array:
            return optax.softmax_cross_entropy_with_integer_labels(forward(params, x), y).mean()

        value, gradients = jax.value_and_grad(loss)(params)
        updates, state = optimizer.update(gradients, state, params)
        return optax.apply_updates(params, updates), state, value

    plain_step = jax.jit(plain_step, donate_argnums=(0, 1))
    plain = [
        (ours.params[name]["kernel"] + 0, ours.params[name]["bias"] + 0) for name in dict(model.children((None, width)))
    ]
    held = {"fnlayers": (ours,), "plain": (plain, optimizer.init(plain))}

    def run_ours() -> object:
        state, logs = step(held["fnlayers"][0], (x, y))
        held["fnlayers"] = (state,)
        return jax.block_until_ready(logs)

    def run_plain() -> object:
        params, state, value = plain_step(*held["plain"], x, y)
        held["plain"] = (params, state)
        return jax.block_until_ready(value)

    return ratio(interleaved({"fnlayers": run_ours, "plain": run_plain}, rounds=31, calls=20), "fnlayers", "plain")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", help="also write the figures to this file")
    args = parser.parse_args()
    rows = [
        ("import fnlayers / import jax, optax", import_ratio(), "at most 1.1"),
        ("eager Dense.apply above x @ w + b (us)", eager_microseconds(), "at most 30"),
        ("jitted step of 20 layers / by hand", step_ratio(), "at most 1.03"),
    ]
    for name, figure, promise in rows:
        print(f"{name:42} {figure:8.3f}   {promise}")
    if args.json:
        with open(args.json, "w") as file:
            json.dump({name: figure for name, figure, _ in rows}, file, indent=1)


if __name__ == "__main__":
    main()
