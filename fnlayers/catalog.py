"""LAYERS: every layer of the library by name. The only list of them; a file is loaded through it and nothing else."""

from fnlayers.core.layer import Layer
from fnlayers.layers.activation import ELU, Activation, LeakyReLU, PReLU, ReLU, Softmax
from fnlayers.layers.basic import DropMask, Identity, Lambda, Masking
from fnlayers.layers.cells import LSTMCell
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
from fnlayers.models.functional import Functional
from fnlayers.models.pair import Pair
from fnlayers.models.repeat import Repeat
from fnlayers.models.sequential import Sequential

LAYERS: dict[str, type[Layer]] = {
    # dense, embedding, basic
    "Dense": Dense,
    "Embedding": Embedding,
    "Identity": Identity,
    "Lambda": Lambda,
    "Masking": Masking,
    "DropMask": DropMask,
    # activation
    "Activation": Activation,
    "ReLU": ReLU,
    "LeakyReLU": LeakyReLU,
    "ELU": ELU,
    "PReLU": PReLU,
    "Softmax": Softmax,
    # convolution
    "Conv1D": Conv1D,
    "Conv2D": Conv2D,
    "Conv3D": Conv3D,
    # pooling
    "MaxPooling1D": MaxPooling1D,
    "MaxPooling2D": MaxPooling2D,
    "MaxPooling3D": MaxPooling3D,
    "AveragePooling1D": AveragePooling1D,
    "AveragePooling2D": AveragePooling2D,
    "AveragePooling3D": AveragePooling3D,
    "GlobalMaxPooling1D": GlobalMaxPooling1D,
    "GlobalMaxPooling2D": GlobalMaxPooling2D,
    "GlobalMaxPooling3D": GlobalMaxPooling3D,
    "GlobalAveragePooling1D": GlobalAveragePooling1D,
    "GlobalAveragePooling2D": GlobalAveragePooling2D,
    "GlobalAveragePooling3D": GlobalAveragePooling3D,
    # normalization
    "BatchNormalization": BatchNormalization,
    "LayerNormalization": LayerNormalization,
    # regularization
    "Dropout": Dropout,
    "ActivityRegularization": ActivityRegularization,
    # reshaping, merging
    "Flatten": Flatten,
    "Reshape": Reshape,
    "Add": Add,
    "Multiply": Multiply,
    "Concatenate": Concatenate,
    # recurrent, wrappers
    "LSTMCell": LSTMCell,
    "RNN": RNN,
    "LSTM": LSTM,
    "TimeDistributed": TimeDistributed,
    # models
    "Sequential": Sequential,
    "Functional": Functional,
    "Repeat": Repeat,
    "Pair": Pair,
}
