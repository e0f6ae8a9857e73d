"""Dtype policies, by Keras's names: in which dtype a layer keeps its params and in which it computes.

"float32" (the default), "bfloat16", "float16" and "float64" use one dtype for both; "mixed_bfloat16" and
"mixed_float16" keep float32 params and compute in half precision. `Layer.run` alone casts.

A gradient smaller than 3e-8 is 0 in float16, so the steps of `fit` and `make_step` multiply the loss by a power of two,
and divide the gradients by it (`training/gradients.py`). A training loop of one's own has to do the same: otherwise
a small loss updates no weight, without an error. bfloat16 has the range of float32 and needs nothing of the kind.
"""

import functools
from typing import Any, Literal, NamedTuple, get_args

import jax.numpy as jnp
import numpy as np

from fnlayers.core.errors import ConfigError
from fnlayers.plain_data import choices

PolicyName = Literal["float32", "bfloat16", "float16", "float64", "mixed_bfloat16", "mixed_float16"]
NAMES = get_args(PolicyName)
IntegerName = Literal["int32", "int64"]  # of layers whose output is numbers of categories
INTEGERS = get_args(IntegerName)


class Policy(NamedTuple):
    """The dtypes behind a policy's name: `variable` of the params, `compute` of the layer's inputs and outputs."""

    name: str
    variable: np.dtype
    compute: np.dtype


@functools.cache
def policy(name: str | None, integers: bool = True) -> Policy:
    """The policy of that name; None is "float32". Names of integers count where `integers` says so.

    >>> policy("mixed_bfloat16").variable.name, policy("mixed_bfloat16").compute.name
    ('float32', 'bfloat16')
    """
    name = "float32" if name is None else name
    if name not in NAMES and not (integers and name in INTEGERS):
        raise ConfigError(choices("dtype", name, NAMES))
    compute = jnp.dtype(name.removeprefix("mixed_"))
    return Policy(name, jnp.dtype("float32") if name.startswith("mixed_") else compute, compute)


def cast(x: Any, dtype: np.dtype, every: bool = False) -> Any:
    """A floating array in `dtype`; integers and booleans too if `every`, else as they are."""
    current = getattr(x, "dtype", None)
    if current is dtype and not isinstance(x, np.ndarray):
        return x
    if current is None or isinstance(x, np.ndarray):
        x = jnp.asarray(x)
        current = x.dtype
    return x.astype(dtype) if current != dtype and (every or jnp.issubdtype(current, jnp.floating)) else x
