"""Models as ONNX files, by the converter jax2onnx."""

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnlayers.core.errors import ConfigError, MissingError
from fnlayers.core.layer import Layer, check_model
from fnlayers.core.types import Params, StateDict
from fnlayers.exporting.inputs import input_names, open_inputs
from fnlayers.exporting.rewrite import rewritten
from fnlayers.ops.dispatch import references_alone
from fnlayers.saving.atomic import write_atomically
from fnlayers.saving.files import target_path

ENDING = ".onnx"
MOST_BYTES = 2**31 - 1  # of a protobuf, and so of a file with its weights inside


def to_onnx(
    path: str | os.PathLike,
    model: Layer,
    params: Params,
    state: StateDict | None = None,
    *,
    shape: Any = None,
    dtype: Any = None,
    opset: int = 21,
) -> None:
    """Write the model's inference as an ONNX file, for onnxruntime and other runtimes. The weights are inside.

    docs/export.md has a table of the layers that pass. Needs the package jax2onnx: `pip install 'fnlayers[onnx]'`.

    Arguments:
        path: where to; it must end in .onnx.
        model: any layer.
        params: what init drew or training made.
        state: what init_state made or a run returned; None: the model has none.
        shape: of x, or a tuple or dict of shapes; None: the model's own. A size that is None stays open: on axis 0 the
            batch, which all inputs share. A string names an open size: `(None, "time", 8)`.
        dtype: of x; None: what the model takes.
        opset: the version of ONNX's operators.

    The file's inputs have the names of a graph's Inputs, or the keys of a dict of shapes, or x, x_1, ...; its outputs
    are y, or y0, y1, ... in jax's order.

    Raises:
        ConfigError: for a model that the converter cannot write, with the operation of jax that it lacks.
        MissingError, ShapeError: for what is not the model's, and for a layer that needs a size that is left open.
    """
    path = target_path(path, "to_onnx", ENDING)
    check_model(model, "to_onnx(path, model, params, state)")
    convert = _converter()
    x, state = open_inputs(model, shape, dtype, "to_onnx"), {} if state is None else state
    leaves, structure = jax.tree.flatten(x)

    def infer(*arrays: Any) -> list:
        return jax.tree.leaves(model.apply(params, jax.tree.unflatten(structure, arrays), state=state))

    with references_alone():
        program = jax.make_jaxpr(infer)(*leaves)
    outputs = ["y"] if len(program.out_avals) == 1 else [f"y{i}" for i in range(len(program.out_avals))]
    try:
        proto = convert(
            rewritten(program),
            leaves,
            model_name=type(model).__name__,
            opset=opset,
            input_names=input_names(model, x),
            output_names=outputs,
            enable_double_precision=any(a.dtype == np.float64 for a in [*leaves, *program.out_avals]),
        )
    except Exception as error:
        raise ConfigError(
            f"to_onnx: jax2onnx cannot convert this {type(model).__name__}: {str(error)[:300]}; docs/export.md lists "
            "the layers that pass, and fnlayers.export writes StableHLO for all of them"
        ) from error
    if (size := proto.ByteSize()) > MOST_BYTES:
        raise ConfigError(f"to_onnx: the model takes {size} bytes, and an ONNX file holds {MOST_BYTES}")
    write_atomically(path, lambda file: file.write(proto.SerializeToString()))


def _converter() -> Callable[..., Any]:
    with _jax_put_back():
        try:
            convert = import_module("jax2onnx").to_onnx
        except ImportError:
            raise MissingError("writing ONNX files needs jax2onnx; pip install 'fnlayers[onnx]'") from None
    return _quietly()(_jax_put_back()(convert))


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """onnx_ir warns of each shape inside the program that it leaves out of the file: optional, and nobody's to mend."""
    logger = logging.getLogger("onnx_ir.serde")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


@contextlib.contextmanager
def _jax_put_back() -> Iterator[None]:
    """jax2onnx replaces functions of jax.numpy for the whole process, jnp.cumsum by one without a positional axis."""
    before = dict(vars(jnp))
    try:
        yield
    finally:
        jnp.__dict__.update(before)
