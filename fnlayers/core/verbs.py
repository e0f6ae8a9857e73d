"""The pair that a layer is when it is unpacked: `init, apply = layer`."""

import functools
from typing import TYPE_CHECKING, Any, NoReturn, overload

from fnlayers.core.elsewhere import AbsentError
from fnlayers.core.errors import ConfigError
from fnlayers.core.types import Key, Params, Sizes, StateDict

if TYPE_CHECKING:
    from fnlayers.core.layer import Layer


class Verb:
    """`init` or `apply` of a layer, as a function. What it is not, such as a layer of a model, it says."""

    def __init__(self, layer: "Layer", name: str) -> None:
        functools.update_wrapper(self, getattr(layer, name), updated=())
        self.layer, self.name_of_verb = layer, name

    @overload
    def __call__(self, rng: Key, shape: Sizes = None) -> dict[str, Any]: ...

    @overload
    def __call__(
        self,
        params: Params,
        x: Any,
        *,
        state: StateDict | None = None,
        rng: Key | None = None,
        mask: Any = None,
        train: bool = False,
    ) -> Any: ...

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it: as `init(rng, shape)` or as `apply(params, x)`, which type checkers tell by the first argument."""
        return getattr(self.layer, self.name_of_verb)(*args, **kwargs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Verb) and (self.layer, self.name_of_verb) == (other.layer, other.name_of_verb)

    def __hash__(self) -> int:
        return hash((self.layer, self.name_of_verb))

    def __repr__(self) -> str:
        return f"<{type(self.layer).__name__}.{self.name_of_verb}, of the pair init, apply = layer>"

    def __iter__(self) -> NoReturn:
        raise ConfigError(self._said())

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:  # asked for what is absent alone
            raise AbsentError(f"no attribute {name!r}: {self._said()}")

    def _said(self) -> str:
        # Not through the instance: a copy that is being made has no fields yet
        kind = type(vars(self).get("layer")).__name__
        return f"iterating a layer gives the pair, init, apply = layer; the layers of a {kind} are model.layers"
