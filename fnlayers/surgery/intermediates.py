"""intermediates: what each layer of a model returned."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax

from fnlayers.core.context import Mask
from fnlayers.core.errors import ConfigError, ShapeError, brief
from fnlayers.core.layer import Layer, check_model
from fnlayers.core.observer import Observer, Path, labels, observed
from fnlayers.core.types import Key, Params, StateDict
from fnlayers.plain_data import did_you_mean
from fnlayers.trees import matches


def intermediates(
    model: Layer,
    params: Params,
    x: Any,
    *,
    at: str | Sequence[str] | None = None,
    add: Mapping[str, Any] | None = None,
    state: StateDict | None = None,
    rng: Key | None = None,
    mask: Mask = None,
    train: bool = False,
) -> dict[str, Any]:
    """The output of each layer of a model by its path, `{"base/conv2d": y, ..., "": the model's own}`.

    A path is that of the layer's params. A shared layer's calls are numbered: "encoder#1", "encoder#2". It is one run
    of the model, a pure function like `apply`: jit, vmap and grad take it, and under jit outputs that nobody uses cost
    nothing. The dict is in the order in which layers end (jax sorts the dicts that its transforms return).

    Layers in a Repeat run in one scan, so that each has one output with a first axis of n; those in a TimeDistributed
    see all steps as one batch, and have outputs of batch * time examples. What a scan of another layer runs, as the
    cell of an RNN, has no output here; the RNN's with return_sequences=True has it. What a layer computes without
    another layer, such as the projections of an attention, has none either.

    Arguments:
        model: any layer.
        params, x, state, rng, mask, train: as for `run`. A new state is not returned.
        at: a pattern of paths, or several: `*` is anything within a name, `**` any names. None: all.
        add: arrays by path that are added to the outputs of those layers before other layers see them, of the same
            shapes. With zeros nothing changes, and jax.grad by them is the gradient by the output.

    Raises:
        ConfigError: for a pattern that matches no layer, and for a path in `add` that is none or stands in a scan; the
            message lists the paths.

    Example:
        >>> import jax, jax.numpy as jnp, fnlayers as fl
        >>> model = fl.Sequential([fl.Dense(3, "relu"), fl.Dense(1)])
        >>> params, x = model.init(jax.random.key(0), (None, 2)), jnp.ones((1, 2))
        >>> {path: y.shape for path, y in fl.intermediates(model, params, x).items()}
        {'dense': (1, 3), 'dense_1': (1, 1), '': (1, 1)}
        >>> def loss(zeros):
        ...     return fl.intermediates(model, params, x, add={"dense": zeros})[""].sum()
        >>> bool((jax.grad(loss)(jnp.zeros((1, 3))) == params["dense_1"]["kernel"].T).all())
        True
    """
    check_model(model, "intermediates")
    patterns = _patterns(at)
    if not (add is None or isinstance(add, Mapping)):
        raise ConfigError(f"intermediates: add={brief(add)} is no dict; give arrays by the paths of layers")
    options = {"state": state, "rng": rng, "mask": mask, "train": train}
    additions = _additions(model, params, x, options, add) if add else {}
    observer = observed(model, params, x, **options, additions=additions)
    outputs = {label: observer.seen[path][1] for path, label in labels(observer).items()}
    chosen = {label for pattern in patterns for label in _matching(outputs, pattern)}
    return {label: y for label, y in outputs.items() if label in chosen}


def _patterns(at: Any) -> tuple[str, ...]:
    patterns = (at,) if isinstance(at, str) else ("**",) if at is None else at
    if not isinstance(patterns, (tuple, list)) or not all(isinstance(pattern, str) for pattern in patterns):
        raise ConfigError(f"intermediates: at={at!r} is no pattern; give the path of a layer, or a list of them")
    return tuple(patterns)


def _matching(outputs: Mapping[str, Any], pattern: str) -> list[str]:
    chosen = [label for label in outputs if matches(label.split("/"), pattern.split("/"))]
    if not chosen:
        raise ConfigError(f"intermediates: {pattern!r} matches no layer; {_listed(pattern, outputs)}")
    return chosen


def _additions(model: Layer, params: Any, x: Any, options: Mapping, add: Mapping[str, Any]) -> dict[Path, Any]:
    """What is added, by the path as it is in a run; checked against the outputs, which are traced first."""
    traced: list[Observer] = []

    def trace() -> Any:
        traced.append(observed(model, params, x, **options))
        return traced[-1].all_seen()

    seen = jax.eval_shape(trace)
    outputs = dict(zip(seen.paths, seen.outputs, strict=True))
    paths = {label: path for path, label in labels(traced[-1]).items()}
    for label, array in add.items():
        if label not in paths:
            raise ConfigError(f"intermediates: add has {label!r}, which is no layer; {_listed(label, paths)}")
        if paths[label] in traced[-1].scanned:
            raise ConfigError(
                f"intermediates: add has {label!r}, which runs in a scan, where nothing can be added from outside; "
                f"write the Repeat of {brief(model)} as a Sequential for that"
            )
        _check_like(label, outputs[paths[label]], array)
    return {paths[label]: array for label, array in add.items()}


def _check_like(label: str, y: Any, array: Any) -> None:
    """Raise ShapeError unless what is added has the output's shape, or shapes."""
    shapes = [jax.tree.map(lambda a: tuple(jax.numpy.shape(a)), nest) for nest in (y, array)]
    if shapes[0] != shapes[1]:
        raise ShapeError(f"intermediates: the output at {label!r} has shape {shapes[0]}, what is added {shapes[1]}")


def _listed(wanted: Any, labels: Mapping[str, Any]) -> str:
    """The paths that there are, after one that may have been meant."""
    listed = ", ".join(label or "'' (the model)" for label in labels)
    return f"{did_you_mean(str(wanted), labels)} the paths are {listed}".strip()
