"""Programs that are wrong in each line that ends in "# wrong": a type checker has to say so, and of no other line."""

import jax
import numpy as np
import optax

import fnlayers as fl

key = jax.random.key(0)
model = fl.Dense(3)
params = model.init(key, (None, 4))
x = np.ones((2, 4), "float32")

fl.Conv2D(8, 3, padding="sam")  # wrong
fl.Conv2D(8, 3, data_format="channels_second")  # wrong
fl.Conv2D(8, 3, paddin="same")  # wrong
fl.Conv2D(8, kernel_size="3")  # wrong
fl.Conv2D("8", 3)  # wrong
fl.Dense()  # wrong
fl.Dense(units=3, use_bias="False")  # wrong
fl.Dense(3, dtype="half")  # wrong
fl.Bidirectional(fl.LSTM(3), merge_mode="add")  # wrong
fl.UpSampling2D(2, interpolation="cubics")  # wrong
fl.LSTM(3, return_sequences="yes")  # wrong
fl.Dropout("0.5")  # wrong
fl.Dense(3, name=3)  # wrong
print(fl.Dense(3).unit)  # wrong
fl.Sequential([3])  # wrong
model.init(key, 4)  # wrong
model.init(0, (None, 4))  # wrong
model.apply(x)  # wrong
model.apply(params, x, training=True)  # wrong
model.apply(params, x, train="False")  # wrong
model.run(params, x, rng=0)  # wrong
fl.fit(model, (x, x), loss=3, optimizer=optax.sgd(0.1))  # wrong
fl.fit(model, (x, x), loss=optax.squared_error, optimizer=optax.sgd(0.1), remainder="keep")  # wrong
fl.fit(model, (x, x), loss=optax.squared_error, optimizer=optax.sgd(0.1), epoch=3)  # wrong
fl.fit(model, (x, x), loss=optax.squared_error, optimizer=optax.sgd(0.1), epochs="3")  # wrong
fl.fit(model, (x, x), loss=optax.squared_error)  # wrong
fl.evaluate(fl.Dense, params, (x, x), loss=optax.squared_error)  # wrong
fl.save("model.safetensors", params, model)  # wrong

init, apply = model
init(0, (None, 4))  # wrong
init(key, 4)  # wrong
apply(x, params)  # wrong
apply(params, x, train="False")  # wrong
apply(params, x, training=True)  # wrong
fl.make_step(model, optax.squared_error)  # wrong
fl.make_step(model, 3, optax.sgd(0.1))  # wrong
fl.evaluate(model, params, (x, x), loss=optax.squared_error, remainder="keep")  # wrong
fl.predict(model, params)  # wrong
fl.EarlyStopping("val_loss", mode="maximum")  # wrong
fl.KeepBest(monitor=3)  # wrong
fl.freeze(model, 3)  # wrong
fl.load_keras(3)  # wrong
fl.load_keras("model.keras", layer={})  # wrong
print(fl.load_keras("model.keras").weights)  # wrong
fl.load_keras_weights("weights.h5", params, model)  # wrong
fl.save_keras(model, "model.keras", params)  # wrong
fl.export("model.exported", model)  # wrong
fl.export("model.exported", model, params, weights="outside")  # wrong
fl.export("model.exported", model, params, platforms=["gpu"])  # wrong
print(fl.load_exported("model.exported").shape)  # wrong
fl.to_onnx("model.onnx", params, model)  # wrong
fl.load_state_dict(model, (None, 4), {})  # wrong
fl.load_state_dict(params, (None, 4), {}, {})  # wrong
fl.load_state_dict(model, (None, 4), {}, {}, initial=True)  # wrong
fl.cut(model)  # wrong
fl.cut(model, 3)  # wrong
fl.cut(params, "dense")  # wrong
fl.lora(model, "4")  # wrong
fl.lora(model, 4, pattern="**")  # wrong
fl.replace_layer(model, params, "head", fl.Dense, key)  # wrong
fl.intermediates(model, x, params)  # wrong
fl.compare(model, params, x)  # wrong
fl.summary(model, explain="gpu")  # wrong
fl.summary(model, levels=1)  # wrong
fl.ops.explain(model, (2, 4), platform="gpu")  # wrong
fl.show.graph(params)  # wrong
fl.show.features(params, model, x)  # wrong
fl.show.activations(3)  # wrong
fl.ops.max_pool(x, (2,), (2,), "full")  # wrong
fl.ops.upsample(x, (2,), interpolation="cubics")  # wrong
fl.ops.global_max_pool(x, True, data_format="channels_second")  # wrong
