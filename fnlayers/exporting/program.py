"""Models as StableHLO programs: `export` writes one file, `load_exported` runs it without the model's code.

A file is a .safetensors container (see `fnlayers.saving.container`): the program, as `jax.export` serializes it, is the
array "program" of bytes; weights that are not inside the program are arrays beside it.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import jax
import jax.export
import numpy as np

from fnlayers.core.errors import ConfigError, MissingError, ShapeError
from fnlayers.core.layer import Layer, check_model
from fnlayers.core.types import Params, StateDict
from fnlayers.exporting.flat import check_bounds
from fnlayers.exporting.inputs import open_inputs
from fnlayers.exporting.targets import check_targets
from fnlayers.plain_data import choices
from fnlayers.saving import container, strict
from fnlayers.saving.atomic import write_atomically
from fnlayers.saving.files import as_path, target_path
from fnlayers.saving.trees import describe, rebuild
from fnlayers.version import __version__

FORMAT, FORMAT_VERSION = "fnlayers exported", "1"
Platform = Literal["cpu", "cuda", "rocm", "tpu"]
Weights = Literal["inside", "beside"]
PLATFORMS: tuple[Platform, ...] = get_args(Platform)
ENDING = ".exported"
PROGRAM = "program"


@dataclass(frozen=True, eq=False, repr=False)
class Exported:
    """A model as a program: `exported(x)` is what `model.apply(params, x, state=state)` was. jit and vmap take it.

    Arguments:
        params: its weights; {} where they are inside the program.
        state: its state, likewise.
        program: the `jax.export.Exported`, for those who inspect or lower it.
        weights_inside: whether the weights are inside the program.
    """

    params: Params
    state: StateDict
    program: jax.export.Exported
    weights_inside: bool

    def __call__(self, x: Any) -> Any:
        """The output for x, of the shapes and dtypes that `in_shape` and `in_dtype` say.

        Raises:
            ShapeError: for arrays that are nested, shaped or typed otherwise.
            ConfigError: for a program that jax cannot run, such as one that was made for other devices.
        """
        return self._called((x,) if self.weights_inside else (self.params, self.state, x))

    def apply(self, params: Params, x: Any, *, state: StateDict | None = None) -> Any:
        """The output for other weights, such as those after further training; state: None: the file's."""
        if self.weights_inside:
            raise ConfigError("the weights are inside this program; export it with weights='beside' to give others")
        return self._called((params, self.state if state is None else state, x))

    @property
    def in_shape(self) -> Any:
        """The shape of x, nested like it; sizes that are open have names."""
        return jax.tree.map(_shown_sizes, self._expected())

    @property
    def in_dtype(self) -> Any:
        """The dtype of each array of x."""
        return jax.tree.map(lambda a: a.dtype.name, self._expected())

    @property
    def out_shape(self) -> Any:
        """The shape of the output, nested like it; sizes that are open have names."""
        return jax.tree.map(_shown_sizes, jax.tree.unflatten(self.program.out_tree, self.program.out_avals))

    @property
    def platforms(self) -> tuple[str, ...]:
        """Where it runs."""
        return tuple(self.program.platforms)

    def __repr__(self) -> str:
        weights = "inside" if self.weights_inside else f"{sum(map(np.size, jax.tree.leaves(self.params)))} beside"
        return (
            f"Exported({self.in_shape} {self.in_dtype} -> {self.out_shape}, weights {weights}, "
            f"for {', '.join(self.platforms)})"
        )

    def _expected(self) -> Any:
        args, _ = jax.tree.unflatten(self.program.in_tree, self.program.in_avals)
        return args[-1]

    def _called(self, args: tuple) -> Any:
        args = jax.tree.map(lambda leaf: leaf if isinstance(leaf, jax.Array) else np.asarray(leaf), args)
        expected, _ = jax.tree.unflatten(self.program.in_tree, self.program.in_avals)
        for name, wanted, got in zip(("params", "state", "x")[-len(expected) :], expected, args, strict=True):
            _check(name, wanted, got)
        try:
            return self.program.call(*args)
        except (OSError, MemoryError):
            raise
        except Exception as error:  # what jax raises over a damaged program is of any kind
            raise ConfigError(
                f"the program cannot be run: {str(error).strip()[:300]}; it must be one that export wrote, on one of "
                f"its platforms ({', '.join(self.platforms)})"
            ) from error


def export(
    path: str | os.PathLike,
    model: Layer,
    params: Params,
    state: StateDict | None = None,
    *,
    shape: Any = None,
    dtype: Any = None,
    weights: Weights = "inside",
    gradients: bool = False,
    platforms: Sequence[Platform] = PLATFORMS,
) -> None:
    """Write the model's inference as a StableHLO program, which runs without the code of the model.

    It runs wherever jax runs, for six months of later versions at least (the promise of `jax.export`). The file is
    written whole or not at all. Needs the package flatbuffers: `pip install 'fnlayers[export]'`.

    Arguments:
        path: where to; it must end in .exported.
        model: any layer.
        params: what init drew or training made.
        state: what init_state made or a run returned; None: the model has none.
        shape: of x, or a tuple or dict of shapes; None: the model's own. A size that is None stays open: on axis 0 the
            batch, which all inputs share. A string names an open size, so that two axes can share it:
            `(None, "time", 8)`.
        dtype: of x; None: what the model takes.
        weights: "inside" the program as constants, or "beside" it in the same file, where they can be exchanged.
        gradients: whether the program can be differentiated, once.
        platforms: for which it is compiled.

    Raises:
        ConfigError, MissingError, ShapeError: for what is not the model's, and for a layer that needs a size that is
            left open.

    Example:
        >>> import tempfile, jax, jax.numpy as jnp, fnlayers as fl
        >>> model = fl.Sequential([fl.Dense(8, "relu"), fl.Dense(1)])
        >>> params = model.init(jax.random.key(0), (None, 4))
        >>> path = tempfile.mkdtemp() + "/model.exported"
        >>> export(path, model, params, shape=(None, 4))
        >>> load_exported(path)(jnp.ones((3, 4))).shape
        (3, 1)
    """
    path = target_path(path, "export", ENDING)
    check_model(model, "export(path, model, params, state)")
    if weights not in get_args(Weights):
        raise ConfigError(f"export: {choices('weights', weights, get_args(Weights))}")
    if wrong := [name for name in platforms if name not in PLATFORMS]:
        raise ConfigError(f"export: {choices('platforms', wrong[0], PLATFORMS)}")
    x, state = open_inputs(model, shape, dtype, "export"), {} if state is None else state
    arrays: dict[str, Any] = {}
    if weights == "inside":
        program = jax.export.export(jax.jit(lambda x: model.apply(params, x, state=state)), platforms=tuple(platforms))(
            x
        )
        trees = {"params": {}, "state": {}}
    else:
        trees = {name: describe(tree, name, arrays) for name, tree in (("params", params), ("state", state))}
        program = jax.export.export(
            jax.jit(lambda params, state, x: model.apply(params, x, state=state)), platforms=tuple(platforms)
        )(*jax.tree.map(_struct, (params, state)), x)
    arrays[PROGRAM] = np.frombuffer(_serialized(program, gradients), np.uint8)
    types = {name: (tuple(array.shape), array.dtype.name) for name, array in arrays.items()}
    texts = {name: strict.dumps(tree) for name, tree in (trees | {"weights": weights}).items()}
    metadata = {"format": FORMAT, "format_version": FORMAT_VERSION, "fnlayers": __version__, **texts}
    write_atomically(
        path, lambda file: container.write(file, types, metadata, lambda name: np.asarray(jax.device_get(arrays[name])))
    )


def load_exported(path: str | os.PathLike) -> Exported:
    """Read a program that `export` wrote.

    A program is code: once it is called, it takes the time and memory that it asks for. It can neither open files nor
    run Python: custom calls that are not on a short list are refused. It is parsed in a process of its own first, for
    some tenths of a second, with bounds of time and memory, since jaxlib's parser may crash over a damaged one.

    Raises:
        ConfigError: for a file that is damaged, foreign, newer than this version, or calls what it may not.
    """
    path = as_path(path, "load_exported")
    if path.exists() and not path.is_file():
        raise ConfigError(f"{path} is not a file; load_exported takes the {ENDING} file that export wrote")
    with strict.refusing(str(path)), open(path, "rb") as file:
        opened = container.open_header(file)
        texts = _texts(opened.metadata)
        arrays = dict(container.read_arrays(file, opened))
        program = _deserialized(arrays.pop(PROGRAM, None), texts["weights"])
        params, state = (_tree(texts[name], name, arrays) for name in ("params", "state"))
        if arrays:
            raise ConfigError(f"the file holds arrays that are no weights: {', '.join(sorted(arrays))[:80]}")
        return Exported(params, state, program, texts["weights"] == "inside")


def read_program(path: str | os.PathLike) -> Exported:
    """The program of a file without its weights, to look at. Raises what `load_exported` does."""
    path = as_path(path, "read_program")
    with strict.refusing(str(path)), open(path, "rb") as file:
        opened = container.open_header(file)
        texts, entry = _texts(opened.metadata), opened.entries.get(PROGRAM)
        if entry is None:
            raise ConfigError("the file holds no program")
        file.seek(opened.data + entry.start)
        program = _deserialized(np.fromfile(file, np.uint8, entry.end - entry.start), texts["weights"])
        return Exported({}, {}, program, texts["weights"] == "inside")


def _struct(array: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(np.shape(array), array.dtype)


def _serialized(program: jax.export.Exported, gradients: bool) -> bytes:
    try:
        return bytes(program.serialize(vjp_order=int(gradients)))
    except ImportError:
        raise MissingError("writing programs needs flatbuffers; pip install 'fnlayers[export]'") from None


def _deserialized(data: np.ndarray | None, weights: Any) -> jax.export.Exported:
    if data is None or data.dtype != np.uint8:
        raise ConfigError("the file holds no program")
    serialized = data.tobytes()
    check_bounds(serialized)
    try:
        program = jax.export.deserialize(bytearray(serialized))
    except ImportError:
        raise MissingError("reading programs needs flatbuffers; pip install 'fnlayers[export]'") from None
    _check_structure(program, weights)
    check_targets(program)
    return program


def _check_structure(program: jax.export.Exported, weights: Any) -> None:
    """Raise ConfigError unless the program takes what `export` makes it take, nested as it says."""
    count = 1 if weights == "inside" else 3
    for tree, avals in ((program.in_tree, program.in_avals), (program.out_tree, program.out_avals)):
        if tree.num_leaves != len(avals):
            raise ConfigError(f"the program has {len(avals)} arrays where its structure has {tree.num_leaves}")
    args, kwargs = _pair(jax.tree.unflatten(program.in_tree, program.in_avals))
    if not isinstance(args, tuple) or len(args) != count or kwargs != {}:
        raise ConfigError(f"the program does not take {count} arguments by position, as those that export writes")


def _pair(value: Any) -> tuple:
    return value if isinstance(value, tuple) and len(value) == 2 else ((), None)


def _texts(metadata: Mapping[str, str]) -> dict[str, Any]:
    if metadata.get("format") != FORMAT:
        raise ConfigError("the file holds no program that fnlayers.export wrote; fnlayers.load reads models")
    if metadata.get("format_version") != FORMAT_VERSION:
        raise ConfigError(
            f"the file has format {metadata.get('format_version', '')[:20]!r}; this is fnlayers {__version__}, which "
            f"reads {FORMAT_VERSION}"
        )
    texts = {name: strict.loads(metadata.get(name, "null")) for name in ("params", "state", "weights")}
    if texts["weights"] not in get_args(Weights):
        raise ConfigError(f"the file has {choices('weights', texts['weights'], get_args(Weights))}")
    return texts


def _tree(description: Any, kind: str, arrays: dict[str, np.ndarray]) -> Any:
    def take(name: str, kind: str) -> jax.Array:
        if name not in arrays:
            raise ConfigError(f"the file lacks the array {name[:80]}")
        if kind != "array":
            raise ConfigError(f"{name[:80]} is a random key; a program holds numbers")
        return jax.numpy.asarray(arrays.pop(name))

    return rebuild(description, kind, take, {})


def _shown_sizes(aval: Any) -> tuple[int | str, ...]:
    return tuple(n if isinstance(n, int) else str(n) for n in aval.shape)


def _check(name: str, expected: Any, got: Any) -> None:
    """Raise ShapeError unless the arrays are nested, shaped and typed as the program declares."""
    wanted, structure = jax.tree.flatten(expected)
    leaves, got_structure = jax.tree.flatten(got)
    if structure != got_structure:
        raise ShapeError(f"{name} has another structure than the program's: {got_structure}, expected {structure}")
    for path, struct, leaf in zip(jax.tree_util.tree_leaves_with_path(expected), wanted, leaves, strict=True):
        sizes = zip(struct.shape, np.shape(leaf), strict=False)
        fits = len(struct.shape) == np.ndim(leaf) and all(not isinstance(a, int) or a == b for a, b in sizes)
        dtype = jax.dtypes.canonicalize_dtype(leaf.dtype)
        if not fits or dtype != struct.dtype:
            place = name + jax.tree_util.keystr(path[0])
            raise ShapeError(
                f"{place}: the program takes {struct.dtype.name}{_shown_sizes(struct)}, got "
                f"{dtype.name}{np.shape(leaf)}"
            )
        if leaf.dtype != struct.dtype and np.issubdtype(dtype, np.integer) and (leaf != leaf.astype(dtype)).any():
            raise ShapeError(f"{name} holds numbers of {leaf.dtype.name} that {dtype.name} cannot hold")
