"""Array maths that knows nothing of layers: it takes arrays, tuples and strings, and gives arrays.

Users write `ops.conv(...)`. Each file holds one family, and each operation is one public function.
"""

from fnlayers.ops import boxes, color, image, signal
from fnlayers.ops.attention import additive_score, all_of, attention, nearby
from fnlayers.ops.conv import conv, conv_output_size, conv_transpose, depthwise_conv, separable_conv
from fnlayers.ops.dense import add_bias, dot, einsum, matmul_in_float32
from fnlayers.ops.dropout import alpha_dropout, dropout, gaussian_dropout, gaussian_noise
from fnlayers.ops.explain import explain
from fnlayers.ops.fusion import gradient_once
from fnlayers.ops.layout import expand_trailing
from fnlayers.ops.normalization import (
    average_arrays,
    group_normalize,
    l2_normalize,
    mask_count,
    moments,
    normalize,
    rms_normalize,
    spectral_norm,
    sum_arrays,
)
from fnlayers.ops.position import rotate, waves
from fnlayers.ops.recurrent import DenseWeights, LinearRecurrence, Recurrence, gru_gates, lstm_gates
from fnlayers.ops.scan import scan_dense, scan_gates, scan_lstm, scan_time
from fnlayers.ops.spatial import (
    adaptive_average_pool,
    adaptive_max_pool,
    average_pool,
    crop,
    global_average_pool,
    global_max_pool,
    max_pool,
    upsample,
    zero_pad,
)

__all__ = [
    "DenseWeights",
    "LinearRecurrence",
    "Recurrence",
    "adaptive_average_pool",
    "adaptive_max_pool",
    "add_bias",
    "additive_score",
    "all_of",
    "alpha_dropout",
    "attention",
    "average_arrays",
    "average_pool",
    "boxes",
    "color",
    "conv",
    "conv_output_size",
    "conv_transpose",
    "crop",
    "depthwise_conv",
    "dot",
    "dropout",
    "einsum",
    "expand_trailing",
    "explain",
    "gaussian_dropout",
    "gaussian_noise",
    "global_average_pool",
    "global_max_pool",
    "gradient_once",
    "group_normalize",
    "gru_gates",
    "image",
    "l2_normalize",
    "lstm_gates",
    "mask_count",
    "matmul_in_float32",
    "max_pool",
    "moments",
    "nearby",
    "normalize",
    "rms_normalize",
    "rotate",
    "scan_dense",
    "scan_gates",
    "scan_lstm",
    "scan_time",
    "separable_conv",
    "signal",
    "spectral_norm",
    "sum_arrays",
    "upsample",
    "waves",
    "zero_pad",
]
