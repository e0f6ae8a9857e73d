"""An optimizer put together from optax's parts, with what the model declares of its weights."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from fnlayers.core.errors import ConfigError, MissingError
from fnlayers.core.layer import Layer, Shape, check_model
from fnlayers.training.averaging import averaging, check_momentum
from fnlayers.training.data import whole_number
from fnlayers.training.optimizer_names import near, optimizers
from fnlayers.trees import decay_mask, labels, projected

Tree = Any
Schedule = Callable[[Any], Any]


def optimizer(
    algorithm: str | Callable[..., optax.GradientTransformation] = "adam",
    learning_rate: float | Schedule = 1e-3,
    *,
    model: Layer | None = None,
    shape: Shape = None,
    clip_norm: float | None = None,
    weight_decay: float = 0.0,
    frozen: str | Sequence[str] = (),
    project: bool = False,
    ema: float | None = None,
    accumulate: int = 1,
    **options: Any,
) -> optax.GradientTransformation:
    """An optax optimizer: clipping, an algorithm, decay of kernels alone, frozen params, an average, accumulation.

    In that order: the gradients of `accumulate` steps are averaged, then clipped, those of frozen params left out; the
    algorithm makes an update of them, to which the decay is added; constraints are met; the params are averaged.

    Arguments:
        algorithm: the name of one of optax's optimizers ("adam", "sgd", "lion", ...), or a function of the learning
            rate that makes one, such as functools.partial(optax.sgd, momentum=0.9).
        learning_rate: a number above 0, or an optax schedule: a function of the number of updates.
        model: what is trained; needed for weight_decay and project, which read its declaration.
        shape: its input's shape, as for `TrainState.create`; None where the model has an Input.
        clip_norm: the largest norm of all gradients together.
        weight_decay: how much of a weight is taken off at each update, times the learning rate, as in optax.adamw; for
            kernels and tables alone (see `fnlayers.decay_mask`).
        frozen: path patterns of params that do not change, as in `fnlayers.labels`; whole layers better by
            `fnlayers.freeze`.
        project: whether the model's constraints hold after each update. `fit` and `make_step` see to them themselves.
        ema: the momentum of an average of the params, such as 0.999, which `fnlayers.averaged` returns. `fit(ema=...)`
            also evaluates it.
        accumulate: how many steps make an update.
        options: of the algorithm, such as b1=0.8.

    Returns:
        A plain optax.GradientTransformation. Its update needs the params, but for the plainest.

    Raises:
        ConfigError: for an algorithm or option that there is not, a number that cannot be meant, a pattern that matches
            no param (by init), and weight_decay or project without a model.

    Example:
        >>> import fnlayers as fl
        >>> model = fl.Dense(2)
        >>> tx = optimizer("adam", 1e-2, model=model, shape=(None, 3), weight_decay=0.1, clip_norm=1.0)
        >>> params = model.init(jax.random.key(0), (None, 3))
        >>> updates, _ = tx.update(jax.tree.map(jnp.zeros_like, params), tx.init(params), params)
        >>> bool(updates["bias"].any()), bool(updates["kernel"].any())
        (False, True)
    """
    _check_numbers(learning_rate, clip_norm, weight_decay, ema)
    accumulate = whole_number("optimizer: accumulate", accumulate)
    if (weight_decay or project) and model is None:
        which = "weight_decay" if weight_decay else "project"
        raise ConfigError(f"optimizer: {which} reads the model's declaration; give model= (and shape=)")
    if model is not None:
        check_model(model, "optimizer")
    parts = [] if clip_norm is None else [optax.clip_by_global_norm(clip_norm)]
    parts.append(_made(algorithm, learning_rate, options))
    if weight_decay:
        parts.append(_decay(weight_decay, learning_rate, decay_mask(model, shape)))  # type: ignore[arg-type]
    transformation = optax.chain(*parts) if len(parts) > 1 else parts[0]
    patterns = (frozen,) if isinstance(frozen, str) else tuple(frozen)
    if patterns:
        transformation = _partly(transformation, patterns)
    if project:
        transformation = projected(transformation, model, shape)  # type: ignore[arg-type]
    if ema is not None:
        transformation = averaging(transformation, ema)
    return optax.MultiSteps(transformation, accumulate).gradient_transformation() if accumulate > 1 else transformation


def _check_numbers(learning_rate: Any, clip_norm: Any, weight_decay: Any, ema: Any) -> None:
    if not callable(learning_rate) and not (_is_number(learning_rate) and learning_rate > 0):
        raise ConfigError(f"optimizer: learning_rate={learning_rate!r}: give a number above 0, or an optax schedule")
    if clip_norm is not None and not (_is_number(clip_norm) and clip_norm > 0):
        raise ConfigError(f"optimizer: clip_norm={clip_norm!r}: give a number above 0, or None")
    if not (_is_number(weight_decay) and weight_decay >= 0):
        raise ConfigError(f"optimizer: weight_decay={weight_decay!r}: give a number of at least 0")
    if ema is not None:
        check_momentum("optimizer", ema)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < float("inf")


def _made(algorithm: Any, learning_rate: Any, options: dict) -> optax.GradientTransformation:
    """The algorithm with its learning rate."""
    make = _by_name(algorithm) if isinstance(algorithm, str) else algorithm
    if hasattr(make, "init") and hasattr(make, "update"):
        raise ConfigError(
            "optimizer: algorithm is an optimizer already, whose learning rate is not known here; give its function, "
            "optax.adam, or functools.partial(optax.sgd, momentum=0.9), or its name"
        )
    if not callable(make):
        raise ConfigError(
            f"optimizer: algorithm={algorithm!r}: give a name such as 'adam', or a function such as optax.adam"
        )
    try:
        inspect.signature(make).bind(learning_rate, **options)
    except TypeError as error:
        known = [name for name in inspect.signature(make).parameters if name != "learning_rate"]
        raise ConfigError(f"optimizer: {algorithm!r}: {error}; its options are {', '.join(known) or 'none'}") from None
    transformation: Any = make(learning_rate, **options)
    if not (hasattr(transformation, "init") and hasattr(transformation, "update")):
        kind = type(transformation).__name__
        raise ConfigError(f"optimizer: {algorithm!r} made {kind}, no optax optimizer; give optax.adam")
    return transformation


def _by_name(name: str) -> Any:
    """The function of optax of that name that takes a learning rate first."""
    there = optimizers()
    if name not in there:
        raise ConfigError(f"optimizer: algorithm={name!r} is unknown; {near(name)}")
    return there[name]


def _decay(rate: float, learning_rate: Any, mask: Tree) -> optax.GradientTransformation:
    """What takes learning_rate * rate * weight off where the mask is True."""

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        if params is None:
            raise MissingError("optimizer: weight decay reads the params; write tx.update(gradients, state, params)")
        now: Any = learning_rate(state) if callable(learning_rate) else learning_rate
        size = rate * now
        decays = _like(mask, params)
        updates = jax.tree.map(lambda u, p, d: u - (size * p).astype(u.dtype) if d else u, updates, params, decays)
        return updates, state + 1

    return optax.GradientTransformation(lambda params: jnp.zeros((), "int32"), update)


def _like(mask: Tree, params: Tree) -> Tree:
    """The mask without what is left out of the params."""
    absent = lambda node: node is None or isinstance(node, optax.MaskedNode)  # noqa: E731
    return jax.tree.map(lambda p, keep: p if absent(p) else keep, params, mask, is_leaf=absent)


def _partly(transformation: optax.GradientTransformation, patterns: tuple[str, ...]) -> optax.GradientTransformation:
    """The optimizer of all params but those that match."""

    def of(params: Tree) -> Tree:
        return labels(params, dict.fromkeys(patterns, "frozen"), "trained")

    return optax.multi_transform({"trained": transformation, "frozen": optax.set_to_zero()}, of)
