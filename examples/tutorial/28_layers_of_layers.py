"""A layer made of layers, with a state of its own: a residual block that counts its training steps.

`ctx.run` runs a child: it hands over the child's params, state, random key and mask, and puts what the child returns,
state and losses, into the layer's own result.
"""

import jax
import jax.numpy as jnp

import fnlayers as fl


@fl.layerclass
class Residual(fl.Layer):
    """y = x + dense(dropout(norm(x))), added a little more with each training step, until all of it is added.

    Arguments:
        warmup: the number of training steps until then.
    """

    warmup: int = 4

    def weights(self, shape):
        return {"steps": fl.State(())}  # an array that a training pass replaces; no optimizer sees it

    def children(self, shape):
        dense = fl.Dense(fl.known(shape, -1), activity_regularizer="l2")
        return {"norm": (fl.BatchNormalization(), shape), "dropout": (fl.Dropout(0.5), shape), "dense": (dense, shape)}

    def forward(self, params, x, ctx):
        layers, y, mask = self.children(x.shape), x, ctx.mask
        for name, (child, _) in layers.items():
            out = ctx.run(name, child, params, y, mask)
            y, mask = out.y, out.mask
        steps = ctx.read(self, "steps") + (1 if ctx.train else 0)
        return fl.Out(x + jnp.minimum(steps / self.warmup, 1) * y, {"steps": steps}, mask)


x = jax.random.normal(jax.random.key(1), (8, 3))
model = fl.Sequential([Residual(name="first"), Residual(name="second")])
params, state = model.init(jax.random.key(0), x.shape), model.init_state(x.shape)
print(fl.summary(model, (None, 3)))

print(f"before the first step x comes out unchanged: {bool(jnp.array_equal(model.apply(params, x, state=state), x))}")
for step in range(4):
    out = model.run(params, x, state=state, rng=jax.random.key(step), train=True)
    state = out.state
print(f"steps: {float(state['first']['steps'])}, state of a child: {list(state['second']['norm'])}")
print(f"losses of the two dense layers: {len(out.losses)}, of a mean of {float(sum(out.losses)) / 2:.4f}")
other = model.run(params, x, state=state, rng=jax.random.key(9), train=True)
print(f"another key drops other elements: {not bool(jnp.array_equal(out.y, other.y))}")
difference = float(jnp.abs(model.apply(params, x, state=state) - x).mean())
print(f"after them y differs from x by {difference:.3f}")
