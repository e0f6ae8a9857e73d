"""Pair: any (init, apply) pair as a layer, and short ways to bring in those of other libraries."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from fnlayers.core.layer import Layer, Shape, layerclass
from fnlayers.core.spec import Drawn


@layerclass
class Pair(Layer):
    """A pair of functions as a layer: `params = init(rng, shape)`, `y = apply(params, x)`.

    The params may be any pytree. Two Pairs are equal if their functions are the same objects.

    Arguments:
        init_fn: (rng, shape) -> params. The batch axis, where unknown, is given as 1.
        apply_fn: (params, x) -> y, pure.

    Shapes: what apply_fn makes of them.
    Weights: `pair`: what init_fn returns.
    Mask: refused.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> scale = Pair(lambda rng, shape: jnp.ones(shape[-1]), lambda w, x: w * x)
        >>> params = scale.init(jax.random.key(0), (None, 3))
        >>> scale.apply(params, jnp.arange(3.0)[None]).tolist()
        [[0.0, 1.0, 2.0]]
    """

    init_fn: Callable[[Any, Shape], Any]
    apply_fn: Callable[[Any, Any], Any]

    def weights(self, shape: Shape) -> Mapping[str, Any]:
        """One subtree, drawn whole by init_fn."""
        sized = tuple(1 if n is None else n for n in shape)
        drawn = Drawn(lambda rng: self.init_fn(rng, sized))
        return {"pair": drawn} if jax.tree.leaves(drawn.expand()) else {}

    def call(self, params: Any, x: Any) -> Any:
        """apply_fn(params, x)."""
        return self.apply_fn(params.get("pair", ()), x)


def stax_pair(pair: tuple[Callable, Callable]) -> Pair:
    """A stax layer: its init returns (output shape, params)."""
    init, apply = pair
    return Pair(lambda rng, shape: init(rng, shape)[1], apply)


def flax_pair(module: Any) -> Pair:
    """A Flax linen module without mutable collections: init and apply as bound methods, init taking an array."""
    return Pair(lambda rng, shape: module.init(rng, jnp.zeros(shape)), module.apply)


def haiku_pair(transformed: Any) -> Pair:
    """A `haiku.transform` that draws no numbers at run time: apply(params, rng, x) with rng None."""
    return Pair(
        lambda rng, shape: transformed.init(rng, jnp.zeros(shape)), lambda params, x: transformed.apply(params, None, x)
    )
