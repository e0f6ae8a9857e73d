"""LAYERS: every layer of the library by name. The only list of them; a file is loaded through it and nothing else."""

from fnlayers.core.layer import Layer
from fnlayers.core.operation import Operation
from fnlayers.layers.activation import ELU, Activation, LeakyReLU, PReLU, ReLU, Softmax
from fnlayers.layers.applications import CustomScaleLayer, LayerScale
from fnlayers.layers.attention.multi_head import GroupQueryAttention, MultiHeadAttention
from fnlayers.layers.attention.position import PositionEmbedding, RotaryEmbedding, SinePositionEncoding
from fnlayers.layers.attention.single_head import AdditiveAttention, Attention
from fnlayers.layers.basic import CopyMask, DropMask, Identity, Lambda, Masking
from fnlayers.layers.blocks.token_and_position import TokenAndPositionEmbedding
from fnlayers.layers.blocks.transformer import TransformerDecoder, TransformerEncoder
from fnlayers.layers.conv import Conv1D, Conv1DTranspose, Conv2D, Conv2DTranspose, Conv3D, Conv3DTranspose
from fnlayers.layers.dense import Dense, EinsumDense
from fnlayers.layers.depthwise import DepthwiseConv1D, DepthwiseConv2D, SeparableConv1D, SeparableConv2D
from fnlayers.layers.embedding import Embedding, ReversibleEmbedding
from fnlayers.layers.merge import Add, Average, Concatenate, Dot, Maximum, Minimum, Multiply, Subtract
from fnlayers.layers.normalization import (
    BatchNormalization,
    GroupNormalization,
    LayerNormalization,
    RMSNormalization,
    UnitNormalization,
)
from fnlayers.layers.pooling import (
    AdaptiveAveragePooling1D,
    AdaptiveAveragePooling2D,
    AdaptiveAveragePooling3D,
    AdaptiveMaxPooling1D,
    AdaptiveMaxPooling2D,
    AdaptiveMaxPooling3D,
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
from fnlayers.layers.preprocessing.numeric import Normalization, Rescaling
from fnlayers.layers.recurrent.bidirectional import Bidirectional
from fnlayers.layers.recurrent.cells import GRUCell, LSTMCell, SimpleRNNCell, StackedRNNCells
from fnlayers.layers.recurrent.conv_lstm import ConvLSTM1D, ConvLSTM2D, ConvLSTM3D, ConvLSTMCell
from fnlayers.layers.recurrent.rnn import GRU, LSTM, RNN, SimpleRNN
from fnlayers.layers.regularization import (
    ActivityRegularization,
    AlphaDropout,
    Dropout,
    GaussianDropout,
    GaussianNoise,
    SpatialDropout1D,
    SpatialDropout2D,
    SpatialDropout3D,
    StochasticDepth,
)
from fnlayers.layers.reshaping import (
    Cropping1D,
    Cropping2D,
    Cropping3D,
    Flatten,
    Permute,
    RepeatVector,
    Reshape,
    UpSampling1D,
    UpSampling2D,
    UpSampling3D,
    ZeroPadding1D,
    ZeroPadding2D,
    ZeroPadding3D,
)
from fnlayers.layers.wrappers import SpectralNormalization, TimeDistributed
from fnlayers.models.functional import Functional
from fnlayers.models.pair import Pair
from fnlayers.models.repeat import Repeat
from fnlayers.models.sequential import Sequential

LAYERS: dict[str, type[Layer]] = {
    # dense, embedding, basic
    "Dense": Dense,
    "EinsumDense": EinsumDense,
    "Embedding": Embedding,
    "ReversibleEmbedding": ReversibleEmbedding,
    "Identity": Identity,
    "Operation": Operation,
    "Lambda": Lambda,
    "Masking": Masking,
    "CopyMask": CopyMask,
    "DropMask": DropMask,
    # attention
    "Attention": Attention,
    "AdditiveAttention": AdditiveAttention,
    "MultiHeadAttention": MultiHeadAttention,
    "GroupQueryAttention": GroupQueryAttention,
    # positions, transformers
    "PositionEmbedding": PositionEmbedding,
    "SinePositionEncoding": SinePositionEncoding,
    "RotaryEmbedding": RotaryEmbedding,
    "TokenAndPositionEmbedding": TokenAndPositionEmbedding,
    "TransformerEncoder": TransformerEncoder,
    "TransformerDecoder": TransformerDecoder,
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
    "Conv1DTranspose": Conv1DTranspose,
    "Conv2DTranspose": Conv2DTranspose,
    "Conv3DTranspose": Conv3DTranspose,
    "DepthwiseConv1D": DepthwiseConv1D,
    "DepthwiseConv2D": DepthwiseConv2D,
    "SeparableConv1D": SeparableConv1D,
    "SeparableConv2D": SeparableConv2D,
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
    "AdaptiveMaxPooling1D": AdaptiveMaxPooling1D,
    "AdaptiveMaxPooling2D": AdaptiveMaxPooling2D,
    "AdaptiveMaxPooling3D": AdaptiveMaxPooling3D,
    "AdaptiveAveragePooling1D": AdaptiveAveragePooling1D,
    "AdaptiveAveragePooling2D": AdaptiveAveragePooling2D,
    "AdaptiveAveragePooling3D": AdaptiveAveragePooling3D,
    # normalization
    "BatchNormalization": BatchNormalization,
    "LayerNormalization": LayerNormalization,
    "GroupNormalization": GroupNormalization,
    "RMSNormalization": RMSNormalization,
    "UnitNormalization": UnitNormalization,
    "SpectralNormalization": SpectralNormalization,
    # regularization
    "Dropout": Dropout,
    "SpatialDropout1D": SpatialDropout1D,
    "SpatialDropout2D": SpatialDropout2D,
    "SpatialDropout3D": SpatialDropout3D,
    "AlphaDropout": AlphaDropout,
    "GaussianDropout": GaussianDropout,
    "GaussianNoise": GaussianNoise,
    "ActivityRegularization": ActivityRegularization,
    # preprocessing, keras.applications
    "Rescaling": Rescaling,
    "Normalization": Normalization,
    "LayerScale": LayerScale,
    "CustomScaleLayer": CustomScaleLayer,
    "StochasticDepth": StochasticDepth,
    # reshaping, merging
    "Flatten": Flatten,
    "Reshape": Reshape,
    "Permute": Permute,
    "RepeatVector": RepeatVector,
    "ZeroPadding1D": ZeroPadding1D,
    "ZeroPadding2D": ZeroPadding2D,
    "ZeroPadding3D": ZeroPadding3D,
    "Cropping1D": Cropping1D,
    "Cropping2D": Cropping2D,
    "Cropping3D": Cropping3D,
    "UpSampling1D": UpSampling1D,
    "UpSampling2D": UpSampling2D,
    "UpSampling3D": UpSampling3D,
    "Add": Add,
    "Multiply": Multiply,
    "Subtract": Subtract,
    "Average": Average,
    "Maximum": Maximum,
    "Minimum": Minimum,
    "Dot": Dot,
    "Concatenate": Concatenate,
    # recurrent, wrappers
    "SimpleRNNCell": SimpleRNNCell,
    "GRUCell": GRUCell,
    "LSTMCell": LSTMCell,
    "StackedRNNCells": StackedRNNCells,
    "RNN": RNN,
    "SimpleRNN": SimpleRNN,
    "GRU": GRU,
    "LSTM": LSTM,
    "ConvLSTMCell": ConvLSTMCell,
    "ConvLSTM1D": ConvLSTM1D,
    "ConvLSTM2D": ConvLSTM2D,
    "ConvLSTM3D": ConvLSTM3D,
    "Bidirectional": Bidirectional,
    "TimeDistributed": TimeDistributed,
    # models
    "Sequential": Sequential,
    "Functional": Functional,
    "Repeat": Repeat,
    "Pair": Pair,
}
