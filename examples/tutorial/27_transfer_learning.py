"""Transfer learning: a net that reads digits is cut, frozen and given a new head, and tells odd from even.

The digits lie anywhere in their images, which takes many of them to learn. For the new question there are 40. For
comparison, the same net learns from those 40 alone. On data that are easy to learn, starting from scratch does as well.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits

import fnlayers as fl

drawn, labels = load_digits(return_X_y=True)
digits, rng = len(drawn), np.random.default_rng(0)
drawn, labels = np.tile(drawn.reshape(-1, 8, 8) / 16, (4, 1, 1)), np.tile(labels, 4)  # each at four positions
images = np.zeros((len(drawn), 14, 14, 1), "float32")
for image, digit, (row, column) in zip(images, drawn, rng.integers(0, 7, (len(drawn), 2)), strict=True):
    image[row : row + 8, column : column + 8, 0] = digit
number = np.arange(len(drawn)) % digits
many, few, unseen = np.flatnonzero(number < 1200), np.arange(1200, 1240), np.flatnonzero(number >= 1300)
print(f"{len(many)} images of digits; {len(few)} more that are odd or even, and {len(unseen)} to test with")


def train(model, part, answers, epochs, **start):
    return fl.fit(
        model,
        (images[part], answers[part]),
        loss=optax.softmax_cross_entropy_with_integer_labels,
        optimizer=optax.adam(5e-3),
        epochs=epochs,
        batch_size=64,
        verbose=False,
        **start,
    ).params


def accuracy(model, params):
    return float(fl.metrics.accuracy(jax.jit(model.apply)(params, images[unseen]), odd[unseen]).mean())


layers = [
    fl.Conv2D(16, 3, activation="relu"),
    fl.MaxPooling2D(2),
    fl.Conv2D(32, 3, activation="relu"),
    fl.Flatten(),
    fl.Dense(64, activation="relu"),
]
reader = fl.Sequential([fl.Sequential(layers, name="eyes"), fl.Dense(10, name="digit")])
learned = train(reader, many, labels, epochs=4)

odd = labels % 2
alone = fl.Sequential([fl.Sequential(layers, name="eyes"), fl.Dense(2, name="odd")])
frozen = fl.freeze(alone, "eyes/**")  # fl.thaw(frozen, "eyes/dense") would undo it in part
start = frozen.init(jax.random.key(1), (None, 14, 14, 1)) | {"eyes": learned["eyes"]}  # dicts, joined by name
print(fl.summary(frozen, (None, 14, 14, 1)).totals)
ended = train(frozen, few, odd, epochs=60, params=start)
same = jax.tree.map(jnp.array_equal, ended["eyes"], learned["eyes"])
print(f"trained, its frozen part is as it was: {all(jax.tree.leaves(same))}")

print(f"\nodd or even?   a head that is not trained: {accuracy(frozen, start):.3f}")
print(f"               the head trained on {len(few)}:      {accuracy(frozen, ended):.3f}")
scratch = train(alone, few, odd, epochs=60)
print(f"               all trained on {len(few)} alone:     {accuracy(alone, scratch):.3f}")
