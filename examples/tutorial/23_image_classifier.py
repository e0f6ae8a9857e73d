"""A first classifier of real images: Flatten, Dense(128, relu), Dense(10), trained on handwritten digits.

The model gives logits. The loss takes them as they are, which loses nothing to rounding; softmax makes probabilities
of them afterwards.
"""

import jax
import jax.numpy as jnp
import optax
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import fnlayers as fl

images, labels = load_digits(return_X_y=True)
images = (images / 16).astype("float32").reshape(-1, 8, 8)  # were they 28 x 28, nothing below would be another
labels = labels.astype("int32")
train_x, test_x, train_y, test_y = train_test_split(images, labels, test_size=0.2, stratify=labels, random_state=0)
print(f"{train_x.shape} images to train with, {test_x.shape} to test with, in 10 classes")

model = fl.Sequential([fl.Flatten(), fl.Dense(128, activation="relu"), fl.Dense(10)])
print(fl.summary(model, (None, 8, 8)))

result = fl.fit(
    model,
    (train_x, train_y),
    loss=optax.softmax_cross_entropy_with_integer_labels,
    optimizer=optax.adam(1e-3),
    epochs=10,
    batch_size=32,
    metrics={"accuracy": fl.metrics.accuracy},
    rng=jax.random.key(0),
    verbose=False,
)
print("\nepoch   loss   accuracy")
for epoch, (loss, accuracy) in enumerate(zip(result.history["loss"], result.history["accuracy"], strict=True), 1):
    print(f"{epoch:>5} {loss:6.3f} {accuracy:10.3f}")

measured = fl.evaluate(
    model,
    result.params,
    (test_x, test_y),
    loss=optax.softmax_cross_entropy_with_integer_labels,
    metrics={"accuracy": fl.metrics.accuracy},
)
print(f"\ntest loss {measured['loss']:.3f}, test accuracy {measured['accuracy']:.3f}")

one = test_x[0]
for row in one:
    print("  ", "".join(" .:oO#"[round(float(ink) * 5)] * 2 for ink in row))
probabilities = jax.nn.softmax(model.apply(result.params, one[None]))[0]
best = int(jnp.argmax(probabilities))
print(f"this is a {best} with probability {probabilities[best]:.3f}; it was labelled {test_y[0]}")
