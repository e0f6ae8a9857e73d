"""What a layer returns for inputs of known types, traced: each layer inside it once, for all the layers around it.

A trace that ran all that is inside would take, for layers inside layers, the square of their depth. Here `ctx.run`
gives the output of a child from the child's own trace, which is memoized by value.
"""

import functools
import operator
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from fnlayers.core.context import Context, Out, nest_like
from fnlayers.core.errors import put_before_path
from fnlayers.core.shapes import ArrayType, canonical
from fnlayers.core.spec import State, expand, spec_items, structs
from fnlayers.plain_data import freeze, map_nest

if TYPE_CHECKING:
    from fnlayers.core.layer import Layer


@functools.lru_cache(maxsize=4096)
def declared_by(layer: "Layer", shape: Any) -> Mapping[str, Any]:
    """What a layer declares for that input, memoized by value."""
    return layer._declared(shape)


def outline(layer: "Layer", shape: Any, x: Any, masks: Any, train: bool = False, frozen: bool = False) -> Out:
    """The shapes and dtypes of what a layer returns.

    Arguments:
        layer: the layer.
        shape: for which its params and state are declared.
        x, masks: the input and its masks, as `jax.ShapeDtypeStruct`s; None for masks that are not there.
        train, frozen: see Context.
    """
    arguments = layer, shape, x, (masks if jax.tree.leaves(masks) else None), train, frozen
    if layer.has_children:
        try:
            return _traced(*arguments, read=False)
        except Exception as error:
            if getattr(error, "_outlined", False) or isinstance(error, RecursionError):
                raise
    try:
        return _traced(*arguments, read=True)
    except Exception as error:
        error._outlined = True  # type: ignore[attr-defined]  # so that the layers around it do not trace it again
        raise


def _traced(layer: "Layer", shape: Any, x: Any, masks: Any, train: bool, frozen: bool, read: bool) -> Out:
    """Trace a run; with read=False the arrays of layers inside are not made, and it fails if one is asked for."""
    children = layer.children(shape) if layer.has_children and not read else {}
    own = {name: tree for name, tree in declared_by(layer, shape).items() if name not in children}
    unread = [{name: _Unread() for name in children if _holds(*_child(children, name))[i]} for i in range(2)]

    def run(params: Any, state: Any, x: Any, masks: Any) -> Out:
        trees = params | unread[0], state | unread[1]
        inside = Outline(layer, shape, *trees) if layer.has_children else None
        return layer._run(trees[0], x, Context(trees[1], mask=masks, train=train, frozen=frozen, outline=inside))

    return jax.eval_shape(run, *structs(expand(own)), x, masks)


def _child(children: Mapping[str, Any], name: str) -> tuple["Layer", Any]:
    child, shape = children[name]
    return child, canonical(shape)


@functools.lru_cache(maxsize=4096)
def _holds(layer: "Layer", shape: Any) -> tuple[bool, bool]:
    """Whether a layer, or one inside it, declares params, and whether state."""
    children = layer.children(shape) if layer.has_children else {}
    own = {name: tree for name, tree in declared_by(layer, shape).items() if name not in children}
    is_state = [isinstance(spec, State) for _, spec in spec_items(expand(own))]
    inside = [_holds(*_child(children, name)) for name in children]
    return not all(is_state) or any(p for p, _ in inside), any(is_state) or any(s for _, s in inside)


class _Unread(dict):
    """In place of the arrays of a layer inside: whoever reads them gets an error, and the trace begins again."""

    def _read(self, *_: Any) -> Any:
        raise LookupError("arrays of a layer inside are read")

    __getitem__ = __iter__ = __len__ = __contains__ = __or__ = __ror__ = __eq__ = _read
    get = items = keys = values = copy = _read
    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        return True


class Outline:
    """What the children of one layer return while it is traced.

    Arguments:
        layer: the layer.
        shape: that of its input, for which params and state are declared.
        params, state: what it is traced with.
    """

    def __init__(self, layer: "Layer", shape: Any, params: Any, state: Any) -> None:
        self.layer, self.shape, self.params, self.state = layer, shape, params, state

    def of(self, name: str, child: "Layer", params: Any, x: Any, ctx: Context) -> Out | None:
        """Zeros for all that the child returns; None: it has to run, as where the layer gives it other params."""
        types = _types(x, ctx.mask)
        if types is None or ctx.examples is not None or not self._is_declared(name, params, ctx):
            return None
        declared, shape = _child(self.layer.children(self.shape), name)
        if declared != child:
            return None
        try:
            return _zeros(_outlined(child, shape, types, ctx.train, ctx.frozen))
        except RecursionError:
            return None  # a run takes a quarter of the stack that traces within traces take
        except Exception as error:
            put_before_path(name, error)
            raise

    def _is_declared(self, name: str, params: Any, ctx: Context) -> bool:
        """Whether a child is given the arrays that it declares, as they are."""
        is_params = params.get(name) is self.params.get(name)
        return is_params and (ctx.state is self.state.get(name) if ctx.state else name not in self.state)


def _types(x: Any, mask: Any) -> Any:
    """The ArrayTypes of x; None where they do not say all, as of a number that takes the dtype of what it meets."""

    def type_of(x: Any, mask: Any) -> ArrayType:
        if x.weak_type or (mask is not None and mask.shape != x.shape[: mask.ndim]):
            raise TypeError
        return ArrayType(tuple(map(operator.index, x.shape)), x.dtype.name, 0 if mask is None else mask.ndim)

    try:
        return freeze(map_nest(type_of, x, nest_like(mask, x)))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return None


@functools.lru_cache(maxsize=4096)
def _outlined(layer: "Layer", shape: Any, types: Any, train: bool, frozen: bool) -> Out:
    x = map_nest(lambda t: jax.ShapeDtypeStruct(t.shape, jnp.dtype(t.dtype)), types)
    masks = map_nest(lambda t: jax.ShapeDtypeStruct(t.shape[: t.masked], bool) if t.masked else None, types)
    return outline(layer, shape, x, masks, train, frozen)


def _zeros(out: Out) -> Out | None:
    """Arrays of those shapes and dtypes; None where one of them has a dtype that gives way to others."""
    if any(leaf.weak_type for leaf in jax.tree.leaves(out)):
        return None
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), out)
