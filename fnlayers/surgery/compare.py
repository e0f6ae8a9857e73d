"""compare: where the outputs of two models part."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, NamedTuple

import jax
import numpy as np

from fnlayers.core.context import Mask
from fnlayers.core.errors import ConfigError, MissingError, brief
from fnlayers.core.layer import Layer, check_model
from fnlayers.core.observer import labels, observed
from fnlayers.core.spec import leaf_at
from fnlayers.core.types import Params, StateDict
from fnlayers.trees import paths

Sizes = tuple[tuple[int, ...], ...]  # the shape of each array of an output


class Difference(NamedTuple):
    """How far two arrays, or outputs of several arrays, are apart.

    Arguments:
        a, b: the paths in the two models.
        greatest: the greatest |a - b|; infinity for other shapes, and where one is NaN and the other is not.
        scale: the greatest |a|.
        index: where |a - b| is greatest, in an output of several arrays with the number of the array first.
        shape_a, shape_b: the shapes.
        counts: whether it is more than the tolerance.
    """

    a: str
    b: str
    greatest: float
    scale: float
    index: tuple[int, ...]
    shape_a: Sizes
    shape_b: Sizes
    counts: bool


@dataclass(frozen=True)
class Comparison:
    """What `compare` found, as plain data; print it.

    Arguments:
        outputs: the differences between the outputs of layers that belong together, in the order in which they end.
        weights: of the first layer that differs, the differences between its own params and state.
        only_a, only_b: the paths of the layers that have no counterpart in the other model, and of weights of the first
            layer that differs.
        layers: the first layer that differs, as text, in both models.
        tolerance: as given.
    """

    outputs: tuple[Difference, ...]
    weights: tuple[Difference, ...] = ()
    only_a: tuple[str, ...] = ()
    only_b: tuple[str, ...] = ()
    layers: tuple[str, str] = ("", "")
    tolerance: float = 1e-5

    @property
    def first(self) -> Difference | None:
        """The first layer whose output differs by more than the tolerance; None: there is none."""
        return next((difference for difference in self.outputs if difference.counts), None)

    @property
    def equal(self) -> bool:
        """Whether no output differs by more than the tolerance."""
        return self.first is None

    def __bool__(self) -> bool:
        return self.equal

    def __str__(self) -> str:
        return "\n".join(self._lines())

    __repr__ = __str__

    def _lines(self) -> Iterator[str]:
        first = self.first
        if first is None:
            worst = max((difference.greatest for difference in self.outputs), default=0.0)
            count = len(self.outputs)
            yield f"no output differs by more than {self.tolerance:g}: {count} compared, at most {worst:.3g}"
        else:
            equal = self.outputs.index(first)
            yield f"the first layer that differs: {_pair(first)}, after {equal} whose outputs agree"
            yield f"  output: {_apart(first)}"
            yield from (f"  {difference.a}: {_apart(difference)}" for difference in self.weights if difference.counts)
            a, b = self.layers
            yield from [f"  a: {a}", f"  b: {b}"] if a != b else [f"  {a}"]
            later = [difference for difference in self.outputs[equal + 1 :] if difference.counts]
            yield from (f"then {_pair(difference)}: {_apart(difference)}" for difference in later)
        for model, only in (("a", self.only_a), ("b", self.only_b)):
            if only:
                yield f"only in {model}: {', '.join(only)}"


def compare(
    model_a: Layer,
    params_a: Params,
    model_b: Layer,
    params_b: Params,
    x: Any,
    *,
    state_a: StateDict | None = None,
    state_b: StateDict | None = None,
    mask: Mask = None,
    tolerance: float = 1e-5,
) -> Comparison:
    """Run two models on one input, and say which layer is the first whose outputs differ, by how much, and why.

    Layers belong together that have the same path; between those, in order, layers of one class and output shape, and
    then those of one output shape. So a model with other names, or with one more layer, is compared as well.

    Arguments:
        model_a, params_a, state_a: a model with its arrays.
        model_b, params_b, state_b: the other one; it may be the same model with other params.
        x, mask: as for `run`, for both.
        tolerance: the greatest |a - b| that counts as equal, times the greatest |a| of that output where it is above 1.

    Returns:
        A Comparison: `print(...)`, `.first`, `.equal`; it is true where nothing differs.

    Example:
        >>> import jax, jax.numpy as jnp, fnlayers as fl
        >>> model = fl.Sequential([fl.Dense(3, "relu"), fl.Dense(1)])
        >>> a = model.init(jax.random.key(0), (None, 2))
        >>> b = a | {"dense_1": a["dense_1"] | {"bias": jnp.full(1, 0.5)}}
        >>> print(fl.compare(model, a, model, b, jnp.ones((4, 2))))
        the first layer that differs: dense_1, after 1 whose outputs agree
          output: 0.5 apart at (0, 0), of at most 1.84
          bias: 0.5 apart at (0,), of at most 0
          Dense(units=1)
        then the model: 0.5 apart at (0, 0), of at most 1.84
    """
    for name, model in (("model_a", model_a), ("model_b", model_b)):
        check_model(model, f"compare: {name}")
    if isinstance(tolerance, bool) or not isinstance(tolerance, (int, float)) or not tolerance >= 0:
        raise ConfigError(f"compare: tolerance={tolerance!r} is wrong; give a number of at least 0")
    ran = _ran(model_a, params_a, x, state_a, mask, "a"), _ran(model_b, params_b, x, state_b, mask, "b")
    pairs = _aligned(*ran)
    outputs = tuple(_difference(a.path, b.path, a.arrays, b.arrays, tolerance) for a, b in pairs)
    only_a = [a.path for a in ran[0] if all(a is not pair[0] for pair in pairs)]
    only_b = [b.path for b in ran[1] if all(b is not pair[1] for pair in pairs)]
    first = next((pair for pair, difference in zip(pairs, outputs, strict=True) if difference.counts), None)
    if first is None:
        return Comparison(outputs, (), tuple(only_a), tuple(only_b), tolerance=tolerance)
    own_a, own_b = _own(first[0], params_a, state_a), _own(first[1], params_b, state_b)
    weights = tuple(_difference(n, n, [own_a[n]], [own_b[n]], tolerance) for n in own_a if n in own_b)
    only_a += [f"{first[0].path}/{name}" for name in own_a if name not in own_b]
    only_b += [f"{first[1].path}/{name}" for name in own_b if name not in own_a]
    shown = brief(first[0].layer), brief(first[1].layer)
    return Comparison(outputs, weights, tuple(only_a), tuple(only_b), shown, tolerance)


class _Ran(NamedTuple):
    """A layer that ran: its path as text and as names, and the arrays of its output."""

    path: str
    names: tuple[str, ...]
    layer: Layer
    arrays: list[np.ndarray]


# By what layers are put together: what is left between those that agree in one is compared by the next.
_KEYS: tuple[Callable[[_Ran], Any], ...] = (
    lambda ran: ran.path,
    lambda ran: (type(ran.layer).__name__, [a.shape for a in ran.arrays]),
    lambda ran: [a.shape for a in ran.arrays],
)


def _ran(model: Layer, params: Any, x: Any, state: Any, mask: Any, letter: str) -> list[_Ran]:
    """The layers of a model in the order in which they end."""
    try:
        observer = observed(model, params, x, state=state, mask=mask)
    except MissingError as error:
        error.args = (str(error).replace("pass state=state", f"pass state_{letter}=state"),)
        raise
    return [
        _Ran(
            label,
            tuple(name for name in path if isinstance(name, str)),
            observer.seen[path][0],
            [np.asarray(leaf) for leaf in jax.tree.leaves(observer.seen[path][1])],
        )
        for path, label in labels(observer).items()
    ]


def _aligned(a: Sequence[_Ran], b: Sequence[_Ran], keys: Sequence[Callable] = _KEYS) -> list[tuple[_Ran, _Ran]]:
    """The layers that belong together, in order."""
    if not (a and b and keys):
        return []
    matcher = SequenceMatcher(None, *([str(keys[0](ran)) for ran in side] for side in (a, b)), autojunk=False)
    pairs, end_a, end_b = [], 0, 0
    for start_a, start_b, size in matcher.get_matching_blocks():
        pairs += _aligned(a[end_a:start_a], b[end_b:start_b], keys[1:])
        end_a, end_b = start_a + size, start_b + size
        pairs += zip(a[start_a:end_a], b[start_b:end_b], strict=True)
    return pairs


def _own(ran: _Ran, params: Any, state: Any) -> dict[str, np.ndarray]:
    """The params and state of a layer by name."""
    trees = (leaf_at(tree, ran.names) for tree in (params, state))
    return {name: np.asarray(array) for tree in trees if tree is not None for name, array in paths(tree).items()}


def _difference(
    a: str, b: str, arrays_a: Sequence[np.ndarray], arrays_b: Sequence[np.ndarray], tolerance: float
) -> Difference:
    shapes = tuple(x.shape for x in arrays_a), tuple(x.shape for x in arrays_b)
    scale = max((float(np.nanmax(np.abs(_exact(x)), initial=0)) for x in arrays_a), default=0.0)
    if shapes[0] != shapes[1]:
        return Difference(a, b, math.inf, scale, (), *shapes, counts=True)
    greatest, index = 0.0, ()
    for number, (x, y) in enumerate(zip(arrays_a, arrays_b, strict=True)):
        distances = _distance(_exact(x), _exact(y))
        if distances.size and distances.max() > greatest:
            at = np.unravel_index(int(distances.argmax()), distances.shape)
            index = (number,) * (len(arrays_a) > 1) + tuple(int(n) for n in at)
            greatest = float(distances.max())
    return Difference(a, b, greatest, scale, index, *shapes, counts=greatest > tolerance * max(1.0, scale))


def _exact(x: np.ndarray) -> np.ndarray:
    """The numbers in double precision."""
    return x.astype("complex128" if x.dtype.kind == "c" else "float64")


def _distance(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """|x - y|; 0 where both are NaN or the same infinity, infinity where one of them is NaN."""
    with np.errstate(invalid="ignore"):
        distances = np.abs(x - y)
    same = (x == y) | (np.isnan(x) & np.isnan(y))
    return np.where(same, 0.0, np.where(np.isnan(distances), math.inf, distances))


def _pair(difference: Difference) -> str:
    a, b = difference.a or "the model", difference.b or "the model"
    return a if a == b else f"{a} and {b}"


def _apart(difference: Difference) -> str:
    if difference.shape_a != difference.shape_b:
        shapes = (s[0] if len(s) == 1 else s for s in (difference.shape_a, difference.shape_b))
        return "shapes {} and {}".format(*shapes)
    return f"{difference.greatest:.3g} apart at {difference.index}, of at most {difference.scale:.3g}"
