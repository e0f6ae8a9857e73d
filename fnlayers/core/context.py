"""What a layer is given besides params and x (`Context`), and what it returns (`Out`)."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import jax

from fnlayers.core.errors import MissingError
from fnlayers.core.frozen import map_nest
from fnlayers.core.names import fold

if TYPE_CHECKING:
    from fnlayers.core.layer import Layer

Tree = Any
Mask = Any  # a boolean array (batch, time), None, or a nest of them like the input


class Out(NamedTuple):
    """What a run returns: the output, the new state, the output's mask, and losses to add to the objective."""

    y: Any
    state: Tree = {}
    mask: Mask = None
    losses: tuple[jax.Array, ...] = ()


@dataclass(frozen=True)
class Context:
    """What a layer is given besides params and x. A frozen pytree; `train` and the path are static.

    Arguments:
        state: the layer's own state, or its children's by name.
        rng: the root key of the run; a layer's own key is folded from it by `key`, only where it is used.
        mask: which steps of the input are valid: a boolean array (batch, time), or None.
        train: whether this is a training pass.
        frozen: whether this layer, or a container around it, is not trainable.
        path: the names from the outermost container to this layer (a number after a name: a shared layer's call).
        folded: how many entries of `path` are folded into `rng` already.
    """

    state: Tree = field(default_factory=dict)
    rng: Any = None
    mask: Mask = None
    train: bool = False
    frozen: bool = False
    path: tuple[str | int, ...] = ()
    folded: int = 0

    def at(self, name: str, mask: Mask = None, call: int = 0, state: Tree = None) -> "Context":
        """The share of a child: its state, its path, its mask.

        A shared layer's calls are numbered by `call`, and given the `state` that the call before returned.
        """
        path = (*self.path, name, call) if call else (*self.path, name)
        found = self.state.get(name, {}) if state is None else state.get(name, {})
        return Context(found, self.rng, mask, self.train, self.frozen, path, self.folded)

    def key(self, layer: "Layer") -> Any:
        """The layer's random key, or the error that says what to write."""
        if self.rng is None:
            raise MissingError(
                f"{layer!r} draws random numbers in training; pass rng=jax.random.key(...) to run or apply"
            )
        return fold(self.rng, *self.path[self.folded :])

    def with_key(self, key: Any) -> "Context":
        """The same context with another key as this layer's own."""
        return replace(self, rng=key, folded=len(self.path))

    def read(self, layer: "Layer", name: str) -> jax.Array:
        """The layer's state array of that name, or the error that says what to write."""
        if name not in self.state:
            raise MissingError(
                f"{layer!r} keeps state ({name}); make it with state = model.init_state(shape), or take fit's "
                "result.state, and pass state=state"
            )
        return self.state[name]


jax.tree_util.register_dataclass(
    Context, data_fields=["state", "rng", "mask"], meta_fields=["train", "frozen", "path", "folded"]
)


def has_mask(mask: Mask) -> bool:
    """Whether a mask, or any mask in a nest, is there."""
    return mask is not None and bool(jax.tree.leaves(mask))


def nest_like(mask: Mask, y: Any) -> Mask:
    """The mask nested like y: None in place of each mask that is not there."""
    return map_nest(lambda _: None, y) if mask is None else mask


def mask_leaves(mask: Mask, count: int) -> list:
    """The mask of each of so many outputs, None where it has none, in the order in which jax.tree lists them."""
    if mask is None:
        return [None] * count
    return jax.tree.leaves(mask, is_leaf=lambda m: m is None)
