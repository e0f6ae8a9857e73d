import jax
import numpy as np
import pytest

import fnlayers as fl
from fnlayers.core.values import check_values

BIG = 2**32 + 1


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.array([[1, BIG]]), r"x\[0, 1\] is 4294967297, which int32 cannot hold"),
        (np.array([-BIG]), r"x\[0\] is -4294967297, which int32"),
        (np.array(BIG), "x is 4294967297, which int32"),
        (np.int64(BIG), "x is 4294967297, which int32"),
        (BIG, "x is 4294967297, which int32"),
        (np.array([2**32], "uint64"), "which uint32 cannot hold"),
        (np.array([1, 2], object), r"an array of objects, though all are numbers; write x.astype\('int64'\)"),
        (np.array([1, 2.5], object), r"write x.astype\('float32'\)"),
        (np.array([[1, "a"]], object), r"x\[0, 1\] is 'a' of type str; encode it as numbers"),
        (np.array(["a"]), "x holds strings"),
        (np.array([b"a"]), "x holds bytes"),
        (np.array([1.0], ">f4"), r"x is >f4, in the other byte order; write x.astype\('float32'\)"),
        (np.array([1], ">i8"), r"write x.astype\('int64'\)"),
        (np.array([1], "M8[s]"), "x holds dates"),
        (np.array([(1, 2.0)], [("a", int), ("b", float)]), "x holds records .*; give each field as an array"),
        (np.ma.masked_array([1.0], [True]), "x is a masked array"),
        (np.array([1], "longdouble"), "which jax does not have; write x.astype.'float64'"),
    ],
)
def test_what_a_cast_would_change(value, text):
    with pytest.raises(fl.ConfigError, match=text):
        check_values(value, "x")


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint32", "int64", "float16", "float64", "complex64", "bfloat16"])
def test_numbers_pass(dtype):
    check_values(np.zeros(3, jax.numpy.dtype(dtype)), "x")


def test_the_largest_numbers_pass():
    check_values(np.array([-(2**31), 2**31 - 1]), "x")
    check_values(np.array([2**32 - 1], "uint64"), "x")
    check_values(np.zeros((0, 3), int), "x")


def test_ids_are_checked_where_a_layer_runs():
    layer = fl.Sequential([fl.Embedding(3, 2), fl.Flatten()])
    params = layer.init(jax.random.key(0), (None, 2))
    for ids in (np.array([[BIG, 0]]), [[BIG, 0]]):
        with pytest.raises(fl.ConfigError, match="Sequential.*x.* is 4294967297, which int32 cannot hold"):
            layer.apply(params, ids)
    with jax.enable_x64(True) if hasattr(jax, "enable_x64") else jax.experimental.enable_x64():
        assert np.isnan(layer.apply(params, np.array([[BIG, 0]]))[0, :2]).all()
    assert np.isnan(layer.apply(params, np.array([[np.nan, 0]]))[0, :2]).all()


X = np.array([[BIG, 0]])


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda f: f(X), r"^x\[0, 0\] is 4294967297"),
        (lambda f: f(x=X), r"^x\[0, 0\] is"),
        (lambda f: f({"ids": [BIG]}), r"^x\['ids'\]\[0\] is"),
        (lambda f: f(np.int64(BIG)), "^x is"),
        (lambda f: f.lower(X), r"^x\[0, 0\] is"),
        (lambda f: f.trace(X), r"^x\[0, 0\] is"),
        (lambda f: f(np.array([1, "a"], object)), r"^x is an array of objects"),
    ],
)
def test_what_is_compiled_is_checked_before_the_cast(call, text):
    with pytest.raises(fl.ConfigError, match=text):
        call(fl.jit(lambda x: x))


@pytest.mark.parametrize("static", [{"static_argnums": 1}, {"static_argnums": (-1,)}, {"static_argnames": "n"}])
def test_static_arguments_are_not_cast(static):
    compiled = fl.jit(lambda x, n: x * (int(n) % 7), **static)
    assert compiled(1, np.int64(2**40)) == 2**40 % 7


@pytest.mark.parametrize(
    "use",
    [
        lambda y: fl.losses.sparse_categorical_crossentropy(np.eye(2, dtype="float32"), y),
        lambda y: fl.losses.mean_squared_error(np.ones(2, "float32"), y),
        lambda y: fl.metrics.accuracy(np.eye(2, dtype="float32"), y),
        lambda y: fl.metrics.binary_accuracy(np.ones(2, "float32"), y),
        lambda y: fl.metrics.Precision().update(fl.metrics.Precision().init(), np.ones(2, "float32"), y),
    ],
)
def test_labels_of_a_loss_or_metric_are_checked_before_the_cast(use):
    with pytest.raises(fl.ConfigError, match=r"^y\[0\] is 4294967297"):
        use(np.array([BIG, 1]))
