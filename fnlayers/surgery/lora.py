"""lora: train a model by a few numbers, added to its kernels."""

from fnlayers.core.layer import Layer, check_model
from fnlayers.freezing import freeze
from fnlayers.models.lora import LoRA


def lora(model: Layer, rank: int, *patterns: str, alpha: float | None = None) -> "LoRA":
    """Train a model by a few numbers: to each chosen kernel W, which is frozen, a @ b * alpha / rank is added.

    The model is a layer like others: `fit`, `make_step` and optimizers train the factors a and b alone (and what
    `fnlayers.thaw` names, such as "model/head"); its params are {"model": those of the model, "lora": the factors},
    its state {"model": that of the model}. The factors start such that nothing changes, since b is 0.

    Arguments:
        model: any layer.
        rank: the number of columns of a. Kernels whose sides are no larger than that have no factors.
        patterns: paths of kernels, or of layers that hold them, as in the params: `*` is anything within a name, `**`
            any names ("**/attention/**"). Without any: all kernels, and tables of embeddings.
        alpha: the scale; None: rank, so that a @ b is added as it is.

    A kernel's axes are summed over (the inputs, and the window of a convolution) or are the output's, so a kernel of
    (features, heads, size) has a of (features, rank) and b of (rank, heads * size). Where a layer does not say which
    axes those are (EinsumDense), the last one is the output's.

    Returns:
        A LoRA: `attach(rng, params)` makes its params of those of the model, `merge(params)` turns them back into
        params of the model, with what was learned added. `save` writes it, and `load` reads it, like any model.

    Raises:
        ConfigError: when params are made, for a pattern that matches no kernel; the message lists them.

    Example:
        >>> import jax, fnlayers as fl
        >>> model = fl.Sequential([fl.Input((8,)), fl.Dense(8, "relu"), fl.Dense(6, name="head")])
        >>> pretrained = model.init(jax.random.key(0))
        >>> adapted = fl.lora(model, 2, "head")
        >>> params = adapted.attach(jax.random.key(1), pretrained)
        >>> jax.tree.map(lambda a: a.shape, params["lora"])
        {'head': {'kernel': {'a': (8, 2), 'b': (2, 6)}}}
        >>> [path for path, trains in fl.paths(fl.trainable_mask(adapted)).items() if trains]
        ['lora/head/kernel/a', 'lora/head/kernel/b']
        >>> adapted.merge(params).keys() == pretrained.keys()
        True

    Reference: Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, 2021.
    """
    check_model(model, "lora")
    return LoRA(freeze(model), rank, patterns or ("**",), alpha)
