"""The networks in fnlayers. See `networks`."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.experimental import rnn

import fnlayers as fl
from networks import RATE, Network
from networks.jitted import Training, training

Shape = tuple[int, ...]


def policy(dtype: str) -> str:
    """The dtype policy: params are always in float32."""
    return "float32" if dtype == "float32" else f"mixed_{dtype}"


def resnet(shape: Shape, filters: int, depths: Sequence[int], classes: int, dtype: str = "float32") -> fl.Layer:
    """A residual network of bottleneck blocks; with 64 filters and depths 3, 4, 6, 3 it is ResNet-50.

    Reference: He et al., Deep Residual Learning for Image Recognition, 2016. Strides stand in the 3x3 convolutions.
    """
    kind = policy(dtype)
    convolved = partial(fl.Conv2D, padding="same", use_bias=False, dtype=kind)
    normed, relu = partial(fl.BatchNormalization, dtype=kind), fl.ReLU(dtype=kind)

    def bottleneck(x: Any, width: int, stride: int, projects: bool) -> Any:
        y = relu(normed()(convolved(width, 1)(x)))
        y = relu(normed()(convolved(width, 3, stride)(y)))
        y = normed()(convolved(4 * width, 1)(y))
        short = normed()(convolved(4 * width, 1, stride)(x)) if projects else x
        return relu(fl.Add(dtype=kind)(short, y))

    image = fl.Input(shape[1:])
    x = relu(normed()(convolved(filters, 7, 2)(image)))
    x = fl.MaxPooling2D(3, 2, padding="same", dtype=kind)(x)
    for stage, depth in enumerate(depths):
        for block in range(depth):
            x = bottleneck(x, filters * 2**stage, 2 if stage and not block else 1, not block)
    x = fl.GlobalAveragePooling2D(dtype=kind)(x)
    return fl.functional(image, fl.Dense(classes, dtype=kind)(x))


def mobilenet(shape: Shape, blocks: int, expansion: int, dtype: str = "float32") -> fl.Layer:
    """Inverted residual blocks: a wide depthwise convolution between two of window 1.

    Reference: Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, 2018.
    """
    kind = policy(dtype)
    pointwise = partial(fl.Conv2D, kernel_size=1, use_bias=False, dtype=kind)
    normed, relu6 = partial(fl.BatchNormalization, dtype=kind), fl.ReLU(6, dtype=kind)
    x = image = fl.Input(shape[1:])
    for _ in range(blocks):
        y = relu6(normed()(pointwise(shape[-1] * expansion)(x)))
        y = relu6(normed()(fl.DepthwiseConv2D(3, padding="same", use_bias=False, dtype=kind)(y)))
        x = fl.Add(dtype=kind)(x, normed()(pointwise(shape[-1])(y)))
    return fl.functional(image, x)


def transformer(shape: Shape, blocks: int, heads: int, dtype: str = "float32") -> fl.Layer:
    """Causal blocks of a language model, normalized first."""
    options: Any = dict(activation="gelu", normalize_first=True, dtype=policy(dtype))
    return fl.Sequential([fl.TransformerDecoder(4 * shape[-1], heads, **options) for _ in range(blocks)])


def lstm(shape: Shape, units: int, dtype: str = "float32") -> fl.Layer:
    """A layer over all steps."""
    return fl.LSTM(units, return_sequences=True, dtype=policy(dtype))


def scanned_lstm(shape: Shape, units: int, dtype: str = "float32") -> fl.Layer:
    """The same as a scan of its cell, on all platforms: with a custom activation there is no kernel."""
    return fl.LSTM(units, activation=lambda x: jnp.tanh(x), return_sequences=True, dtype=policy(dtype))


def cudnn_lstm(shape: Shape, units: int, dtype: str = "float32") -> fl.Layer:
    """The same by cuDNN's kernel, as jax has it: with two biases, in float32 alone. There is none for CPUs."""
    if dtype != "float32":
        raise NotImplementedError("jax has cuDNN's LSTM in float32 alone")
    batch, steps, features = shape
    sizes = {"input_size": features, "hidden_size": units, "num_layers": 1, "bidirectional": False}

    def apply(weights: jax.Array, x: jax.Array) -> jax.Array:
        zeros, lengths = jnp.zeros((1, batch, units)), jnp.full(batch, steps, "int32")
        return rnn.lstm(x, zeros, zeros, weights, lengths, **sizes, dropout=0.0)[0]

    return fl.Pair(lambda key, shape: rnn.init_lstm_weight(key, **sizes), apply)


def unet(shape: Shape, filters: int, levels: int, classes: int, dtype: str = "float32") -> fl.Layer:
    """Convolutions on maps that are downsampled, then upsampled and concatenated with those of the same size before.

    Reference: Ronneberger et al., U-Net: Convolutional Networks for Biomedical Image Segmentation, 2015.
    """
    kind = policy(dtype)

    def twice(width: int, x: Any) -> Any:
        for _ in range(2):
            x = fl.Conv2D(width, 3, padding="same", activation="relu", dtype=kind)(x)
        return x

    x = image = fl.Input(shape[1:])
    passed = []
    for level in range(levels):
        passed.append(twice(filters * 2**level, x))
        x = fl.MaxPooling2D(2, dtype=kind)(passed[-1])
    x = twice(filters * 2**levels, x)
    for level in reversed(range(levels)):
        x = fl.Conv2DTranspose(filters * 2**level, 2, 2, padding="same", dtype=kind)(x)
        x = twice(filters * 2**level, fl.Concatenate(dtype=kind)(passed[level], x))
    return fl.functional(image, fl.Conv2D(classes, 1, dtype=kind)(x))


def prepare(network: Network, dtype: str, build: str | None = None) -> Training:
    """A training step of the network, compiled; `build` is another function of this module than the network's own."""
    model = model_of(network, dtype, build)
    # guard=False: the others do not look at their gradients either
    optimizer = optax.sgd(RATE, momentum=0.9)
    step = fl.make_step(model, optax.squared_error, optimizer, guard=False)
    state = fl.TrainState.create(model, network.shape, optimizer, jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), network.shape)
    return training(step, state, (x, jnp.zeros(model.out_shape(network.shape))), state.params)


def model_of(network: Network, dtype: str, build: str | None = None) -> fl.Layer:
    """The model of a network."""
    return globals()[build or network.name](network.shape, **network.options, dtype=dtype)
