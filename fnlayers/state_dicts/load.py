"""load_state_dict: a model's params and state from arrays that another library trained, by a table of names."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnlayers.core.errors import ConfigError, LayerError, MissingError
from fnlayers.core.layer import Layer, check_key, check_model
from fnlayers.core.spec import Param, State, initialize, is_spec, leaf_at, only, spec_items
from fnlayers.core.types import Key, Sizes
from fnlayers.plain_data import did_you_mean
from fnlayers.saving import strict
from fnlayers.state_dicts.arrays import Arrays, arrays_of, shown
from fnlayers.state_dicts.changes import applied, same
from fnlayers.state_dicts.plan import Filling, Plan, planned
from fnlayers.trees import matches

MOST_LINES = 50


class Weights(NamedTuple):
    """What `load_state_dict` returns: the params, and the state ({} where the model has none)."""

    params: dict[str, Any]
    state: dict[str, Any]


def load_state_dict(
    model: Layer,
    shape: Sizes,
    source: Any,
    mapping: Mapping[Any, Any],
    *,
    initial: Sequence[str] = (),
    rng: Key | None = None,
) -> Weights:
    """Fill a model with arrays of another library, by a table that says which of theirs is which of ours.

    It is strict: each array is used once, each param and each array of state is filled once, and each has its declared
    shape, or there is one error that lists all that is wrong.

    Arguments:
        model: any layer.
        shape: of its input, as given to init; None: the model knows its own.
        source: a `.safetensors` file, a `.safetensors.index.json` with its shards next to it, a file of `torch.save`
            (read as data: nothing in it is called), or a dict of arrays by name: NumPy's, JAX's or PyTorch's.
        mapping: their names -> ours. A key is a name, or a pattern: `{i}` and `*` stand for anything within a name,
            `**` for any names; or a tuple of them, for several arrays that make one. A value is

            - the path of a weight of ours, "head/kernel", with the same placeholders. A `{i}` that it lacks numbers
              the layers of a `Repeat`, whose weights are stacked;
            - (path, function): the function takes their arrays as NumPy's, and returns ours;
            - a list of these, for one array that becomes several;
            - a rule of `fnlayers.state_dicts` for all arrays of one module: dense("head"), conv("stem"),
              batch_norm("norm"), lstm("lstm/cell"), ...; the key is then the module's name;
            - `tied(name)`: skipped, if it equals the array of that name;
            - None: skipped.
        initial: patterns of paths that no array fills, and that get their initial values: ["head/**"].
        rng: a random key, where initial values are drawn.

    Returns:
        Weights(params, state), in the dtypes that the model declares. Floats are rounded to theirs (a number that
        becomes infinite is an error), integers fill integers alone: quantized weights have to be scaled by a function.

    Raises:
        ConfigError: lists what is not used, not filled, filled twice or of another shape, and names that are near.

    Example:
        >>> import numpy as np, fnlayers as fl
        >>> from fnlayers.state_dicts import dense
        >>> theirs = {"fc.weight": np.ones((2, 3)), "fc.bias": np.zeros(2), "steps": np.array(7)}
        >>> model = fl.Sequential([fl.Dense(2, name="head")])
        >>> params, state = fl.load_state_dict(model, (None, 3), theirs, {"fc": dense("head"), "steps": None})
        >>> params["head"]["kernel"].shape
        (3, 2)
    """
    check_model(model, "load_state_dict(model, shape, source, mapping)")
    if rng is not None:
        check_key(model, rng)
    arrays = arrays_of(source)
    specs = model.specs(shape)
    declared = dict(spec_items(specs))
    patterns = _patterns(initial)
    initials = [path for path in declared if any(matches(path.split("/"), p.split("/")) for p in patterns)]
    plan = planned(mapping, arrays, {path: spec for path, spec in declared.items() if path not in initials})
    _raise_if_any(_wrong(plan, arrays, declared, initials, patterns), arrays)
    leaves = _filled(plan, arrays, declared) | _initialized(model, shape, specs, initials, rng)
    return Weights(_tree(only(specs, Param), leaves), _tree(only(specs, State), leaves))


def _patterns(initial: Any) -> tuple[str, ...]:
    if not isinstance(initial, (tuple, list)) or not all(isinstance(pattern, str) for pattern in initial):
        raise ConfigError(f"load_state_dict: initial={initial!r:.80}: give a list of paths, such as ['head/**']")
    return tuple(initial)


# What is wrong


def _wrong(
    plan: Plan, arrays: Arrays, declared: Mapping, initials: Sequence[str], patterns: Sequence[str]
) -> list[str]:
    """A line for each name that is used or filled not once."""
    used = [name for filling in plan.fillings for name in filling.names]
    unused = [name for name in arrays.types if name not in plan.seen]
    filled = {filling.path for filling in plan.fillings}
    lines = list(plan.errors)
    for path, spec in declared.items():
        if path not in filled and path not in initials and path not in plan.faulty:
            lines.append(f"not filled: {path} {spec.full_shape}{_of_that_size(spec, arrays, unused)}")
    lines += [f"not used: {shown(name, arrays.types[name])}{_advice(name)}" for name in unused]
    if lines:
        lines += [f"the row {row} matches no array{_near(row, arrays.types)}" for row in plan.idle]
    for pattern in patterns:
        if not any(matches(path.split("/"), pattern.split("/")) for path in declared):
            lines.append(f"initial: {pattern!r} matches no path{_near(pattern, declared)}")
    for path in initials:
        lines += [f"filled, though initial= names it: {path}"] * (path in filled)
    return lines + [f"not there: {name!r}" for name in used if name not in arrays.types]


def _advice(name: str) -> str:
    last = name.rsplit(".", 1)[-1]
    if last in ("num_batches_tracked", "position_ids", "inv_freq", "masked_bias"):
        return f'; it is no weight: add "**.{last}": None'
    return ""


def _of_that_size(spec: Param | State, arrays: Arrays, unused: Sequence[str]) -> str:
    """The unused arrays that have as many numbers."""
    size = np.prod(spec.full_shape, dtype=object)
    alike = [name for name in unused if np.prod(arrays.types[name][0], dtype=object) == size]
    return f"; of that size and not used: {', '.join(alike[:3])}" if alike else ""


def _near(name: str, names: Any) -> str:
    hint = did_you_mean(name.strip("'\""), names)
    return f"; {hint}" if hint else ""


def _raise_if_any(lines: Sequence[str], arrays: Arrays) -> None:
    if lines:
        listed = [
            *lines[:MOST_LINES],
            *([f"... and {len(lines) - MOST_LINES} more"] if len(lines) > MOST_LINES else []),
        ]
        raise ConfigError(f"load_state_dict: {arrays.origin} does not fill the model:\n  " + "\n  ".join(listed))


# The arrays


def _filled(plan: Plan, arrays: Arrays, declared: Mapping[str, Param | State]) -> dict[str, jax.Array]:
    """Each array of the plan, made of theirs one after the other; all that fail are listed."""
    arrays_by_path, lines = {}, []
    with strict.refusing(arrays.origin):
        for filling in plan.fillings:
            spec = declared[filling.path]
            try:
                arrays_by_path[filling.path] = jnp.asarray(_array(filling, arrays, spec))
            except (LayerError, ValueError, TypeError, IndexError, AttributeError) as error:
                lines.append(f"{filling.path}: {_reason(error, filling, arrays)}")
        for name, other in plan.tied:
            if not _equal(arrays.fetch(name), arrays.fetch(other)):
                lines.append(f"not equal: {name!r} is tied to {other!r}, and holds other numbers")
    _raise_if_any(lines, arrays)
    return arrays_by_path


def _reason(error: Exception, filling: Filling, arrays: Arrays) -> str:
    theirs = ", ".join(shown(name, arrays.types[name]) for name in filling.sources[0])
    more = f" and {len(filling.sources) - 1} more" if len(filling.sources) > 1 else ""
    message = str(error) if isinstance(error, LayerError) else f"{type(error).__name__}: {error}"
    return f"{message} (from {theirs}{more}, by the row {filling.row})"


def _array(filling: Filling, arrays: Arrays, spec: Param | State) -> np.ndarray:
    """One of ours: a slice, or slices stacked."""
    shape = spec.full_shape[len(filling.stack) :]
    slices = []
    for names in filling.sources:
        changed = applied(filling.change, tuple(arrays.fetch(name) for name in names), shape)
        if changed.shape != shape:
            advice = ""
            if filling.change is same and changed.shape == shape[::-1] and len(shape) == 2:
                advice = (
                    f'; PyTorch has matrices transposed: write ("{filling.path}", transpose), or a rule such as dense'
                )
            raise ConfigError(f"wrong shape: {changed.shape}, the model has {shape}{advice}")
        slices.append(_cast(changed, jnp.dtype(spec.dtype or "float32")))
    if not filling.stack:
        return slices[0]
    return np.stack(slices).reshape(spec.full_shape)


def _cast(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The array in the dtype of our weight, where that loses nothing but digits."""
    if array.dtype == dtype:
        return array
    theirs, ours = (jnp.issubdtype(kind, jnp.floating) for kind in (array.dtype, dtype))
    integers = array.dtype.kind in "iu" and dtype.kind in "iu"
    if not ((theirs and ours) or integers):
        raise ConfigError(
            f"it is {array.dtype.name}, the weight {dtype.name}; quantized weights have to be scaled: "
            "(path, lambda array: array.astype('float32') * scale)"
        )
    with np.errstate(over="ignore"):
        cast = array.astype(dtype)
    if integers and not np.array_equal(cast, array):
        raise ConfigError(f"it holds numbers that {dtype.name} does not")
    if ours and not np.array_equal(np.isfinite(cast), np.isfinite(array)):
        raise ConfigError(f"it holds numbers that are too large for {dtype.name}")
    return cast


def _equal(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and one.tobytes() == other.tobytes()


# Initial values, and trees


def _initialized(model: Layer, shape: Sizes, specs: Any, paths: Sequence[str], rng: Any) -> dict[str, Any]:
    """What init and init_state would give these paths."""
    declared = dict(spec_items(specs))
    drawn = [path for path in paths if isinstance(declared[path], Param)]
    if drawn and rng is None:
        raise MissingError(f"load_state_dict: {drawn[0]} is drawn; write load_state_dict(..., rng=jax.random.key(0))")
    leaves: dict[str, Any] = {}
    if drawn:
        params = initialize(_some(specs, set(drawn)), rng, Param) if _is_ours(declared) else model.init(rng, shape)
        leaves |= {path: leaf_at(params, path.split("/")) for path in drawn}
    if len(paths) > len(drawn):
        state = model.init_state(shape)
        leaves |= {path: leaf_at(state, path.split("/")) for path in paths if path not in leaves}
    return leaves


def _is_ours(declared: Mapping[str, Any]) -> bool:
    """Whether each initializer is one of the library's, not the function of a foreign pair, which draws all at once."""
    return not any(getattr(spec, "initializer", None) == "foreign" for spec in declared.values())


def _some(specs: Any, paths: set[str], path: str = "") -> dict:
    """The branches of a declared tree that lead to those paths."""
    chosen = {}
    for name, sub in specs.items():
        here = f"{path}{name}"
        if is_spec(sub):
            chosen |= {name: sub} if here in paths else {}
        elif branch := _some(sub, paths, f"{here}/"):
            chosen[name] = branch
    return chosen


def _tree(specs: Any, leaves: Mapping[str, Any], path: tuple[str, ...] = ()) -> Any:
    """The declared tree with its arrays, names in order."""
    if is_spec(specs):
        return leaves["/".join(path)]
    if isinstance(specs, Mapping):
        return {name: _tree(sub, leaves, (*path, name)) for name, sub in specs.items()}
    items = [_tree(sub, leaves, (*path, str(index))) for index, sub in enumerate(specs)]
    return type(specs)(*items) if hasattr(specs, "_fields") else type(specs)(items)
