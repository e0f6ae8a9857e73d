"""SeparableConv2D has the output shape of Conv2D, with a fraction of the parameters.

It filters each channel by itself, and then mixes the channels with a 1 x 1 kernel. So it equals a Conv2D whose kernel
is the product of the two, and can represent no other.
"""

import jax
import jax.numpy as jnp

import fnlayers as fl

shape = (None, 32, 32, 32)
full, separable = fl.Conv2D(64, 3, padding="same"), fl.SeparableConv2D(64, 3, padding="same")
params = {layer: layer.init(jax.random.key(0), shape) for layer in (full, separable)}

for layer in (full, separable):
    print(f"{type(layer).__name__:<16} {shape} -> {layer.out_shape(shape)}, {fl.count(params[layer]):,} numbers")
    for path, array in fl.paths(params[layer]).items():
        print(f"  {path:<18} {array.shape}")
ratio = fl.count(params[full]) / fl.count(params[separable])
print(f"{ratio:.1f} times fewer: 9 * 32 + 32 * 64 + 64 instead of 9 * 32 * 64 + 64")

x = jax.random.normal(jax.random.key(1), (2, 32, 32, 32))
depthwise, pointwise = params[separable]["depthwise_kernel"], params[separable]["pointwise_kernel"]
product = {"kernel": depthwise * pointwise[0, 0], "bias": params[separable]["bias"]}
difference = jnp.abs(full.apply(product, x) - separable.apply(params[separable], x)).max()
print(f"\nConv2D with the product of both kernels {product['kernel'].shape}: largest difference {difference:.0e}")

channels = fl.DepthwiseConv2D(3, padding="same", use_bias=False)
step = channels.apply({"kernel": depthwise}, x)
mixed = fl.Conv2D(64, 1).apply({"kernel": pointwise, "bias": product["bias"]}, step)
difference = jnp.abs(mixed - separable.apply(params[separable], x)).max()
print(f"DepthwiseConv2D {step.shape}, then Conv2D(64, 1) {mixed.shape}: largest difference {difference:.0e}")
