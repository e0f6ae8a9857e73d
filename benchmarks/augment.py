"""RandAugment and Normalization of 64 photographs of 224 x 224, compared with Keras on JAX; all take turns.

    python benchmarks/augment.py [--images 64] [--rounds 5] [--without NAME] [--json FILE]

`fnlayers` is one compiled program, and so is `Keras, jitted`: `jax.jit` of its layers' stateless_call, with the seeds'
states going in and out. `Keras, called` calls its layers as `keras.layers` documents it, outside of jit. It prints
the median of the rounds in processor time, of all threads, and in wall time, and how many times as long Keras takes.
Keras's compiled program needs some 16 GB for 64 images: `--without "Keras, jitted"` leaves it out.
Needs Keras and scikit-learn: `pip install keras scikit-learn`.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

os.environ["KERAS_BACKEND"] = "jax"
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import keras
import numpy as np
from sklearn.datasets import load_sample_images

import fnlayers as fl
from figures import write

SIZE = 224
MEAN, VARIANCE = (120.0, 115.0, 105.0), (3500.0, 3400.0, 3600.0)
OURS = "fnlayers"


class Times(NamedTuple):
    """Seconds of a call."""

    processor: float
    wall: float


def photographs(count: int) -> np.ndarray:
    """Parts of the photographs that scikit-learn ships, (count, 224, 224, 3), of 0 to 255."""
    whole = load_sample_images().images
    rng = np.random.default_rng(0)
    crops = []
    for i in range(count):
        image = whole[i % len(whole)]
        top, left = (rng.integers(size - SIZE + 1) for size in image.shape[:2])
        crops.append(image[top : top + SIZE, left : left + SIZE])
    return np.stack(crops).astype("float32")


def ours(x: np.ndarray) -> Callable[[int], object]:
    model = fl.Sequential([fl.RandAugment(), fl.Normalization(mean=MEAN, variance=VARIANCE)])
    run = fl.jit(lambda x, key: model.apply({}, x, rng=key, train=True))
    images = jax.numpy.asarray(x)
    return lambda i: run(images, jax.random.key(i)).block_until_ready()


def keras_layers() -> tuple[keras.Layer, keras.Layer]:
    return keras.layers.RandAugment(), keras.layers.Normalization(mean=MEAN, variance=VARIANCE)


def keras_called(x: np.ndarray) -> Callable[[int], object]:
    augment, normalize = keras_layers()
    images = keras.ops.convert_to_tensor(x)
    return lambda _: normalize(augment(images, training=True)).block_until_ready()


def keras_jitted(x: np.ndarray) -> Callable[[int], object]:
    augment, normalize = keras_layers()
    images = keras.ops.convert_to_tensor(x)
    for layer in (augment, normalize):
        layer.build(images.shape)

    @jax.jit
    def run(seeds: list, statistics: list, images: jax.Array) -> tuple:
        y, seeds = augment.stateless_call([], seeds, images, training=True)
        return normalize.stateless_call([], statistics, y)[0], seeds

    states = [[v.value for v in augment.non_trainable_variables]]
    fixed = [v.value for v in normalize.non_trainable_variables]

    def call(_: int) -> object:
        y, states[0] = run(states[0], fixed, images)
        return y.block_until_ready()

    return call


CONTENDERS = {OURS: ours, "Keras, jitted": keras_jitted, "Keras, called": keras_called}


def interleaved(contenders: dict[str, Callable[[int], object]], rounds: int) -> dict[str, list[Times]]:
    """The times of each contender, one a round, after a call that compiles."""
    for run in contenders.values():
        run(0)
    times: dict[str, list[Times]] = {name: [] for name in contenders}
    for i in range(1, rounds + 1):
        for name in sorted(contenders, reverse=i % 2 == 0):
            started = time.process_time(), time.perf_counter()
            contenders[name](i)
            times[name].append(Times(time.process_time() - started[0], time.perf_counter() - started[1]))
    return times


def medians(times: list[Times]) -> Times:
    return Times(*(statistics.median(each) for each in zip(*times, strict=True)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--without", choices=list(CONTENDERS)[1:])
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    x = photographs(options.images)
    contenders = {name: make(x) for name, make in CONTENDERS.items() if name != options.without}
    times = interleaved(contenders, options.rounds)
    best = medians(times[OURS])
    for name, each in times.items():
        median = medians(each)
        print(
            f"{name:14} processor {median.processor:7.3f} s ({median.processor / best.processor:5.1f} times)   "
            f"wall {median.wall:7.3f} s ({median.wall / best.wall:5.1f} times)"
        )
    write(options.json, images=options.images, times={name: list(map(list, each)) for name, each in times.items()})


if __name__ == "__main__":
    main()
