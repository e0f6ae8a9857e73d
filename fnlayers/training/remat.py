"""Memory for time: what a training pass computes once more in its backward pass, in place of keeping it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from fnlayers.core.context import Out
from fnlayers.core.errors import ConfigError, shortened
from fnlayers.core.layer import Layer

# False: all of it is saved; True: what each layer of the model is given; a function: what it chooses
Remat = bool | Callable[..., Any]


def checked_remat(verb: str, remat: Any) -> Remat:
    """The value; ConfigError for what is neither a boolean nor a policy of `jax.checkpoint_policies`."""
    if isinstance(remat, (bool, np.bool_)):
        return bool(remat)
    if not callable(remat) or isinstance(remat, type):
        raise ConfigError(
            f"{verb}: remat={shortened(remat)}: give True, False, or a policy, such as "
            "jax.checkpoint_policies.dots_with_no_batch_dims_saveable"
        )
    return remat


def run_for_training(model: Layer, params: Any, x: Any, state: Any, rng: Any, remat: Remat) -> Out:
    """`model.run(params, x, state=state, rng=rng, train=True)` in a training step; see `Remat`."""
    if remat is False:
        return model.run(params, x, state=state, rng=rng, train=True)
    if remat is not True:

        def run(params: Any, x: Any, state: Any, rng: Any) -> Out:
            return model.run(params, x, state=state, rng=rng, train=True)

        return jax.checkpoint(run, policy=remat)(params, x, state, rng)
    x, ctx = model._outermost(params, x, state, rng, None, True)
    return model._run(params, x, replace(ctx, recomputes=True))
