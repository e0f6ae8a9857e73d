"""Where Keras has the operations of OPERATIONS, and which of their options are in an operation's config.

The other options are those of a call. `tests/keras_files/golden/make_operations.py` has Keras write all of them.
"""

from fnlayers.core.operations import NONLINEAR, OPERATIONS

# The folders of Keras, and which operations they hold; the others are in "numpy".
_FOLDERS = {
    "core": ("Cast", "ConvertToTensor", "StopGradient", "Unstack"),
    "math": ("Erf", "Logsumexp", "Rsqrt", "TopK"),
    "linalg": ("Norm",),
    "nn": (*NONLINEAR, "Moments", "Normalize", "OneHot"),
}
MODULES: dict[str, str] = {
    **dict.fromkeys(OPERATIONS, "numpy"),
    **{name: folder for folder, names in _FOLDERS.items() for name in names},
}

_OPTIONS = {
    ("axis", "keepdims"): ("Sum", "Mean", "Median", "Amax", "Amin", "Var", "Std", "Any", "All", "Argmax", "Argmin")
    + ("Logsumexp",),
    ("axis", "keepdims", "initial"): ("Max", "Min"),
    ("axis", "keepdims", "dtype"): ("Prod",),
    ("axis", "dtype"): ("Cumsum", "Cumprod"),
    ("axis",): ("ExpandDims", "Squeeze", "Concatenate", "Stack", "Append", "Flip", "Take", "TakeAlongAxis", "Sort")
    + ("Argsort", "Average", "CountNonzero", "Softmax", "LogSoftmax", "Sparsemax", "Glu"),
    ("dtype",): ("ZerosLike", "OnesLike", "FullLike", "Cast"),
    ("dtype", "sparse", "ragged"): ("ConvertToTensor",),
    ("axes", "keepdims", "synchronized"): ("Moments",),
    ("ord", "axis", "keepdims"): ("Norm",),
    ("axis", "order", "epsilon"): ("Normalize",),
    ("offset", "axis1", "axis2"): ("Trace", "Diagonal"),
    ("axis1", "axis2"): ("Swapaxes",),
    ("source", "destination"): ("Moveaxis",),
    ("n", "axis"): ("Diff",),
    ("k", "sorted"): ("TopK",),
    ("k",): ("Tril", "Triu"),
    ("num", "axis"): ("Unstack",),
    ("indices_or_sections", "axis"): ("Split",),
    ("repeats", "axis"): ("Repeat",),
    ("repeats",): ("Tile",),
    ("shift", "axis"): ("Roll",),
    ("pad_width", "mode"): ("Pad",),
    ("shape",): ("BroadcastTo",),
    ("newshape",): ("Reshape",),
    ("axes",): ("Transpose", "Tensordot"),
    ("nan", "posinf", "neginf"): ("NanToNum",),
    ("decimals",): ("Round",),
    ("x_min", "x_max"): ("Clip",),
    ("subscripts",): ("Einsum",),
    ("num_classes", "axis", "dtype", "sparse"): ("OneHot",),
    ("approximate",): ("Gelu",),
    ("alpha",): ("Elu", "Celu"),
    ("negative_slope",): ("LeakyRelu",),
    ("b",): ("Squareplus",),
    ("threshold",): ("SoftShrink", "HardShrink"),
    ("threshold", "default_value"): ("Threshold",),
}
INIT_OPTIONS: dict[str, tuple[str, ...]] = {name: options for options, names in _OPTIONS.items() for name in names}
# How many arguments of a call come before those options, where it is not one.
ARRAYS = {"Append": 2, "Take": 2, "TakeAlongAxis": 2, "Tensordot": 2, "FullLike": 2, "Average": 2, "Pad": 2}
