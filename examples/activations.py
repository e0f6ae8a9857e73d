"""Which activation for which task: the small experiments behind docs/activations.md.

    python examples/activations.py                       all of them, two minutes on two cores
    python examples/activations.py --only dead deep      some of them

It prints a table for each, and writes the gallery of all activations to --out, as `activations.html` and
`activations.png`. Nothing is downloaded: the data are the handwritten digits and the diabetes study of scikit-learn.
"""

import argparse
import pathlib
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import fnlayers as fl

SEEDS = 3  # each training is run from three starts at once; tables show the mean


def train(model: fl.Layer, x: Any, y: Any, loss: Callable, steps: int, optimizer: Any, batch: int = 128) -> Any:
    """The params after training, with an axis of SEEDS in front: the whole loop is compiled, and mapped over keys."""
    x, y = jnp.asarray(x), jnp.asarray(y)

    def one(key: Any) -> Any:
        start, order = jax.random.split(key)
        params = model.init(start, x.shape)

        def step(carry: Any, key: Any) -> Any:
            params, moments = carry
            rows = jax.random.randint(key, (batch,), 0, len(x))
            gradients = jax.grad(lambda p: loss(model.apply(p, x[rows]), y[rows]).mean())(params)
            updates, moments = optimizer.update(gradients, moments, params)
            return (optax.apply_updates(params, updates), moments), None

        return jax.lax.scan(step, (params, optimizer.init(params)), jax.random.split(order, steps))[0][0]

    return jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(0), SEEDS))


def predict(model: fl.Layer, params: Any, x: Any) -> Any:
    """The outputs of the models of all seeds, (SEEDS, examples, ...)."""
    return jax.jit(jax.vmap(model.apply, in_axes=(0, None)))(params, x)


def digits() -> tuple[Any, Any, Any, Any]:
    """Handwritten digits as vectors of 64, and their classes: for training, and for testing."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    x, y = (images / 16).astype("float32"), labels.astype("int32")
    return train_test_split(x, y, test_size=0.25, stratify=y, random_state=0)


def table(title: str, heads: list[str], rows: list[tuple]) -> None:
    """Print numbers under their heads."""
    texts = [[f"{value:.3g}" if isinstance(value, float) else str(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(heads, *texts, strict=True)]
    print(f"\n{title}")
    for first, *rest in (heads, *texts):
        numbers = (text.rjust(width) for text, width in zip(rest, widths[1:], strict=True))
        print("  " + "  ".join([first.ljust(widths[0]), *numbers]))


def dead(scale: float) -> None:
    """Hidden layers: how many units have the same output for every example after training, at two learning rates."""
    train_x, test_x, train_y, test_y = digits()
    rows = []
    for name in ("relu", "leaky_relu", "elu", "gelu", "silu"):
        row: list[Any] = [name]
        for rate in (0.003, 0.05):
            hidden = [fl.Dense(64, activation=name, kernel_initializer="he_normal") for _ in range(3)]
            model = fl.Sequential([*hidden, fl.Dense(10)])
            loss = optax.softmax_cross_entropy_with_integer_labels
            params = train(model, train_x, train_y, loss, int(300 * scale), optax.adam(rate))
            layers = [predict(fl.Sequential(hidden[: n + 1]), params, train_x) for n in range(3)]
            moving = jnp.stack([jnp.ptp(units, axis=1) > 1e-3 for units in layers])  # else one value for all digits
            accuracy = (predict(model, params, test_x).argmax(-1) == test_y).mean()
            row += [100 * float(1 - moving.mean()), 100 * float(accuracy)]
        rows.append(tuple(row))
    heads = ["hidden layers", "dead %, rate 0.003", "accuracy %", "dead %, rate 0.05", "accuracy %"]
    table("Dead units in three hidden layers of a network for digits, Adam", heads, rows)


def deep(scale: float) -> None:
    """Deep nets: what is left of the gradient after 50 layers, before any training."""
    layers, width = 50, 128
    x = jax.random.normal(jax.random.key(1), (64, width))
    keys = jax.random.split(jax.random.key(0), SEEDS)
    cases = [
        ("sigmoid", "glorot_uniform", False), ("tanh", "glorot_uniform", False), ("relu", "glorot_uniform", False),
        ("relu", "he_normal", False), ("gelu", "he_normal", False), ("selu", "lecun_normal", False),
        ("sigmoid", "glorot_uniform", True), ("relu", "he_normal", True), ("gelu", "he_normal", True),
    ]  # fmt: skip
    rows = []
    for name, initializer, normalized in cases:
        dense = fl.Dense(width, kernel_initializer=initializer)
        block = fl.Sequential([dense, *([fl.LayerNormalization()] if normalized else []), fl.Activation(name)])
        model = fl.Sequential([fl.Repeat(block, layers), fl.Dense(1)])
        sizes = jax.vmap(lambda key, model=model: gradient_sizes(model, key, x))(keys)
        ratio = jnp.exp(jnp.log(sizes[:, 0] / sizes[:, -1]).mean())  # of several starts the geometric mean
        rows.append((name, initializer, "yes" if normalized else "no", float(ratio)))
    heads = ["hidden layers", "initializer", "normalized", "gradient of layer 1 / of layer 50"]
    table(f"Gradients over {layers} layers", heads, rows)


def gradient_sizes(model: fl.Sequential, key: Any, x: Any) -> Any:
    """The largest gradient of the loss in the kernel of each hidden layer; they lie stacked in one array."""
    params = model.init(key, x.shape)
    gradients = jax.grad(lambda p: jnp.mean(model.apply(p, x) ** 2))(params)
    # not the norm: the squares of what is left would be 0 in float32
    return jnp.abs(gradients["repeat"]["layer"]["dense"]["kernel"]).max(axis=(1, 2))


def classes(scale: float) -> None:
    """Outputs: softmax against sigmoids, where one class is right, and where several labels may be."""
    train_x, test_x, train_y, test_y = digits()
    model = fl.Sequential([fl.Dense(64, activation="relu"), fl.Dense(10)])
    softmax = optax.softmax_cross_entropy_with_integer_labels

    def sigmoids(logits: Any, y: Any) -> Any:
        return optax.sigmoid_binary_cross_entropy(logits, jax.nn.one_hot(y, 10)).sum(-1)

    rows = []
    for name, loss, output in (("softmax", softmax, "softmax"), ("10 sigmoids", sigmoids, "sigmoid")):
        params = train(model, train_x, train_y, loss, int(400 * scale), optax.adam(3e-3))
        y = fl.activations.activation(output)(predict(model, params, test_x))
        sums = y.sum(-1)
        rows.append((name, 100 * float((y.argmax(-1) == test_y).mean()), float(sums.min()), float(sums.max())))
    table("One class of ten", ["output", "accuracy %", "least sum of probabilities", "largest"], rows)

    # a digit is even or not, above 4 or not, prime or not: from none to two of the three
    facts = np.array([[n % 2 == 0, n > 4, n in (2, 3, 5, 7)] for n in range(10)], "float32")
    model = fl.Sequential([fl.Dense(64, activation="relu"), fl.Dense(3)])
    rows = []
    for name in ("sigmoid", "softmax"):
        output = fl.activations.activation(name)

        def loss(logits: Any, y: Any, name: str = name) -> Any:
            if name == "sigmoid":
                return optax.sigmoid_binary_cross_entropy(logits, y).sum(-1)
            return optax.softmax_cross_entropy(logits, y / jnp.maximum(y.sum(-1, keepdims=True), 1))

        params = train(model, train_x, facts[train_y], loss, int(400 * scale), optax.adam(3e-3))
        y = output(predict(model, params, test_x))
        # the best that a softmax can do: a label counts from a threshold chosen for it
        best = max(float(((y > t) == facts[test_y]).all(-1).mean()) for t in np.linspace(0.05, 0.5, 10))
        rows.append((name, 100 * best))
    table("Three labels at once (even, above 4, prime)", ["output", "all three right %"], rows)


def binary(scale: float) -> None:
    """Binary outputs: the loss of a probability, and of the logit before it, for answers that are sure and wrong."""
    rows = []
    for logit in (5.0, 20.0, 100.0):

        def of_probability(z: Any) -> Any:
            return -jnp.log(1 - fl.activations.sigmoid(z))

        def of_logit(z: Any) -> Any:
            return optax.sigmoid_binary_cross_entropy(z, 0.0)

        values = [float(v) for f in (of_probability, of_logit) for v in jax.value_and_grad(f)(jnp.float32(logit))]
        rows.append((f"{logit:g}", *values))
    heads = ["logit, truth is 0", "loss of sigmoid", "its gradient", "loss of the logit", "its gradient"]
    table("Sure and wrong, in float32", heads, rows)


def regression(scale: float) -> None:
    """Regression: which outputs can reach the targets."""
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True)
    x = (x / x.std(0)).astype("float32")
    standard = ((y - y.mean()) / y.std()).astype("float32")[:, None]
    positive = (y / y.mean()).astype("float32")[:, None]
    cut = 330
    rows = []
    for name in ("linear", "relu", "tanh", "sigmoid", "softplus", "exponential"):
        model = fl.Sequential([fl.Dense(32, activation="relu"), fl.Dense(1, activation=name)])
        row: list[Any] = [name]
        for target in (standard, positive):
            params = train(model, x[:cut], target[:cut], optax.squared_error, int(150 * scale), optax.adam(3e-3))
            errors = (predict(model, params, x[cut:]) - target[cut:]) ** 2
            row.append(float(errors.mean() / target[cut:].var()))
        rows.append(tuple(row))
    heads = ["output", "error, targets around 0", "error, targets above 0"]
    table("Regression: squared error as a part of the targets' variance (1 is no better than their mean)", heads, rows)


def gates(scale: float) -> None:
    """Recurrent gates: how large the state grows in 100 steps, and what the last step knows of the first."""
    x = jax.random.normal(jax.random.key(1), (16, 100, 8))
    rows = []
    for gate, inner in (("sigmoid", "tanh"), ("hard_sigmoid", "tanh"), ("relu", "tanh"), ("sigmoid", "relu")):
        layer = fl.LSTM(32, activation=inner, recurrent_activation=gate, return_state=True)

        def measured(key: Any, layer: fl.Layer = layer) -> tuple[Any, Any]:
            params = layer.init(key, x.shape)
            _, _, carry = layer.apply(params, x)
            slope = jax.grad(lambda x: layer.apply(params, x)[0].sum())(x)
            return jnp.abs(carry).max(), jnp.linalg.norm(slope[:, 0]) / jnp.linalg.norm(slope[:, -1])

        largest, reached = jax.jit(jax.vmap(measured))(jax.random.split(jax.random.key(0), SEEDS))
        rows.append((gate, inner, float(largest.mean()), float(reached.mean())))
    heads = ["gates", "inner", "largest state", "gradient of step 1 / of step 100"]
    table("An LSTM over 100 steps, before any training", heads, rows)


def transformer(scale: float) -> None:
    """Transformers: the activation between the two dense layers of a block."""
    train_x, test_x, train_y, test_y = digits()
    train_x, test_x = (x.reshape(-1, 8, 8) for x in (train_x, test_x))
    rows = []
    for name in ("relu", "gelu", "silu", "sigmoid"):
        block = fl.TransformerEncoder(64, num_heads=4, activation=name, normalize_first=True)
        model = fl.Sequential([fl.Dense(32), block, fl.Flatten(), fl.Dense(10)])
        loss = optax.softmax_cross_entropy_with_integer_labels
        params = train(model, train_x, train_y, loss, int(200 * scale), optax.adam(2e-3), batch=64)
        accuracy = (predict(model, params, test_x).argmax(-1) == test_y).mean(-1)
        rows.append((name, 100 * float(accuracy.mean()), 100 * float(jnp.ptp(accuracy))))
    table("A Transformer block on the rows of digits", ["feed-forward", "accuracy %", "between starts %"], rows)


EXPERIMENTS = {
    "dead": dead, "deep": deep, "classes": classes, "binary": binary,
    "regression": regression, "gates": gates, "transformer": transformer,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=EXPERIMENTS, default=list(EXPERIMENTS), metavar="NAME")
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of training steps")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("out"))
    args = parser.parse_args()

    start = time.perf_counter()
    for name in args.only:
        EXPERIMENTS[name](args.scale)
    args.out.mkdir(parents=True, exist_ok=True)
    gallery = fl.show.activations()
    for ending in ("html", "png"):
        gallery.save(args.out / f"activations.{ending}")
    print(f"\n{len(gallery.curves)} curves in {args.out / 'activations.html'}; {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
