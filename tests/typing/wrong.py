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
