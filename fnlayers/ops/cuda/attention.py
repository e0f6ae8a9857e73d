"""cuDNN's fused attention, which never holds the scores. It has no forward-mode and no second derivative."""

import functools
import math
import re
from collections.abc import Callable

import jax

from fnlayers.ops.problem import AttentionProblem
from fnlayers.ops.reference import Attention

kernel: Callable[..., jax.Array] = functools.partial(jax.nn.dot_product_attention, implementation="cudnn")

PLAIN = "the plain dot product, without dropout, masks other than the causal one, and weights returned"
# What the kernel needs besides
NEEDS: dict[str, Callable[[AttentionProblem], bool]] = {
    "float16 or bfloat16": lambda p: len(set(p.dtypes)) == 1 and p.dtypes[0] in ("float16", "bfloat16"),
    "known sizes, none of them 0": lambda p: all(isinstance(n, int) and n for n in p.query + p.key),
    "one batch": lambda p: p.query[:-3] == p.key[:-3],
    "values of the keys' shape": lambda p: p.key == p.value,
    "heads of 8, 16, ... 128 features": lambda p: p.query[-1] % 8 == 0 and p.query[-1] <= 128,
}


def missing(problem: AttentionProblem) -> list[str]:
    """What the kernel needs and the problem does not have."""
    return [name for name, holds in NEEDS.items() if not holds(problem)] if problem.is_plain else [PLAIN]


def fused(query: jax.Array, key: jax.Array, value: jax.Array, mask: jax.Array | None, call: Attention) -> jax.Array:
    """y, of arrays with one batch axis. The kernel makes the causal mask itself, so it has no use for `mask`."""
    q, k, v = (a.reshape(math.prod(a.shape[:-3]), *a.shape[-3:]) for a in (query, key, value))
    near = None if call.window is None else (call.window - 1, 0)
    y = kernel(q, k, v, scale=call.scale, is_causal=call.causal, local_window_size=near)
    return y.reshape(query.shape)


def has_cudnn_attention() -> bool:
    """Whether this process has a CUDA device that the kernel runs on: compute capability 8.0 or higher."""
    if jax.default_backend() != "gpu":
        return False
    capability = re.fullmatch(r"(\d+)\.\d+", str(getattr(jax.local_devices()[0], "compute_capability", "")))
    return capability is not None and int(capability[1]) >= 8
