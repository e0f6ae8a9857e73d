"""A sweep of learning rates: one network is trained at many of them in one compiled step, by vmap.

    python examples/learning_rates.py                 handwritten digits (comes with scikit-learn)

All members start from the same weights and see the same batches; only the learning rate is each member's own, a value
in the optimizer's state. It prints the accuracy on held-out images at each learning rate, and writes the curves of the
losses `losses.png` and the best member `model.safetensors` to --out.
"""

import argparse
import pathlib

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

import fnlayers as fl


def network() -> fl.Sequential:
    return fl.Sequential([fl.Input((64,)), fl.Dense(64, "relu"), fl.Dense(64, "relu"), fl.Dense(10)])


def digits() -> tuple[np.ndarray, ...]:
    """1,797 images of 8 x 8 pixels as rows in 0 to 1, and their digits; a fixed fifth of each class is held out."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    rows, labels = (images / 16).astype("float32"), labels.astype("int32")
    return tuple(train_test_split(rows, labels, test_size=0.2, stratify=labels, random_state=0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, default=12, help="learning rates from 1e-5 to 1")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("out"))
    args = parser.parse_args()

    train_x, test_x, train_y, test_y = digits()
    rates = np.geomspace(1e-5, 1.0, args.members)
    optimizer = optax.inject_hyperparams(optax.adam)(learning_rate=1e-3)
    ensemble = fl.ensemble(network(), args.members)
    start = ensemble.create(None, optimizer, same=True)  # alike in all but the learning rate
    start.opt_state.hyperparams["learning_rate"] = jnp.asarray(rates, "float32")
    step = ensemble.make_step(optax.softmax_cross_entropy_with_integer_labels, optimizer)

    train_state, losses, shuffle = start, [], np.random.default_rng(0)
    for _ in range(args.epochs):
        order = shuffle.permutation(len(train_x))
        for rows in np.split(order[: len(order) // args.batch_size * args.batch_size], len(order) // args.batch_size):
            train_state, logs = step(train_state, (train_x[rows], train_y[rows]))
            losses.append(logs["loss"])  # still on the device: nothing waits
    classes = jnp.argmax(ensemble.apply(train_state.params, test_x), axis=-1)
    accuracies = np.mean(np.asarray(classes) == test_y, axis=1)
    for rate, accuracy in zip(rates, accuracies, strict=True):
        print(f"  learning rate {rate:.1e}  accuracy {accuracy:.3f}")
    best = int(np.argmax(accuracies))
    print(f"best: {rates[best]:.1e}, accuracy {accuracies[best]:.3f}")

    args.out.mkdir(parents=True, exist_ok=True)
    draw(rates, np.asarray(jnp.stack(losses)), args.out / "losses.png")
    fl.save(args.out / "model.safetensors", network(), ensemble.member(train_state.params, best))


def draw(rates: np.ndarray, losses: np.ndarray, path: pathlib.Path) -> None:
    """The loss of each member over the steps, averaged over 10 steps."""
    smooth = np.apply_along_axis(lambda row: np.convolve(row, np.ones(10) / 10, mode="valid"), 0, losses)
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for i, rate in enumerate(rates):
        axes.plot(smooth[:, i], color=plt.get_cmap("viridis")(i / max(len(rates) - 1, 1)), label=f"{rate:.1e}")
    axes.set(xlabel="step", ylabel="loss, mean of 10 steps", yscale="log", title="One step trains them all")
    axes.legend(title="learning rate", fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5))
    figure.savefig(path, dpi=150)
    plt.close(figure)


if __name__ == "__main__":
    main()
