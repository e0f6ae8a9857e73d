"""What a layer is given besides params and x (`Context`), and what it returns (`Out`)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import wraps
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
from jax.tree_util import GetAttrKey

from fnlayers.core.errors import ConfigError, MissingError
from fnlayers.core.names import fold
from fnlayers.core.observer import Observer, Seen, trace_state
from fnlayers.core.values import not_a_key
from fnlayers.functions.draws import is_key
from fnlayers.plain_data import map_nest

if TYPE_CHECKING:
    from fnlayers.core.layer import Layer
    from fnlayers.core.outline import Outline

Tree = Any
Mask = Any  # a boolean array (batch, time), None, or a nest of them like the input


class Out(NamedTuple):
    """What a run returns: the output, the new state, the output's mask, and losses to add to the objective."""

    y: Any
    state: Tree = {}
    mask: Mask = None
    losses: tuple[jax.Array, ...] = ()


class Gathered:
    """State and losses of the children that one pass through a layer has run; `Layer` adds them to the layer's Out."""

    # What most layers never set stands in the class, since one of these is made for each layer of each pass.
    layer: Any = None  # the layer whose `forward` runs
    trace: Any = None  # the trace that it runs in, where it has children
    calls: Any = MappingProxyType({})  # how often each child has run
    state: Any = MappingProxyType({})
    losses: tuple[jax.Array, ...] = ()

    def start(self, layer: "Layer", has_children: bool) -> None:
        """Start a pass of that layer."""
        self.layer = layer
        if self.calls:
            self.calls, self.state, self.losses = {}, {}, ()
        if has_children:
            self.trace = trace_state()

    def add(self, name: str, out: Out) -> None:
        """Add what the run of a child returned."""
        if not self.calls:
            self.calls, self.state = {}, {}
        self.calls[name] = self.calls.get(name, 0) + 1
        if (out.state or out.losses) and (self.trace is None or self.trace != trace_state()):
            raise ConfigError(
                f"{name} returned state or losses where they cannot be gathered: ctx.run stands in a function that jax "
                "traces by itself, such as the body of scan, vmap or checkpoint, or in a layer without children(). "
                "Write ctx.run_alone there, and return out.state and out.losses from that function"
            )
        if out.state:
            self.state[name] = out.state
        if out.losses:
            self.losses += tuple(out.losses)

    def joined(self, out: Out, before: Tree) -> Out:
        """The layer's own result with what its children returned; the state of a child that did not run stays."""
        own = {name: value for name, value in out.state.items() if not isinstance(value, Mapping) or value}
        unused = {name: value for name, value in before.items() if isinstance(value, Mapping)}
        return out._replace(state={**unused, **self.state, **own}, losses=(*out.losses, *self.losses))


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
        examples: which examples of the batch count in its statistics: a boolean array (batch,); None: all. Where a
            wrapper makes steps into examples the masked ones do not, through layers that know of no mask, too.
        observer: who is told the output of each layer; None: nobody.
        recomputes: whether the backward pass computes each child once more from its inputs, in place of keeping what
            it computed.
        outline: while a shape is traced, what knows the outputs of children that were traced before; None: they run.

    A layer made of layers runs them by `run`; see there.
    """

    state: Tree = field(default_factory=dict)
    rng: Any = None
    mask: Mask = None
    train: bool = False
    frozen: bool = False
    path: tuple[str | int, ...] = ()
    folded: int = 0
    examples: Mask = None
    observer: Observer | None = field(default=None, repr=False, compare=False)
    gathered: Gathered = field(default_factory=Gathered, repr=False, compare=False)
    outline: "Outline | None" = field(default=None, repr=False, compare=False)
    recomputes: bool = field(default=False, repr=False, compare=False)

    def run(
        self, name: str, child: "Layer", params: Any, x: Any, mask: Mask = None, *, train: bool | None = None
    ) -> Out:
        """Run a child within `forward`: its output and mask. Its state and losses go into this layer's by themselves.

        A child that is run twice sees the state that its run before returned, and draws other numbers.

        Arguments:
            name: its name in `children(shape)`.
            child: the layer.
            params: those of the layer that calls this, in which the child's stand under its name.
            x: the child's input.
            mask: the mask of x.
            train: whether this is a training pass for the child; None: as for this layer.

        Example:
            >>> import fnlayers as fl
            >>> @fl.layerclass
            ... class Residual(fl.Layer):
            ...     inner: fl.Layer
            ...
            ...     def children(self, shape):
            ...         return {"inner": (self.inner, shape)}
            ...
            ...     def forward(self, params, x, ctx):
            ...         out = ctx.run("inner", self.inner, params, x, ctx.mask)
            ...         return fl.Out(x + out.y, mask=out.mask)
            >>> Residual(fl.Dense(3)).out_shape((None, 3))
            (None, 3)
        """
        gathered = self.gathered
        inner = self.at(name, mask, gathered.calls.get(name, 0), gathered.state.get(name))
        if train is not None:
            inner = replace(inner, train=train)
        out = None if self.outline is None else self.outline.of(name, child, params, x, inner)
        if out is None:
            out = (_recomputed if self.recomputes else _run_child)(name, child, params, x, inner)
        gathered.add(name, out)
        return Out(out.y, {}, out.mask) if out.state or out.losses else out

    def run_alone(
        self, name: str, child: "Layer", params: Any, x: Any, mask: Mask = None, *, state: Tree = None, key: Any = None
    ) -> Out:
        """Run a child, and leave its state and losses, which are in the Out, to the caller: in the body of a scan.

        Arguments:
            name, child, params, x, mask: see `run`.
            state: the child's state; None: that of its name in this layer's.
            key: the child's own random key; None: folded from its path.

        Raises:
            ConfigError: for a key that is not one random key.
        """
        if key is not None and not is_key(key):
            raise ConfigError(f"ctx.run_alone({name!r}, ...): key= is the random key of this child, {not_a_key(key)}")
        inner = self.at(name, mask) if state is None else replace(self.at(name, mask), state=state)
        return _run_child(name, child, params, x, inner if key is None else inner.with_key(key))

    def at(self, name: str, mask: Mask = None, call: int = 0, state: Tree = None) -> "Context":
        """A child's context: its state, its path, its mask. To run the child, call `run`, which makes this context.

        A shared layer's calls are numbered by `call`, and given the `state` that the call before returned.
        """
        child = object.__new__(type(self))  # as the constructor, which takes twice as long to set frozen fields
        values = child.__dict__
        values.update(self.__dict__)
        values["state"] = self.state.get(name, {}) if state is None else state
        values["mask"] = mask
        values["path"] = (*self.path, name, call) if call else (*self.path, name)
        values["gathered"], values["outline"], values["recomputes"] = Gathered(), None, False
        return child

    def in_scan(self) -> "Context":
        """The same context in the body of a scan, which returns what is `seen` there."""
        return self if self.observer is None else replace(self, observer=Observer())

    def seen(self) -> Seen | None:
        """The outputs that an observer saw in the body of a scan; None where nobody observes."""
        return None if self.observer is None else self.observer.all_seen()

    def add_seen(self, stacked: Seen | None) -> None:
        """Tell the observer what a scan's steps saw."""
        if self.observer is not None and stacked is not None:
            self.observer.add(stacked)

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
                f"{layer!r} has state ({name}); make it with state = model.init_state(shape), or take fit's "
                "result.state, and pass state=state"
            )
        return self.state[name]


_DATA, _STATIC = ("state", "rng", "mask", "examples"), ("train", "frozen", "path", "folded")


def _flattened(ctx: Context) -> tuple[Any, Any]:
    return [(GetAttrKey(name), getattr(ctx, name)) for name in _DATA], tuple(getattr(ctx, name) for name in _STATIC)


def _unflattened(static: Any, data: Any) -> Context:
    return Context(**dict(zip(_DATA, data, strict=True)), **dict(zip(_STATIC, static, strict=True)))


# Not by register_dataclass: in jax 0.6.0 that one's drop_fields (observer, gathered and so on) does not work
jax.tree_util.register_pytree_with_keys(Context, _flattened, _unflattened)


def called_by_run(forward: Callable) -> Callable:
    """A layer's `forward`, which `Layer` alone calls: by itself it neither casts, nor checks, nor adds losses."""

    @wraps(forward)
    def checked(self: "Layer", params: Any, x: Any, ctx: Context) -> Out:
        if ctx.gathered.layer is not self:
            raise ConfigError(
                f"{type(self).__name__}.forward was called by hand, which leaves out the activity loss, casts and "
                f'checks; in a layer made of layers write out = ctx.run("name", child, params, x, mask), with the name '
                "that children() gives and the params of the layer itself; elsewhere layer.run(params, x)"
            )
        return forward(self, params, x, ctx)

    checked.unchecked = forward  # type: ignore[attr-defined]
    return checked


def _run_child(name: str, child: "Layer", params: Any, x: Any, ctx: Context) -> Out:
    try:
        return child._run(params.get(name, {}), x, ctx)
    except Exception as error:
        if not hasattr(child, "_run") or not isinstance(params, Mapping):
            raise ConfigError(
                f"ctx.run takes a child's name, the layer, the params of the layer that calls it, and x; got {name!r}, "
                f"{type(child).__name__} and {type(params).__name__}"
            ) from None
        if isinstance(error, MissingError) and params and name not in params and error.path[-1:] == (name,):
            error.args = (
                f"{error.args[0]}. ctx.run({name!r}, ...) was given params that have no {name!r} (there: "
                f"{', '.join(map(str, params))}); give those of the layer that calls it, whole",
            )
        raise


def _recomputed(name: str, child: "Layer", params: Any, x: Any, ctx: Context) -> Out:
    """`_run_child`, of which the backward pass keeps the inputs alone."""

    def run(own: Any, x: Any, ctx: Context) -> Out:
        return _run_child(name, child, own, x, ctx)

    return jax.checkpoint(run)({name: params[name]} if name in params else {}, x, ctx)


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
