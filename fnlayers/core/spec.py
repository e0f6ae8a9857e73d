"""One declaration of a layer's arrays, from which everything else about them follows.

A layer's `weights(shape)` names a `Param` or `State` for each array it owns. Init, shapes, counts, the summary, the
penalty, the projection, freezing, decay masks, sharding, the order in files and the import from Keras are all read
from that declaration, and from nothing else.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnlayers.core.errors import ConfigError, ShapeError
from fnlayers.core.names import fold
from fnlayers.functions.constraints import Constraint, constraint
from fnlayers.functions.draws import HostKey, draw, empty, host_key, jax_key, to_device
from fnlayers.functions.initializers import Initializer, initializer
from fnlayers.functions.regularizers import Regularizer, regularizer


@dataclass(frozen=True)
class Param:
    """An array that the optimizer may change.

    Arguments:
        shape: its sizes.
        initializer: a name ("glorot_uniform"), an initializer, or any function (key, shape, dtype) -> array.
        regularizer, constraint: a name, an instance, any function of the array, or None.
        axes: a logical name of each axis, or None, which rules map to axes of a mesh of devices (`fnlayers.shardings`
            lists them): "in", "out", "heads", "vocab", "gates", "space", or one of your own; () where there is nothing
            to say.
        decay: whether weight decay is meant for it; None: if it has two axes or more (kernels, not biases or scales).
        dtype: its dtype; None: the layer's policy decides.
        trainable: filled in by `Layer.specs` from the layer and the containers around it.
        stack: leading axes over equal layers (see Repeat); everything above is meant for one layer's slice.
    """

    shape: tuple[int, ...]
    initializer: Initializer = "zeros"
    regularizer: Regularizer = None
    constraint: Constraint = None
    axes: tuple[str | None, ...] = ()
    decay: bool | None = None
    dtype: str | None = None
    trainable: bool = True
    stack: tuple[int, ...] = ()

    @property
    def full_shape(self) -> tuple[int, ...]:
        """The array's shape, stacked axes included."""
        return (*self.stack, *self.shape)

    @property
    def decays(self) -> bool:
        """Whether weight decay is meant for this array."""
        return len(self.shape) >= 2 if self.decay is None else self.decay

    def stacked(self, n: int) -> "Param":
        """The same, for n equal layers at once."""
        return replace(self, stack=(n, *self.stack))

    def init(self, key: Any) -> jax.Array:
        """Draw the array; each slice of a stack from a key of its own. With a HostKey it may be NumPy's."""
        return _draw(self, key)

    def penalty(self, value: jax.Array) -> jax.Array:
        """The regularizer's term for this array, a float32 scalar (0 where there is none)."""
        rule = regularizer(self.regularizer)
        if rule is None:
            return jnp.float32(0)
        return jnp.sum(_per_slice(rule, len(self.stack))(value)).astype(jnp.float32)

    def project(self, value: jax.Array) -> jax.Array:
        """The array, projected so that its constraint holds."""
        rule = constraint(self.constraint)
        return value if rule is None else _per_slice(rule, len(self.stack))(value)


@dataclass(frozen=True)
class State:
    """An array that a training pass replaces, such as a running mean; no optimizer sees it.

    Arguments:
        shape, initializer, stack: see Param.
        dtype: its dtype; None: float32, and float64 where the layer's policy is.
    """

    shape: tuple[int, ...]
    initializer: Initializer = "zeros"
    dtype: str | None = None
    stack: tuple[int, ...] = ()

    @property
    def full_shape(self) -> tuple[int, ...]:
        """The array's shape, stacked axes included."""
        return (*self.stack, *self.shape)

    def stacked(self, n: int) -> "State":
        """The same, for n equal layers at once."""
        return replace(self, stack=(n, *self.stack))

    def init(self, key: Any) -> jax.Array:
        """The initial value; the same for each slice of a stack where the initializer draws nothing."""
        return _draw(self, key)


@dataclass(frozen=True)
class Drawn:
    """A whole subtree of params that one foreign function draws: how `Pair` declares what it cannot name."""

    draw: Callable[[Any], Any]
    trainable: bool = True

    def stacked(self, n: int) -> "Drawn":
        """The same, for n equal layers at once."""
        return replace(self, draw=lambda key: jax.vmap(self.draw)(jax.random.split(key, n)))

    def init(self, key: Any) -> Any:
        """Draw the subtree."""
        return self.draw(jax_key(key))

    def expand(self) -> Any:
        """The same subtree with a Param for each array, traced without drawing."""
        tree = jax.eval_shape(self.draw, jax.random.key(0))
        return jax.tree.map(lambda a: Param(a.shape, "foreign", dtype=a.dtype.name, trainable=self.trainable), tree)


Tree = Any


def _per_slice(function: Callable, axes: int) -> Callable:
    for _ in range(axes):
        function = jax.vmap(function)
    return function


def _draw(spec: Param | State, key: Any) -> Any:
    """The array of a spec: NumPy's, where the initializer draws on the host."""
    make, dtype = initializer(spec.initializer), jnp.dtype(spec.dtype or "float32")
    if not spec.stack:
        return draw(make, key, spec.shape, dtype)
    if isinstance(key, HostKey):
        stacked = empty(spec.full_shape, dtype)
        for i, at in enumerate(np.ndindex(spec.stack)):
            stacked[at] = np.reshape(draw(make, key.fold_in(i), spec.shape, dtype), spec.shape)
        return stacked
    keys = jax.random.split(key, spec.stack)
    return _per_slice(lambda k: make(k, spec.shape, dtype), len(spec.stack))(keys)


def is_spec(value: Any) -> bool:
    """A leaf of a spec tree."""
    return isinstance(value, (Param, State, Drawn))


def map_specs(function: Callable, specs: Tree) -> Tree:
    """`function` over the leaves of a spec tree, in order of declaration: jax.tree would sort the names of dicts."""
    if isinstance(specs, dict):
        return {name: map_specs(function, sub) for name, sub in specs.items()}
    return jax.tree.map(function, specs, is_leaf=is_spec)


def expand(tree: Tree) -> Tree:
    """A declared tree with foreign subtrees spelt out, in declaration order (jax.tree would sort the names)."""
    if isinstance(tree, Drawn):
        return tree.expand()
    return {name: expand(sub) for name, sub in tree.items()} if isinstance(tree, Mapping) else tree


def initialize(tree: Tree, rng: Any, kind: type | tuple[type, ...]) -> Tree:
    """The arrays of that kind in a declared tree, each from a key folded from its path; no empty branches."""
    arrays = _initialize(tree, host_key(rng), kind)
    return _replaced(arrays, iter(to_device(list(_on_host(arrays)))))


def _on_host(tree: Tree) -> Iterator[Any]:
    """NumPy's arrays in a tree of dicts."""
    if isinstance(tree, dict):
        for sub in tree.values():
            yield from _on_host(sub)
    elif isinstance(tree, (np.ndarray, np.generic)):
        yield tree


def _replaced(tree: Tree, arrays: Iterator[jax.Array]) -> Tree:
    """The tree with its NumPy arrays replaced by those; the names stay in order, which jax.tree would sort."""
    if isinstance(tree, dict):
        return {name: _replaced(sub, arrays) for name, sub in tree.items()}
    return next(arrays) if isinstance(tree, (np.ndarray, np.generic)) else tree


def _initialize(tree: Tree, rng: Any, kind: type | tuple[type, ...]) -> Tree:
    arrays = {}
    for name, sub in tree.items():
        if isinstance(sub, Mapping):
            if branch := _initialize(sub, fold(rng, name), kind):
                arrays[name] = branch
        elif isinstance(sub, kind):
            arrays[name] = sub.init(fold(rng, name))
    return arrays


def only(specs: Tree, kind: type) -> Tree:
    """The branches of an expanded spec tree that hold leaves of that kind."""
    if not isinstance(specs, dict):
        return specs
    branches = {}
    for name, sub in specs.items():
        if isinstance(sub, dict):
            if branch := only(sub, kind):
                branches[name] = branch
        elif isinstance(sub, kind) or (kind is Param and not is_spec(sub)):
            branches[name] = sub
    return branches


def structs(specs: Tree) -> tuple[Tree, Tree]:
    """The (params, state) trees of jax.ShapeDtypeStruct that an expanded spec tree describes."""

    def struct(spec: Param | State) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(spec.full_shape, jnp.dtype(spec.dtype or "float32"))

    return map_specs(struct, only(specs, Param)), map_specs(struct, only(specs, State))


def spec_items(specs: Tree, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Param | State]]:
    """("dense/kernel", Param) for each leaf of an expanded spec tree, in order of declaration, which is Keras's."""
    if is_spec(specs):
        yield "/".join(path), specs
        return
    pairs = (
        specs.items() if isinstance(specs, Mapping) else enumerate(specs) if isinstance(specs, (tuple, list)) else ()
    )
    for name, sub in pairs:
        yield from spec_items(sub, (*path, str(name)))


def leaf_at(tree: Tree, path: Sequence[str]) -> Any:
    """The leaf at a path of names, and of numbers where a tuple stands; None where there is none."""
    for part in path:
        if isinstance(tree, Mapping):
            tree = tree.get(part)
        else:
            numbered = isinstance(tree, (tuple, list)) and part.isdigit() and int(part) < len(tree)
            tree = tree[int(part)] if numbered else None
    return tree


def _has_sizes(spec: Param | State) -> bool:
    return type(spec.shape) is tuple and None not in spec.shape


def declare(tree: Mapping[str, Any], dtype: str, trainable: bool) -> dict:
    """A layer's own weights with what the layer knows about them filled in."""

    def fill(spec: Any) -> Any:
        if isinstance(spec, (Param, State)) and not _has_sizes(spec):
            raise ShapeError(
                f"weights(): the shape {spec.shape!r} of a {type(spec).__name__} is not a tuple of known sizes; write "
                "(fnlayers.known(shape, -1),) for a size of the input"
            )
        if isinstance(spec, Mapping):
            return {name: fill(sub) for name, sub in spec.items()}
        if isinstance(spec, Param):
            return replace(spec, dtype=spec.dtype or dtype, trainable=spec.trainable and trainable)
        if isinstance(spec, Drawn):
            return replace(spec, trainable=trainable)
        if isinstance(spec, State):
            return replace(spec, dtype=spec.dtype or ("float64" if dtype == "float64" else "float32"))
        raise ConfigError(f"weights() must name a Param or State for each array, got {type(spec).__name__}")

    if not isinstance(tree, Mapping):
        raise ConfigError(
            f"weights() must return a dict, {{name: fnlayers.Param(shape)}} or {{}}, got {type(tree).__name__}"
        )
    return {name: fill(spec) for name, spec in tree.items()}
