"""Layers as Keras 1 and 2 wrote them, in Keras 3's form: kinds, names of arguments, and values.

Everything here is a table of names, or a value in another notation. What has no counterpart is left as it is, so that
the reader of Keras 3's configs (`config.py`) refuses it like any other unknown kind or argument.
"""

from collections.abc import Callable
from typing import Any

from fnlayers.core.errors import ConfigError

# Names of kinds that Keras 3 has under another name.
KINDS = {
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "Convolution3D": "Conv3D",
    "AtrousConvolution1D": "Conv1D",
    "AtrousConvolution2D": "Conv2D",
    "AtrousConv1D": "Conv1D",
    "AtrousConv2D": "Conv2D",
    "Deconvolution2D": "Conv2DTranspose",
    "Deconvolution3D": "Conv3DTranspose",
    "Deconv2D": "Conv2DTranspose",
    "Convolution1DTranspose": "Conv1DTranspose",
    "Convolution2DTranspose": "Conv2DTranspose",
    "Convolution3DTranspose": "Conv3DTranspose",
    "SeparableConvolution1D": "SeparableConv1D",
    "SeparableConvolution2D": "SeparableConv2D",
    "TimeDistributedDense": "Dense",  # Dense itself works on each step
    "CuDNNLSTM": "LSTM",
    "CuDNNGRU": "GRU",
    "LSTMV1": "LSTM",
    "LSTMV2": "LSTM",
    "GRUV1": "GRU",
    "GRUV2": "GRU",
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "SyncBatchNormalization": "BatchNormalization",
    "LayerNormalizationV1": "LayerNormalization",
    "DenseV1": "Dense",
    "ThresholdedReLU": "ReLU",
}
# Arguments that Keras 3 has under another name, in all kinds that have them.
ARGUMENTS = {
    "output_dim": "units",
    "nb_filter": "filters",
    "filter_length": "kernel_size",
    "subsample": "strides",
    "subsample_length": "strides",
    "border_mode": "padding",
    "dim_ordering": "data_format",
    "atrous_rate": "dilation_rate",
    "bias": "use_bias",
    "init": "kernel_initializer",
    "inner_init": "recurrent_initializer",
    "inner_activation": "recurrent_activation",
    "W_regularizer": "kernel_regularizer",
    "U_regularizer": "recurrent_regularizer",
    "b_regularizer": "bias_regularizer",
    "W_constraint": "kernel_constraint",
    "b_constraint": "bias_constraint",
    "dropout_W": "dropout",
    "dropout_U": "recurrent_dropout",
    "p": "rate",
    "sigma": "stddev",
    "pool_length": "pool_size",
    "stride": "strides",
    "length": "size",
    "gamma_init": "gamma_initializer",
    "beta_init": "beta_initializer",
    "forget_bias_init": "unit_forget_bias",
}
# The same where a kind has its own names.
OWN_ARGUMENTS: dict[str, dict[str, str]] = {
    "Embedding": {
        "output_dim": "output_dim",
        "init": "embeddings_initializer",
        "W_regularizer": "embeddings_regularizer",
        "W_constraint": "embeddings_constraint",
    },
    "PReLU": {"init": "alpha_initializer"},
    "LeakyReLU": {"alpha": "negative_slope"},
    "ReLU": {"theta": "threshold"},
}
# What says how Keras computes or builds a layer, and changes none of its numbers.
MEANINGLESS = frozenset(
    ("batch_input_shape", "input_length", "input_dtype", "implementation", "consume_less", "fused", "renorm_momentum")
    + ("query_shape", "key_shape", "value_shape", "build_input_shape")
)
# Arguments that Keras 3 has no more, with the values under which they mean nothing; config.py refuses others.
INERT: dict[str, tuple] = {
    "ragged": (False,),
    "sparse": (False,),
    "renorm": (False,),
    "renorm_clipping": (None,),
    "virtual_batch_size": (None,),
    "adjustment": (None,),
    "num_constants": (None, 0),
    "mode": (0,),
    "causal": (False,),
    "noise_shape": (None,),
    "activity_regularizer": (None,),
}
INPUT = ("input_dim",)  # of the first layer's input, which batch_input_shape says as well
KERNEL = ("kernel_initializer", "kernel_regularizer", "kernel_constraint", "groups")
# Arguments that a kind inherits or had, and that do not concern it.
NOT_THEIRS = {
    "DepthwiseConv1D": ("filters", *KERNEL),
    "DepthwiseConv2D": ("filters", *KERNEL),
    "SeparableConv1D": KERNEL,
    "SeparableConv2D": KERNEL,
    "Conv1DTranspose": ("groups",),
    "Conv2DTranspose": ("groups", "output_shape"),  # the shape follows from the other arguments
    "Conv3DTranspose": ("groups", "output_shape"),
    "Conv1D": INPUT,
    "Dense": INPUT,
    "LSTM": INPUT,
    "GRU": INPUT,
    "SimpleRNN": INPUT,
    "Embedding": ("dropout",),  # of Keras 1, of whole words in training
}
# Values that the files of old versions do not write down, since they had no choice.
IMPLIED: dict[str, dict[str, Any]] = {
    "GRU": {"reset_after": False},
    "GRUCell": {"reset_after": False},
    "CuDNNGRU": {"reset_after": True},
    "ThresholdedReLU": {"threshold": 1.0},
}
# Names of regularizers of Keras 1, whose arguments stand next to their name.
REGULARIZERS = {"WeightRegularizer": "L1L2", "L1L2Regularizer": "L1L2", "ActivityRegularizer": "L1L2"}
DATA_FORMATS = {"th": "channels_first", "tf": "channels_last", "default": None}
# Keras 1 does not write down the order of axes of these; they follow that of the model's other layers.
FOLLOWS_MODEL = ("ZeroPadding2D", "ZeroPadding3D", "Cropping2D", "Cropping3D", "UpSampling2D", "UpSampling3D")
WITH_DATA_FORMAT = (*FOLLOWS_MODEL, "SpatialDropout2D", "SpatialDropout3D")

Translate = Callable[[Any], Any]


def layer_of(kind: str, config: dict, era: int, data_format: str | None, translate: Translate) -> tuple[str, dict]:
    """A layer's kind and arguments in Keras 3's form.

    Arguments:
        kind, config: as the file has them.
        era: 1 or 2, the version of Keras that wrote it.
        data_format: the order of axes of the model's layers that say it, for those that do not.
        translate: translates layers that are arguments of this one, {class_name, config}, and names of activations.
    """
    new_kind = KINDS.get(kind, kind)
    own = OWN_ARGUMENTS.get(new_kind, {})
    options: dict[str, Any] = dict(IMPLIED.get(kind, {}))
    if new_kind in WITH_DATA_FORMAT and data_format is not None:
        options["data_format"] = data_format
    for key, value in _with_kernel_size(config).items():
        name: str = own[key] if key in own else ARGUMENTS.get(key, key)
        if key in MEANINGLESS or name in NOT_THEIRS.get(new_kind, ()) or value in INERT.get(key, ()):
            continue
        if key != name and name in config:
            raise ConfigError(f"{kind}: {key} and {name} are given both, of which the former is the latter's old name")
        options[name] = _value(name, value, era, translate)
    return new_kind, {**options, **_special(new_kind, options, era)}


def _with_kernel_size(config: dict[str, Any]) -> dict[str, Any]:
    """Keras 1's nb_row and nb_col, kernel_dim1 to 3, as one kernel_size."""
    for names in (("nb_row", "nb_col"), ("kernel_dim1", "kernel_dim2", "kernel_dim3")):
        if all(name in config for name in names):
            rest = {key: value for key, value in config.items() if key not in names}
            return {**rest, "kernel_size": [config[name] for name in names]}
    return config


def _special(kind: str, options: dict, era: int) -> dict:
    """Arguments whose new value depends on more than their old one."""
    if era == 1 and kind in ("LSTM", "ConvLSTM2D"):
        return {"unit_forget_bias": options.get("unit_forget_bias") in ("one", True)}
    if kind == "BatchNormalization" and isinstance(options.get("axis"), list) and len(options["axis"]) == 1:
        return {"axis": options["axis"][0]}
    if kind == "Flatten" and era == 1:
        return {"data_format": "channels_last"}  # as the array lies
    if kind in ("ZeroPadding2D", "Cropping2D"):
        name = "padding" if kind == "ZeroPadding2D" else "cropping"
        return {name: _pairs(options.get(name))} if name in options else {}
    return {}


def _pairs(value: Any) -> Any:
    """Keras 1's padding of an image, [rows, columns] or [top, bottom, left, right] or by name, in pairs."""
    if isinstance(value, dict):
        value = [value.get(name, 0) for name in ("top_pad", "bottom_pad", "left_pad", "right_pad")]
    if isinstance(value, list) and len(value) == 4:
        return [value[:2], value[2:]]
    return value


def _value(name: str, value: Any, era: int, translate: Translate) -> Any:
    """An argument's value; `name` is Keras 3's."""
    part = name.rsplit("_", 1)[-1]
    if name == "data_format" and isinstance(value, str) and value in DATA_FORMATS:
        return DATA_FORMATS[value]
    if name == "dtype":
        return _dtype(value)
    if part == "activation":
        return _activation(value, translate)
    if part == "initializer":
        return _initializer(value)
    if part in ("regularizer", "constraint"):
        return _by_name(value)
    if isinstance(value, dict) and "class_name" in value:
        return translate(value)
    if isinstance(value, list) and value and all(isinstance(v, dict) and "class_name" in v for v in value):
        return [translate(v) for v in value]
    return value


def _activation(value: Any, translate: Translate) -> Any:
    """Before Keras 3, hard_sigmoid had another slope. A layer can be an activation."""
    if isinstance(value, dict) and value.get("class_name") == "function" and isinstance(value.get("config"), str):
        return {**value, "config": translate(value["config"])}
    return translate(value)


def _initializer(value: Any) -> Any:
    """Without the dtype that TensorFlow 1 writes, and by Keras 3's name of the normal distribution."""
    if not isinstance(value, dict) or not isinstance(value.get("config"), dict):
        return value
    config = {key: v for key, v in value["config"].items() if key != "dtype"}
    if config.get("distribution") == "normal":
        config["distribution"] = "truncated_normal"
    if value.get("class_name") not in ("VarianceScaling", None) and {"mode", "scale"} & config.keys():
        config = {"seed": config.get("seed")}  # GlorotUniform of TensorFlow 1 writes what it is made of
    return {**value, "config": config}


def _by_name(value: Any) -> Any:
    """Keras 1's {name: ..., arguments}."""
    if not isinstance(value, dict) or "class_name" in value or not isinstance(value.get("name"), str):
        return value
    config = {("max_value" if key == "m" else key): v for key, v in value.items() if key != "name"}
    return {"class_name": REGULARIZERS.get(value["name"], value["name"]), "config": config}


def _dtype(value: Any) -> Any:
    """TensorFlow's policies by name."""
    if isinstance(value, dict) and value.get("class_name") in ("Policy", "PolicyV1", "DTypePolicy"):
        config = value.get("config")
        return config.get("name") if isinstance(config, dict) else value
    return value
