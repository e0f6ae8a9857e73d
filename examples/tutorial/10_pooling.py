"""Pooling makes images and sequences smaller: the largest, or the mean, of each window or of everything.

"valid" gives floor((n - pool) / strides) + 1 rows, "same" ceil(n / strides). Nothing is learned.
"""

import math

import jax.numpy as jnp

import fnlayers as fl

print("rows from   pool  strides   valid   same")
for rows, pool, strides in ((28, 2, 2), (27, 2, 2), (28, 3, 2), (28, 3, 1), (5, 3, 3)):
    valid, same = (
        fl.MaxPooling2D(pool, strides, padding).out_shape((None, rows, rows, 8))[1] for padding in ("valid", "same")
    )
    assert (valid, same) == ((rows - pool) // strides + 1, math.ceil(rows / strides))
    print(f"{rows:9} {pool:6} {strides:8} {valid:7} {same:6}")

x = jnp.array([[1, 2, 3, 4], [5, 6, 7, 8], [9, 8, 7, 6], [5, 4, 3, -2]], "float32")[None, ..., None]
print("\nan image:")
for row in x[0, ..., 0].tolist():
    print("  ", *(f"{n:3.0f}" for n in row))
for layer in (fl.MaxPooling2D(2), fl.AveragePooling2D(2)):
    print(f"{layer!r:<38} {layer.apply({}, x)[0, ..., 0].tolist()}")
for layer in (fl.GlobalMaxPooling2D(), fl.GlobalAveragePooling2D(), fl.GlobalAveragePooling2D(keepdims=True)):
    y = layer.apply({}, x)
    print(f"{layer!r:<38} {y.shape!s:<13} {y.ravel().tolist()}")

# the padding of "same" does not count, neither in a mean nor in a maximum of negative numbers
corner = fl.AveragePooling2D(3, 3, "same").apply({}, jnp.ones((1, 4, 4, 1)))
below = fl.MaxPooling2D(3, 3, "same").apply({}, -jnp.ones((1, 4, 4, 1)))
print(f"\nthe mean of ones, 'same': {corner[0, ..., 0].tolist()}")
print(f"the largest of minus ones: {below[0, ..., 0].tolist()}")

steps = jnp.arange(12.0).reshape(1, 6, 2)
print(f"\n6 steps of 2 features, MaxPooling1D(2): {fl.MaxPooling1D(2).apply({}, steps)[0].tolist()}")
print(f"any size, one model: {fl.GlobalAveragePooling2D().out_shape((None, None, None, 64))}")
mask = jnp.array([[True] * 4 + [False] * 2])
mean = fl.GlobalAveragePooling1D().apply({}, steps, mask=mask)
print(f"GlobalAveragePooling1D, masked after 4 steps: {mean.tolist()}")
