"""match_weights: a table of names proposed from shapes and names. What is not sure is listed, and never chosen."""

import difflib
import functools
import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from fnlayers.core.errors import LayerError
from fnlayers.core.layer import Layer, check_model
from fnlayers.core.spec import Param, State, spec_items
from fnlayers.core.types import Sizes
from fnlayers.state_dicts import rules
from fnlayers.state_dicts.arrays import Arrays, arrays_of, shown
from fnlayers.state_dicts.changes import applied
from fnlayers.state_dicts.rules import Rule

# Words that PyTorch's users write in place of ours.
WORDS: Mapping[str, str] = {
    "attn": "attention", "ln": "norm", "bn": "norm", "layernorm": "norm", "batchnorm": "norm", "gn": "norm",
    "emb": "embedding", "embed": "embedding", "embeddings": "embedding", "q": "query", "k": "key", "v": "value",
    "wq": "query", "wk": "key", "wv": "value",
}  # fmt: skip
LEFT_OUT = ("num_batches_tracked", "position_ids", "inv_freq")  # of modules, and no weights
PARTS = ("query", "key", "value")
SIDES = ("forward_layer/cell", "backward_layer/cell")
Factory = Callable[[str], Rule]
Specs = Mapping[str, Param | State]


@dataclass(frozen=True)
class Proposal:
    """What `match_weights` found. Printed, it is Python to paste, with what is left to do in comments.

    Attributes:
        mapping: for `load_state_dict`: what is sure by shapes, or by shapes and names.
        unsure: (their modules, our layers) that have the same shapes, where names do not tell which is which.
        unused, unfilled: their arrays and our paths that nothing was found for, each with its shape.
    """

    mapping: dict[str, Any] = field(default_factory=dict)
    unsure: list[tuple[list[str], list[str]]] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    unfilled: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        used = sorted({str(goal).split("(")[0] for goal in self.mapping.values() if isinstance(goal, Rule)})
        lines = [f"from fnlayers.state_dicts import {', '.join(used)}", ""] if used else []
        lines += ["mapping = {", *(f"    {key!r}: {goal!r}," for key, goal in self.mapping.items())]
        for theirs, ours in self.unsure:
            lines += [f"    # alike: {', '.join(map(repr, theirs))}", f"    #     for {', '.join(map(repr, ours))}"]
        lines += [f"    # not used: {line}" for line in self.unused]
        lines += [f"    # not filled: {line}" for line in self.unfilled]
        return "\n".join([*lines, "}"])


def match_weights(model: Layer, shape: Sizes, source: Any) -> Proposal:
    """Propose a mapping for `load_state_dict`, from the shapes and the names of a source's arrays.

    A module of theirs goes to a layer of ours whose weights its arrays fill exactly, in the layout of one rule. Where
    several have one shape, names decide if they do so clearly and in order; else they are listed. A square matrix is
    taken for (out, in), unless all others are (in, out). Read it before it is used: equal shapes do not prove that
    layers are the same.

    Arguments:
        model, shape, source: as for `load_state_dict`.

    Example:
        >>> import numpy as np, fnlayers as fl
        >>> model = fl.Sequential([fl.Dense(4, name="hidden"), fl.Dense(2, name="head")])
        >>> theirs = {"0.weight": np.ones((4, 3)), "0.bias": np.ones(4)}
        >>> theirs |= {"2.weight": np.ones((2, 4)), "2.bias": np.ones(2)}
        >>> print(fl.match_weights(model, (None, 3), theirs))
        from fnlayers.state_dicts import dense
        <BLANKLINE>
        mapping = {
            '0': dense('hidden'),
            '2': dense('head'),
        }
    """
    check_model(model, "match_weights(model, shape, source)")
    arrays = arrays_of(source)
    declared = dict(spec_items(model.specs(shape)))
    proposal = Proposal()
    units, targets = _units(arrays, declared), _targets(declared)
    _assign(units, targets, proposal)
    used = {name for key in proposal.mapping for name in units[key].names}
    filled = {path for target in targets if target.filled for path in target.paths}
    _match_single(arrays, declared, used, filled, proposal)
    listed = {name for theirs, _ in proposal.unsure for key in theirs for name in units[key].names}
    ours = {path for _, layers in proposal.unsure for t in targets if t.path in layers for path in t.paths}
    for name in arrays.types:
        if name not in used | listed:
            if name.rsplit(".", 1)[-1] in LEFT_OUT:
                proposal.mapping[name] = None
            else:
                proposal.unused.append(shown(name, arrays.types[name]))
    proposal.unfilled.extend(f"{p} {declared[p].full_shape}" for p in declared if p not in filled | ours)
    return proposal


# Theirs and ours, as units that a rule may join


class Unit(NamedTuple):
    """A module of theirs, or the modules of one place in a stack: its key in a mapping, and its arrays' shapes."""

    key: str
    shapes: Mapping[str, tuple[int, ...]]
    names: tuple[str, ...]
    stack: int | None


@dataclass(eq=False)
class Target:
    """A layer of ours: its path, the shapes of its weights below it, and the rules that may fill it."""

    path: str
    shapes: Mapping[str, tuple[int, ...]]
    stack: tuple[int, ...]
    factories: tuple[Factory, ...]
    filled: bool = False

    @property
    def paths(self) -> set[str]:
        """The paths of its weights in the model."""
        return {f"{self.path}/{name}".removeprefix("/") for name in self.shapes}


def _units(arrays: Arrays, declared: Specs) -> dict[str, Unit]:
    modules: dict[str, dict[str, str]] = {}
    attentions = {name.removesuffix("in_proj_bias").removesuffix("in_proj_weight").removesuffix(".")
                  for name in arrays.types if name.endswith(("in_proj_weight", "in_proj_bias"))}  # fmt: skip
    for name in arrays.types:
        module, _, leaf = name.rpartition(".")
        if module.endswith("out_proj") and (outer := module.removesuffix("out_proj").removesuffix(".")) in attentions:
            module, leaf = outer, f"out_proj.{leaf}"
        if module or "." in name:
            modules.setdefault(module, {})[leaf] = name
    units = {
        module: Unit(
            module, {leaf: arrays.types[name][0] for leaf, name in leaves.items()}, tuple(leaves.values()), None
        )
        for module, leaves in modules.items()
    }
    stacks = {spec.stack[0] for spec in declared.values() if len(spec.stack) == 1}
    return units | _stacked(units, stacks)


def _stacked(units: Mapping[str, Unit], sizes: set[int]) -> dict[str, Unit]:
    """The modules whose names differ in one number, 0 to n - 1, as one for a Repeat of n."""
    by_pattern: dict[str, list[tuple[int, Unit]]] = {}
    for key, unit in units.items():
        parts = key.split(".")
        for at, part in enumerate(parts):
            if part.isascii() and part.isdigit():
                pattern = ".".join([*parts[:at], "{i}", *parts[at + 1 :]])
                by_pattern.setdefault(pattern, []).append((int(part), unit))
    found = {}
    for pattern, members in by_pattern.items():
        alike = all(unit.shapes == members[0][1].shapes for _, unit in members)
        if alike and len(members) in sizes and sorted(number for number, _ in members) == list(range(len(members))):
            names = tuple(name for _, unit in members for name in unit.names)
            found[pattern] = Unit(pattern, members[0][1].shapes, names, len(members))
    return found


def _targets(declared: Specs) -> list[Target]:
    parents: dict[str, dict[str, Any]] = {}
    for path, spec in declared.items():
        parent, _, name = path.rpartition("/")
        parents.setdefault(parent, {})[name] = spec
    targets = [_target(parent, specs, _factories(specs)) for parent, specs in parents.items()]
    for outer in {parent.rpartition("/")[0] for parent in parents}:
        inner = {name: parents[f"{outer}/{name}".removeprefix("/")] for name in (*PARTS, "attention_output")
                 if f"{outer}/{name}".removeprefix("/") in parents}  # fmt: skip
        flat = {f"{name}/{leaf}": spec for name, specs in inner.items() for leaf, spec in specs.items()}
        if len(inner) == 4:
            apart = {key: spec for key, spec in flat.items() if not key.startswith("attention_output")}
            targets.append(_target(outer, apart, (rules.qkv, functools.partial(rules.qkv, inputs_first=True))))
            targets.append(_target(outer, flat, (rules.attention,)))
        if outer.endswith("forward_layer"):
            both = outer.removesuffix("forward_layer").removesuffix("/")
            cells = {side: parents[f"{both}/{side}".removeprefix("/")] for side in SIDES}
            flat = {f"{side}/{leaf}": spec for side, specs in cells.items() for leaf, spec in specs.items()}
            targets.append(_target(both, flat, tuple(map(_both_sides, (rules.lstm, rules.gru, rules.rnn)))))
    return targets


def _target(path: str, specs: Mapping[str, Any], factories: tuple[Factory, ...]) -> Target:
    stack = next(iter(specs.values())).stack
    return Target(path, {name: spec.shape for name, spec in specs.items()}, stack, factories)


def _both_sides(rule: Callable) -> Factory:
    return lambda path: rule(*(f"{path}/{side}".removeprefix("/") for side in SIDES), bidirectional=True)


def _factories(specs: Mapping[str, Any]) -> tuple[Factory, ...]:
    """The rules for a layer with weights of these names."""
    names = set(specs)
    if "recurrent_kernel" in names:
        cells = (rules.lstm, rules.gru, rules.rnn)
        return (*cells, *(functools.partial(rule, cell=True) for rule in cells))
    if "kernel" in names and names <= {"kernel", "bias"}:
        dense = (rules.dense, functools.partial(rules.dense, inputs_first=True))
        heads = (rules.projection, functools.partial(rules.projection, inputs_first=True))
        kernels = (rules.conv_transpose if _is_transposed(specs) else rules.conv, rules.depthwise)
        return dense if len(specs["kernel"].shape) == 2 else (*kernels, *heads)
    if "moving_mean" in names:
        return (rules.batch_norm,)
    single = {"scale": rules.rms_norm, "embeddings": rules.embedding, "alpha": rules.prelu}
    if names <= {"gamma", "beta"}:
        return (rules.norm,)
    return (single[next(iter(names))],) if len(names) == 1 and names <= single.keys() else ()


def _is_transposed(specs: Mapping[str, Any]) -> bool:
    """Whether a kernel is (..., out, in), as the bias says. (One rule fills both.)"""
    kernel, bias = specs["kernel"].shape, specs.get("bias")
    return bias is not None and bias.shape == kernel[-2:-1] != kernel[-1:]


# Which rule fits, and which module is which layer


def _assign(units: Mapping[str, Unit], targets: Sequence[Target], proposal: Proposal) -> None:
    """Join units and targets, first where only one of each fits, then by name; list what is left."""
    edges: dict[tuple[str, int], Factory] = {}
    known: dict[tuple, Factory | None] = {}
    for unit, (at, target) in itertools.product(units.values(), enumerate(targets)):
        if (unit.stack,) != (target.stack or (None,)):
            continue
        signature = (tuple(unit.shapes.items()), tuple(target.shapes.items()), target.factories)
        if signature not in known:
            known[signature] = next((make for make in target.factories if _fits(make, unit, target)), None)
        if (make := known[signature]) is not None:
            edges[unit.key, at] = make
    edges = _in_one_layout(edges, units, targets)
    while edges and (pairs := _sure(edges, units, targets) or _by_name(edges, targets)):
        for key, at in pairs:
            if (key, at) in edges:
                proposal.mapping[key] = edges[key, at](targets[at].path)
                targets[at].filled = True
                edges = _without(edges, units[key], targets[at], units, targets)
    for keys, ats in _components(edges):
        proposal.unsure.append((keys, [targets[at].path for at in ats]))
    order = {key: n for n, key in enumerate(units)}
    ordered = sorted(proposal.mapping.items(), key=lambda item: order[item[0]])
    proposal.mapping.clear()
    proposal.mapping.update(ordered)


def _in_one_layout(edges: dict, units: Mapping[str, Unit], targets: Sequence[Target]) -> dict[tuple[str, int], Factory]:
    """The edges, with (in, out) matrices only where a module fits no other way: then square ones are such, too.

    A square matrix fits either way. Where some of a source's matrices are (out, in) and some (in, out), which way the
    square ones are is not known, and they are left out.
    """

    def inputs_first(edge: tuple[str, int]) -> bool:
        return isinstance(edges[edge], functools.partial) and edges[edge].keywords.get("inputs_first", False)

    plain = {key for key, at in edges if not inputs_first((key, at))}
    edges = {edge: make for edge, make in edges.items() if not (inputs_first(edge) and edge[0] in plain)}
    either = {}
    for (key, at), make in edges.items():
        other = (
            functools.partial(make, inputs_first=True) if make in (rules.dense, rules.projection, rules.qkv) else None
        )
        if other is not None and _fits(other, units[key], targets[at]):
            either[key, at] = other
    if not any(map(inputs_first, edges)):
        return edges
    of_linear = any(
        make in (rules.dense, rules.projection, rules.qkv) for edge, make in edges.items() if edge not in either
    )
    return {edge: make for edge, make in edges.items() if edge not in either} | ({} if of_linear else either)


def _fits(make: Factory, unit: Unit, target: Target) -> bool:
    """Whether a rule makes exactly the target's weights of exactly the unit's arrays."""
    used: set[str] = set()
    made: dict[str, tuple] = {}
    for names, goals in make("").rows:
        there = [name for name in names if name in unit.shapes]
        used.update(there)
        if len(there) < len(names) or goals is None:
            if there and goals is not None:
                return False
            continue
        for path, change in goals:
            shape = target.shapes.get(path)
            if shape is None:
                return False
            try:
                zeros = tuple(np.broadcast_to(np.float32(0), unit.shapes[name]) for name in names)
                made[path] = applied(change, zeros, shape).shape
            except (LayerError, ValueError, IndexError):
                return False
    return used == set(unit.shapes) and made == dict(target.shapes)


def _sure(edges: Mapping, units: Mapping[str, Unit], targets: Sequence[Target]) -> list[tuple[str, int]]:
    """The pairs that have no other choice: of units, and of targets."""
    of_unit, of_target = _choices(edges)
    return [(key, at) for key, at in edges if len(of_unit[key]) == 1 and len(of_target[at]) == 1]


def _by_name(edges: Mapping, targets: Sequence[Target]) -> list[tuple[str, int]]:
    """The pairs of the first group of equal shapes whose names say clearly, and in order, which is which."""
    for keys, ats in _components(edges):
        scores = {(key, at): _likeness(key, targets[at].path) for key in keys for at in ats if (key, at) in edges}
        pairs = [pair for pair in scores if scores[pair] and _is_best(pair, scores)]
        if not pairs:
            continue
        theirs = [key for key, _ in sorted(pairs, key=lambda pair: _natural(pair[0]))]
        ours = [key for key, at in sorted(pairs, key=lambda pair: _natural(targets[pair[1]].path))]
        whole = len(pairs) == min(len(keys), len(ats))
        if whole and (theirs == ours or min(scores[pair] for pair in pairs) == 1):
            return pairs
    return []


def _is_best(pair: tuple[str, int], scores: Mapping) -> bool:
    others = [
        score for other, score in scores.items() if other != pair and (other[0] == pair[0] or other[1] == pair[1])
    ]
    return all(score < scores[pair] for score in others)


@functools.lru_cache(maxsize=65536)
def _likeness(theirs: str, ours: str) -> float:
    """How alike two names are, 0 to 1; 0 for names that have no word in common, whatever their numbers."""
    one, other = _words(theirs), _words(ours)
    if not {word for word in one if word.isalpha()} & set(other):
        return 0
    return difflib.SequenceMatcher(None, one, other, autojunk=False).ratio()


def _words(name: str) -> list[str]:
    """The words and numbers of a name; words twice, since they say more."""
    found = re.findall(r"[a-z]+|\d+", re.sub(r"([a-z])([A-Z])", r"\1 \2", name.replace("{i}", "")).lower())
    return [word for name in found for word in (WORDS.get(name, name),) * (1 + name.isalpha())]


def _natural(name: str) -> list:
    return [(int(word), "") if word.isdigit() else (-1, word) for word in re.findall(r"\d+|[^\d]+", name)]


def _without(edges: Mapping, unit: Unit, target: Target, units: Mapping[str, Unit], targets: Sequence[Target]) -> dict:
    """The edges that use none of what the pair uses."""
    names, paths = set(unit.names), target.paths
    return {
        (key, at): make
        for (key, at), make in edges.items()
        if not names & set(units[key].names) and not paths & targets[at].paths
    }


def _choices(edges: Iterable[tuple[str, int]]) -> tuple[dict[str, list[int]], dict[int, list[str]]]:
    of_unit: dict[str, list[int]] = {}
    of_target: dict[int, list[str]] = {}
    for key, at in edges:
        of_unit.setdefault(key, []).append(at)
        of_target.setdefault(at, []).append(key)
    return of_unit, of_target


def _components(edges: Mapping) -> list[tuple[list[str], list[int]]]:
    """The units and targets that hang together."""
    of_unit, of_target = _choices(edges)
    left, found = dict.fromkeys(of_unit), []
    while left:
        keys, ats = {next(iter(left))}, set()
        while True:
            more = {at for key in keys for at in of_unit[key]}
            wider = {key for at in more for key in of_target[at]}
            if more == ats and wider == keys:
                break
            keys, ats = wider | keys, more
        found.append(([key for key in of_unit if key in keys], sorted(ats)))
        left = {key: None for key in left if key not in keys}
    return found


def _match_single(arrays: Arrays, declared: Specs, used: set[str], filled: set[str], proposal: Proposal) -> None:
    """Arrays that are no module's, such as a class token, by a shape that only one of each has."""
    listed = {
        path for _, layers in proposal.unsure for layer in layers for path in declared if path.startswith(f"{layer}/")
    }
    theirs = [name for name in arrays.types if name not in used and np.prod(arrays.types[name][0]) > 1]
    ours = [path for path in declared if path not in filled | listed]
    for name in theirs:
        fitting = [path for path in ours if declared[path].full_shape == arrays.types[name][0]]
        rivals = [other for other in theirs if arrays.types[other][0] == arrays.types[name][0]]
        sizes = [size for size in arrays.types[name][0] if size > 1]
        if len(fitting) == 1 and rivals == [name] and len(set(sizes)) == len(sizes):  # not square: it may be transposed
            proposal.mapping[name] = fitting[0]
            used.add(name)
            filled.add(fitting[0])
