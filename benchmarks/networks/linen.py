"""The networks in Flax linen. See `networks`."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from networks import RATE, Network
from networks.jitted import Training, training

Shape = tuple[int, ...]


class Written(nn.Module):
    """A network as one function of x and `train`, which calls linen's layers."""

    function: Callable[[Any, bool], Any]

    @nn.compact
    def __call__(self, x: Any, train: bool) -> Any:
        return self.function(x, train)


def resnet(shape: Shape, filters: int, depths: Sequence[int], classes: int, dtype: str = "float32") -> nn.Module:
    convolved = partial(nn.Conv, use_bias=False, dtype=dtype)

    def run(x: Any, train: bool) -> Any:
        normed = partial(nn.BatchNorm, use_running_average=not train, dtype=dtype)

        def bottleneck(x: Any, width: int, stride: int, projects: bool) -> Any:
            y = nn.relu(normed()(convolved(width, (1, 1))(x)))
            y = nn.relu(normed()(convolved(width, (3, 3), stride)(y)))
            y = normed()(convolved(4 * width, (1, 1))(y))
            short = normed()(convolved(4 * width, (1, 1), stride)(x)) if projects else x
            return nn.relu(short + y)

        x = nn.relu(normed()(convolved(filters, (7, 7), 2)(x)))
        x = nn.max_pool(x, (3, 3), (2, 2), "SAME")
        for stage, depth in enumerate(depths):
            for block in range(depth):
                x = bottleneck(x, filters * 2**stage, 2 if stage and not block else 1, not block)
        return nn.Dense(classes, dtype=dtype)(jnp.mean(x, (1, 2)))

    return Written(run)


def mobilenet(shape: Shape, blocks: int, expansion: int, dtype: str = "float32") -> nn.Module:
    def run(x: Any, train: bool) -> Any:
        normed = partial(nn.BatchNorm, use_running_average=not train, dtype=dtype)
        pointwise = partial(nn.Conv, kernel_size=(1, 1), use_bias=False, dtype=dtype)
        hidden = shape[-1] * expansion
        for _ in range(blocks):
            y = nn.relu6(normed()(pointwise(hidden)(x)))
            y = nn.relu6(normed()(nn.Conv(hidden, (3, 3), feature_group_count=hidden, use_bias=False, dtype=dtype)(y)))
            x = x + normed()(pointwise(shape[-1])(y))
        return x

    return Written(run)


def transformer(shape: Shape, blocks: int, heads: int, dtype: str = "float32") -> nn.Module:
    def attended(q: Any, k: Any, v: Any, **options: Any) -> Any:
        # The kernel that a user of linen would choose: linen's own attention is not fused
        fused = dtype != "float32" and jax.default_backend() == "gpu"
        return jax.nn.dot_product_attention(q, k, v, is_causal=True, implementation="cudnn" if fused else None)

    def run(x: Any, train: bool) -> Any:
        norm, dense = partial(nn.LayerNorm, epsilon=1e-5, dtype=dtype), partial(nn.Dense, dtype=dtype)
        for _ in range(blocks):
            x = x + nn.MultiHeadDotProductAttention(heads, dtype=dtype, attention_fn=attended)(norm()(x))
            x = x + dense(shape[-1])(nn.gelu(dense(4 * shape[-1])(norm()(x)), approximate=False))
        return x

    return Written(run)


def lstm(shape: Shape, units: int, dtype: str = "float32") -> nn.Module:
    def run(x: Any, train: bool) -> Any:
        return nn.RNN(nn.OptimizedLSTMCell(units, dtype=dtype))(x)

    return Written(run)


def unet(shape: Shape, filters: int, levels: int, classes: int, dtype: str = "float32") -> nn.Module:
    def twice(width: int, x: Any) -> Any:
        for _ in range(2):
            x = nn.relu(nn.Conv(width, (3, 3), dtype=dtype)(x))
        return x

    def run(x: Any, train: bool) -> Any:
        passed = []
        for level in range(levels):
            passed.append(twice(filters * 2**level, x))
            x = nn.max_pool(passed[-1], (2, 2), (2, 2))
        x = twice(filters * 2**levels, x)
        for level in reversed(range(levels)):
            x = nn.ConvTranspose(filters * 2**level, (2, 2), (2, 2), dtype=dtype)(x)
            x = twice(filters * 2**level, jnp.concatenate([passed[level], x], -1))
        return nn.Conv(classes, (1, 1), dtype=dtype)(x)

    return Written(run)


def prepare(network: Network, dtype: str) -> Training:
    """A training step of the network, compiled."""
    model = globals()[network.name](network.shape, **network.options, dtype=dtype)
    x = jax.random.normal(jax.random.key(1), network.shape)
    variables = jax.jit(model.init, static_argnums=2)(jax.random.key(0), x, True)
    params, stats = variables.get("params", {}), variables.get("batch_stats", {})
    y = jax.eval_shape(lambda v: model.apply(v, x, False), variables)
    optimizer = optax.sgd(RATE, momentum=0.9)

    @partial(jax.jit, donate_argnums=0)
    def step(state: tuple, batch: tuple) -> tuple:
        params, stats, opt_state = state
        x, target = batch

        def loss_of(params: Any) -> Any:
            y, new = model.apply({"params": params, "batch_stats": stats}, x, True, mutable=["batch_stats"])
            return jnp.mean(optax.squared_error(y.astype("float32"), target)), new.get("batch_stats", {})

        (loss, stats), gradients = jax.value_and_grad(loss_of, has_aux=True)(params)
        updates, opt_state = optimizer.update(gradients, opt_state, params)
        return (optax.apply_updates(params, updates), stats, opt_state), {"loss": loss}

    return training(step, (params, stats, optimizer.init(params)), (x, jnp.zeros(y.shape)), params)
