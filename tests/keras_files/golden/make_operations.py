"""Writes operations.zip (run with Keras 3.15.1 on JAX): a graph of all operations that OPERATIONS knows, as operations.keras and
operations.h5, with its inputs and outputs in operations.npz.

    KERAS_BACKEND=jax python tests/keras_files/golden/make_operations.py
"""

import pathlib
import tempfile
import zipfile

import keras
import numpy as np
from keras import ops

draw = np.random.default_rng(0)
UNARY = """negative absolute abs sign square exp exp2 expm1 sin cos tan sinh cosh tanh arctan arcsinh erf floor ceil trunc cbrt
    reciprocal relu relu6 sigmoid hard_sigmoid log_sigmoid sparse_sigmoid silu hard_silu hard_tanh softplus softsign sparse_plus
    squareplus softmax log_softmax sparsemax gelu elu celu selu leaky_relu tanh_shrink soft_shrink hard_shrink isnan isinf
    isfinite nan_to_num sort argsort tril triu sum mean median max min amax amin prod var std any all argmax argmin logsumexp
    norm normalize cumsum cumprod count_nonzero average ravel transpose flip copy zeros_like ones_like stop_gradient
    trace diagonal diff round""".split()
POSITIVE = "sqrt rsqrt log log1p log2 log10 arccosh".split()
FRACTIONS = "arcsin arccos arctanh".split()
BINARY = """add subtract multiply divide divide_no_nan true_divide floor_divide mod power logaddexp arctan2 maximum minimum equal
    not_equal greater greater_equal less less_equal append""".split()


def outputs(x, y, i):
    """What each operation makes of two arrays (batch, 4, 4) of floats and one (batch, 3) of integers below 4."""
    results = [getattr(ops, name)(x) for name in UNARY]
    results += [getattr(ops, name)(ops.square(x) + 1.0) for name in POSITIVE]
    results += [getattr(ops, name)(ops.tanh(x)) for name in FRACTIONS]
    results += [getattr(ops, name)(ops.square(x) if name == "power" else x, y) for name in BINARY]
    results += [
        ops.logical_and(x > y, x > 0),
        ops.logical_or(x > y, x > 0),
        ops.logical_xor(x > y, x > 0),
        ops.logical_not(x > y),
    ]
    for name in "sum mean median max min amax amin prod var std any all argmax argmin logsumexp".split():
        results.append(getattr(ops, name)(x, axis=1, keepdims=True))
    results += [ops.max(x, axis=-1, initial=0.5), ops.prod(x, axis=-1, dtype="float32")]
    results += [
        ops.normalize(x, axis=1, order=3),
        *ops.moments(x, axes=[1, 2]),
        *ops.moments(x, axes=[2], keepdims=True),
    ]
    results += [
        ops.cumsum(x, axis=1),
        ops.cumprod(x, axis=-1),
        ops.cumsum(i, axis=1, dtype="float32"),
        ops.diff(x, n=2, axis=1),
    ]
    results += [ops.average(x, axis=1, weights=np.array([1.0, 2.0, 3.0, 0.0], "float32")), ops.average(x, axis=-1)]
    results += [
        ops.count_nonzero(i, axis=1),
        ops.trace(x, 1, 1, 2),
        ops.diagonal(x, 0, 1, 2),
        ops.tril(x, -1),
        ops.triu(x, 1),
    ]
    results += [
        ops.take(x, i, axis=1),
        ops.take(x, np.array([2, -1]), axis=2),
        ops.take(x, [0, 3], axis=1),
        ops.take(x, 1, axis=-1),
    ]
    results += [ops.take_along_axis(x, i[:, :, None], axis=1), ops.take_along_axis(x, ops.argsort(x, axis=1), axis=1)]
    results += [ops.sort(x, axis=1), *ops.top_k(x, 2), ops.one_hot(i, 4), ops.one_hot(i, 5, axis=1, dtype="int32")]
    results += [
        ops.where(x > y, x, 0.0),
        ops.where(x > 0, x, y),
        ops.clip(x, -0.5, 0.5),
        ops.round(x, 1),
        ops.nan_to_num(y / 0.0, posinf=9.0),
    ]
    results += [ops.matmul(x, y), ops.dot(x[0], y[1]), ops.outer(i, i), ops.tensordot(x, y, axes=[[1, 2], [1, 2]])]
    results += [ops.einsum("bij,bkj->bik", x, y), ops.einsum("bij->bji", x), x @ np.ones((4, 2), "float32")]
    results += [ops.reshape(x, (-1, 8)), ops.transpose(x, (0, 2, 1)), ops.swapaxes(x, 1, 2), ops.moveaxis(x, 1, 2)]
    results += [
        ops.moveaxis(x, [1, 2], [2, 1]),
        ops.expand_dims(x, 1),
        ops.expand_dims(x, [1, -1]),
        ops.squeeze(x[:, :1], 1),
    ]
    results += [
        ops.squeeze(x[:, :1]),
        ops.broadcast_to(x[:1, :1], (2, 3, 4)),
        ops.concatenate([x, y], axis=-1),
        ops.append(x, y, axis=1),
    ]
    results += [
        ops.hstack([x, y]),
        ops.vstack([x, y]),
        ops.stack([x, y], axis=1),
        *ops.unstack(x, axis=1),
        *ops.split(x, 2, axis=1),
    ]
    results += [*ops.split(x, [1, 3], axis=2), ops.repeat(x, 2, axis=1), ops.tile(x, (1, 2, 1))]
    results += [
        ops.tile(x, 2),
        ops.pad(x, [[0, 0], [1, 2], [0, 1]]),
        ops.pad(x, [[0, 0], [1, 2], [0, 1]], constant_values=3.0),
    ]
    results += [
        ops.pad(x, [[0, 0], [1, 2], [0, 1]], mode="reflect"),
        ops.roll(x, 1, axis=1),
        ops.roll(x, (1, 2), axis=(1, 2)),
    ]
    results += [
        ops.flip(x, axis=1),
        ops.cast(x, "int32"),
        ops.convert_to_tensor(i, "float32"),
        ops.full_like(x, 2.0),
        ops.zeros_like(x, "int32"),
    ]
    results += [
        x[:, ::-1, 1],
        x[..., None],
        x[:, -1],
        2.0 - x,
        2 / (x + 3.0),
        x * np.array([1.0, 2.0, 3.0, 4.0], "float32"),
    ]
    results += [
        ops.softmax(x, axis=1),
        ops.log_softmax(x, axis=1),
        ops.sparsemax(x, axis=-1),
        ops.glu(x, axis=1),
        ops.gelu(x, approximate=False),
    ]
    results += [
        ops.elu(x, 0.5),
        ops.celu(x, 0.5),
        ops.leaky_relu(x, 0.1),
        ops.squareplus(x, 2),
        ops.soft_shrink(x, 0.2),
        ops.hard_shrink(x, 0.2),
    ]
    results += [
        ops.threshold(x, 0.1, -1.0),
        ops.tril(x, 0),
        ops.power(x, 2),
        ops.floor_divide(i, 2),
        i + 1,
        i * 2.5,
        ops.minimum(x, 0.0),
    ]
    return results


def main():
    x, y = (keras.Input((4, 4), name=name) for name in "xy")
    i = keras.Input((3,), dtype="int32", name="i")
    model = keras.Model([x, y, i], outputs(x, y, i))
    inputs = [draw.normal(size=(2, 4, 4)).astype("float32") for _ in range(2)] + [
        np.array([[0, 3, 1], [2, 2, 0]], "int32")
    ]
    arrays = {f"y{n:03}": np.asarray(array) for n, array in enumerate(model(inputs))}
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        np.savez(folder / "operations.npz", x0=inputs[0], x1=inputs[1], x2=inputs[2], **arrays)
        model.save(folder / "operations.keras")
        model.save(folder / "operations.h5")
        path = pathlib.Path(__file__).parent / "operations.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for file in sorted(folder.iterdir()):
                archive.write(file, file.name)


main()
