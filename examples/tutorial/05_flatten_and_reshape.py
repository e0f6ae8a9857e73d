"""Flatten, Reshape, Permute and RepeatVector move numbers and compute nothing. The batch axis stays as it is."""

import jax.numpy as jnp

import fnlayers as fl

for layer, shape in (
    (fl.Flatten(), (32, 10, 64)),
    (fl.Flatten(), (32, 10, 10, 64)),
    (fl.Flatten(), (None, 28, 28)),
    (fl.Reshape((8, 8)), (32, 64)),
    (fl.Reshape((-1, 16)), (32, 10, 64)),
    (fl.Reshape((-1, 16)), (32, None, 64)),
    (fl.Permute((2, 1)), (32, 10, 64)),
    (fl.RepeatVector(5), (32, 64)),
):
    print(f"{layer!r:<31} {shape!s:<17} -> {layer.out_shape(shape)}")

x = jnp.arange(12).reshape(2, 2, 3)
print(f"\nx             {x.tolist()}")
print(f"Flatten       {fl.Flatten().apply({}, x).tolist()}")
print(f"Reshape(3, 2) {fl.Reshape((3, 2)).apply({}, x).tolist()}  the numbers in the order they had")
print(f"Permute(2, 1) {fl.Permute((2, 1)).apply({}, x).tolist()}  rows become columns")
back = fl.Reshape((2, 3)).apply({}, fl.Flatten().apply({}, x))
print(f"flattened and shaped back, x is the same: {bool(jnp.array_equal(back, x))}")

print("\nA size that is not known cannot be flattened, and one that does not fit not reshaped:")
for layer, shape in ((fl.Flatten(), (None, None, 64)), (fl.Reshape((7, 9)), (32, 64))):
    try:
        layer.out_shape(shape)
    except fl.ShapeError as error:
        print(f"  {error}")
