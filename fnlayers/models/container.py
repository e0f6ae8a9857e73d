"""What Sequential and Functional share: layers that are taken by number or by name, and inputs that are declared."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jax.numpy as jnp

from fnlayers.core.dtypes import cast
from fnlayers.core.errors import ConfigError, ShapeError
from fnlayers.core.layer import Layer, Shape, layerclass
from fnlayers.core.shapes import ArrayType
from fnlayers.core.strings import STRING, is_string_dtype


class InputNode(NamedTuple):
    """A declared input: its name, its shape with the batch axis (None where unknown), and its dtype."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str


@layerclass
class Container(Layer):
    """Layers with names: `len(model)`, `model[0]`, `model["dense_1"]`, and `model.layers` for all of them."""

    layers: Sequence[Layer]

    @property
    def by_name(self) -> Mapping[str, Layer]:
        """The layers by their names, each once."""
        return {str(layer.name): layer for layer in self.layers}

    def __len__(self) -> int:
        return len(self.layers)

    def __bool__(self) -> bool:
        return True  # with no layers, too

    def __contains__(self, key: Any) -> bool:
        """Whether a layer, or one of that name, is among the layers."""
        return any(layer == key or layer.origin == key or layer.name == key for layer in self.layers)

    def __getitem__(self, key: int | str | slice) -> Any:
        """A layer by its number or name; for a slice, a tuple of layers."""
        if isinstance(key, str):
            if key not in self.by_name:
                raise ConfigError(f"the model has no layer {key!r}; its layers are {', '.join(self.by_name) or 'none'}")
            return self.by_name[key]
        try:
            return self.layers[key]
        except (IndexError, TypeError) as error:
            raise ConfigError(f"model[{key!r}]: {error}; the model has {len(self)} layers") from None


def check_input(declared: InputNode, shape: Shape) -> None:
    """Raise ShapeError for a shape that disagrees with the declared one."""
    sizes = declared.shape
    if len(shape) != len(sizes) or any(a != b for a, b in zip(shape, sizes, strict=True) if None not in (a, b)):
        raise ShapeError(f"input {declared.name!r} was declared as {sizes}, got {tuple(shape)}")


def completed(declared: InputNode, shape: Shape) -> Shape:
    """The shape with the declared sizes where it says None."""
    return tuple(b if a is None else a for a, b in zip(shape, declared.shape, strict=True))


def as_declared(declared: InputNode, x: Any) -> Any:
    """The array in the declared dtype."""
    dtype = declared_dtype(declared, x.dtype)
    return x if dtype == x.dtype else cast(x, dtype, every=True)


def declared_dtype(declared: InputNode, dtype: Any) -> Any:
    """In which dtype an array of that dtype enters the model."""
    strings = is_string_dtype(dtype)
    if strings or declared.dtype == STRING:
        if not strings or declared.dtype != STRING:
            got = STRING if strings else dtype
            raise ShapeError(f"input {declared.name!r} was declared as {declared.dtype}, got {got}; give what it takes")
        return dtype
    if jnp.issubdtype(dtype, jnp.complexfloating) and not jnp.issubdtype(declared.dtype, jnp.complexfloating):
        raise ShapeError(
            f"input {declared.name!r} was declared as {declared.dtype}, got {dtype}, whose imaginary part would be "
            f"lost; declare fnlayers.Input(shape, dtype={dtype.name!r}), or give real numbers"
        )
    # Keras: an integer array for a float input is cast; the reverse would lose digits, so it is an error
    if jnp.issubdtype(declared.dtype, jnp.floating):
        return jnp.dtype(declared.dtype)
    if jnp.issubdtype(dtype, jnp.floating):
        raise ShapeError(
            f"input {declared.name!r} was declared as {declared.dtype}, got {dtype}; cast it yourself if you mean it"
        )
    return dtype


def type_as_declared(declared: InputNode, actual: ArrayType) -> ArrayType:
    """The type of an array of that type once it is in the declared dtype."""
    check_input(declared, actual.shape)
    dtype = actual.dtype if actual.dtype == STRING else jnp.dtype(actual.dtype)
    input_dtype = declared_dtype(declared, dtype)
    return replace(actual, dtype=getattr(input_dtype, "name", input_dtype))
