"""replace_layer: another layer in the place of one, with all other weights as they are."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from fnlayers.core.checks import check_key
from fnlayers.core.errors import ConfigError, LayerError, MissingError, ShapeError, brief
from fnlayers.core.layer import Layer, Shape, check_model
from fnlayers.core.shapes import canonical
from fnlayers.core.spec import Drawn, Param, State, expand, initialize, leaf_at, spec_items
from fnlayers.core.types import Key, Params, Sizes, StateDict
from fnlayers.freezing import held_layers, held_options
from fnlayers.functions.draws import HostKey
from fnlayers.models.container import Container
from fnlayers.models.fitting import suggested_shape
from fnlayers.models.functional import Functional, Node
from fnlayers.models.sequential import Sequential
from fnlayers.surgery.absent import no_layer


class Replaced(NamedTuple):
    """A model with another layer in it, and its arrays."""

    model: Layer
    params: dict[str, Any]
    state: dict[str, Any]


def replace_layer(
    model: Layer,
    params: Params,
    at: str,
    new: Layer,
    rng: Key,
    *,
    state: StateDict | None = None,
    shape: Sizes = None,
) -> Replaced:
    """The model with another layer in the place of one, whose weights alone are drawn: a new head on a trained model.

    All other params and state are the same arrays. Every call of a shared layer is of the new one.

    Arguments:
        model: any layer; the one given stays as it is, and so do its params.
        params: what init drew or training made.
        at: the path of the layer, as in the params: "head", "base/conv2d", "repeat/layer/dense".
        new: the layer that takes its place. In a Sequential or graph it has the name of the old one, or its own.
        rng: a random key. The new weights are those that init of the new model draws with it.
        state: what init_state made or a run returned, for a model that has state.
        shape: of the model's input. None: the model's own, or one that the weights suggest.

    Returns:
        Replaced(model, params, state).

    Raises:
        ConfigError: for a layer that is not there; the message lists those that are.
        ShapeError: where another layer, after the new one, would need weights of other shapes than it has.
        MissingError: where params or state lack what the other layers have.

    Example:
        >>> import jax, fnlayers as fl
        >>> model = fl.Sequential([fl.Dense(8, "relu"), fl.Dense(2, name="head")])
        >>> params = model.init(jax.random.key(0), (None, 3))
        >>> model, tuned, _ = fl.replace_layer(model, params, "head", fl.Dense(5), jax.random.key(1))
        >>> tuned["head"]["kernel"].shape, tuned["dense"]["kernel"] is params["dense"]["kernel"]
        ((8, 5), True)
    """
    check_model(model, "replace_layer")
    check_model(new, "replace_layer: new")
    check_key(model, rng)
    if not isinstance(params, Mapping) or not (state is None or isinstance(state, Mapping)):
        raise MissingError(
            f"replace_layer takes params and state as init and init_state return them, got {brief(params)} and "
            f"{brief(state)}"
        )
    if not isinstance(at, str):
        raise ConfigError(f"replace_layer: at={at!r} is no path; give a string such as 'base/head'")
    old = tuple(at.split("/"))
    shape = suggested_shape(model, params, state) if shape is None else canonical(shape)
    changed, place = _with_layer(model, old, new)
    if shape is None:
        raise MissingError(
            f"replace_layer: the weights do not tell the shape of the input of {brief(model)}; give shape=x.shape"
        )
    declared = _declared(changed, shape, at)
    _check_others(declared, place, params, {} if state is None else state)
    own = _nested(place, leaf_at(declared, place) or {})
    drawn, fresh_state = initialize(own, rng, (Param, Drawn)), initialize(own, HostKey(0, 0), State)
    return Replaced(
        changed,
        _with_branch(params, old, place, leaf_at(drawn, place)),
        _with_branch({} if state is None else state, old, place, leaf_at(fresh_state, place)),
    )


def _with_layer(layer: Layer, path: Sequence[str], new: Layer) -> tuple[Layer, tuple[str, ...]]:
    """The layer with the new one at that path inside of it, and the path of the new one."""
    name, *rest = path
    children = held_layers(layer)
    if name not in children:
        raise no_layer("replace_layer", name, layer, children)
    if rest:
        child, place = _with_layer(children[name], rest, new)
        return replace(layer, **held_options(layer, {**children, name: child})), (name, *place)
    if not isinstance(layer, Container):
        return replace(layer, **held_options(layer, {**children, name: new})), (name,)
    child = new if new.name else new.renamed(name)
    layers = tuple(child if y.name == name else y for y in layer.layers)
    if isinstance(layer, Sequential):
        return replace(layer, layers=layers), (str(child.name),)
    assert isinstance(layer, Functional)
    nodes = (n._replace(layer=child.name) if isinstance(n, Node) and n.layer == name else n for n in layer.nodes)
    return replace(layer, layers=layers, nodes=tuple(nodes)), (str(child.name),)


def _declared(model: Layer, shape: Shape, at: str) -> Mapping[str, Any]:
    try:
        return model._declared(canonical(shape))
    except LayerError as error:
        error.args = (f"{error.args[0]} (with the new layer at {at!r})",)
        raise


def _check_others(declared: Mapping[str, Any], place: Sequence[str], params: Any, state: Any) -> None:
    """Raise unless all arrays that the new model declares outside of the new layer are there, with their shapes."""
    for path, spec in spec_items(expand(declared)):
        if tuple(path.split("/")[: len(place)]) == tuple(place):
            continue
        kind, tree = ("params", params) if isinstance(spec, Param) else ("state", state)
        array = leaf_at(tree, path.split("/"))
        if array is None:
            raise MissingError(f"replace_layer: {path} is not in the {kind}; give {kind} that fit the model")
        if tuple(array.shape) != spec.full_shape:
            raise ShapeError(
                f"replace_layer: with the new layer {path} has shape {spec.full_shape}, and the {kind} hold "
                f"{tuple(array.shape)}; give a layer with as many outputs as the old one, or replace that layer first"
            )


def _nested(path: Sequence[str], branch: Any) -> Any:
    """The branch at the end of a path of dicts."""
    for name in reversed(path):
        branch = {name: branch}
    return branch


def _with_branch(tree: Mapping[str, Any], old: Sequence[str], new: Sequence[str], branch: Any) -> dict[str, Any]:
    """The tree with that branch, or none, in the place of the old one; all others are the same objects."""
    inner = branch if len(old) == 1 else _with_branch(tree.get(old[0], {}), old[1:], new[1:], branch)
    names = tree if old[0] in tree else [*tree, old[0]]

    def items() -> Iterator[tuple[str, Any]]:
        for name in names:
            if name != old[0]:
                yield name, tree[name]
            elif inner:
                yield new[0], inner

    return dict(items())
