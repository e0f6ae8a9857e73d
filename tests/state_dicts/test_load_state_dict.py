"""load_state_dict: tables of names, strictness, dtypes, and each kind of source."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnlayers as fl
from fnlayers.command_line.inspect import inspect
from fnlayers.saving import container
from fnlayers.state_dicts import Gates, Part, batch_norm, dense, prefixed, read_state_dict, tied, transpose


def array(*shape, dtype="float32"):
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(dtype)


def write(path, arrays, metadata=None):
    with open(path, "wb") as file:
        types = {name: (a.shape, a.dtype.name) for name, a in arrays.items()}
        container.write(file, types, metadata or {}, arrays.__getitem__)
    return path


THEIRS = {"fc.weight": array(2, 3), "fc.bias": array(2)}
MODEL = fl.Sequential([fl.Dense(2, name="head")])
SHAPE = (None, 3)


def test_params_are_those_of_init_in_names_order_and_dtype():
    model = fl.Sequential([fl.Dense(2, name="z"), fl.BatchNormalization(name="a"), fl.Dense(2, name="m")])
    norm = {"bn.weight": array(2), "bn.bias": array(2), "bn.running_mean": array(2), "bn.running_var": array(2)}
    square = {"out.weight": array(2, 2), "out.bias": array(2)}
    arrays = norm | THEIRS | square | {"bn.num_batches_tracked": np.array(3)}
    rules = {"bn": batch_norm("a"), "fc": dense("z"), "out": dense("m")}
    params, state = fl.load_state_dict(model, SHAPE, arrays, rules)
    drawn = model.init(jax.random.key(0), SHAPE)
    assert list(params) == list(drawn) and jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, drawn)
    assert all(isinstance(leaf, jax.Array) and leaf.dtype == "float32" for leaf in jax.tree.leaves((params, state)))
    np.testing.assert_array_equal(params["m"]["kernel"], square["out.weight"].T)
    np.testing.assert_array_equal(state["a"]["moving_variance"], norm["bn.running_var"])
    model.apply(params, array(4, 3), state=state)


def test_layers_of_a_repeat_are_stacked_in_order():
    model = fl.Repeat(fl.Dense(3), 11)
    arrays = {f"h.{i}.weight": np.full((3, 3), i) + array(3, 3) for i in range(11)}
    arrays |= {f"h.{i}.bias": np.full(3, float(i)) for i in range(11)}
    params, _ = fl.load_state_dict(model, SHAPE, arrays, {"h.{i}": dense("layer")})
    assert params["layer"]["bias"][:, 0].tolist() == list(range(11))  # 10 comes after 9, not after 1
    np.testing.assert_array_equal(params["layer"]["kernel"][10], arrays["h.10.weight"].T.astype("float32"))
    few = {name: a for name, a in arrays.items() if name[2:4] not in ("3.", "10")}
    with pytest.raises(fl.ConfigError, match=r"layer/kernel stacks \(11,\) layers.*missing: 3, 10"):
        fl.load_state_dict(model, SHAPE, few, {"h.{i}": dense("layer")})
    both = fl.Repeat(fl.Repeat(fl.Dense(3, use_bias=False), 2), 2)
    arrays = {f"g{i}.h{j}": np.full((3, 3), 10.0 * i + j) for i in range(2) for j in range(2)}
    params, _ = fl.load_state_dict(both, SHAPE, arrays, {"g{i}.h{j}": "layer/layer/kernel"})
    assert params["layer"]["layer"]["kernel"][:, :, 0, 0].tolist() == [[0, 1], [10, 11]]


def test_placeholders_stars_functions_and_several_goals():
    model = fl.Sequential([fl.Dense(3, name=f"{part}_{i}", use_bias=False) for part in "ab" for i in (1, 2)])
    arrays = {f"{part}.layers.{i}.w": np.full((3, 3), ord(part) + float(i)) for part in "ab" for i in (1, 2)}
    for table in (
        {"{p}.layers.{i}.w": "{p}_{i}/kernel"},
        {"*.layers.*.w": "*_*/kernel"},
        {"**.layers.{i}.w": "**_{i}/kernel"},
    ):
        params, _ = fl.load_state_dict(model, SHAPE, arrays, table)
        assert [float(params[name]["kernel"][0, 0]) for name in params] == [98, 99, 99, 100]
    two = fl.Sequential([fl.Dense(2, name="head"), fl.Dense(2, name="tail", use_bias=False)])
    arrays = {"one": array(2, 5), "b1": array(2), "b2": array(2)}
    table = {
        "one": [("head/kernel", lambda a: a[:, :3].T), ("tail/kernel", lambda a, shape: a[:, 3:].reshape(shape))],
        ("b1", "b2"): ("head/bias", lambda one, other: one + other),
    }
    params, _ = fl.load_state_dict(two, SHAPE, arrays, table)
    np.testing.assert_array_equal(params["tail"]["kernel"], arrays["one"][:, 3:])
    np.testing.assert_array_equal(params["head"]["bias"], arrays["b1"] + arrays["b2"])


def test_an_array_that_is_there_twice_is_compared():
    arrays = THEIRS | {"copy": THEIRS["fc.weight"].copy()}
    table = {"fc": dense("head"), "copy": tied("fc.weight")}
    fl.load_state_dict(MODEL, SHAPE, arrays, table)
    fl.load_state_dict(MODEL, SHAPE, THEIRS, table)  # files without the copy
    with pytest.raises(fl.ConfigError, match="not equal: 'copy' is tied to 'fc.weight'"):
        fl.load_state_dict(MODEL, SHAPE, arrays | {"copy": arrays["copy"] + 1}, table)
    with pytest.raises(fl.ConfigError, match="ties 'copy' to 'wte', which is not there"):
        fl.load_state_dict(MODEL, SHAPE, arrays, table | {"copy": tied("wte")})


def test_initial_values_are_those_of_init():
    model = fl.Sequential([fl.Dense(2, name="head"), fl.BatchNormalization(name="norm"), fl.Dense(5, name="new")])
    rng, table = jax.random.key(3), {"fc": dense("head")}
    params, state = fl.load_state_dict(model, SHAPE, THEIRS, table, initial=["norm/*", "new/**"], rng=rng)
    drawn = model.init(rng, SHAPE)
    assert jax.tree.all(jax.tree.map(jnp.array_equal, params["new"], drawn["new"]))
    assert jax.tree.all(jax.tree.map(jnp.array_equal, state, model.init_state(SHAPE)))
    with pytest.raises(fl.MissingError, match=r"rng=jax.random.key\(0\)"):
        fl.load_state_dict(model, SHAPE, THEIRS, table, initial=["norm/*", "new/**"])
    with pytest.raises(fl.ConfigError, match=r"initial: 'nev/\*' matches no path"):
        fl.load_state_dict(model, SHAPE, THEIRS, table, initial=["norm/*", "nev/*"], rng=rng)
    with pytest.raises(fl.ConfigError, match=r"give a list of paths"):
        fl.load_state_dict(model, SHAPE, THEIRS, table, initial="new/**", rng=rng)
    with pytest.raises(fl.ConfigError, match=r"give a list of paths"):
        fl.load_state_dict(model, SHAPE, THEIRS, table, initial=None, rng=rng)  # type: ignore[arg-type]
    with pytest.raises(fl.MissingError, match="takes a random key"):
        fl.load_state_dict(model, SHAPE, THEIRS, table, rng=0)  # type: ignore[arg-type]


WRONG = [
    ({}, {"fc": dense("heed")}, "leads 'fc.weight' to heed/kernel, .*; did you mean 'head/kernel'"),
    ({}, {"fc.weight": "head/kernel", "fc.bias": "head/bias"}, "write .*transpose"),
    ({}, {"fc.weight": ("head/kernel", transpose)}, 'not filled: head/bias.*(\n.*)*not used: "fc.bias" float32'),
    ({}, {"fd": dense("head")}, "the row 'fd': dense.* matches no array"),
    ({}, {"fc": dense("head"), "fc.*": None}, "used twice: 'fc.weight'"),
    ({"b": array(2)}, {"fc": dense("head"), "b": "head/bias"}, "filled twice: head/bias"),
    ({"b": array(2)}, {"fc": dense("head"), "{x}": "head/{y}"}, r"\{y\}, which stands for nothing"),
    ({"n": array(2)}, {"fc": dense("head")}, 'not used: "n" float32'),
    ({"a.num_batches_tracked": array()}, {"fc": dense("head")}, r'add "\*\*.num_batches_tracked": None'),
    ({}, {"fc": dense("head"), ("x", "fc.bias"): ("head/bias", np.add)}, "needs x besides fc.bias"),
    ({}, {"fc": 7}, "give a path, "),
    ({}, {"fc": dense("head"), "fc.{}": None}, "give the placeholder a name"),
    ({}, {"fc.{part}": ("head/kernel", transpose)}, "lacks a placeholder"),
    ({"0": array(2, 3), "1": array(2, 3)}, {"fc.bias": "head/bias", "{i}": "head/kernel"}, "not one of a Repeat"),
    ({}, {3: "head/kernel"}, "is not a name"),
    ({}, {("a", "b"): dense("head")}, "is for one module"),
    ({}, [("fc", dense("head"))], "fnlayers.match_weights"),
    ({}, {"fc.bias": "head/bias", "fc.weight": ("head/kernel", Part(0, 4))}, "has no 4 equal parts"),
    ({}, {"fc.bias": "head/bias", "fc.weight": ("head/kernel", lambda a: a.tt)}, "AttributeError"),
]


@pytest.mark.parametrize("more, table, match", WRONG)
def test_what_does_not_fit_is_listed(more, table, match):
    with pytest.raises(fl.ConfigError, match=match):
        fl.load_state_dict(MODEL, SHAPE, THEIRS | more, table)


def test_square_matrices_are_never_transposed_silently():
    model = fl.Sequential([fl.Dense(3, name="head", use_bias=False)])
    weight = array(3, 3)
    for table, expected in (({"w": "head/kernel"}, weight), ({"w": ("head/kernel", transpose)}, weight.T)):
        np.testing.assert_array_equal(
            fl.load_state_dict(model, SHAPE, {"w": weight}, table)[0]["head"]["kernel"], expected
        )


@pytest.mark.parametrize("dtype", ["float16", "float64", "bfloat16", "float8_e4m3fn"])
def test_floats_are_rounded_to_the_declared_dtype(dtype):
    arrays = {
        name: jnp.asarray(a).astype(dtype) if dtype != "float64" else a.astype(dtype) for name, a in THEIRS.items()
    }
    params, _ = fl.load_state_dict(MODEL, SHAPE, arrays, {"fc": dense("head")})
    np.testing.assert_array_equal(params["head"]["bias"], np.asarray(arrays["fc.bias"]).astype("float32"))


def test_a_table_of_a_part_of_their_model():
    with pytest.raises(fl.ConfigError, match="prefixed takes the beginning of names and a table"):
        prefixed("bert.", None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "bias, match",
    [
        (np.array([1, 2]), "int64, the weight float32; quantized weights"),
        (np.array([True, False]), "bool, the weight"),
        (np.array([1j, 2]), "complex128"),
        (np.array([1e300, 0]), "too large for float32"),
        (np.array(["a", "b"]), "expected numbers"),
        (np.array([None, 1]), "expected numbers"),
        ([0.0, 1.0], "not an array"),
    ],
)
def test_numbers_that_a_weight_cannot_hold(bias, match):
    with pytest.raises(fl.ConfigError, match=match):
        fl.load_state_dict(MODEL, SHAPE, THEIRS | {"fc.bias": bias}, {"fc": dense("head")})


class Tensor:
    """What a tensor of PyTorch answers to."""

    def __init__(self, array, on_cpu=False, detached=False):
        self.array, self.on_cpu, self.detached = array, on_cpu, detached

    def detach(self):
        return Tensor(self.array, self.on_cpu, True)

    def cpu(self):
        return Tensor(self.array, True, self.detached)

    def float(self):
        return Tensor(self.array.astype("float32"), self.on_cpu, self.detached)

    def numpy(self):
        assert self.on_cpu and self.detached
        if self.array.dtype == jnp.bfloat16:
            raise TypeError("Got unsupported ScalarType BFloat16")
        return self.array


def test_tensors_are_taken_as_they_are():
    arrays = {name: Tensor(a.astype(jnp.bfloat16)) for name, a in THEIRS.items()}
    params, _ = fl.load_state_dict(MODEL, SHAPE, arrays, {"fc": dense("head")})
    np.testing.assert_array_equal(params["head"]["bias"], THEIRS["fc.bias"].astype(jnp.bfloat16).astype("float32"))


# Files


def test_safetensors_and_shards(tmp_path):
    table = {"fc": dense("head")}
    whole = write(tmp_path / "whole.safetensors", THEIRS, {"format": "pt"})
    expected = fl.load_state_dict(MODEL, SHAPE, THEIRS, table)
    places = {"fc.weight": "one.safetensors", "fc.bias": "two.safetensors"}
    for name, shard in places.items():
        write(tmp_path / shard, {name: THEIRS[name]})
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 32}, "weight_map": places}))
    for source in (whole, str(whole), index):
        loaded = fl.load_state_dict(MODEL, SHAPE, source, table)
        assert jax.tree.all(jax.tree.map(jnp.array_equal, loaded, expected))
    assert read_state_dict(index).keys() == THEIRS.keys()


@pytest.mark.parametrize(
    "places, match",
    [
        ({"fc.weight": "../one.safetensors"}, "not the name of a file next to it"),
        ({"fc.weight": "/etc/passwd"}, "not the name of a file next to it"),
        ({"fc.bias": "one.safetensors"}, "do not hold the same arrays: fc.bias, fc.weight"),
        ({"fc.weight": "model.safetensors.index.json"}, "no .safetensors file"),
        ({}, "no index of shards"),
        ({"fc.weight": 3}, "no index of shards"),
    ],
)
def test_an_index_that_is_wrong(tmp_path, places, match):
    write(tmp_path / "one.safetensors", {"fc.weight": THEIRS["fc.weight"]})
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": places}))
    with pytest.raises(fl.ConfigError, match=match):
        read_state_dict(index)


@pytest.mark.parametrize("first", [b"\x80", b"PK", b"{"])
def test_a_header_whose_length_begins_like_another_format(tmp_path, first):
    """The length of a header with that many spaces at its end: every 32nd file begins as pickles do."""
    header = b'{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}'
    length = int.from_bytes(first, "little")
    blob = length.to_bytes(8, "little") + header.ljust(length) + bytes(4)
    (tmp_path / "a.safetensors").write_bytes(blob)
    assert read_state_dict(tmp_path / "a.safetensors")["a"].tolist() == 0
    assert "arrays without a model" in inspect(str(tmp_path / "a.safetensors"))


def test_sources_that_are_none(tmp_path):
    fl.save(tmp_path / "ours.safetensors", MODEL, MODEL.init(jax.random.key(0), SHAPE))
    np.savez(tmp_path / "a.npz", **THEIRS)
    (tmp_path / "a.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(99))

    class Module:
        def state_dict(self):
            return THEIRS

    for source, match in [
        (tmp_path / "ours.safetensors", "write fnlayers.load"),
        (tmp_path / "a.npz", "give dict\\(numpy.load"),
        (tmp_path / "a.h5", "HDF5"),
        (tmp_path, "is a folder"),
        (Module(), "model.state_dict\\(\\)"),
        (3, "give a path"),
        ({"model": THEIRS}, "source\\['model'\\]"),
        ({"a": "text"}, "not an array"),
    ]:
        with pytest.raises(fl.ConfigError, match=match):
            fl.load_state_dict(MODEL, SHAPE, source, {"fc": dense("head")})
    with pytest.raises(FileNotFoundError):
        fl.load_state_dict(MODEL, SHAPE, tmp_path / "none.pt", {})


def test_gates_of_other_orders():
    rows = np.array([[1.0], [2.0], [3.0], [4.0]])
    assert Gates("iofc", "ifco")(rows, (1, 4)).tolist() == [[1, 3, 4, 2]]
    with pytest.raises(fl.ConfigError, match="the same letters"):
        Gates("iofc", "ifgo")
