"""A program: fl.memory against XLA's memory_analysis() of the compiled step, on one device and on eight virtual ones.

python tests/training/memory_on_eight_devices.py [network ...]
"""

import os
import sys

os.environ.update(JAX_PLATFORMS="cpu", XLA_FLAGS="--xla_force_host_platform_device_count=8")

import jax
import optax

import fnlayers as fl
from fnlayers.training.state import sharded_state

OPTIMIZER = optax.adam(1e-3)
ENCODER = fl.Repeat(fl.TransformerEncoder(256, 4), 4, remat=True)
IMAGES = [fl.Conv2D(32, 3, padding="same"), fl.BatchNormalization(), fl.ReLU(), fl.MaxPooling2D(2)]
NETWORKS = {
    "mlp": (fl.Sequential([fl.Dense(512, "relu"), fl.Dense(512, "relu"), fl.Dense(64)]), (1024, 256)),
    "cnn": (fl.Sequential([*IMAGES, fl.Conv2D(64, 3, padding="same"), fl.BatchNormalization(), fl.ReLU(),
                           fl.GlobalAveragePooling2D(), fl.Dense(16)]), (32, 32, 32, 8)),
    "lstm": (fl.Sequential([fl.LSTM(64, return_sequences=True), fl.LSTM(64), fl.Dense(16)]), (64, 32, 32)),
    "transformer": (fl.Sequential([fl.Dense(64), ENCODER, fl.Dense(16)]), (32, 64, 32)),
}  # fmt: skip
PLACES = {"mlp": (None, "data", "fsdp", "data+tensor"), "cnn": (None, "data", "fsdp"), "lstm": (None, "data", "fsdp"),
          "transformer": (None, "fsdp", "data+tensor")}  # fmt: skip


def of_xla(model, shape, mesh, rules):
    """The bytes of the compiled step: arguments, results elsewhere, temporaries."""
    on = {} if mesh is None else {"mesh": mesh, "rules": rules}
    step = fl.make_step(model, "mean_squared_error", OPTIMIZER, **on)
    state = jax.eval_shape(lambda: fl.TrainState.create(model, shape, OPTIMIZER))
    x = jax.ShapeDtypeStruct(shape, "float32")
    y = jax.eval_shape(lambda s, x: model.run(s.params, x, state=s.state).y, state, x)
    if mesh is not None:
        plan = fl.shardings(model, shape, mesh, rules, OPTIMIZER)
        state = jax.tree.map(there, state, sharded_state(plan))
        x, y = there(x, plan.batch), there(y, plan.batch)
    used = step.lower(state, (x, y)).compile().memory_analysis()
    return used.argument_size_in_bytes + used.output_size_in_bytes - used.alias_size_in_bytes + used.temp_size_in_bytes


def there(a, sharding):
    return jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=sharding)


wrong = 0
for name in sys.argv[1:] or NETWORKS:
    model, shape = NETWORKS[name]
    for rules in PLACES[name]:
        axes = {None: None, "data+tensor": {"data": 2, "model": 4}}.get(rules, {"data": 8})
        types = (jax.sharding.AxisType.Auto,) * len(axes or ())
        mesh = None if axes is None else jax.make_mesh(tuple(axes.values()), tuple(axes), axis_types=types)
        counted = fl.memory(model, shape, OPTIMIZER, mesh, rules or "data").total
        ratio = counted / of_xla(model, shape, mesh, rules)
        wrong += not 0.85 <= ratio <= 1.15
        print(f"{name} {rules}: {counted / 1e6:.2f} MB, {ratio:.3f} of XLA's", flush=True)
sys.exit(wrong)
