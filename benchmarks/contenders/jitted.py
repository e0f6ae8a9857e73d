"""The two passes of a JAX contender, compiled: what the libraries' own guides write around a model."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

import kinds
from contenders import LEARNING_RATE, Passes, channels_last, drawn
from workloads import Workload


def passes(workload: Workload, apply: Callable, params: Any, state: Any, channels_first: bool = False) -> Passes:
    """Forward and train of apply(params, state, x, train) -> (y, state), compiled, with the train state donated."""
    optimizer = optax.adam(LEARNING_RATE)

    def forward(params: Any, state: Any, x: jax.Array) -> jax.Array:
        return apply(params, state, x, False)[0]

    def step(params: Any, state: Any, opt_state: Any, x: jax.Array, target: jax.Array) -> tuple:
        def loss_at(params: Any) -> tuple[jax.Array, Any]:
            y, new_state = apply(params, state, x, True)
            return jnp.mean((y - target) ** 2), new_state

        (loss, new_state), gradients = jax.value_and_grad(loss_at, has_aux=True)(params)
        updates, opt_state = optimizer.update(gradients, opt_state, params)
        return optax.apply_updates(params, updates), new_state, opt_state, loss

    x, target = inputs_of(workload, channels_first)
    forward, step = jax.jit(forward), jax.jit(step, donate_argnums=(0, 1, 2))
    out_shape = jax.eval_shape(forward, params, state, x).shape
    if channels_first:
        out_shape = channels_last(out_shape, workload)
    current = copied((params, state, optimizer.init(params)))

    def train() -> jax.Array:
        nonlocal current
        *current, loss = step(*current, x, target)
        return jax.block_until_ready(loss)

    return Passes(lambda: jax.block_until_ready(forward(params, state, x)), train, size(params), out_shape)


def chained(chain: tuple[kinds.Kind, ...], x: jax.Array, train: bool, called: Callable) -> jax.Array:
    """The chain's output, where layers are made as they are called: called(kind, x, train) -> y."""
    for kind in chain:
        match kind:
            case kinds.Residual(body):
                x = x + chained(body, x, train, called)
            case kinds.Skip(body):
                x = jnp.concatenate((x, chained(body, x, train, called)), axis=-1)
            case _:
                x = called(kind, x, train)
    return x


def inputs_of(workload: Workload, channels_first: bool = False) -> tuple[jax.Array, jax.Array]:
    """The input and the targets of a workload."""
    x, target = drawn(workload, channels_first)
    return jnp.asarray(x), jnp.asarray(target)


def copied(tree: Any) -> Any:
    """The same arrays in memory of their own, so that they can be donated."""
    return jax.tree.map(jnp.copy, tree)


def size(params: Any) -> int:
    """How many numbers a tree holds."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))
