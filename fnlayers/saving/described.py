"""What a .safetensors file says of itself, without reading its arrays."""

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from fnlayers.core.errors import LayerError
from fnlayers.core.layer import Layer
from fnlayers.saving import container, strict
from fnlayers.saving.config import from_config
from fnlayers.saving.files import FORMAT, as_path, texts_of


class Described(NamedTuple):
    """A file as its header describes it.

    Arguments:
        format: what the file says that it is: "fnlayers" for a model; None where it does not say.
        version: of the fnlayers that wrote it; None where it does not say.
        model, shape: the model and the shape of its input, None where that is open; no model where `problem` says why.
        problem: what is wrong with the model, such as classes that have to be given; "" for nothing.
        arrays: the shape and dtype of each array, by name.
    """

    format: str | None
    version: str | None
    model: Layer | None
    shape: Any
    problem: str
    arrays: Mapping[str, container.Entry]


def described(path: str | os.PathLike) -> Described:
    """What is in a .safetensors file, ours or another's. Its checksum is checked, where it has one.

    Raises:
        FileNotFoundError: there is no such file.
        ConfigError: it is damaged, or of another format.
    """
    path = as_path(path, "described")
    with strict.refusing(str(path)), open(path, "rb") as file:
        opened = container.open_header(file)
        header = opened.metadata.get("format"), opened.metadata.get("fnlayers")
        if header[0] != FORMAT:
            return Described(*header, None, None, "", opened.entries)
        texts = texts_of(opened.metadata)
        try:
            model = from_config(texts["model"])
        except LayerError as error:
            return Described(*header, None, None, str(error), opened.entries)
        return Described(*header, model, texts["shape"], "", opened.entries)
