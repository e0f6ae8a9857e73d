"""The usual activations and their slopes on 400 points from -10 to 10, drawn as text; and which to take for what.

A layer passes its slope on to the layers before it: where it is near 0, they do not learn.
"""

import jax
import jax.numpy as jnp

import fnlayers as fl

BARS = "▁▂▃▄▅▆▇█"
x = jnp.linspace(-10, 10, 400)
columns = jnp.linspace(0, len(x) - 1, 40).astype(int)


def drawn(values):
    """A curve in a line of text, its lowest point the lowest bar, and its range."""
    low, high = float(values.min()), float(values.max())
    heights = (values[columns] - low) / (high - low) * (len(BARS) - 1)
    return "".join(BARS[round(float(height))] for height in heights) + f"  {low:5.2f} to {high:5.2f}"


print(f"{len(x)} points from {x[0]:.0f} to {x[-1]:.0f}")
for name in ("relu", "leaky_relu", "elu", "sigmoid", "tanh", "softplus", "gelu", "silu"):
    function = fl.activations.activation(name)
    y, slope = jax.jvp(function, (x,), (jnp.ones_like(x),))
    flat = float(jnp.mean(jnp.abs(slope) < 0.01))
    print(f"{name:<11}{drawn(y)}\n     slope {drawn(slope)}, near 0 on {flat:.0%} of the points")

fractions = fl.activations.softmax(x)
print(f"{'softmax':<11}{drawn(fractions)}, of all points together: sum {fractions.sum():.4f}")

print("\nleaky_relu(-1): every library has a slope of its own")
print(f"  jax.nn.leaky_relu          {jax.nn.leaky_relu(-1.0):.2f}")
print(f"  activations.leaky_relu     {fl.activations.leaky_relu(jnp.array(-1.0)):.2f}  (Keras's function)")
print(f"  the layer LeakyReLU        {fl.LeakyReLU().apply({}, jnp.array([-1.0]))[0]:.2f}  (Keras's layer)")

logits = jnp.array([2.0, 1.0, -1.0])
as_classes = [round(n, 2) for n in fl.activations.softmax(logits).tolist()]
as_labels = [round(n, 2) for n in fl.activations.sigmoid(logits).tolist()]
print(f"""
which for which task, on the logits {logits.tolist()}
  hidden layers           relu, gelu, silu   a slope near 1 over half of the line
  one class of several    softmax            {as_classes}, sum 1
  several labels, or one  sigmoid            {as_labels}, each by itself
  a number                linear             {logits.tolist()}
  recurrent layers        sigmoid, tanh      gates from 0 to 1, and a state that cannot grow with time""")
