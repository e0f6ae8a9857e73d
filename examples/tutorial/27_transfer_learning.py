"""Transfer learning: a net trained on the digits 0 to 4 is cut, frozen, given a new head, and learns 5 to 9 from few.

Beside it, the same net learns from the same few images alone.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits

import fnlayers as fl

images, labels = load_digits(return_X_y=True)
images, labels = (images / 16).astype("float32")[..., None].reshape(-1, 8, 8, 1), labels.astype("int32")
low, high = labels < 5, np.flatnonzero(labels >= 5)
few, unseen = high[:25], high[100:]
print(f"{low.sum()} images of 0 to 4; of 5 to 9 only {len(few)}, and {len(unseen)} to test with")


def trained(model, x, y, epochs, **start):
    return fl.fit(
        model,
        (x, y),
        loss=optax.softmax_cross_entropy_with_integer_labels,
        optimizer=optax.adam(3e-3),
        epochs=epochs,
        rng=jax.random.key(0),
        verbose=False,
        **start,
    ).params


def accuracy(model, params):
    return float(fl.metrics.accuracy(jax.jit(model.apply)(params, images[unseen]), labels[unseen] - 5).mean())


eyes = [
    fl.Conv2D(16, 3, padding="same", activation="relu"),
    fl.MaxPooling2D(2),
    fl.Conv2D(32, 3, padding="same", activation="relu"),
    fl.Flatten(),
    fl.Dense(64, activation="relu"),
]
before = fl.Sequential([fl.Sequential(eyes, name="eyes"), fl.Dense(5, name="low")])
learned = trained(before, images[low], labels[low], epochs=4)

after = fl.Sequential([fl.Sequential(eyes, name="eyes", trainable=False), fl.Dense(5, name="high")])
fresh = after.init(jax.random.key(1), (None, 8, 8, 1))
start = fresh | {"eyes": learned["eyes"]}  # params are dicts: cut and joined by name
print(fl.summary(after, (None, 8, 8, 1)).totals)
ended = trained(after, images[few], labels[few] - 5, epochs=60, params=start)

same = jax.tree.map(jnp.array_equal, ended["eyes"], learned["eyes"])
print(f"the frozen part is as it was: {all(jax.tree.leaves(same))}")
alone = fl.Sequential([fl.Sequential(eyes, name="eyes"), fl.Dense(5, name="high")])
print("\naccuracy on 5 to 9")
print(f"  before it has seen one:     {accuracy(after, start):.3f}")
print(f"  {len(few)} images, frozen eyes:     {accuracy(after, ended):.3f}")
print(f"  {len(few)} images, from scratch:    {accuracy(alone, trained(alone, images[few], labels[few] - 5, epochs=60)):.3f}")
