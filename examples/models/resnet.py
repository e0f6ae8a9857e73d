"""ResNet (He et al., 2015) as torchvision has it, and the table for its weights.

    import torchvision                                           # or any .pt file of its weights
    theirs = torchvision.models.resnet50(weights="DEFAULT").state_dict()
    model = resnet()
    params, state = fl.load_state_dict(model, None, theirs, RESNET)
    logits = model.apply(params, images, state=state)            # (batch, height, width, 3), normalized as theirs

Convolutions pad on both sides, as PyTorch's do; Keras's "same" would move each strided one by a pixel.
"""

from typing import Any

import fnlayers as fl
from fnlayers.state_dicts import batch_norm, conv, dense

# Their names -> ours: 18 to 152 layers, and the wide ones.
RESNET = {
    "conv1": conv("conv1"),
    "bn1": batch_norm("bn1"),
    "layer{stage}.{block}.conv{k}": conv("layer{stage}_{block}_conv{k}"),
    "layer{stage}.{block}.bn{k}": batch_norm("layer{stage}_{block}_bn{k}"),
    "layer{stage}.{block}.downsample.0": conv("layer{stage}_{block}_downsample"),
    "layer{stage}.{block}.downsample.1": batch_norm("layer{stage}_{block}_downsample_bn"),
    "fc": dense("fc"),
}


def resnet(
    blocks: tuple[int, ...] = (3, 4, 6, 3), bottleneck: bool = True, classes: int = 1000, width: int = 64
) -> fl.Functional:
    """(batch, height, width, 3) -> logits (batch, classes).

    (2, 2, 2, 2) and (3, 4, 6, 3) without bottlenecks are ResNet-18 and 34; (3, 4, 6, 3), (3, 4, 23, 3) and
    (3, 8, 36, 3) with them ResNet-50, 101 and 152.
    """
    image = x = fl.Input((None, None, 3))
    x = fl.ReLU()(conv_norm(x, width, 7, 2, "conv1", "bn1"))
    x = fl.MaxPooling2D(3, strides=2)(fl.ZeroPadding2D(1)(x))  # zeros are the least that a ReLU gives
    for stage, count in enumerate(blocks):
        for number in range(count):
            strides = 2 if stage > 0 and number == 0 else 1
            block = bottleneck_block if bottleneck else basic_block
            x = block(x, width * 2**stage, strides, f"layer{stage + 1}_{number}", project=number == 0)
    x = fl.GlobalAveragePooling2D()(x)
    return fl.functional(image, fl.Dense(classes, name="fc")(x))


def basic_block(x: Any, filters: int, strides: int, name: str, project: bool) -> Any:
    """Two convolutions of 3 x 3, and what they are added to."""
    y = fl.ReLU()(conv_norm(x, filters, 3, strides, f"{name}_conv1", f"{name}_bn1"))
    y = conv_norm(y, filters, 3, 1, f"{name}_conv2", f"{name}_bn2")
    return fl.ReLU()(y + shortcut(x, filters, strides, name, project and (strides > 1 or x.shape[-1] != filters)))


def bottleneck_block(x: Any, filters: int, strides: int, name: str, project: bool) -> Any:
    """1 x 1, 3 x 3 with the strides, 1 x 1 to four times the filters, and what they are added to."""
    y = fl.ReLU()(conv_norm(x, filters, 1, 1, f"{name}_conv1", f"{name}_bn1"))
    y = fl.ReLU()(conv_norm(y, filters, 3, strides, f"{name}_conv2", f"{name}_bn2"))
    y = conv_norm(y, 4 * filters, 1, 1, f"{name}_conv3", f"{name}_bn3")
    return fl.ReLU()(y + shortcut(x, 4 * filters, strides, name, project))


def shortcut(x: Any, filters: int, strides: int, name: str, project: bool) -> Any:
    """x, or its projection to the size of what it is added to."""
    return conv_norm(x, filters, 1, strides, f"{name}_downsample", f"{name}_downsample_bn") if project else x


def conv_norm(x: Any, filters: int, size: int, strides: int, name: str, norm: str) -> Any:
    """A convolution without a bias, padded on both sides, and a BatchNormalization with PyTorch's numbers."""
    x = fl.ZeroPadding2D(size // 2)(x) if size > 1 else x
    x = fl.Conv2D(filters, size, strides=strides, use_bias=False, name=name)(x)
    return fl.BatchNormalization(momentum=0.9, epsilon=1e-5, name=norm)(x)
