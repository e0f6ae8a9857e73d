"""A convolutional classifier of images: trained, measured, saved, loaded back.

    python examples/image_classifier.py                          handwritten digits (comes with scikit-learn)
    python examples/image_classifier.py --data FOLDER            Fashion-MNIST, or any four IDX files of that layout
    python examples/image_classifier.py --data FOLDER --augment  the same, with images that are shifted and mirrored

It prints the model's summary, trains with a progress bar, reports the accuracy on images it has not seen, writes
`model.safetensors` and the loss curves `history.png` to --out, and loads the file back to show that nothing changed.
"""

import argparse
import gzip
import pathlib
import struct
import sys
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import numpy as np
import optax

import fnlayers as fl


class Data(NamedTuple):
    """Images as floats in 0 to 1, (examples, height, width, 1), and integer labels."""

    train_x: np.ndarray
    train_y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray


def digits() -> Data:
    """1,797 handwritten digits of 8 x 8 pixels; a fixed fifth of each class is held out."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    x = (images / 16).astype("float32").reshape(-1, 8, 8, 1)
    y = labels.astype("int32")
    train_x, test_x, train_y, test_y = train_test_split(x, y, test_size=0.2, stratify=y, random_state=0)
    return Data(train_x, train_y, test_x, test_y)


def idx_folder(folder: pathlib.Path) -> Data:
    """The images and labels of a folder of four (gzipped) IDX files, such as Fashion-MNIST's."""
    arrays = []
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        files = sorted(folder.glob(f"{name}-ubyte*"))
        if not files:
            sys.exit(f"{folder} holds no {name}-ubyte or {name}-ubyte.gz")
        arrays.append(read_idx(files[0]))
    train_x, train_y, test_x, test_y = arrays
    images = [(x / 255).astype("float32")[..., None] for x in (train_x, test_x)]
    return Data(images[0], train_y.astype("int32"), images[1], test_y.astype("int32"))


def read_idx(path: pathlib.Path) -> np.ndarray:
    """The array of unsigned bytes in an IDX file."""
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    zero, kind, rank = struct.unpack(">HBB", data[:4])
    if zero or kind != 8:
        sys.exit(f"{path} is not an IDX file of unsigned bytes")
    shape = struct.unpack(f">{rank}I", data[4 : 4 + 4 * rank])
    return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape)


def augmented(x: np.ndarray, y: np.ndarray, batch_size: int, seed: int) -> Callable[[], Iterator[tuple]]:
    """A function that returns the batches of an epoch, as `fit` takes it: in a new order, each image shifted by up to
    one pixel, about half of them mirrored. Clothes may be mirrored; digits may not.
    """
    rng = np.random.default_rng(seed)
    height, width = x.shape[1:3]

    def epoch() -> Iterator[tuple]:
        order = rng.permutation(len(x))
        for start in range(0, len(x) - batch_size + 1, batch_size):
            rows = order[start : start + batch_size]
            padded = np.pad(x[rows], ((0, 0), (1, 1), (1, 1), (0, 0)))
            shifts = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(1, 2))
            down, right = rng.integers(0, 3, (2, batch_size))
            images = np.moveaxis(shifts[np.arange(batch_size), down, right], 1, -1)
            mirrored = rng.random((batch_size, 1, 1, 1)) < 0.5
            yield np.where(mirrored, images[:, :, ::-1], images), y[rows]

    return epoch


def classifier(classes: int, width: int = 32) -> fl.Sequential:
    """Four convolutions, three of them followed by a pooling, and a dense layer.

    Pooling comes before normalization and activation, which then have a quarter of the numbers to go through.
    """

    def convolution(filters: int, *pooling: fl.Layer) -> list[fl.Layer]:
        conv = fl.Conv2D(filters, 3, padding="same", use_bias=False)  # BatchNormalization adds one
        return [conv, *pooling, fl.BatchNormalization(momentum=0.9), fl.ReLU()]

    return fl.Sequential(
        [
            *convolution(width, fl.MaxPooling2D(2)),
            *convolution(2 * width, fl.MaxPooling2D(2)),
            *convolution(4 * width),
            *convolution(4 * width, fl.MaxPooling2D(2)),
            fl.Flatten(),
            fl.Dropout(0.2),
            fl.Dense(classes),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, help="a folder of IDX files; default: handwritten digits")
    parser.add_argument("--augment", action="store_true", help="shift and mirror the images of each epoch")
    parser.add_argument("--epochs", type=int, help="default: 12 for the digits, 5 for --data, 10 with --augment")
    parser.add_argument("--batch-size", type=int, help="default: 64 for the digits, 128 for --data")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("out"))
    parser.add_argument("--min-accuracy", type=float, default=0.0, help="exit with an error below this")
    args = parser.parse_args()

    fl.tune_host()
    data = idx_folder(args.data) if args.data else digits()
    epochs = args.epochs or (10 if args.augment else 5 if args.data else 12)
    batch_size = args.batch_size or (128 if args.data else 64)
    shape = (None, *data.train_x.shape[1:])
    model = classifier(classes=int(data.train_y.max()) + 1)
    print(fl.summary(model, shape))

    steps = epochs * (len(data.train_x) // batch_size)
    images = (data.train_x, data.train_y)
    start, busy = time.perf_counter(), time.process_time()
    result = fl.fit(
        model,
        augmented(*images, batch_size, args.seed) if args.augment else images,
        loss=optax.softmax_cross_entropy_with_integer_labels,
        optimizer=fl.optimizer(
            "adam", optax.cosine_onecycle_schedule(steps, 4e-3), model=model, shape=shape, weight_decay=0.05
        ),
        epochs=epochs,
        batch_size=batch_size,
        validation_data=(data.test_x, data.test_y),
        metrics={"accuracy": fl.metrics.accuracy},
        rng=jax.random.key(args.seed),
        remainder="drop",  # BatchNormalization takes a smaller batch at its own size: a second program
    )
    measured = fl.evaluate(
        model,
        result.params,
        (data.test_x, data.test_y),
        state=result.state,
        loss=optax.softmax_cross_entropy_with_integer_labels,
        metrics={"accuracy": fl.metrics.accuracy},
        batch_size=batch_size,
    )
    accuracy = measured["accuracy"]  # of all test images: fit left out a last batch that is smaller
    seconds = f"{time.perf_counter() - start:.0f} s ({time.process_time() - busy:.0f} s of all cores together)"
    print(f"test accuracy {accuracy:.4f} after {epochs} epochs, {seconds}")

    args.out.mkdir(parents=True, exist_ok=True)
    fl.show.history(result.history, args.out / "history.png")
    fl.save(args.out / "model.safetensors", model, result.params, result.state)
    loaded, params, state = fl.load(args.out / "model.safetensors")
    before = fl.predict(model, result.params, data.test_x, state=result.state)
    after = fl.predict(loaded, params, data.test_x, state=state)
    same = np.array_equal(before, after)
    print(f"saved {args.out / 'model.safetensors'}; loaded back, its predictions are identical: {same}")
    if accuracy < args.min_accuracy:
        sys.exit(f"test accuracy {accuracy:.4f} is below {args.min_accuracy}")


if __name__ == "__main__":
    main()
