"""The activation layers: for each its formula, its value and its slope at -2, 0, 2 and 7.

They differ in what they do with negative numbers: set them to 0, shrink them, bend them, or learn how much to keep.
"""

import jax
import jax.numpy as jnp

import fnlayers as fl

x = jnp.array([[-2.0, 0.0, 2.0, 7.0]])
quarter = fl.initializers.Constant(0.25)

layers = {
    "max(x, 0)": fl.ReLU(),
    "min(max(x, 0), 6)": fl.ReLU(max_value=6),
    "0.1 x below 0": fl.ReLU(negative_slope=0.1),
    "0 up to 3, then x": fl.ReLU(threshold=3),
    "all three": fl.ReLU(max_value=6, negative_slope=0.1, threshold=3),
    "0.3 x below 0": fl.LeakyReLU(),
    "learned alpha x below 0": fl.PReLU(alpha_initializer=quarter),
    "exp(x) - 1 below 0": fl.ELU(),
    "1.0507 elu(x, alpha=1.6733)": fl.Activation("selu"),
}

print("formula                      value at -2      0      2      7   slope at -2      0      2      7   layer")
for formula, layer in layers.items():
    params = layer.init(jax.random.key(0), x.shape)
    # one pass gives both: each output depends on its own input alone, so a tangent of ones gives all the slopes
    y, slope = jax.jvp(lambda x, layer=layer, params=params: layer.apply(params, x), (x,), (jnp.ones_like(x),))
    values, slopes = ("".join(f"{float(n):7.2f}" for n in row[0]) for row in (y, slope))
    print(f"{formula:<28}     {values}       {slopes}   {layer}")

prelu = fl.PReLU(alpha_initializer=quarter, shared_axes=[1, 2])
params = prelu.init(jax.random.key(0), (None, 8, 8, 3))
print(f"\nPReLU learns: on (None, 8, 8, 3) with shared_axes=[1, 2], alpha is {params['alpha'].shape}, one a channel")

scores = jnp.array([[1.0, 2.0, 3.0], [1.0, 2.0, 1000.0]])
probabilities = fl.Softmax().apply({}, scores)
print("\nSoftmax turns each row of scores into probabilities that sum to 1, without overflow:")
for row, p in zip(scores.tolist(), probabilities.tolist(), strict=True):
    print(f"  {row} -> {[round(n, 4) for n in p]}, sum {sum(p):.4f}")
mask = jnp.array([[True, True, False]] * 2)
print("with the last one masked:", [round(n, 4) for n in fl.Softmax().apply({}, scores, mask=mask)[0].tolist()])
