"""Writes ops.npz: what real Keras gives for each case of tests/ops/ops_cases.py, outputs and gradients.

Run: KERAS_BACKEND=jax python tests/golden/make_ops.py (with Keras 3.15.1 installed).
All results are one row of float32; `lengths` says how many of them belong to each of `names`.
"""

import sys
from pathlib import Path

import keras
import numpy as np

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent / "ops")]

from ops_cases import CASES, LAST, Case, outputs_and_gradients  # noqa: E402

K, L = keras.ops, keras.layers


def through(layer, weights, *args, **options):
    """A layer's output as a function of its weights."""
    layer.build(args[0].shape)
    stateless = [v.value for v in layer.non_trainable_variables]
    y, _ = layer.stateless_call(list(weights), stateless, *args, **options)
    return y


def conv(x, kernel, strides, padding, dilation, groups=1, data_format=LAST):
    if padding != "causal":
        return K.conv(x, kernel, strides, padding, data_format, dilation)
    layer = L.Conv1D(
        kernel.shape[-1], kernel.shape[0], strides, padding, data_format, dilation, groups=groups, use_bias=False
    )
    return through(layer, [kernel], x)


def depthwise_conv(x, kernel, strides, padding, dilation, data_format=LAST):
    return K.depthwise_conv(x, kernel, strides, padding, data_format, dilation)


def separable_conv(x, depthwise, pointwise, strides, padding, dilation, data_format=LAST):
    return K.separable_conv(x, depthwise, pointwise, strides, padding, data_format, dilation)


def conv_transpose(x, kernel, strides, padding, output_padding, dilation, data_format=LAST):
    return K.conv_transpose(x, kernel, strides, padding, output_padding, data_format, dilation)


def max_pool(x, window, strides, padding, data_format):
    return K.max_pool(x, window, strides, padding, data_format)


def average_pool(x, window, strides, padding, data_format):
    return K.average_pool(x, window, strides, padding, data_format)


def ranked(name, x, *args, **options):
    """The layer of that name for x's rank, run on x."""
    return getattr(L, f"{name}{x.ndim - 2}D")(*args, **options)(x)


def global_average(x, mask=None, **options):
    if mask is None:
        return ranked("GlobalAveragePooling", x, **options)
    return L.GlobalAveragePooling1D(**options)(x, mask=mask)


def zero_pad(x, padding, **options):
    return ranked("ZeroPadding", x, padding[0] if x.ndim == 3 else padding, **options)


def crop(x, cropping, **options):
    return ranked("Cropping", x, cropping[0] if x.ndim == 3 else cropping, **options)


def upsample(x, size, interpolation, **options):
    if x.ndim == 4:
        options["interpolation"] = interpolation
    return ranked("UpSampling", x, size[0] if x.ndim == 3 else size, **options)


def masked_moments(x, mask):
    layer = L.BatchNormalization(momentum=0.0, center=False, scale=False)
    layer.build(x.shape)
    stateless = [v.value for v in layer.non_trainable_variables]
    return layer.stateless_call([], stateless, x, training=True, mask=mask)[1]


def layer_normalize(x, gamma, beta, axes):
    return through(L.LayerNormalization(axes), [gamma, beta], x)


def group_normalize(x, gamma, beta, groups, axis, epsilon):
    return through(L.GroupNormalization(groups, axis, epsilon), [gamma, beta], x)


def recurrent(layer, x, weights, mask, reverse=False, zero_output=False):
    """The last output, all outputs and the states."""
    last, every = (
        layer(weights[1].shape[0], go_backwards=reverse, return_state=True, return_sequences=s) for s in (False, True)
    )
    last.zero_output_for_mask = every.zero_output_for_mask = zero_output
    y, *_ = through(last, weights, x, mask=mask)
    ys, *states = through(every, weights, x, mask=mask)
    return y, ys, *states


def gru(x, kernel, recurrent_kernel, bias, mask=None, **options):
    def layer(units, **more):
        return L.GRU(units, reset_after=bias.ndim == 2, **more)

    return recurrent(layer, x, [kernel, recurrent_kernel, bias], mask, **options)


KERAS = {
    "dense": lambda x, kernel, bias: through(L.Dense(kernel.shape[1]), [kernel, bias], x),
    "conv": conv,
    "depthwise_conv": depthwise_conv,
    "separable_conv": separable_conv,
    "conv_transpose": conv_transpose,
    "max_pool": max_pool,
    "average_pool": average_pool,
    "adaptive_average_pool": lambda x, output_size, data_format: K.adaptive_average_pool(x, output_size, data_format),
    "adaptive_max_pool": lambda x, output_size, data_format: K.adaptive_max_pool(x, output_size, data_format),
    "global_average": global_average,
    "global_max_pool": lambda x, **options: ranked("GlobalMaxPooling", x, **options),
    "zero_pad": zero_pad,
    "crop": crop,
    "upsample": upsample,
    "moments_over": lambda x, axes, keepdims: K.moments(x, axes, keepdims),
    "masked_moments": masked_moments,
    "layer_normalize": layer_normalize,
    "group_normalize": group_normalize,
    "rms_normalize": lambda x, scale, axes, epsilon: K.rms_normalization(x, scale, axes, epsilon),
    "l2_normalize": lambda x, axis: L.UnitNormalization(axis)(x),
    "lstm": lambda x, k, r, b, mask=None, **options: recurrent(L.LSTM, x, [k, r, b], mask, **options),
    "gru": gru,
    "simple_rnn": lambda x, k, r, b, mask=None, **options: recurrent(L.SimpleRNN, x, [k, r, b], mask, **options),
}


def golden(case: Case) -> np.ndarray:
    results = outputs_and_gradients(lambda *arrays: KERAS[case.op](*arrays, **case.static), case.inputs())
    return np.concatenate([np.ravel(a) for a in results]).astype("float32")


if __name__ == "__main__":
    rows = []
    for case in CASES:
        try:
            rows.append(golden(case))
        except Exception as error:
            error.add_note(case.name)
            raise
    np.savez_compressed(
        HERE / "ops.npz",
        names=np.array([case.name for case in CASES]),
        lengths=np.array([len(row) for row in rows]),
        values=np.concatenate(rows),
    )
    print(f"{len(rows)} cases, {sum(map(len, rows))} numbers, Keras {keras.__version__}")
