"""Where Keras has the operations of OPERATIONS, and which of their options are in an operation's config.

The other options are those of a call. `tests/golden/make_operations.py` asks Keras for both.
"""

from fnlayers.core.operation import OPERATIONS

_CORE = ("Cast", "ConvertToTensor")
_MATH = ("Rsqrt",)
_NN = (
    *("Relu", "Relu6", "Sigmoid", "Silu", "Softplus", "Softmax", "LogSoftmax"),
    *("Gelu", "Elu", "Selu", "LeakyRelu", "OneHot"),
)

MODULES: dict[str, str] = {
    **dict.fromkeys(OPERATIONS, "numpy"),
    **dict.fromkeys(_CORE, "core"),
    **dict.fromkeys(_MATH, "math"),
    **dict.fromkeys(_NN, "nn"),
}
INIT_OPTIONS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        ("Sum", "Mean", "Max", "Min", "Prod", "Var", "Std", "Any", "All", "Argmax", "Argmin"), ("axis", "keepdims")
    ),
    **dict.fromkeys(("ExpandDims", "Squeeze", "Concatenate", "Stack", "Flip", "Softmax", "LogSoftmax"), ("axis",)),
    **dict.fromkeys(("ZerosLike", "OnesLike", "Cast"), ("dtype",)),
    "Round": ("decimals",),
    "Clip": ("x_min", "x_max"),
    "Einsum": ("subscripts",),
    "Reshape": ("newshape",),
    "Transpose": ("axes",),
    "Split": ("indices_or_sections", "axis"),
    "Repeat": ("repeats", "axis"),
    "ConvertToTensor": ("dtype", "sparse", "ragged"),
    "Gelu": ("approximate",),
    "Elu": ("alpha",),
    "LeakyRelu": ("negative_slope",),
    "OneHot": ("num_classes", "axis", "dtype", "sparse"),
}
