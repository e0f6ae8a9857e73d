"""fit(prefetch=n): what the thread costs where there is nothing to wait for, and what it saves where there is.

    python benchmarks/prefetch.py [--steps N] [--rounds N] [--wait MILLISECONDS]

A small network is trained on arrays, and on batches for each of which the data wait, as for a disk. The values of
prefetch take turns; it prints medians, by the clock and in processor time.
"""

import argparse
import statistics
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import optax

import fnlayers as fl

ROWS = 64
AHEAD = (0, 1, 2, 8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--wait", type=float, default=2.0)
    args = parser.parse_args()

    x = np.random.default_rng(0).normal(size=(ROWS * args.steps, 32)).astype("float32")
    y = x[:, :3].argmax(-1).astype("int32")
    model, optimizer = fl.Sequential([fl.Dense(64, "relu"), fl.Dense(3)]), optax.adam(1e-3)

    def waiting() -> Iterator[tuple]:
        for at in range(0, len(x), ROWS):
            time.sleep(args.wait / 1000)
            yield x[at : at + ROWS], y[at : at + ROWS]

    def epoch(data: Any, ahead: int) -> tuple[float, float]:
        start, used = time.perf_counter(), time.process_time()
        loss = "sparse_categorical_crossentropy"
        fl.fit(model, data, loss=loss, optimizer=optimizer, batch_size=ROWS, prefetch=ahead, verbose=False)
        spent = time.perf_counter() - start, time.process_time() - used
        return spent[0] / args.steps * 1e6, spent[1] / args.steps * 1e6

    for ahead in (0, 2):  # which compiles
        epoch((x, y), ahead)
        epoch(waiting, ahead)
    for name, data in (("arrays", (x, y)), (f"{args.wait} ms of waiting", waiting)):
        rounds = [{ahead: epoch(data, ahead) for ahead in AHEAD} for _ in range(args.rounds)]
        for ahead in AHEAD:
            clock, processor = (statistics.median(each[ahead][i] for each in rounds) for i in (0, 1))
            print(f"{name:18} prefetch={ahead}   {clock:7.0f} us a step   {processor:7.0f} us of processors")


if __name__ == "__main__":
    main()
