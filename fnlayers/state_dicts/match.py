"""match_weights: a table of names proposed from shapes and names. What is not sure is listed, and never chosen."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fnlayers.core.layer import Layer, check_model
from fnlayers.core.spec import spec_items
from fnlayers.core.types import Sizes
from fnlayers.state_dicts import rules
from fnlayers.state_dicts.arrays import Arrays, arrays_of, shown
from fnlayers.state_dicts.candidates import Specs, Target, Unit, targets_of, units_of
from fnlayers.state_dicts.flattening import flattening_of, flattenings_of
from fnlayers.state_dicts.pairing import OF_LOGITS, fits, paired, words_of
from fnlayers.state_dicts.rules import Rule, Tied, tied

LEFT_OUT = ("num_batches_tracked", "position_ids", "inv_freq")  # of modules, and no weights


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
        used = sorted({str(goal).split("(")[0] for goal in self.mapping.values() if isinstance(goal, (Rule, Tied))})
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

    A Dense after a Flatten of (height, width, channels) is given the order of PyTorch's (channels, height, width), by
    `flattened=`; where ours are shaped in a way that leaves their order open, nothing is proposed.

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
    units = units_of(arrays, declared)
    flattenings = flattenings_of(model, shape)
    targets = targets_of(declared, units.values(), flattenings)
    repeated = _repeated(units, targets, arrays)
    proposal = Proposal(*paired({key: unit for key, unit in units.items() if key not in repeated}, targets))
    proposal.mapping.update({units[key].names[0]: tied(name) for key, name in repeated.items()})
    used = {name for key in units.keys() & (proposal.mapping.keys() | repeated) for name in units[key].names}
    filled = {path for target in targets if target.filled for path in target.paths}
    alike = {path for _, labels in proposal.unsure for t in targets if t.label in labels for path in t.paths}
    unknown = {path for path in declared if flattening_of(path, flattenings) is None}
    _match_single(arrays, declared, used, filled, alike | unknown, proposal)
    listed = {name for keys, _ in proposal.unsure for key in keys for name in units[key].names}
    for name in arrays.types:
        if name not in used | listed:
            if name.rsplit(".", 1)[-1] in LEFT_OUT:
                proposal.mapping[name] = None
            else:
                proposal.unused.append(shown(name, arrays.types[name]))
    for path in declared:
        if path not in filled | alike:
            reason = "; the order of the layer's features is not known: see flattened=" if path in unknown else ""
            proposal.unfilled.append(f"{path} {declared[path].full_shape}{reason}")
    return proposal


def _repeated(units: dict[str, Unit], targets: Sequence[Target], arrays: Arrays) -> dict[str, str]:
    """The modules whose array equals that of a table, and that nothing else takes: {key: the name of that array}.

    They are the matrices of logits that are tied to the table.
    """
    repeated: dict[str, str] = {}
    different: list[Unit] = []
    for unit in sorted(units.values(), key=lambda unit: bool(set(words_of(unit.key)) & OF_LOGITS)):
        alike = [other for other in different if other.shapes == unit.shapes]
        fitting = [t for t in targets if not t.stack and any(fits(make, unit, t) for make in t.factories)]
        if not fitting or any(target.factories != (rules.embedding,) for target in fitting):
            continue
        array = arrays.fetch(unit.names[0]) if len(alike) >= len(fitting) else np.empty(0)
        same = (o.names[0] for o in alike if array.size and np.array_equal(arrays.fetch(o.names[0]), array))
        if (other := next(same, None)) is not None:
            repeated[unit.key] = other
        else:
            different.append(unit)
    return repeated


def _match_single(
    arrays: Arrays, declared: Specs, used: set[str], filled: set[str], left_out: set[str], proposal: Proposal
) -> None:
    """Arrays that are no module's, such as a class token, by a shape that only one of each has."""
    theirs = [name for name in arrays.types if name not in used and np.prod(arrays.types[name][0]) > 1]
    ours = [path for path in declared if path not in filled | left_out]
    for name in theirs:
        fitting = [path for path in ours if declared[path].full_shape == arrays.types[name][0]]
        rivals = [other for other in theirs if arrays.types[other][0] == arrays.types[name][0]]
        sizes = [size for size in arrays.types[name][0] if size > 1]
        if len(fitting) == 1 and rivals == [name] and len(set(sizes)) == len(sizes):  # not square: it may be transposed
            proposal.mapping[name] = fitting[0]
            used.add(name)
            filled.add(fitting[0])
