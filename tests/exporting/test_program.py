"""Models as StableHLO programs in one file, run without the model's code."""

import dataclasses
import gzip
import pathlib
import struct

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

import fnlayers as fl
from fnlayers.exporting import targets
from fnlayers.exporting.flat import check_bounds
from fnlayers.exporting.targets import check_targets
from fnlayers.saving import container, strict

flatbuffers = pytest.importorskip("flatbuffers")


@pytest.fixture(scope="module")
def normalized():
    model = fl.Sequential([fl.Dense(4, "relu"), fl.BatchNormalization(), fl.Dense(2)])
    shape = (None, 3)
    return model, model.init(jax.random.key(0), shape), model.init_state(shape)


@pytest.mark.parametrize("weights", ["inside", "beside"])
def test_a_program_gives_the_model_s_outputs_for_every_batch_size(tmp_path, normalized, weights):
    model, params, state = normalized
    fl.export(tmp_path / "m.exported", model, params, state, shape=(None, 3), weights=weights)
    loaded = fl.load_exported(tmp_path / "m.exported")
    assert loaded.in_shape == ("batch", 3) and loaded.out_shape == ("batch", 2) and loaded.in_dtype == "float32"
    assert loaded.platforms == ("cpu", "cuda", "rocm", "tpu")
    for batch in (1, 5):
        x = jnp.arange(batch * 3.0).reshape(batch, 3)
        wanted = model.apply(params, x, state=state)
        np.testing.assert_allclose(loaded(x), wanted, rtol=1e-6)
        np.testing.assert_allclose(jax.jit(loaded)(x), wanted, rtol=1e-6)
    assert f"weights {weights}" in repr(loaded).replace("34 ", "")


def test_weights_beside_the_program_can_be_exchanged(tmp_path, normalized):
    model, params, state = normalized
    path, x = tmp_path / "m.exported", jnp.ones((2, 3))
    fl.export(path, model, params, state, shape=(None, 3), weights="beside")
    loaded = fl.load_exported(path)
    assert jax.tree.structure(loaded.params) == jax.tree.structure(params)
    other = jax.tree.map(lambda a: a + 1, params)
    np.testing.assert_allclose(loaded.apply(other, x), model.apply(other, x, state=state), rtol=1e-6)
    with pytest.raises(fl.ShapeError, match=r"params\['dense'\]\['kernel'\]: the program takes float32\(3, 4\)"):
        loaded.apply({**other, "dense": {"kernel": jnp.ones((4, 4)), "bias": jnp.ones(4)}}, x)
    fl.export(path, model, params, state, shape=(None, 3))
    with pytest.raises(fl.ConfigError, match="weights='beside'"):
        fl.load_exported(path).apply(other, x)


def test_several_inputs_and_named_sizes(tmp_path):
    a, b = fl.Input((None, 3), name="a"), fl.Input((None, 3), name="b")
    model = fl.functional({"a": a, "b": b}, {"sum": a + b, "double": fl.Lambda(lambda x: x * 2)(a)})
    path = tmp_path / "m.exported"
    fl.export(path, model, {}, shape={"a": (None, "time", 3), "b": (None, "time", 3)})
    loaded = fl.load_exported(path)
    assert loaded.in_shape == {"a": ("batch", "time", 3), "b": ("batch", "time", 3)}
    x = {"a": np.ones((2, 5, 3), np.float32), "b": np.ones((2, 5, 3), np.float32)}
    assert jax.tree.map(np.sum, loaded(x)) == {"double": 60.0, "sum": 60.0}
    with pytest.raises(fl.ShapeError, match="x has another structure"):
        loaded(x["a"])
    with pytest.raises(fl.ShapeError, match=r"x\['b'\]: the program takes float32\('batch', 'time', 3\), got float32"):
        loaded({**x, "b": np.ones((2, 5, 4), np.float32)})


def test_integers_stay_integers(tmp_path):
    model = fl.Embedding(5, 2)
    params = model.init(jax.random.key(0), (None, 4))
    fl.export(tmp_path / "m.exported", model, params, shape=(None, None))
    loaded = fl.load_exported(tmp_path / "m.exported")
    assert loaded.in_shape == ("batch", "size_1") and loaded.in_dtype == "int32"
    assert loaded(np.array([[1, 2, 3]])).shape == (1, 3, 2)
    with pytest.raises(fl.ShapeError, match="int32"):
        loaded(np.ones((1, 3), np.float32))
    with pytest.raises(fl.ShapeError, match="int32 cannot hold"):
        loaded(np.array([[2**32 + 1]]))


def test_a_program_with_gradients_has_those_of_the_model(tmp_path):
    model, x = fl.Dense(2, "tanh"), jnp.ones((3, 4))
    params = model.init(jax.random.key(0), x.shape)
    fl.export(tmp_path / "m.exported", model, params, shape=(None, 4), weights="beside", gradients=True)
    loaded = fl.load_exported(tmp_path / "m.exported")
    gradients = jax.grad(lambda params: jnp.sum(loaded.apply(params, x)))(params)
    wanted = jax.grad(lambda params: jnp.sum(model.apply(params, x)))(params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), gradients, wanted)


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"path": "m.safetensors"}, fl.ConfigError, "m.exported"),
        ({"path": 3}, fl.ConfigError, "takes the path"),
        ({"model": fl.Dense}, fl.ConfigError, "got the class Dense"),
        ({"shape": None}, fl.MissingError, "give shape=x.shape"),
        ({"shape": (None, "two words")}, fl.ConfigError, "is no name"),
        ({"shape": np.ones((2, 3))}, fl.ShapeError, "write x.shape"),
        ({"shape": (None, None)}, fl.ShapeError, "must be known"),
        ({"params": {}}, fl.MissingError, "kernel"),
        ({"weights": "outside"}, fl.ConfigError, "choose from inside, beside"),
        ({"platforms": ("gpu",)}, fl.ConfigError, "choose from cpu, cuda"),
    ],
)
def test_what_cannot_be_exported_is_said(tmp_path, options, error, says):
    model = fl.Dense(2)
    arguments = {
        "path": "m.exported",
        "model": model,
        "params": model.init(jax.random.key(0), (1, 3)),
        "shape": (None, 3),
    }
    arguments |= options
    if isinstance(arguments["path"], str):
        arguments["path"] = tmp_path / arguments["path"]
    with pytest.raises(error, match=says):
        fl.export(**arguments)
    assert not list(tmp_path.iterdir())


def test_damaged_and_foreign_files_are_refused(tmp_path):
    model, path = fl.Dense(1), tmp_path / "m.exported"
    params = model.init(jax.random.key(0), (None, 2))
    fl.export(path, model, params, shape=(None, 2))
    good = path.read_bytes()
    for place in range(0, len(good), max(1, len(good) // 40)):
        path.write_bytes(good[:place])
        with pytest.raises(fl.ConfigError):
            fl.load_exported(path)
        path.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        with pytest.raises(fl.ConfigError):
            fl.load_exported(path)
    fl.save(tmp_path / "m.safetensors", model, params)
    with pytest.raises(fl.ConfigError, match=r"fnlayers\.load reads models"):
        fl.load_exported(tmp_path / "m.safetensors")
    path.write_bytes(good)
    with pytest.raises(fl.ConfigError, match="fnlayers.load_exported"):
        fl.load(path)
    with pytest.raises(FileNotFoundError):
        fl.load_exported(tmp_path / "absent.exported")


def write_program(path, data, weights="inside"):
    """A file of those bytes as its program, with the checksum that belongs to it."""
    metadata = {"format": "fnlayers exported", "format_version": "1", "fnlayers": "0"}
    metadata |= {name: strict.dumps(value) for name, value in {"params": {}, "state": {}, "weights": weights}.items()}
    array = np.frombuffer(data, "uint8")
    with open(path, "wb") as file:
        container.write(file, {"program": (array.shape, "uint8")}, metadata, lambda name: array)


def exported(function, *shapes):
    arguments = [jax.ShapeDtypeStruct(shape, "float32") for shape in shapes]
    return jax.export.export(jax.jit(function))(*arguments)


def test_a_program_that_is_noise_is_refused(tmp_path):
    path = tmp_path / "m.exported"
    for seed in range(20):
        write_program(path, np.random.RandomState(seed).bytes(300))
        with pytest.raises(fl.ConfigError):
            fl.load_exported(path)


@pytest.mark.parametrize("name", ["hangs", "crashes"])
def test_a_module_over_which_the_parser_hangs_or_crashes_is_refused(tmp_path, monkeypatch, name):
    """Modules of one changed byte, over which jaxlib 0.10.2 never returns, and ends the process."""
    data = (pathlib.Path(__file__).parent / "golden" / f"{name}.mlirbc.gz").read_bytes()
    program = dataclasses.replace(exported(jnp.sin, (2, 3)), mlir_module_serialized=gzip.decompress(data))
    write_program(tmp_path / "m.exported", program.serialize())
    monkeypatch.setattr(targets, "SECONDS", 1)
    with pytest.raises(fl.ConfigError, match="damaged: its program cannot be parsed"):
        fl.load_exported(tmp_path / "m.exported")


def test_a_program_that_does_not_fit_what_it_declares_is_refused(tmp_path):
    path, program = tmp_path / "m.exported", exported(jnp.sin, (2, 3))
    write_program(path, exported(lambda x, y: x + y, (2,), (2,)).serialize())
    with pytest.raises(fl.ConfigError, match="does not take 1 arguments by position"):
        fl.load_exported(path)
    with pytest.raises(fl.ConfigError, match="weights='within' is unknown"):
        write_program(path, program.serialize(), "within")
        fl.load_exported(path)
    other = exported(lambda x: x.T, (4, 5)).mlir_module_serialized
    write_program(path, dataclasses.replace(program, mlir_module_serialized=other).serialize())
    loaded = fl.load_exported(path)
    with pytest.raises(fl.ConfigError, match="the program cannot be run"):
        loaded(np.ones((2, 3), "float32"))


def table(builder, **fields):
    """A table whose fields, _2=..., refer to what was built before."""
    builder.StartObject(26)
    for name, offset in fields.items():
        builder.PrependUOffsetTRelativeSlot(int(name[1:]), offset, 0)
    return builder.EndObject()


def listed(builder, *offsets):
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


def nested(levels, times):
    """A program whose tree has each tree that many times in the next one."""
    builder = flatbuffers.Builder()
    tree = table(builder)
    for _ in range(levels):
        tree = table(builder, _1=listed(builder, *[tree] * times))
    builder.Finish(table(builder, _2=tree))
    return bytes(builder.Output())


def sized(text):
    """A program whose first input is of that size."""
    builder = flatbuffers.Builder()
    array = table(builder, _1=listed(builder, builder.CreateByteVector(text)))
    builder.Finish(table(builder, _3=listed(builder, array)))
    return bytes(builder.Output())


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "points outside itself"),
        (bytes(3), "points outside itself"),
        (struct.pack("<I", 2**32 - 1) + bytes(8), "points outside itself"),
        (struct.pack("<Ii", 4, -(2**31)), "points outside itself"),
        (sized(b"abc").replace(b"\3\0\0\0abc", b"\xff\xff\xff\xffabc"), "points outside itself"),
        (nested(300, 1), "more than 200 tables inside each other"),
        (nested(60, 2), "again and again"),
        (sized(b"(a+b)^1000"), "an array of the size"),
        (sized(b"9" * 19), "an array of the size"),
        (sized(b"a^1000"), "an array of the size"),
        (sized(b"a" * 1001), "an array of the size"),
        (sized(b"a;b"), "an array of the size"),
    ],
)
def test_a_program_that_would_be_read_without_end_is_refused(data, says):
    with pytest.raises(fl.ConfigError, match=says):
        check_bounds(data)


@pytest.mark.parametrize("text", [b"3", b"batch", b"-1*floordiv(size_1 + 2*b^2, 2) + max(0, mod(b, 3))"])
def test_sizes_as_jax_writes_them_are_read(text):
    check_bounds(sized(text))


def test_a_program_that_calls_what_it_may_not_is_refused():
    call = jax.ffi.ffi_call("xla_ffi_python_cpu_callback", jax.ShapeDtypeStruct((2,), "float32"))
    checks = [jax.export.DisabledSafetyCheck.custom_call("xla_ffi_python_cpu_callback")]
    program = jax.export.export(jax.jit(call), disabled_checks=checks)(jax.ShapeDtypeStruct((2,), "float32"))
    with pytest.raises(fl.ConfigError, match="xla_ffi_python_cpu_callback"):
        check_targets(program)
