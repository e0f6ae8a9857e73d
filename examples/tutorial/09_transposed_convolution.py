"""Conv2DTranspose raises the resolution: rows and columns go up, and most often channels go down.

Each element of the input adds a copy of the kernel, times its value, to the output. Copies of neighbors are `strides`
positions from each other; where they overlap, they add up.
"""

import jax
import jax.numpy as jnp

import fnlayers as fl

decoder = fl.Sequential(
    [
        fl.Dense(7 * 7 * 64),
        fl.Reshape((7, 7, 64)),
        fl.Conv2DTranspose(32, 3, strides=2, padding="same", activation="relu"),
        fl.Conv2DTranspose(1, 3, strides=2, padding="same", activation="sigmoid"),
    ]
)
print("from 16 numbers to an image:")
for row in fl.summary(decoder, (None, 16)).rows:
    print(f"  {row.layer:<16} {row.output.shape}")

print("\na 1 and a 2 on the diagonal of 2 x 2 zeros, a kernel of ones, strides of 2:")
stamp = fl.Conv2DTranspose(1, 3, strides=2, kernel_initializer="ones")
x = jnp.zeros((1, 2, 2, 1)).at[0, 0, 0, 0].set(1).at[0, 1, 1, 0].set(2)
y = stamp.apply(stamp.init(jax.random.key(0), x.shape), x)
for row in y[0, ..., 0].astype(int).tolist():
    print(" ", *row)

print("\nsize of the output from 5 rows, kernel 3")
print("  strides   valid: (n - 1) strides + max(k, strides)   same: n strides")
for strides in (1, 2, 4):
    layers = [fl.Conv2DTranspose(1, 3, strides, padding) for padding in ("valid", "same")]
    valid, same = (layer.out_shape((1, 5, 5, 1))[1] for layer in layers)
    assert (valid, same) == (4 * strides + max(3, strides), 5 * strides)
    print(f"  {strides:>7} {valid:>8} {same:>39}")

# with a stride, several input sizes shrink to the same size: output_padding says which of them to restore
print("\nshrunk by Conv2D(1, 3, strides=2, padding='same'), and grown again with output_padding")
for rows in (9, 10):
    small = fl.Conv2D(1, 3, strides=2, padding="same").out_shape((1, rows, rows, 1))
    grown = [fl.Conv2DTranspose(1, 3, strides=2, padding="same", output_padding=p).out_shape(small)[1] for p in (0, 1)]
    print(f"  {rows} -> {small[1]} -> {grown[0]} (0) or {grown[1]} (1)")
