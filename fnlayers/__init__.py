"""fnlayers: Keras 3's layers as pure functions on JAX.

A layer is plain data and a pair of pure functions: `params = layer.init(rng, shape)`, `y = layer.apply(params, x)`.
"""

from fnlayers import ops
from fnlayers.catalog import LAYERS
from fnlayers.core import (
    ConfigError,
    Context,
    Drawn,
    Input,
    Layer,
    LayerError,
    MissingError,
    Out,
    Param,
    ShapeError,
    State,
    Symbol,
    known,
    layerclass,
)
from fnlayers.functions import activations, constraints, initializers, regularizers
from fnlayers.layers.activation import ELU, Activation, LeakyReLU, PReLU, ReLU, Softmax
from fnlayers.layers.basic import DropMask, Identity, Lambda, Masking
from fnlayers.layers.cells import Cell, LSTMCell
from fnlayers.layers.conv import Conv1D, Conv2D, Conv3D
from fnlayers.layers.dense import Dense
from fnlayers.layers.embedding import Embedding
from fnlayers.layers.merge import Add, Concatenate, Multiply
from fnlayers.layers.normalization import BatchNormalization, LayerNormalization
from fnlayers.layers.pooling import (
    AveragePooling1D,
    AveragePooling2D,
    AveragePooling3D,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalAveragePooling3D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    GlobalMaxPooling3D,
    MaxPooling1D,
    MaxPooling2D,
    MaxPooling3D,
)
from fnlayers.layers.recurrent import LSTM, RNN
from fnlayers.layers.regularization import ActivityRegularization, Dropout
from fnlayers.layers.reshaping import Flatten, Reshape
from fnlayers.layers.wrappers import TimeDistributed
from fnlayers.models import Functional, Pair, Repeat, Sequential, flax_pair, functional, haiku_pair, stax_pair
from fnlayers.trees import count, decay_mask, labels, paths, penalty, project, projected, trainable_mask, weight_paths
from fnlayers.version import __version__

__all__ = [
    "Activation",
    "ActivityRegularization",
    "Add",
    "AveragePooling1D",
    "AveragePooling2D",
    "AveragePooling3D",
    "BatchNormalization",
    "Cell",
    "Concatenate",
    "ConfigError",
    "Context",
    "Conv1D",
    "Conv2D",
    "Conv3D",
    "Dense",
    "Drawn",
    "DropMask",
    "Dropout",
    "ELU",
    "Embedding",
    "Flatten",
    "Functional",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalAveragePooling3D",
    "GlobalMaxPooling1D",
    "GlobalMaxPooling2D",
    "GlobalMaxPooling3D",
    "Identity",
    "Input",
    "LAYERS",
    "LSTM",
    "LSTMCell",
    "Lambda",
    "Layer",
    "LayerError",
    "LayerNormalization",
    "LeakyReLU",
    "Masking",
    "MaxPooling1D",
    "MaxPooling2D",
    "MaxPooling3D",
    "MissingError",
    "Multiply",
    "Out",
    "PReLU",
    "Pair",
    "Param",
    "RNN",
    "ReLU",
    "Repeat",
    "Reshape",
    "Sequential",
    "ShapeError",
    "Softmax",
    "State",
    "Symbol",
    "TimeDistributed",
    "__version__",
    "activations",
    "constraints",
    "count",
    "decay_mask",
    "flax_pair",
    "functional",
    "haiku_pair",
    "initializers",
    "known",
    "labels",
    "layerclass",
    "ops",
    "paths",
    "penalty",
    "project",
    "projected",
    "regularizers",
    "stax_pair",
    "trainable_mask",
    "weight_paths",
]
