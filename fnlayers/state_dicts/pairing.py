"""Which module is which layer: pairs that shapes leave no choice about, then those that names tell apart."""

import difflib
import functools
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from fnlayers.core.errors import LayerError
from fnlayers.state_dicts import rules
from fnlayers.state_dicts.candidates import Factory, Target, Unit
from fnlayers.state_dicts.changes import applied

# Words that PyTorch's users write in place of ours.
WORDS: Mapping[str, str] = {
    "attn": "attention", "ln": "norm", "bn": "norm", "layernorm": "norm", "batchnorm": "norm", "gn": "norm",
    "emb": "embedding", "embed": "embedding", "embeddings": "embedding", "q": "query", "k": "key", "v": "value",
    "wq": "query", "wk": "key", "wv": "value",
}  # fmt: skip
OF_TABLES = frozenset(("embedding", "wte", "tokens", "token"))  # words of a table, and of what makes logits
OF_LOGITS = frozenset(("head", "logits", "output", "unembed", "unembedding", "decoder", "classifier"))
_LINEAR = (rules.dense, rules.projection, rules.qkv)


def paired(units: Mapping[str, Unit], targets: Sequence[Target]) -> tuple[dict[str, Any], list[tuple[list, list]]]:
    """A mapping of the units whose targets are sure, in their order, and the groups that nothing tells apart.

    First come those where only one of each fits, then names decide. A target that is used is marked as filled.
    """
    edges = _by_purpose(_in_one_layout(_edges(units, targets), units, targets))
    mapping: dict[str, Any] = {}
    while edges and (pairs := _sure(edges, units, targets) or _by_name(edges, targets)):
        for key, at in pairs:
            if (key, at) in edges:
                mapping[key] = edges[key, at](targets[at].path)
                targets[at].filled = True
                edges = _without(edges, units[key], targets[at], units, targets)
    unsure = [(keys, [targets[at].label for at in ats]) for keys, ats in _components(edges)]
    return {key: mapping[key] for key in units if key in mapping}, unsure


def _edges(units: Mapping[str, Unit], targets: Sequence[Target]) -> dict[tuple[str, int], Factory]:
    """The units and targets that fit, each with the first rule that does it."""
    edges: dict[tuple[str, int], Factory] = {}
    known: dict[tuple, Factory | None] = {}
    for unit, (at, target) in itertools.product(units.values(), enumerate(targets)):
        if (unit.stack,) != (target.stack or (None,)):
            continue
        signature = (tuple(unit.shapes.items()), tuple(target.shapes.items()), target.factories)
        if signature not in known:
            known[signature] = next((make for make in target.factories if fits(make, unit, target)), None)
        if (make := known[signature]) is not None:
            edges[unit.key, at] = make
    return edges


def _by_purpose(edges: Mapping[tuple[str, int], Factory]) -> dict[tuple[str, int], Factory]:
    """The edges, without tables for a module that is called a head, and matrices for one that is called an embedding.

    Where both fit: a table (vocabulary, features) has the shape of the Linear that makes logits.
    """
    as_table = {key for (key, _), make in edges.items() if make is rules.embedding}
    as_matrix = {key for (key, _), make in edges.items() if make is not rules.embedding}

    def is_right(key: str, make: Factory) -> bool:
        words = set(words_of(key))
        if key not in as_table & as_matrix or bool(words & OF_TABLES) == bool(words & OF_LOGITS):
            return True
        return (make is rules.embedding) == bool(words & OF_TABLES)

    return {(key, at): make for (key, at), make in edges.items() if is_right(key, make)}


def _in_one_layout(edges: dict, units: Mapping[str, Unit], targets: Sequence[Target]) -> dict[tuple[str, int], Factory]:
    """The edges, with (in, out) matrices only where a module fits no other way: then square ones are such, too.

    A square matrix fits either way. Where some of a source's matrices are (out, in) and some (in, out), which way the
    square ones are is not known, and they are left out.
    """

    def inputs_first(edge: tuple[str, int]) -> bool:
        return isinstance(edges[edge], functools.partial) and edges[edge].keywords.get("inputs_first", False)

    plain = {key for key, at in edges if not inputs_first((key, at))}
    edges = {edge: make for edge, make in edges.items() if not (inputs_first(edge) and edge[0] in plain)}
    linear = {edge for edge, make in edges.items() if getattr(make, "func", make) in _LINEAR and not inputs_first(edge)}
    either = {}
    for key, at in linear:
        other = functools.partial(edges[key, at], inputs_first=True)
        if fits(other, units[key], targets[at]):
            either[key, at] = other
    if not any(map(inputs_first, edges)):
        return edges
    remaining = {edge: make for edge, make in edges.items() if edge not in either}
    return remaining | ({} if linear - either.keys() else either)


def fits(make: Factory, unit: Unit, target: Target) -> bool:
    """Whether a rule makes exactly the target's weights of exactly the unit's arrays."""
    used: set[str] = set()
    shapes: dict[str, tuple] = {}
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
                shapes[path] = applied(change, zeros, shape).shape
            except (LayerError, ValueError, IndexError):
                return False
    return used == set(unit.shapes) and shapes == dict(target.shapes)


def _sure(edges: Mapping, units: Mapping[str, Unit], targets: Sequence[Target]) -> list[tuple[str, int]]:
    """The pairs that have no other choice: of units, and of targets."""
    of_unit, of_target = _choices(edges)
    return [(key, at) for key, at in edges if len(of_unit[key]) == 1 and len(of_target[at]) == 1]


def _by_name(edges: Mapping, targets: Sequence[Target]) -> list[tuple[str, int]]:
    """The pairs of the first group of equal shapes whose names say clearly, and in order, which is which."""
    for keys, ats in _components(edges):
        scores = {(key, at): _likeness(key, targets[at].label) for key in keys for at in ats if (key, at) in edges}
        pairs = [pair for pair in scores if scores[pair] and _is_best(pair, scores)]
        if not pairs:
            continue
        theirs = [key for key, _ in sorted(pairs, key=lambda pair: _natural(pair[0]))]
        ours = [key for key, at in sorted(pairs, key=lambda pair: _natural(targets[pair[1]].label))]
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
    one, other = words_of(theirs), words_of(ours)
    if not {word for word in one if word.isalpha()} & set(other):
        return 0
    return difflib.SequenceMatcher(None, one, other, autojunk=False).ratio()


def words_of(name: str) -> list[str]:
    """The words and numbers of a name; words twice, since they say more."""
    words = re.findall(r"[a-z]+|\d+", re.sub(r"([a-z])([A-Z])", r"\1 \2", name.replace("{i}", "")).lower())
    return [word for name in words for word in (WORDS.get(name, name),) * (1 + name.isalpha())]


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
    left, components = dict.fromkeys(of_unit), []
    while left:
        keys, ats = {next(iter(left))}, set()
        while True:
            more = {at for key in keys for at in of_unit[key]}
            wider = {key for at in more for key in of_target[at]}
            if more == ats and wider == keys:
                break
            keys, ats = wider | keys, more
        components.append(([key for key in of_unit if key in keys], sorted(ats)))
        left = {key: None for key in left if key not in keys}
    return components
