"""Calls of single functions in configs of tf.keras (`x * 2`, `tf.concat([x, y], 1)`) as Keras 3 writes them.

TFOpLambda and SlicingOpLambda name the function and its arguments; TensorFlowOpLayer, of TensorFlow 2.0 to 2.3, holds a
node of a TensorFlow graph. Both go through one closed table each; what is not in it is refused.
"""

from typing import Any, NamedTuple

from fnlayers.core.errors import ConfigError
from fnlayers.keras_files.nodes import layers_worth
from fnlayers.plain_data import nest_leaves

FUNCTION_KINDS = ("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer")


class Function(NamedTuple):
    """Keras 3's name of a function, and TensorFlow's names of its arguments after the first one, in Keras's order."""

    kind: str
    arguments: tuple[str, ...] = ()
    defaults: tuple = ()


def _table() -> dict[str, Function]:
    by_name = {}
    for names, arguments, defaults in (
        ("Add Subtract Multiply Divide TrueDivide FloorDivide Mod Power Maximum Minimum", ("y",), ()),
        ("Equal NotEqual Greater GreaterEqual Less LessEqual LogicalAnd LogicalOr", ("y",), ()),
        ("Negative Absolute Sign Square Sqrt Rsqrt Reciprocal Exp Expm1 Log Log1p Sin Cos Tanh Floor Ceil", (), ()),
        ("Round Sigmoid Softplus LogicalNot", (), ()),
    ):
        by_name |= {_TENSORFLOW.get(name, name.lower()): Function(name, arguments, defaults) for name in names.split()}
    return {f"math.{name}": function for name, function in by_name.items()}


_TENSORFLOW = {  # its names that are not Keras's in small letters
    "TrueDivide": "truediv",
    "FloorDivide": "floordiv",
    "Mod": "floormod",
    "Power": "pow",
    "NotEqual": "not_equal",
    "GreaterEqual": "greater_equal",
    "LessEqual": "less_equal",
    "LogicalAnd": "logical_and",
    "LogicalOr": "logical_or",
    "LogicalNot": "logical_not",
    "Absolute": "abs",
}
_REDUCED = ("axis", "keepdims")
FUNCTIONS: dict[str, Function] = {
    **_table(),
    "__operators__.add": Function("Add", ("y",)),
    "math.reduce_sum": Function("Sum", _REDUCED, (None, False)),
    "math.reduce_mean": Function("Mean", _REDUCED, (None, False)),
    "math.reduce_max": Function("Max", _REDUCED, (None, False)),
    "math.reduce_min": Function("Min", _REDUCED, (None, False)),
    "math.reduce_prod": Function("Prod", _REDUCED, (None, False)),
    "math.reduce_variance": Function("Var", _REDUCED, (None, False)),
    "math.reduce_std": Function("Std", _REDUCED, (None, False)),
    "math.reduce_any": Function("Any", _REDUCED, (None, False)),
    "math.reduce_all": Function("All", _REDUCED, (None, False)),
    "concat": Function("Concatenate", ("axis",)),
    "stack": Function("Stack", ("axis",), (0,)),
    "split": Function("Split", ("num_or_size_splits", "axis"), (0,)),
    "reshape": Function("Reshape", ("shape",)),
    "expand_dims": Function("ExpandDims", ("axis",)),
    "squeeze": Function("Squeeze", ("axis",), (None,)),
    "compat.v1.squeeze": Function("Squeeze", ("axis",), (None,)),
    "transpose": Function("Transpose", ("perm",), (None,)),
    "compat.v1.transpose": Function("Transpose", ("perm",), (None,)),
    "reverse": Function("Flip", ("axis",)),
    "repeat": Function("Repeat", ("repeats", "axis"), (None,)),
    "cast": Function("Cast", ("dtype",)),
    "clip_by_value": Function("Clip", ("clip_value_min", "clip_value_max")),
    "where": Function("Where", ("x", "y")),
    "zeros_like": Function("ZerosLike"),
    "ones_like": Function("OnesLike"),
    "identity": Function("ConvertToTensor"),
    "linalg.matmul": Function("Matmul", ("b",)),
    "nn.relu": Function("Relu"),
    "nn.relu6": Function("Relu6"),
    "nn.elu": Function("Elu"),
    "nn.selu": Function("Selu"),
    "nn.silu": Function("Silu"),
    "nn.swish": Function("Silu"),
    "nn.sigmoid": Function("Sigmoid"),
    "nn.tanh": Function("Tanh"),
    "nn.softplus": Function("Softplus"),
    "nn.softmax": Function("Softmax", ("axis",), (-1,)),
    "compat.v1.nn.softmax": Function("Softmax", ("axis",), (-1,)),
    "nn.log_softmax": Function("LogSoftmax", ("axis",), (-1,)),
    "nn.leaky_relu": Function("LeakyRelu", ("alpha",), (0.2,)),
    "nn.gelu": Function("Gelu", ("approximate",), (False,)),
}
# Arguments that are arrays, so that a list is one; the first argument of these functions is a list of arrays.
ARRAYS = ("x", "y", "b")
OF_SEVERAL = ("concat", "stack")
# Arguments that TensorFlow's functions have besides, with the values under which they mean nothing.
INERT = {
    "conjugate": (False,),
    "transpose_a": (False,),
    "transpose_b": (False,),
    "adjoint_a": (False,),
    "adjoint_b": (False,),
    "a_is_sparse": (False,),
    "b_is_sparse": (False,),
    "output_type": (None,),
    "squeeze_dims": (None,),
    "dim": (None,),
    "beta": (1.0, 1),
}
# Nodes of TensorFlow's graphs: the name above, then the names of the inputs after the first, and those of attributes.
NODES = {
    **{f"{name}": f"math.{_TENSORFLOW.get(name, name.lower())}" for name in ("Maximum", "Minimum", "Square", "Sqrt")},
    **{name: f"math.{name.lower()}" for name in ("Rsqrt", "Exp", "Log", "Log1p", "Tanh", "Sigmoid", "Abs", "Pow")},
    **{name: f"math.{name.lower()}" for name in ("Sign", "Floor", "Ceil", "Softplus", "Greater", "Less", "Sin", "Cos")},
    **{name: f"nn.{name.lower()}" for name in ("Relu", "Relu6", "Elu", "Selu", "Softmax")},
    "Add": "math.add",
    "AddV2": "math.add",
    "Sub": "math.subtract",
    "Mul": "math.multiply",
    "RealDiv": "math.truediv",
    "Neg": "math.negative",
    "Sum": "math.reduce_sum",
    "Mean": "math.reduce_mean",
    "Max": "math.reduce_max",
    "Min": "math.reduce_min",
    "Prod": "math.reduce_prod",
    "Reshape": "reshape",
    "ExpandDims": "expand_dims",
    "Transpose": "transpose",
    "MatMul": "linalg.matmul",
    "BatchMatMulV2": "linalg.matmul",
    "Identity": "identity",
}
NODE_ATTRIBUTES = {"keep_dims": "keepdims", "transpose_a": "transpose_a", "transpose_b": "transpose_b"}
NODE_ATTRIBUTES |= {"adj_x": "transpose_a", "adj_y": "transpose_b"}
TYPES = ("T", "Tidx", "Tshape", "Tdim", "Tperm", "_output_shapes", "Tpaddings", "Index")


def operation_entry(kind: str, name: str, config: Any, calls: list[tuple[Any, dict]]) -> dict:
    """A function's entry of a graph in Keras 3's form.

    Arguments:
        kind: one of FUNCTION_KINDS.
        name: the entry's name.
        config: the entry's config.
        calls: of each call the first argument and the others by name; tensors are in Keras 3's form.
    """
    if not isinstance(config, dict) or len(calls) != 1:
        raise ConfigError(f"a function of a graph is called once, got {len(calls)} calls")
    first, options = calls[0]
    if kind == "TensorFlowOpLayer":
        function, first, options = _node(config, first)
    else:
        function = config.get("function")
    if function == "__operators__.getitem":
        entry = "GetItem", [first, _slices(options)], {}
    else:
        entry = _call(function, first, options)
    return {
        "module": "keras.src.ops.numpy",
        "class_name": entry[0],
        "config": {"name": name},
        "inbound_nodes": [{"args": entry[1], "kwargs": entry[2]}],
    }


def _call(name: Any, first: Any, options: dict) -> tuple[str, list, dict]:
    """Keras 3's name of the function, its arguments by position and by name."""
    if not isinstance(name, str) or name not in FUNCTIONS:
        raise ConfigError(f"the function {str(name)[:80]!r} of TensorFlow is not supported here; replace it in Keras")
    kind, names, defaults = FUNCTIONS[name]
    first = first if name in OF_SEVERAL else _array(first)
    options = {key: _array(value) if key in ARRAYS else value for key, value in options.items()}
    if kind == "Matmul" and (options.get("transpose_a") or options.get("transpose_b")):
        left, right = (options.pop(key, False) for key in ("transpose_a", "transpose_b"))
        subscripts = f"...{'ji' if left else 'ij'},...{'kj' if right else 'jk'}->...ik"
        return "Einsum", [first, _last(name, options, "b")], {"subscripts": subscripts}
    options = {key: value for key, value in options.items() if value not in INERT.get(key, ())}
    filled = dict(zip(names[len(names) - len(defaults) :], defaults, strict=True)) | options
    if set(filled) != set(names):
        wrong = sorted(set(filled) ^ set(names))
        raise ConfigError(f"{name} is called with or without {', '.join(wrong)}, which is not supported here")
    return kind, [first, *(_argument(name, key, filled[key]) for key in names)], {}


def _array(value: Any) -> Any:
    """A list of numbers, which stands for an array there, as Keras 3 writes one."""
    if not isinstance(value, list):
        return value
    layers_worth(value, "a constant of the graph")
    leaves = nest_leaves(value)
    if not leaves or not all(isinstance(leaf, (bool, int, float)) for leaf in leaves):
        return value
    kinds = {type(leaf) for leaf in leaves}
    dtype = "float32" if float in kinds else "int32" if int in kinds else "bool"
    return {"class_name": "__numpy__", "config": {"value": value, "dtype": dtype}}


def plain_value(value: Any) -> Any:
    """A constant: an array, which `.keras` files have as an object, is the list of its numbers."""
    if isinstance(value, dict) and value.get("class_name") in ("__numpy__", "__tensor__"):
        config = value.get("config")
        return config.get("value") if isinstance(config, dict) else value
    return value


def _last(name: str, options: dict, key: str) -> Any:
    rest = {k: value for k, value in options.items() if value not in INERT.get(k, ())}
    if set(rest) != {key}:
        raise ConfigError(f"{name} is called with {', '.join(sorted(rest))}, which is not supported here")
    return rest[key]


def _argument(function: str, name: str, value: Any) -> Any:
    if name == "num_or_size_splits" and isinstance(value, list):  # sizes there, positions in Keras 3
        if not all(type(size) is int and size >= 0 for size in value):
            raise ConfigError(f"split into {str(value)[:80]}: sizes must be known")
        return [sum(value[: i + 1]) for i in range(len(value) - 1)]
    if function == "cast" and isinstance(value, dict):
        return value.get("config")
    return value


def _slices(options: dict) -> list:
    """The slices of `x[...]`."""
    bounds = options.get("slice_spec")
    if set(options) != {"slice_spec"} or not isinstance(bounds, list):
        raise ConfigError("a slice of a tensor is not written as a list of slices, which is not supported here")

    def part(value: Any) -> Any:
        if isinstance(value, dict) and set(value) == {"start", "stop", "step"}:
            if all(v is None or type(v) is int for v in value.values()):
                return {"class_name": "__slice__", "config": value}
        elif value is None or type(value) is int:
            return value
        elif isinstance(value, dict) and value.get("class_name") in ("__ellipsis__", "Ellipsis"):
            return {"class_name": "__ellipsis__", "config": {}}
        raise ConfigError(f"a slice of a tensor with {str(value)[:80]} is not supported here")

    return [part(value) for value in bounds]


def _node(config: dict, first: Any) -> tuple[str, Any, dict]:
    """The function, first argument and options of a TensorFlowOpLayer: constants stand between its inputs."""
    node, constants = config.get("node_def"), config.get("constants") or {}
    node = node if isinstance(node, dict) else {}
    op = node.get("op")
    if not isinstance(op, str) or op not in NODES or not isinstance(constants, dict):
        raise ConfigError(f"the operation {str(op)[:80]!r} of TensorFlow is not supported here; replace it in Keras")
    arguments = list(first) if isinstance(first, list) else [first]
    for key in sorted(constants, key=str):
        if not (isinstance(key, str) and key.isdigit() and int(key) <= len(arguments)):
            raise ConfigError(f"{op}: the constants {str(constants)[:80]} are not supported here")
        arguments.insert(int(key), plain_value(constants[key]))
    function = NODES[op]
    names = FUNCTIONS[function].arguments
    if len(arguments) > 1 + len(names):
        raise ConfigError(f"{op} is given {len(arguments)} inputs, expected at most {1 + len(names)}")
    attributes = node.get("attr") or {}
    options = {
        NODE_ATTRIBUTES[key]: value.get("b", False)
        for key, value in attributes.items()
        if key not in TYPES and key in NODE_ATTRIBUTES and isinstance(value, dict)
    }
    if unknown := set(attributes) - set(TYPES) - set(NODE_ATTRIBUTES):
        raise ConfigError(f"{op} with {', '.join(sorted(unknown))} is not supported here")
    if not set(options) <= {*names, *INERT}:
        raise ConfigError(f"{op} with {', '.join(options)} is not supported here")
    return function, arguments[0], dict(zip(names, arguments[1:], strict=False)) | options
