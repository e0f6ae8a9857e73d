"""cached: a model that is given a sequence bit by bit, and goes on where it stopped."""

from dataclasses import fields, replace
from typing import Any

from fnlayers.core.errors import ConfigError
from fnlayers.core.layer import Layer


def cached(model: Layer, length: int) -> Layer:
    """The same model with the same weights, with `cache=length` in each layer that has one: for generation.

    Each run is given new steps alone, many (a prompt) or one, and its output for these steps is that of the whole
    sequence so far. Keys, values and positions are state: in by `state`, out by `out.state`, saved if `fnlayers.save`
    is given it. The shapes of a step do not depend on its position, so that jit compiles it once. After `length` steps
    the output is NaN.

    That holds for a model whose steps know of earlier steps by causal attention alone: attention to another sequence,
    and all that treats each step by itself, stay as they are. Prompts of several lengths go into one batch if they are
    padded on the left and masked: exact with rotary positions, where distances alone count; learned and sine positions
    count the padding too. What state the model has of its own, such as a BatchNormalization's, goes into what
    `init_state` makes.

    Arguments:
        model: any layer: a Sequential, a graph whose Inputs leave the number of steps open, a Repeat, a block.
        length: the greatest number of steps, prompt included.

    Raises:
        ConfigError: for a model in which no layer has a cache.

    Example:
        >>> import jax, jax.numpy as jnp, fnlayers as fl
        >>> block = fl.TransformerDecoder(32, num_heads=2, rotary_wavelength=10000)
        >>> model = fl.Sequential([fl.Embedding(5, 8), fl.Repeat(block, 2), fl.Dense(5)])
        >>> params = model.init(jax.random.key(0), (None, None))
        >>> tokens = jnp.array([[3, 1, 4, 1]])
        >>> decoder = cached(model, 16)
        >>> prompt = decoder.run(params, tokens[:, :3], state=decoder.init_state((1, 1)))
        >>> step = decoder.run(params, tokens[:, 3:], state=prompt.state)
        >>> bool(jnp.allclose(step.y, model.apply(params, tokens)[:, 3:], atol=1e-5))
        True
    """
    done: dict[int, Layer] = {}

    def change(value: Any) -> Any:
        if type(value) is tuple:
            return tuple(map(change, value))
        if not isinstance(value, Layer):
            return value
        if id(value) not in done:  # one object, shared, stays one
            options = {f.name: change(getattr(value, f.name)) for f in fields(value)}
            if "cache" in options and options.get("use_causal_mask", True):
                options["cache"] = length
            done[id(value)] = replace(value, **options)
        return done[id(value)]

    changed = change(model)
    if not any(getattr(layer, "cache", None) for layer in done.values()):
        raise ConfigError(
            f"cached: no layer in {model!r} keeps keys and values, or its position; it takes causal attention "
            "(use_causal_mask=True), a TransformerDecoder, or a position embedding"
        )
    return changed
