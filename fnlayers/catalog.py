"""LAYERS: every layer of the library by name; a file is loaded through it and nothing else.

Each name stands once, in the `__all__` of its family's file, in the order of its definition. All of them are read here,
aliases (`Convolution2D`) and functions (`add`) among them, and are public in `fnlayers`.
"""

from fnlayers.core.layer import Layer
from fnlayers.core.operation import *
from fnlayers.layers.activation import *
from fnlayers.layers.applications import *
from fnlayers.layers.attention.multi_head import *
from fnlayers.layers.attention.position import *
from fnlayers.layers.attention.single_head import *
from fnlayers.layers.basic import *
from fnlayers.layers.blocks.token_and_position import *
from fnlayers.layers.blocks.transformer import *
from fnlayers.layers.conv import *
from fnlayers.layers.dense import *
from fnlayers.layers.depthwise import *
from fnlayers.layers.embedding import *
from fnlayers.layers.merge import *
from fnlayers.layers.normalization import *
from fnlayers.layers.pooling import *
from fnlayers.layers.preprocessing.audio import *
from fnlayers.layers.preprocessing.feature_space import *
from fnlayers.layers.preprocessing.hashing import *
from fnlayers.layers.preprocessing.image_color import *
from fnlayers.layers.preprocessing.image_filters import *
from fnlayers.layers.preprocessing.image_geometry import *
from fnlayers.layers.preprocessing.image_mixing import *
from fnlayers.layers.preprocessing.image_policies import *
from fnlayers.layers.preprocessing.image_size import *
from fnlayers.layers.preprocessing.lookup import *
from fnlayers.layers.preprocessing.numeric import *
from fnlayers.layers.preprocessing.tabular import *
from fnlayers.layers.preprocessing.text import *
from fnlayers.layers.recurrent.bidirectional import *
from fnlayers.layers.recurrent.cells import *
from fnlayers.layers.recurrent.conv_lstm import *
from fnlayers.layers.recurrent.rnn import *
from fnlayers.layers.regularization import *
from fnlayers.layers.reshaping import *
from fnlayers.layers.wrappers import *
from fnlayers.models import *

LAYERS: dict[str, type[Layer]] = {
    name: value
    for name, value in tuple(globals().items())
    if isinstance(value, type) and value.__name__ == name and issubclass(value, Layer) and value is not Layer
}
