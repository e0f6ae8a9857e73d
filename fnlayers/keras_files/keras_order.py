"""The order in which Keras has the layers of a graph, by depth: its files number the weights of a class in it."""

from collections.abc import Mapping, Sequence
from typing import Any

from fnlayers.keras_files.calls import Call, call_inputs
from fnlayers.models.functional import InputNode, Node, Ref


def keras_order(
    nodes: Sequence[InputNode | Node], calls: Mapping[int, Call], outputs: Sequence[Ref]
) -> tuple[list[str], list[int]]:
    """The names of inputs and layers in Keras's order, and the nodes that lead to the outputs, in order.

    Arguments:
        nodes: of the graph, each after those that it needs.
        calls: of each node that is not an input, by its number.
        outputs: the graph's outputs, in the order in which Keras goes through them.
    """
    positions, first = _walked(nodes, calls, outputs)
    depths: dict[int, int] = {}
    of_layer: dict[str, int] = {}
    for position in reversed(positions):
        name = _name(nodes[position])
        depth = max(depths.get(position, 0), of_layer.get(name, 0))
        depths[position] = of_layer[name] = depth
        for ref in call_inputs(calls[position]) if position in calls else ():
            depths[ref.node] = max(depths.get(ref.node, 0), depth + 1)
    unused = [node.name for node in nodes if isinstance(node, InputNode) and node.name not in of_layer]
    names = sorted(of_layer, key=lambda name: (-of_layer[name], first[name]))
    return [*unused, *names], sorted(positions)


def _name(node: Any) -> str:
    return node.name if isinstance(node, InputNode) else node.layer


def _walked(nodes: Any, calls: Mapping[int, Call], outputs: Sequence[Ref]) -> tuple[list[int], dict[str, int]]:
    """The nodes from the outputs back, each after what it needs; and when each layer was first met, as Keras counts."""
    walked: dict[int, None] = {}
    first: dict[str, int] = {}
    for output in outputs:
        stack = [(output.node, False)]
        while stack:
            position, ready = stack.pop()
            if position in walked:
                continue
            if ready:
                walked[position] = None
                continue
            first.setdefault(_name(nodes[position]), len(first))
            stack.append((position, True))
            if position in calls:
                stack.extend((ref.node, False) for ref in reversed(call_inputs(calls[position])))
    return list(walked), first
