"""What the arguments of the library mean, by their names, and values that cannot mean that.

Nothing here is read from the annotations in the package: those are what is tested.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

import fnlayers as fl

# Values of every type that somebody may write by mistake.
POOL: tuple[Any, ...] = (
    "False", "True", "", "sam", "relu6x", "1", b"same",
    True, False, None, 0, 1, -1, 2, 3, 7, -7, 10**30, np.int64(-3), np.bool_(True),
    0.5, 1.0, 2.5, -0.5, 1e-3, math.nan, math.inf, -math.inf, np.float32(2.5), np.float64("nan"), jnp.float32(0.5),
    1j, 2 + 0j, np.complex64(1j),
    (), [], (1,), (2, 2), [1, 2, 3], (1, 2, 3, 4, 5, 6, 7), (0, 0), (-1, -1), (1, -1), (2.5, 2.5), ("a", "b"), (None,), (True, False),
    ((1, 1), (1, 1), (1, 1), (1, 1)), ((1, 2, 3),), [[1, 2], [3]], (math.nan, 1.0), (math.inf,), (1j, 1),
    {}, {"a": 1}, {1, 2}, range(3), slice(2), object(), int, float, str, dict,
    np.ones(3), np.ones((2, 2)), np.ones((2, 2, 2), complex), jnp.ones((3, 3)), np.array("a"), np.array([None]), np.array([]),
    fl.Dense, fl.Dropout, fl.Sequential, fl.Dense(2), fl.LSTM, fl.LSTMCell, fl.Layer, fl.Input((3,)),
    fl.regularizers.L2, fl.regularizers.L2(), fl.initializers.Zeros(), fl.constraints.NonNeg(), fl.activations.relu,
    print, len, lambda: None, ValueError("x"), ..., NotImplemented,
)  # fmt: skip

Means = Callable[[Any], bool | None]  # whether a value may mean something; None: leave it alone


def plain(value: Any) -> Any:
    """Numbers of NumPy and JAX, and arrays of them, as Python's."""
    if isinstance(value, (np.generic, np.ndarray, jnp.ndarray)) and np.ndim(value) <= 3:
        return plain(np.asarray(value).tolist())
    if isinstance(value, (list, tuple)):
        return tuple(map(plain, value))
    return value


def a_flag(value: Any) -> bool:
    return isinstance(value, bool)


def an_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def a_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def whole(least: int, most: float = 10**9) -> Means:
    return lambda value: an_integer(value) and least <= value <= most


def number(low: float = -math.inf, high: float = math.inf) -> Means:
    return lambda value: a_number(value) and low <= value <= high


def or_none(means: Means) -> Means:
    return lambda value: value is None or means(value)


def one_of(*choices: Any) -> Means:
    return lambda value: any(type(value) is type(choice) and value == choice for choice in choices)


def either(*several: Means) -> Means:
    return lambda value: any(means(value) for means in several)


def each(means: Means, *lengths: int) -> Means:
    """A tuple or list of values that mean something each, of one of these lengths."""
    return lambda value: isinstance(value, tuple) and (not lengths or len(value) in lengths) and all(map(means, value))


def sizes(rank: int, least: int = 1) -> Means:
    return either(whole(least), each(whole(least), rank))


def pairs(rank: int) -> Means:
    """Padding and cropping: one number, one for each axis, or a pair for each axis."""
    count = whole(0)
    return either(count, each(either(count, each(count, 2)), rank), each(count, 2) if rank == 1 else one_of())


def numbers(value: Any) -> bool | None:
    """A number, or numbers nested like an array, whose shape the layer judges."""
    if not isinstance(value, tuple):
        return a_number(value)
    return None if all(numbers(item) is not False for item in value) else False


def a_function(value: Any) -> bool | None:
    """Any callable of a user's; of ours, only what is made for it (see `rule`)."""
    return None if callable(value) else False


def rule(home: str, optional: bool) -> Means:
    """An initializer, regularizer, constraint or activation: a name, one of its module, or a user's function."""
    module = getattr(fl, home)

    def means(value: Any) -> bool | None:
        if value is None:
            return optional
        if isinstance(value, str):
            return value.lower() in {name.lower() for name in dir(module)}
        kind = value if isinstance(value, type) else type(value)
        if isinstance(value, fl.Layer) or (isinstance(value, type) and issubclass(value, fl.Layer)):
            return None if home == "activations" and isinstance(value, fl.Layer) else False
        owner = getattr(value, "__module__", "") if hasattr(value, "__qualname__") else kind.__module__
        if owner.startswith("fnlayers.functions"):
            return owner.endswith(home) or None
        return None if callable(value) else False

    return means


def a_layer(value: Any) -> bool:
    return isinstance(value, fl.Layer)


def never(value: Any) -> bool:
    """Nothing among the values of the pool."""
    return False


def a_key(value: Any) -> bool | None:
    """A random key; arrays are left alone, since raw keys are arrays of integers."""
    return None if isinstance(value, tuple) else False


def a_shape(value: Any) -> bool | None:
    """Whatever may be a shape or a nest of shapes."""
    return None if isinstance(value, (tuple, dict)) or value is None else False


def an_array(value: Any) -> bool | None:
    """Whatever jax may take for an array, or a nest of arrays."""
    return None if isinstance(value, (tuple, dict, int, float, complex)) else False


def a_path(value: Any) -> bool | None:
    return None if isinstance(value, (str, bytes)) else False


def a_name(value: Any) -> bool:
    return isinstance(value, str) and value != "" and "/" not in value


POLICIES = ("float32", "bfloat16", "float16", "float64", "mixed_bfloat16", "mixed_float16")
COUNT, FLAG, NUMBER = whole(1), a_flag, number()
FRACTION, POSITIVE, FROM_ZERO = number(0, 1), number(1e-300), number(0)
AXES = either(whole(-10, 10), each(whole(-10, 10)))

# An argument means the same wherever it stands.
MEANINGS: dict[str, Means] = {
    "name": or_none(a_name),
    "dtype": or_none(one_of(*POLICIES)),
    "reverse_dtype": or_none(one_of(*POLICIES)),
    **dict.fromkeys(("units", "filters", "input_dim", "output_dim", "num_heads", "key_dim", "head_dim", "num_query_heads",
        "num_key_value_heads", "sequence_length", "vocabulary_size", "embedding_dim", "intermediate_dim", "groups",
        "depth_multiplier", "power_iterations", "n", "projection_dim"), COUNT),
    **dict.fromkeys(("value_dim", "sliding_window", "cache"), or_none(COUNT)),
    **dict.fromkeys(("trainable", "use_bias", "mask_zero", "tie_weights", "use_causal_mask", "return_attention_scores",
        "keras_masks", "use_scale", "use_gate", "normalize_first", "keepdims", "center", "scale", "renorm", "normalize",
        "reset_after", "unit_forget_bias", "time_major", "return_sequences", "return_state", "go_backwards", "stateful",
        "zero_output_for_mask", "remat", "invert"), FLAG),
    "flash_attention": or_none(FLAG),
    "unroll": either(FLAG, COUNT),
    "synchronized": either(FLAG, lambda value: isinstance(value, str) and value != "" and None),
    **dict.fromkeys(("dropout", "recurrent_dropout", "rate", "drop_path_rate"), FRACTION),
    "init_values": NUMBER, "offset": numbers, "mean": or_none(numbers), "variance": or_none(numbers),
    "momentum": NUMBER, "renorm_momentum": NUMBER,
    **dict.fromkeys(("epsilon", "layer_norm_epsilon", "stddev", "l1", "l2"), FROM_ZERO),
    **dict.fromkeys(("max_wavelength", "scaling_factor"), POSITIVE),
    **dict.fromkeys(("rotary_wavelength", "logit_soft_cap"), or_none(POSITIVE)),
    "max_value": or_none(FROM_ZERO), "negative_slope": NUMBER, "threshold": NUMBER, "alpha": NUMBER, "mask_value": either(NUMBER, one_of(math.inf, -math.inf)),
    "seed": or_none(an_integer),
    "axis": AXES, "axes": either(whole(-10, 10), each(whole(-10, 10), 2)),
    "shared_axes": or_none(each(whole(-10, 10))), "attention_axes": or_none(AXES),
    "sequence_axis": whole(-10, 10), "feature_axis": whole(-10, 10),
    "score_mode": one_of("dot", "concat"), "interpolation": one_of("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"),
    "data_format": or_none(one_of("channels_last", "channels_first")),
    "merge_mode": or_none(one_of("concat", "sum", "mul", "ave")),
    "padding": one_of("valid", "same", "causal"),
    **dict.fromkeys(("kernel_initializer", "bias_initializer", "embeddings_initializer", "initializer", "alpha_initializer",
        "depthwise_initializer", "pointwise_initializer", "beta_initializer", "gamma_initializer",
        "moving_mean_initializer", "moving_variance_initializer", "recurrent_initializer"), rule("initializers", False)),
    **dict.fromkeys(("kernel_regularizer", "bias_regularizer", "activity_regularizer", "embeddings_regularizer",
        "alpha_regularizer", "depthwise_regularizer", "pointwise_regularizer", "beta_regularizer", "gamma_regularizer",
        "recurrent_regularizer"), rule("regularizers", True)),
    **dict.fromkeys(("kernel_constraint", "bias_constraint", "embeddings_constraint", "alpha_constraint",
        "depthwise_constraint", "pointwise_constraint", "beta_constraint", "gamma_constraint", "recurrent_constraint"),
        rule("constraints", True)),
    "activation": rule("activations", True), "recurrent_activation": rule("activations", True),
    "sparse": FLAG, "num_tokens": COUNT, "num_bins": or_none(COUNT), "output_mode": one_of("int", "one_hot", "multi_hot", "count"),
    "bin_boundaries": or_none(numbers),
    "model": a_layer,
    "patterns": lambda value: isinstance(value, tuple) and len(value) > 0 and all(isinstance(p, str) for p in value) and None,
    "layer": a_layer, "backward_layer": or_none(lambda value: isinstance(value, fl.Layer) and None),
    "equation": lambda value: isinstance(value, str) and "->" in value,
    "output_shape": or_none(either(COUNT, each(or_none(COUNT)))), "bias_axes": or_none(lambda value: isinstance(value, str) and value.isalpha()),
    "noise_shape": or_none(each(or_none(COUNT))),
    "target_shape": each(whole(-1)), "dims": each(COUNT), "rank": whole(1, 3),
    "renorm_clipping": or_none(lambda value: isinstance(value, Mapping) and set(value) <= {"rmin", "rmax", "dmax"}),
    "init_fn": a_function, "apply_fn": a_function, "mask": or_none(a_function), "function": a_function,
    "arguments": or_none(lambda value: isinstance(value, Mapping) and all(isinstance(key, str) for key in value)),
    "options": lambda value: isinstance(value, Mapping) and all(isinstance(key, str) for key in value),
    "layers": each(a_layer), "cells": lambda value: isinstance(value, tuple) and len(value) > 0 and all(map(a_cell, value)),
    "cell": lambda value: a_cell(value) or (isinstance(value, tuple) and len(value) > 0 and all(map(a_cell, value))),
    "input": or_none(one_of()), "nodes": lambda value: isinstance(value, tuple) and value == () and None,
    "inputs": lambda value: None, "outputs": lambda value: None,
}  # fmt: skip


def a_cell(value: Any) -> bool:
    return isinstance(value, fl.Cell)


# Layers of images and sounds, whose arguments mean another thing in each class


def factor(least: float, most: float = 1) -> Means:
    """A number, or two between which one is drawn."""
    return either(number(least, most), each(number(least, most), 2))


def a_range(value: Any) -> bool:
    return each(NUMBER, 2)(value) and value[0] < value[1]


def a_window(length: int, *names: str) -> Means:
    """None, a name, or a number for each step of a frame."""
    return or_none(either(one_of(*names), each(NUMBER, length)))


def _of(names: str, means: Means) -> dict[str, Means]:
    return dict.fromkeys(names.split(), means)


BOXES = ("xyxy", "yxyx", "xywh", "center_xywh", "center_yxhw", "rel_xyxy", "rel_yxyx", "rel_xywh", "rel_center_xywh")
FILLS = ("constant", "nearest", "wrap", "reflect")
SIGNALS: dict[str, Means] = {
    **_of("height width max_number num_chains sampling_rate sequence_stride num_mel_bins", COUNT),
    **_of("crop_to_aspect_ratio pad_to_aspect_ratio antialias all_ops periodic expand_dims power_to_db", FLAG),
    **_of("num_ops chain_depth", whole(0)), "bins": whole(2), "frame_length": whole(2),
    "bounding_box_format": or_none(one_of(*BOXES)), "value_range": a_range,
    "interpolation": one_of("nearest", "bilinear"), "fill_mode": one_of(*FILLS), "fill_value": NUMBER,
    "factor": factor(0), "sigma": factor(0), "scale": factor(0), "alpha": POSITIVE, "clip_limit": NUMBER,
    **_of("addition_factor threshold_factor", factor(0)),
    **_of("height_factor width_factor x_factor y_factor", factor(-1)),
    **_of("brightness_factor saturation_factor", or_none(factor(-1))), **_of("contrast_factor hue_factor", or_none(factor(0))),
    "kernel_size": either(one_of(1, 3, 7), each(one_of(1, 3, 7), 2)), "tile_grid_size": sizes(2),
    **_of("min_power mag_exp", POSITIVE), "ref_power": NUMBER, "top_db": or_none(NUMBER),
    "scaling": or_none(one_of("density", "spectrum")),
}  # fmt: skip
SIGNALS_OF: dict[str, dict[str, Means]] = {
    **{cls: {"factor": factor(-1)} for cls in ("RandomRotation", "RandomBrightness", "RandomSaturation",
        "RandomColorDegeneration")},
    "RandomZoom": _of("height_factor width_factor", factor(-0.999)) | {"width_factor": or_none(factor(-0.999))},
    "RandomPosterization": {"factor": factor(1, 8)}, "RandomGrayscale": {"factor": FRACTION},
    "RandomPerspective": {"scale": FRACTION},
    "RandomElasticTransform": {"fill_mode": one_of(*FILLS, "mirror")},
    "RandomErasing": {"fill_value": or_none(either(NUMBER, each(NUMBER, 1, 3)))},
    "RandomFlip": {"mode": one_of("horizontal", "vertical", "horizontal_and_vertical")},
    "Resizing": {"fill_mode": one_of("constant"),
        "interpolation": one_of("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")},
    "MaxNumBoundingBoxes": {"fill_value": an_integer},
    "FeatureSpace": _of("crossing_dim hashing_dim num_discretization_bins", COUNT) | {
        "features": lambda value: isinstance(value, Mapping) and None,
        "output_mode": one_of("concat", "dict"), "crosses": or_none(lambda value: isinstance(value, tuple) and None)},
}  # fmt: skip


def of_spectrogram(layer: fl.Layer, name: str) -> Means:
    """What the lengths and windows of a layer of sounds may be, next to what its other arguments are."""
    if isinstance(layer, fl.STFTSpectrogram):
        frame = layer.frame_length
        modes = ("log", "magnitude", "psd", "real", "imag", "angle", "stft")
        own = {
            "mode": one_of(*modes), "frame_step": or_none(whole(1, frame)), "fft_length": or_none(whole(frame)),
            "window": lambda value: isinstance(value, str) and value.isalpha() and None or a_window(frame)(value),
        }  # fmt: skip
    else:
        frame = layer.sequence_length or layer.fft_length
        own = {
            "window": a_window(frame, "hann", "hamming"), "fft_length": whole(layer.sequence_length or 1),
            "sequence_length": or_none(whole(1, layer.fft_length)),
            "min_freq": number(0), "max_freq": or_none(POSITIVE),
        }  # fmt: skip
    return own.get(name) or SIGNALS.get(name) or MEANINGS[name]
