"""Writes layers.npz: what real Keras gives for each case of tests/cases.py that has a twin in Keras.

Run: KERAS_BACKEND=jax python tests/golden/make_layers.py [WORD ...] (with Keras 3.15.1 installed). With words, only new
cases and those whose name has one of the words are computed again, which takes seconds instead of minutes.
The twin is built from the layer's own fields, since its class and its fields are Keras's, and given the same weights,
which must have the same names in the same order. `values` holds one row a case, `lengths` where it ends; a row's parts
are those of `parts` in tests/laws/test_parity.py.
"""

import sys
import warnings
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import jax
import keras
import numpy as np
from keras.src.backend import get_keras_mask, set_keras_mask

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent)]

import fnlayers as fl  # noqa: E402
from cases import CASES, Case  # noqa: E402
from fnlayers.core.naming import named  # noqa: E402
from fnlayers.core.spec import spec_items  # noqa: E402
from fnlayers.layers.recurrent.base import Recurrent  # noqa: E402
from fnlayers.plain_data import FrozenDict, map_nest  # noqa: E402

KINDS = {
    "regularizers": keras.regularizers,
    "constraints": keras.constraints,
    "initializers": keras.initializers,
}
# Fields of ours that are options of a call in Keras.
OF_CALLS = ("use_causal_mask", "return_attention_scores")


def twin(value: Any, name: str | None = None) -> Any:
    """The Keras object with the same class and fields; other values as they are."""
    if isinstance(value, fl.Sequential):
        return keras.Sequential([twin(layer, n) for n, layer in named(value.layers)], value.trainable, name)
    if isinstance(value, fl.Functional):
        return twin_graph(value, name)
    if isinstance(value, fl.Layer):
        options = {f.name: twin(getattr(value, f.name)) for f in fields(value) if getattr(value, f.name) != f.default}
        options = {name: option for name, option in options.items() if name not in (*OF_CALLS, "keras_masks")}
        return getattr(keras.layers, type(value).__name__)(**(options | ({"name": name} if name else {})))
    if is_dataclass(value) and not isinstance(value, type):
        options = {f.name: getattr(value, f.name) for f in fields(value)}
        return getattr(KINDS[type(value).__module__.split(".")[2]], type(value).__name__)(**options)
    if isinstance(value, FrozenDict):
        return dict(value)
    if type(value) is tuple and any(isinstance(item, fl.Layer) for item in value):
        return [twin(item) for item in value]
    return value


def twin_graph(model: fl.Functional, name: str | None) -> keras.Model:
    layers = {label: twin(layer, label) for label, layer in model.by_name.items()}
    table: dict[int, list] = {}
    for i, node in enumerate(model.nodes):
        if hasattr(node, "layer"):
            y = layers[node.layer](as_keras(map_nest(at(table), node.inputs, is_leaf=is_ref)))
            table[i] = jax.tree.leaves(y)
        else:
            table[i] = [keras.Input(node.shape[1:], dtype=node.dtype, name=node.name)]
    ends = [as_keras(map_nest(at(table), nest, is_leaf=is_ref)) for nest in (model.inputs, model.outputs)]
    return keras.Model(*ends, name=name)


def at(table: dict[int, list]) -> Any:
    return lambda ref: table[ref.node][ref.index]


def is_ref(value: Any) -> bool:
    return hasattr(value, "node")


def as_keras(nest: Any) -> Any:
    """Tuples as lists, which Keras takes for several inputs."""
    return list(nest) if isinstance(nest, tuple) and not is_ref(nest) else nest


def variables_of(layer: fl.Layer, twin: keras.Layer) -> list[Any]:
    """Keras's variables in the order of our declarations."""
    if isinstance(layer, (fl.Sequential, fl.Functional)):
        pairs = layer.by_name
        return [v for name, inner in pairs.items() for v in variables_of(inner, twin.get_layer(name))]
    return twin.weights


class Twin:
    """The Keras layer of a case as functions of its weights by our paths."""

    def __init__(self, case: Case) -> None:
        self.case, self.layer = case, twin(case.layer)
        self.options = {name: True for name in OF_CALLS if getattr(case.layer, name, False)}
        self.called(case.inputs())  # which builds it
        specs = dict(spec_items(case.layer.specs(case.shape)))
        carries = [path for path in specs if path.split("/")[-1].startswith("carry_")]
        weights = [path for path in specs if path not in carries]
        self.variables = dict(zip(weights, variables_of(case.layer, self.layer), strict=True))
        for path, variable in self.variables.items():
            assert path.split("/")[-1] == variable.name, (path, variable.path)
            assert specs[path].shape == tuple(variable.shape), (path, variable)
        self.variables |= dict(zip(carries, keras.tree.flatten(getattr(self.layer, "states", None) or []), strict=True))
        self.weights = fl.paths(case.params) | fl.paths(case.state)
        for path, variable in self.variables.items():
            variable.assign(self.weights[path])

    def inputs(self, x: Any) -> Any:
        """The arrays with the case's masks on them, as Keras hands masks on."""
        x = jax.tree.map(jax.numpy.asarray, x)
        masks = self.case.masks if isinstance(x, tuple) else (self.case.masks,)
        if self.case.masks is not None:
            for a, mask in zip(x if isinstance(x, tuple) else (x,), masks, strict=True):
                if mask is not None:
                    set_keras_mask(a, jax.numpy.asarray(mask))
        return as_keras(x)

    def called(self, x: Any, **mode: Any) -> Any:
        """Keras's output: attention of several heads takes its inputs one by one, a recurrent layer states by name."""
        inputs, layer, options = self.inputs(x), self.case.layer, self.options | mode
        if isinstance(layer, (fl.MultiHeadAttention, fl.GroupQueryAttention)):
            return self.layer(*inputs, **options)
        if not isinstance(layer, (Recurrent, fl.Bidirectional)) or not isinstance(inputs, list):
            return self.layer(inputs, **options)
        x, *states = (
            inputs  # Keras: where states are given, the mask that x brings is forgotten, unless it is given too
        )
        return self.layer(x, initial_state=[as_keras(s) for s in states], mask=get_keras_mask(x), **options)

    def run(self, weights: Any, x: Any, train: bool) -> tuple[Any, list, dict[str, Any]]:
        """(outputs, activity losses, new state by path)."""
        mapping = [(variable, weights[path]) for path, variable in self.variables.items()]
        mode = {"training": train} if self.layer._call_has_training_arg else {}
        with keras.StatelessScope(state_mapping=mapping, collect_losses=True) as scope:
            y = self.called(x, **mode)
            losses = self.layer.losses
            state = {path: scope.get_current_value(self.variables[path]) for path in fl.paths(self.case.state)}
        return y, losses[: len(losses) - len(self.layer._get_regularization_losses())], state

    def objective(self, params: Any, x: Any) -> Any:
        y, losses, _ = self.run(self.weights | params, x, train=True)
        leaves = jax.tree.leaves(y)
        terms = [(a * w).astype("float32").sum() for a, w in zip(leaves, self.case.like_outputs(leaves), strict=True)]
        return sum([*terms, *losses], jax.numpy.float32(0))


def row(case: Case) -> list[Any]:
    keras.utils.clear_session()
    twin, x = Twin(case), case.inputs()
    y, _, _ = twin.run(twin.weights, x, train=False)
    parts = jax.tree.leaves(y)
    for leaf in jax.tree.leaves(y):
        mask = get_keras_mask(leaf)
        # Keras leaves axes of 1 in the mask of attention weights; ours has the sizes of its array
        parts += [0] if mask is None else [1, np.broadcast_to(mask, leaf.shape[: mask.ndim])]
    params = fl.paths(case.params)
    parts += [v.constraint(v.value) if v.constraint else v.value for v in map(twin.variables.get, params)]
    parts.append(sum(twin.layer._get_regularization_losses(), 0.0))
    if case.random:
        return parts
    y, losses, state = twin.run(twin.weights, x, train=True)
    parts += [*jax.tree.leaves(y), sum(losses, 0.0), *state.values()]
    if case.below:
        return parts + list(jax.grad(twin.objective)(params, x).values())
    weights, inputs = jax.grad(twin.objective, (0, 1))(params, jax.tree.map(jax.numpy.asarray, x))
    return [*parts, *(weights[path] for path in params), *jax.tree.leaves(inputs)]


def numbers(case: Case) -> np.ndarray:
    try:
        return np.concatenate([np.ravel(np.asarray(a, "float32")) for a in row(case)])
    except Exception as error:
        error.add_note(str(case))
        raise


if __name__ == "__main__":
    file, words = np.load(HERE / "layers.npz"), sys.argv[1:]
    stored = dict(zip(file["names"].tolist(), np.split(file["values"], np.cumsum(file["lengths"])[:-1]), strict=True))
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", "(?s).*does not support masking")  # GroupQueryAttention's own projections
    names = [str(case) for case in CASES if case.keras is None]
    computed = {name for name in names if name not in stored or not words or any(word in name for word in words)}
    with jax.default_matmul_precision("float32"):
        rows = [numbers(case) if str(case) in computed else stored[str(case)] for case in CASES if case.keras is None]
    lengths = np.array([len(values) for values in rows])
    np.savez_compressed(HERE / "layers.npz", names=np.array(names), lengths=lengths, values=np.concatenate(rows))
    print(f"{len(computed)} cases drawn of {len(rows)}, {lengths.sum()} numbers, Keras {keras.__version__}")
