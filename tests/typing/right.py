"""Programs as users write them: a type checker has nothing to say about any line."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

import fnlayers as fl

key = jax.random.key(0)
x, y = jnp.ones((8, 28, 28, 1)), np.zeros(8, "int32")

model = fl.Sequential(
    [
        fl.Input((28, 28, 1)),
        fl.Conv2D(8, 3, padding="same", activation="relu", kernel_regularizer="l2"),
        fl.MaxPooling2D(2, strides=(2, 2)),
        fl.Flatten(),
        fl.Dropout(0.5, seed=3),
        fl.Dense(units=10, kernel_initializer=fl.initializers.HeNormal(), dtype="mixed_bfloat16", name="classes"),
    ]
)
params = model.init(key)
state = model.init_state((None, 28, 28, 1))
logits = model.apply(params, x)
out = model.run(params, x, state=state, rng=key, train=True)
loss = out.y.sum() + sum(out.losses)

init, apply = fl.Dense(3)
apply(init(key, (None, 4)), x)

left, right = fl.Input((4,)), fl.Input((4,))
graph = fl.functional({"left": left, "right": right}, fl.Concatenate()(left, right) * 2)
pair = graph.init(key, {"left": (None, 4), "right": (None, 4)})

encoder = fl.Bidirectional(fl.LSTM(4, return_sequences=True, recurrent_dropout=0.1), merge_mode="concat")
attention = fl.MultiHeadAttention(num_heads=2, key_dim=4, use_bias=False)

result = fl.fit(
    model,
    (np.asarray(x), y),
    loss=optax.softmax_cross_entropy_with_integer_labels,
    optimizer=optax.adam(1e-3),
    metrics={"accuracy": fl.metrics.accuracy},
    remainder="drop",
    verbose=False,
)
fl.save("model.safetensors", model, result.params, result.state)
fl.save_keras("model.keras", model, result.params, result.state)
fl.export("model.exported", model, result.params, result.state, shape=(None, 28, 28, 1), platforms=["cpu", "cuda"])
fl.to_onnx("model.onnx", model, result.params, result.state, shape=(None, 28, 28, 1))
loaded = fl.load_keras("model.keras", activations={"mine>double": lambda x: 2 * x})
loaded.model.apply(loaded.params, x, state=loaded.state)
exported = fl.load_exported("model.exported")(x)

stem = fl.cut(model, "max_pooling2d")
insides = fl.intermediates(model, result.params, x, at=["conv2d"])
adapted = fl.lora(model, 4, "**/classes")
weights, _ = fl.load_state_dict(model, None, {"fc.weight": np.zeros((10, 5))}, {"fc": fl.state_dicts.dense("classes")})
pooled = fl.ops.average_pool(x, (2, 2), (2, 2), "same", "channels_last")

print(fl.summary(model, explain="cpu"), fl.ops.explain(model, (8, 28, 28, 1), platform="cuda"))
fl.show.graph(model).save("model.svg")
fl.show.history(result, path="history.png")
