"""A summary shows each layer's output, params and state, and what is frozen, shared and regularized.

All of it is read from the layers' declarations before there is an array; here it is compared with the arrays.
"""

import jax

import fnlayers as fl

twice = fl.Dense(16, activation="tanh", name="twice")
model = fl.Sequential(
    [
        fl.Conv2D(16, 3, name="eyes", trainable=False),
        fl.BatchNormalization(),
        fl.ReLU(),
        fl.GlobalAveragePooling2D(),
        twice,
        twice,
        fl.Sequential([fl.Dense(8, kernel_regularizer="l2", kernel_constraint="max_norm"), fl.Dense(1)], name="head"),
    ]
)
shape = (None, 28, 28, 3)
summary = fl.summary(model, shape)
print(summary)

params, state = model.init(jax.random.key(0), shape), model.init_state(shape)
trained = jax.tree.map(lambda array, trains: array if trains else array[:0], params, fl.trainable_mask(model, shape))
size = sum(array.nbytes for array in jax.tree.leaves((params, state)))
print("\n            summary   arrays")
for what, in_summary, in_arrays in (
    ("params", summary.params, fl.count(params)),
    ("trainable", summary.trainable, fl.count(trained)),
    ("frozen", summary.frozen, fl.count(params) - fl.count(trained)),
    ("state", summary.state, fl.count(state)),
    ("bytes", summary.bytes, size),
):
    print(f"{what:<10} {in_summary:8,} {in_arrays:8,}")

print("\nrows are data:", summary.rows[0])
print("the largest layer:", max(summary.rows, key=lambda row: row.params).path)
print("\none level only:")
print(fl.summary(model, shape, depth=1))
