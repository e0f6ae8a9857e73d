"""fit compared with Keras 3's on JAX: one network, one start, one data set; the epochs of the two take turns.

    python benchmarks/fit_vs_keras.py [--data FOLDER] [--epochs N] [--examples N] [--seeds N] [--json FILE]

The network is that of examples/image_classifier.py. Keras opens it from the file that `save_keras` writes, so both
train the same layers from the same weights, by Adam at a constant learning rate; only
the order of the examples and what dropout draws differ. It prints the time of the first epoch, which compiles, the
ratio of the others, by the clock and in processor time (which other programs of the machine hardly change), and both
accuracies on the held-out images, averaged over the seeds. Needs Keras: `pip install keras`.
"""

import argparse
import os
import pathlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any, NamedTuple

os.environ["KERAS_BACKEND"] = "jax"
sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "examples"))

import image_classifier  # type: ignore
import jax
import optax

import fnlayers as fl
from figures import write

RATE = 1e-3


class Run(NamedTuple):
    """What a training took and reached: seconds of each epoch, by the clock and of processors; the accuracy."""

    seconds: list[float]
    processor: list[float]
    accuracy: float


def ours(model: fl.Sequential, start: tuple, data: Any, batch_size: int, seed: int) -> tuple[Callable, Callable]:
    """(train one epoch more, the accuracy): with fl.fit."""
    reached: dict[str, Any] = {"params": start[0], "state": start[1], "rng": seed}
    options: dict[str, Any] = dict(
        loss=optax.softmax_cross_entropy_with_integer_labels,
        optimizer=optax.adam(RATE, eps=1e-7),  # Keras's epsilon
        metrics={"accuracy": fl.metrics.accuracy},
        batch_size=batch_size,
        verbose=False,
    )

    def epoch() -> None:
        result = fl.fit(model, (data.train_x, data.train_y), **reached, **options)
        reached.clear()
        reached["train_state"] = result.train_state

    def accuracy() -> float:
        train_state = reached["train_state"]
        held_out = (data.test_x, data.test_y)
        measured = {name: options[name] for name in ("loss", "metrics", "batch_size")}
        return fl.evaluate(model, train_state.params, held_out, state=train_state.state, **measured)["accuracy"]

    return epoch, accuracy


def theirs(path: pathlib.Path, data: Any, batch_size: int, seed: int) -> tuple[Callable, Callable]:
    """(train one epoch more, the accuracy): with Keras's fit."""
    import keras

    keras.utils.set_random_seed(seed)
    model: Any = keras.models.load_model(path)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(RATE), loss=loss, metrics=["accuracy"])
    options: dict[str, Any] = {"batch_size": batch_size, "verbose": 0}
    return (
        lambda: model.fit(data.train_x, data.train_y, **options),
        lambda: model.evaluate(data.test_x, data.test_y, return_dict=True, **options)["accuracy"],
    )


def compared(data: Any, epochs: int, batch_size: int, seed: int, width: int = 32) -> dict[str, Run]:
    """Both trainings, epoch by epoch in turns."""
    layers = image_classifier.classifier(int(data.train_y.max()) + 1, width).layers
    model = fl.Sequential([fl.Input(data.train_x.shape[1:]), *layers])
    params, state = model.init(jax.random.key(seed)), model.init_state()
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.keras"
        fl.save_keras(path, model, params, state)
        contenders = {
            "fnlayers": ours(model, (params, state), data, batch_size, seed),
            "keras": theirs(path, data, batch_size, seed),
        }
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    processor: dict[str, list[float]] = {name: [] for name in contenders}
    for i in range(epochs):
        for name in sorted(contenders, reverse=i % 2 == 1):
            start, used = time.perf_counter(), time.process_time()
            contenders[name][0]()
            seconds[name].append(time.perf_counter() - start)
            processor[name].append(time.process_time() - used)
    return {name: Run(seconds[name], processor[name], float(contenders[name][1]())) for name in contenders}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, help="a folder of IDX files; default: handwritten digits")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--examples", type=int, help="how many to train on; default: all")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--json", help="a file for the figures")
    args = parser.parse_args()

    data = image_classifier.idx_folder(args.data) if args.data else image_classifier.digits()
    if args.examples:
        data = data._replace(train_x=data.train_x[: args.examples], train_y=data.train_y[: args.examples])
    runs = [compared(data, args.epochs, args.batch_size, seed) for seed in range(args.seeds)]
    figures = {name: summed([run[name] for run in runs]) for name in ("fnlayers", "keras")}
    for name, figure in figures.items():
        print(
            f"{name:9} first epoch {figure['first']:6.1f} s   later epochs {figure['later']:6.2f} s"
            f" ({figure['processor']:.2f} s of processors)   accuracy {figure['accuracy']:.4f}"
        )
    ratio, of_processors = (ratio_of(runs, what) for what in ("seconds", "processor"))
    print(
        f"time of fnlayers over Keras's, median over the later epochs: {ratio:.2f}, of processors {of_processors:.2f}"
    )
    write(args.json, **figures, ratio=ratio, processor_ratio=of_processors)


def ratio_of(runs: list[dict[str, Run]], what: str) -> float:
    """The median of ours over Keras's, epoch by epoch but for the first."""
    pairs = [zip(getattr(run["fnlayers"], what)[1:], getattr(run["keras"], what)[1:], strict=True) for run in runs]
    ratios = [ours / theirs for pair in pairs for ours, theirs in pair]
    return statistics.median(ratios) if ratios else float("nan")


def summed(runs: list[Run]) -> dict[str, float]:
    """The seconds of the first epoch and the median of the later ones, and the mean accuracy."""
    later = [seconds for run in runs for seconds in run.seconds[1:]]
    return {
        "first": statistics.mean(run.seconds[0] for run in runs),
        "later": statistics.median(later) if later else float("nan"),
        "processor": statistics.median([s for run in runs for s in run.processor[1:]] or [float("nan")]),
        "accuracy": statistics.mean(run.accuracy for run in runs),
    }


if __name__ == "__main__":
    main()
