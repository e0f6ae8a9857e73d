"""One training on many hosts: the same program is started once on each, and each gives the examples that it has.

Under SLURM and in Kubernetes jobs jax finds the other processes by itself:
    srun python distributed.py
Elsewhere say where the first one is, and which one this is:
    python distributed.py --coordinator 10.0.0.1:1234 --processes 2 --process 0
    python distributed.py --coordinator 10.0.0.1:1234 --processes 2 --process 1
Without either it runs on the devices of this host.
"""

import argparse
import os
from pathlib import Path

import jax
import numpy as np
import optax

import fnlayers as fl

BATCH = 32


def main() -> None:
    """Join the others, train, and have the first process write the params."""
    options = arguments()
    if options.coordinator is not None:
        jax.distributed.initialize(options.coordinator, options.processes, options.process)
    elif "SLURM_JOB_ID" in os.environ or "KUBERNETES_SERVICE_HOST" in os.environ:
        jax.distributed.initialize()
    mesh = jax.make_mesh((jax.device_count(),), ("data",))
    data = tuple(share(each) for each in examples())
    result = fl.fit(
        model(),
        data,
        loss=optax.softmax_cross_entropy_with_integer_labels,
        optimizer=optax.sgd(0.05, momentum=0.9),
        epochs=options.epochs,
        batch_size=BATCH,  # of all processes together
        metrics=["sparse_categorical_accuracy"],
        shuffle=False,
        mesh=mesh,
        rules=options.rules,
    )
    whole = jax.jit(lambda params: params, out_shardings=jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec()))
    params = whole(result.params)  # all processes gather, one writes
    if jax.process_index() == 0 and options.out is not None:
        fl.save(options.out, model(), params, jax.device_get(whole(result.state)))
    print(f"process {jax.process_index()} of {jax.process_count()}: loss {result.history['loss'][-1]:.4f}", flush=True)


def arguments() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coordinator", help="host:port of the first process")
    parser.add_argument("--processes", type=int)
    parser.add_argument("--process", type=int)
    parser.add_argument("--rules", default="fsdp")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--out", type=Path, help="where the first process writes the model")
    return parser.parse_args()


def model() -> fl.Sequential:
    """Sequences of tokens into four classes."""
    return fl.Sequential(
        [
            fl.Input((12,), dtype="int32"),
            fl.Embedding(32, 16),
            fl.Conv1D(16, 3, padding="same"),
            fl.BatchNormalization(),
            fl.MultiHeadAttention(4, 4),
            fl.Dropout(0.2),
            fl.GlobalAveragePooling1D(),
            fl.Dense(32, "relu"),
            fl.Dense(4),
        ]
    )


def examples() -> tuple[np.ndarray, np.ndarray]:
    """Tokens, and the quarter of the vocabulary that most of the first ones are from."""
    tokens = np.random.default_rng(0).integers(0, 32, (256, 12)).astype("int32")
    return tokens, (tokens[:, :3].mean(-1) // 8).astype("int32")


def share(a: np.ndarray) -> np.ndarray:
    """The examples of this process: its part of each batch. Yours may read files of its own instead."""
    batches = a.reshape(-1, jax.process_count(), BATCH // jax.process_count(), *a.shape[1:])
    return batches[:, jax.process_index()].reshape(-1, *a.shape[1:])


if __name__ == "__main__":
    main()
