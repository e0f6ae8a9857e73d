"""The error for a layer that is not there, which says what may be meant."""

from collections.abc import Iterable, Iterator

from fnlayers.core.errors import ConfigError, brief
from fnlayers.core.layer import Layer
from fnlayers.freezing import held_layers
from fnlayers.plain_data import did_you_mean


def no_layer(verb: str, name: str, model: Layer, names: Iterable[str]) -> ConfigError:
    """The error for a name that is none of the model's: names near it, or layers of that name further inside."""
    there = list(dict.fromkeys(names))
    inside = [path for path in _paths_inside(model) if path.endswith(f"/{name}")]
    hint = f"did you mean {' or '.join(map(repr, inside[:3]))}?" if inside else did_you_mean(name, there)
    return ConfigError(
        f"{verb}: there is no layer {name!r} in {brief(model)}; {f'{hint} ' if hint else ''}"
        f"its layers are {', '.join(there) or 'none'}"
    )


def _paths_inside(model: Layer) -> Iterator[str]:
    """The paths of all layers in a model: "base", "base/conv2d"."""
    for name, child in held_layers(model).items():
        yield name
        yield from (f"{name}/{path}" for path in _paths_inside(child))
