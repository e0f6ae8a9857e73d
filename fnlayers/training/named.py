"""Batches that are dicts: which of their entries are the inputs, the targets and the sample weights."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from fnlayers.core.errors import ConfigError, shortened

Names = str | tuple | list | Mapping[Any, Any]  # a name, or a tuple or dict of names


@dataclass(frozen=True)
class Named:
    """What the entries of a batch are.

    Arguments:
        inputs: the name of x in the batch; a tuple or dict of names makes x one of arrays.
        targets: that of y; None: there is none, as for `predict`.
        weights: that of the sample weights; None: there are none.
        or_tuples: whether a batch may also be a tuple as ever, which the validation data may be.
    """

    inputs: Names
    targets: Names | None = None
    weights: Names | None = None
    or_tuples: bool = False

    def unpacked(self, batch: Any, called: str = "the data set") -> Any:
        """(x, y) or (x, y, weight) of a batch.

        Raises:
            ConfigError: for a batch that is no dict, or has no entry of a name.
        """
        if not isinstance(batch, Mapping):
            if self.or_tuples:
                return batch
            raise ConfigError(
                f"inputs={self.inputs!r} names an entry of a dict, and {called} is {type(batch).__name__}; give dicts "
                "of arrays, or leave the names out"
            )
        x, y = _entry(batch, self.inputs, "inputs", called), _entry(batch, self.targets, "targets", called)
        return (x, y) if self.weights is None else (x, y, _entry(batch, self.weights, "sample_weights", called))

    def for_validation(self) -> "Named":
        """The same, for data which may also be tuples."""
        return replace(self, or_tuples=True)


def named(verb: str, inputs: Any, targets: Any = None, weights: Any = None, *, labelled: bool = True) -> Named | None:
    """What a user says of the entries of batches; None where nothing is said.

    Arguments:
        verb: the function that was called.
        inputs, targets, weights: as for `fit`.
        labelled: whether there are targets.

    Raises:
        ConfigError: for what is no name, and for inputs without targets or the other way round.
    """
    arguments = {"inputs": inputs, "targets": targets, "sample_weights": weights}
    for argument, names in arguments.items():
        _check(verb, argument, names)
    if inputs is None:
        if speaks := [argument for argument, names in arguments.items() if names is not None]:
            raise ConfigError(f"{verb}: {speaks[0]}= was given without inputs=; name both, inputs='image'")
        return None
    if labelled and targets is None:
        raise ConfigError(
            f"{verb}: inputs= was given without targets=; name both, targets='label' (for a model that restores its "
            "input the same name)"
        )
    return Named(inputs, targets, weights)


def reader(names: Named | None) -> Callable[[Any, str], Any]:
    """The function (batch, what it is called) -> the batch as a tuple."""
    return (lambda batch, called: batch) if names is None else names.unpacked


def keys_of(batch: Any) -> str:
    """The keys of a dict, for errors."""
    return ", ".join(map(shortened, batch)) or "none"


def _entry(batch: Mapping, names: Any, argument: str, called: str) -> Any:
    """The entry of a name, or several, structured like the names."""
    if names is None:
        return None
    if isinstance(names, Mapping):
        return {key: _entry(batch, name, argument, called) for key, name in names.items()}
    if isinstance(names, (tuple, list)):
        return tuple(_entry(batch, name, argument, called) for name in names)
    if names not in batch:
        raise ConfigError(f"{argument}: {called} has no {names!r}; its keys are {keys_of(batch)}")
    return batch[names]


def _check(verb: str, argument: str, names: Any) -> None:
    """Raise ConfigError unless these are names."""
    if names is None:
        return
    inside = list(names.values()) if isinstance(names, Mapping) else names if isinstance(names, (tuple, list)) else None
    if inside:
        for each in inside:
            _check(verb, argument, () if each is None else each)
    elif not isinstance(names, (str, int)) or isinstance(names, bool):
        raise ConfigError(f"{verb}: {argument}={names!r}: give the name of an entry, or a tuple or dict of names")
