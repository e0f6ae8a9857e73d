"""Which layers of a model own arrays, in the words of Keras's files: names of layers, names of arrays."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from fnlayers.core.layer import Layer, Shape
from fnlayers.core.spec import Param, State
from fnlayers.layers.attention.multi_head_base import MultiHead
from fnlayers.layers.recurrent.base import Recurrent


class Owner(NamedTuple):
    """A layer with arrays of its own.

    Arguments:
        path: the names from the model's layer down to it, those of our tree.
        layer: the layer.
        specs: the declaration of each of its arrays by name, in Keras's order.
    """

    path: tuple[str, ...]
    layer: Layer
    specs: dict[str, Param | State]


def owners(layer: Layer, shape: Shape, specs: Any, path: tuple[str, ...] = ()) -> Iterator[Owner]:
    """The layers that own arrays, in order. Carries of recurrent layers are none that a file stores."""
    declared = {} if isinstance(layer, Recurrent) else layer.weights(shape)
    own = {name: specs[name] for name in declared if isinstance(specs.get(name), (Param, State))}
    if own:
        yield Owner(path, layer, own)
    if isinstance(layer, MultiHead):
        for name in declared:
            if name in specs:
                yield Owner((*path, name), layer, specs[name])
    for name, (child, child_shape) in layer.children(shape).items():
        if name in specs:
            yield from owners(child, child_shape, specs[name], (*path, name))
