"""Transforms over parameter trees, all read from the declaration of a model's weights.

Regularizers, constraints, freezing and weight decay are not layers' behaviour but functions of params: take them, leave
them, jit them, give them to optax.
"""

import fnmatch
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from fnlayers.core.errors import ConfigError, MissingError, brief
from fnlayers.core.layer import Layer, Shape, check_model
from fnlayers.core.spec import Param, State, is_spec, map_specs, only, spec_items
from fnlayers.core.types import Sizes

__all__ = [
    "penalty", "project", "projected", "trainable_mask", "decay_mask", "labels", "paths", "weight_paths", "count",
]  # fmt: skip

Tree = Any


class Declared:
    """What a model declares for inputs of a shape, asked once: params, state, and what training reads from them."""

    def __init__(self, model: Layer, shape: Shape = None) -> None:
        declared = model.specs(shape)
        self.specs, self.state = only(declared, Param), only(declared, State)

    @property
    def trainable(self) -> Tree:
        """A tree like params: see `trainable_mask`."""
        return map_specs(lambda spec: spec.trainable, self.specs)

    def penalty(self, params: Tree) -> jax.Array:
        """The sum of the trainable weights' regularizers."""
        pairs = _paired(self.specs, params, "penalty")
        terms = [spec.penalty(value) for spec, value in pairs if spec.regularizer is not None and spec.trainable]
        return sum(terms, jnp.float32(0))

    def project(self, params: Tree) -> Tree:
        """The params moved to where the trainable weights' constraints hold."""

        def onto(value: Any, spec: Any) -> Any:
            return spec.project(value) if not _absent(value) and spec.trainable else value

        declared = jax.tree.structure(map_specs(lambda spec: 0, self.specs))
        if jax.tree.structure(params) != declared and not _is_part(params, self.specs):
            _paired(self.specs, params, "project")
        return jax.tree.map(onto, params, self.specs, is_leaf=_absent)


def penalty(model: Layer, shape: Sizes = None) -> Callable[[Tree], jax.Array]:
    """The sum of the trainable weights' regularizers, as a function of params; a float32 scalar.

    Example:
        >>> from fnlayers.layers.dense import Dense
        >>> model = Dense(1, kernel_regularizer="l2", kernel_initializer="ones")
        >>> float(penalty(model, (None, 3))(model.init(jax.random.key(0), (None, 3)))).__round__(6)
        0.03
    """
    check_model(model, "penalty")
    return Declared(model, shape).penalty


def project(model: Layer, shape: Sizes = None) -> Callable[[Tree], Tree]:
    """The trainable weights' constraints, as a function params -> params; to be applied after each update.

    A param that is missing, or replaced by None or optax.MaskedNode, is left out: so optimizers see those that train.
    """
    check_model(model, "project")
    return Declared(model, shape).project


def projected(
    optimizer: optax.GradientTransformation, model: Layer, shape: Shape = None
) -> optax.GradientTransformation:
    """The optimizer followed by the model's constraints: after its updates are added, they hold.

    Its update needs the params: optimizer.update(gradients, state, params).
    """
    onto = project(model, shape)

    def update(updates: Tree, state: Any, params: Tree = None, **extra: Any) -> tuple[Tree, Any]:
        if params is None:
            raise MissingError(
                "projected: constraints act on the params; write optimizer.update(gradients, state, params)"
            )
        updates, state = optax.with_extra_args_support(optimizer).update(updates, state, params, **extra)
        projected_params = onto(optax.apply_updates(params, updates))
        return jax.tree.map(jnp.subtract, projected_params, params), state

    return optax.GradientTransformationExtraArgs(optimizer.init, update)


def trainable_mask(model: Layer, shape: Shape = None) -> Tree:
    """A tree like params: True where the layer, and every container around it, is trainable."""
    check_model(model, "trainable_mask")
    return Declared(model, shape).trainable


def decay_mask(model: Layer, shape: Shape = None) -> Tree:
    """A tree like params: True where weight decay is meant: kernels and tables, not biases, scales or slopes."""
    check_model(model, "decay_mask")
    return map_specs(lambda spec: spec.decays, only(model.specs(shape), Param))


def split(params: Tree, mask: Tree) -> tuple[Tree, Tree]:
    """(the params where the mask is True, the others), each with None in place of what the other holds."""
    trained = jax.tree.map(lambda keep, p: p if keep else None, mask, params)
    fixed = jax.tree.map(lambda keep, p: None if keep else p, mask, params)
    return trained, fixed


def joined(trained: Tree, fixed: Tree) -> Tree:
    """The one tree that `split` divided."""
    return jax.tree.map(lambda t, f: f if t is None else t, trained, fixed, is_leaf=lambda p: p is None)


def labels(params: Tree, patterns: Mapping[str, str], default: str = "default") -> Tree:
    """A tree like params of labels, for optax.partition (optax.multi_transform).

    Arguments:
        params: the tree.
        patterns: path pattern -> label; `*` stands for anything within a name, `**` for any names. Where several
            match, the last one holds; one that matches nothing is an error.
        default: the label of all others.

    Example:
        >>> labels({"dense": {"kernel": 0, "bias": 0}}, {"**/bias": "no_decay"})
        {'dense': {'bias': 'no_decay', 'kernel': 'default'}}
    """
    names = list(paths(params))
    by_path = dict.fromkeys(names, default)
    for pattern, label in patterns.items():
        matched = [name for name in names if matches(name.split("/"), pattern.split("/"))]
        if not matched:
            raise ConfigError(f"labels: {pattern!r} matches no path; the paths are {', '.join(names)}")
        by_path |= dict.fromkeys(matched, label)
    return jax.tree.unflatten(jax.tree.structure(params), [by_path[name] for name in names])


def paths(tree: Tree, is_leaf: Callable[[Any], bool] | None = None) -> dict[str, Any]:
    """The leaves of a tree by path: {"dense/kernel": array, ...}, in jax.tree's order."""
    leaves = jax.tree_util.tree_flatten_with_path(tree, is_leaf)[0]
    return {"/".join(map(_key_name, path)): leaf for path, leaf in leaves}


def weight_paths(model: Layer, shape: Shape = None, kind: type[Param] | type[State] = Param) -> list[str]:
    """The paths of a model's params (or state), in the order in which its layers declare them: Keras's order."""
    return [path for path, spec in spec_items(only(model.specs(shape), kind))]


def count(tree: Tree) -> int:
    """How many numbers a tree holds.

    >>> count({"kernel": jnp.ones((3, 2)), "bias": jnp.ones(2)})
    8
    """
    if isinstance(tree, Layer):
        raise ConfigError(f"count takes params, got a layer, {brief(tree)}; write fnlayers.count(params)")
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def _absent(value: Any) -> bool:
    """Whether it replaces a param that the optimizer must not change."""
    return value is None or isinstance(value, optax.MaskedNode)


def _is_part(params: Tree, specs: Tree) -> bool:
    """Whether params are all that is declared, but for what is absent."""
    present, declared = paths(params, _absent), paths(map_specs(lambda spec: 0, specs))
    absent = [path for path, value in present.items() if _absent(value)]
    left = {name for name in declared if not any(name == path or name.startswith(f"{path}/") for path in absent)}
    return "" not in absent and left == present.keys() - set(absent)


def _paired(specs: Tree, params: Tree, what: str) -> list[tuple[Param, Any]]:
    structure = jax.tree.structure(map_specs(lambda spec: 0, specs))
    if jax.tree.structure(params) != structure:
        there, here = set(paths(params)), set(paths(map_specs(lambda spec: 0, specs)))
        raise MissingError(
            f"{what}: these params are not the model's (missing: {', '.join(sorted(here - there)) or 'none'}; "
            f"unexpected: {', '.join(sorted(there - here)) or 'none'})"
        )
    return list(zip(jax.tree.leaves(specs, is_leaf=is_spec), jax.tree.leaves(params), strict=True))


def matches(names: list[str], pattern: list[str]) -> bool:
    """Whether a path's names are what a pattern's stand for: `*` anything within a name, `**` any names."""
    if not pattern:
        return not names
    if pattern[0] == "**":
        return any(matches(names[start:], pattern[1:]) for start in range(len(names) + 1))
    return bool(names) and fnmatch.fnmatchcase(names[0], pattern[0]) and matches(names[1:], pattern[1:])


def _key_name(key: Any) -> str:
    for attribute in ("key", "idx", "name"):
        if hasattr(key, attribute):
            return str(getattr(key, attribute))
    return str(key)
