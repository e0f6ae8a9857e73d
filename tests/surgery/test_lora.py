"""Factors for kernels: the numbers by hand, what trains, and plain params again."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import fnlayers as fl

KEY = jax.random.key(0)
X = np.random.default_rng(0).normal(size=(6, 5)).astype("float32")


def model():
    return fl.Sequential([fl.Dense(4, "tanh"), fl.BatchNormalization(), fl.Dense(3, name="head")])


def started(adapted, params, shape=None, b=0.5):
    """Params whose factors b are not 0, so that something changes."""
    attached = adapted.attach(KEY, params, shape)
    return attached | {
        "lora": jax.tree.map_with_path(lambda path, a: a if path[-1].key == "a" else a + b, attached["lora"])
    }


def test_the_numbers_by_hand():
    dense = fl.Dense(3)
    params = dense.init(KEY, X.shape)
    adapted = fl.lora(dense, 2, "kernel", alpha=6)
    new = started(adapted, params)
    a, b = (np.asarray(new["lora"]["kernel"][name]) for name in "ab")
    assert a.shape == (5, 2) and b.shape == (2, 3)
    kernel = np.asarray(params["kernel"]) + a @ b * 6 / 2
    np.testing.assert_allclose(adapted.apply(new, X), X @ kernel, rtol=1e-5, atol=1e-5)
    merged = adapted.merge(new)
    np.testing.assert_allclose(merged["kernel"], kernel, rtol=1e-6)
    assert merged["bias"] is params["bias"]
    np.testing.assert_allclose(dense.apply(merged, X), adapted.apply(new, X), rtol=1e-5, atol=1e-5)


def test_at_the_start_nothing_changes_and_keys_decide():
    whole, state = model(), model().init_state(X.shape)
    params = whole.init(KEY, X.shape)
    adapted = fl.lora(whole, 2)
    new = adapted.attach(jax.random.key(5), params)
    np.testing.assert_array_equal(adapted.apply(new, X, state={"model": state}), whole.apply(params, X, state=state))
    assert new["model"]["head"]["kernel"] is params["head"]["kernel"]
    drawn = adapted.init(jax.random.key(5), X.shape)["lora"]
    jax.tree.map(np.testing.assert_array_equal, new["lora"], drawn)
    assert adapted.init_state(X.shape).keys() == {"model"} and adapted.out_shape(X.shape) == (6, 3)


CASES = [
    (fl.Sequential([fl.MultiHeadAttention(4, 2, name="attention"), fl.Dense(8)]), (2, 3, 8), "**/attention/**",
     {"query": ((8, 2), (2, 8)), "key": ((8, 2), (2, 8)), "value": ((8, 2), (2, 8)), "attention_output": ((8, 2), (2, 8))}),
    (fl.Conv2D(4, 3), (2, 5, 5, 3), "**", {"kernel": ((27, 2), (2, 4))}),
    (fl.Conv2DTranspose(4, 3), (2, 5, 5, 3), "**", {"kernel": ((36, 2), (2, 3))}),
    (fl.SeparableConv2D(4, 3), (2, 5, 5, 3), "**",
     {"depthwise_kernel": ((9, 2), (2, 3)), "pointwise_kernel": ((3, 2), (2, 4))}),
    (fl.ConvLSTM1D(3, 3), (2, 3, 4, 5), "**", {"kernel": ((15, 2), (2, 12)), "recurrent_kernel": ((9, 2), (2, 12))}),
    (fl.EinsumDense("abc,cde->abde", (None, 3, 4), bias_axes="e"), (2, 3, 6), "**", {"kernel": ((18, 2), (2, 4))}),
    (fl.Embedding(7, 4), (2, 3), "**", {"embeddings": ((7, 2), (2, 4))}),
    (fl.Repeat(fl.Dense(4), 3), (2, 4), "**", {"kernel": ((3, 4, 2), (3, 2, 4))}),
    (fl.Bidirectional(fl.GRU(3)), (2, 3, 4), "forward_layer",
     {"kernel": ((4, 2), (2, 9)), "recurrent_kernel": ((3, 2), (2, 9))}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("layer", "shape", "pattern", "sides"), CASES, ids=lambda v: getattr(type(v), "__name__", None)
)
def test_kernels_of_all_kinds(layer, shape, pattern, sides):
    params = layer.init(KEY, shape)
    adapted = fl.lora(layer, 2, pattern)
    new = started(adapted, params, shape, b=0.1)
    shapes = {}
    for path, array in fl.paths(new["lora"]).items():
        names = path.split("/")
        key = next(name for name in reversed(names[:-1]) if name in sides)
        shapes.setdefault(key, []).append(array.shape)
    assert {name: tuple(both) for name, both in shapes.items()} == sides
    merged = adapted.merge(new)
    assert jax.tree.map(jnp.shape, merged) == jax.tree.map(jnp.shape, params)
    for path, array in fl.paths(params).items():
        both = fl.paths(new["lora"])
        if f"{path}/a" in both:
            product = np.asarray(both[f"{path}/a"]) @ np.asarray(both[f"{path}/b"])
            expected = np.asarray(array) + product.reshape(array.shape)
            np.testing.assert_allclose(fl.paths(merged)[path], expected, rtol=1e-5, atol=1e-6)
        else:
            assert fl.paths(merged)[path] is array
    if isinstance(layer, (fl.Embedding, fl.Repeat)):
        x = jnp.zeros(shape, layer.in_dtype)
        np.testing.assert_allclose(adapted.apply(new, x), layer.apply(merged, x), rtol=1e-5, atol=1e-5)


def test_fit_and_optax_train_the_factors_alone():
    whole, state = model(), model().init_state(X.shape)
    params = whole.init(KEY, X.shape)
    adapted = fl.thaw(fl.lora(whole, 2, "dense"), "model/head")
    trains = [path for path, moves in fl.paths(fl.trainable_mask(adapted, X.shape)).items() if moves]
    assert trains == ["lora/dense/kernel/a", "lora/dense/kernel/b", "model/head/bias", "model/head/kernel"]
    start = adapted.attach(KEY, params)
    result = fl.fit(
        adapted, (X, np.arange(6) % 3), loss=optax.softmax_cross_entropy_with_integer_labels, optimizer=optax.adam(0.05),
        epochs=3, batch_size=6, params=start, state={"model": state}, verbose=False,
    )  # fmt: skip
    moved = {path for path, a in fl.paths(result.params).items() if (a != fl.paths(start)[path]).any()}
    assert moved == set(trains) and result.history["loss"][-1] < result.history["loss"][0]
    jax.tree.map(np.testing.assert_array_equal, result.state["model"], state)  # BatchNormalization, too
    y = whole.apply(adapted.merge(result.params), X, state=state)
    np.testing.assert_allclose(adapted.apply(result.params, X, state=result.state), y, rtol=1e-5, atol=1e-5)


def test_jit_grad_vmap_and_half_precision():
    dense = fl.Dense(3, dtype="bfloat16")
    base = dense.init(KEY, X.shape)
    adapted = fl.lora(dense, 2)
    new = started(adapted, base)
    assert {a.dtype for a in jax.tree.leaves(new)} == {jnp.dtype("bfloat16")}
    kernel = np.asarray(new["lora"]["kernel"]["a"], "float32") @ np.asarray(new["lora"]["kernel"]["b"], "float32")
    kernel = jnp.asarray(np.asarray(base["kernel"], "float32") + kernel, "bfloat16")
    np.testing.assert_array_equal(adapted.merge(new)["kernel"], kernel)
    assert adapted.apply(new, X).dtype == jnp.bfloat16

    def outputs(factors):
        return adapted.apply({"model": base, "lora": factors}, X)

    several = jax.tree.map(lambda a: jnp.stack([a, 2 * a, -a]), new["lora"])  # three adapters of one base
    y = jax.jit(jax.vmap(outputs))(several)
    np.testing.assert_allclose(np.float32(y[0]), np.float32(outputs(new["lora"])), rtol=2e-2, atol=2e-2)
    slopes = jax.grad(lambda factors: outputs(factors).astype("float32").sum())(adapted.attach(KEY, base)["lora"])
    assert (slopes["kernel"]["a"] == 0).all() and (slopes["kernel"]["b"] != 0).any()
    mixed = fl.lora(fl.Dense(3, dtype="mixed_bfloat16"), 2)
    assert mixed.init(KEY, X.shape)["lora"]["kernel"]["a"].dtype == jnp.float32


def test_files_and_the_shape(tmp_path):
    whole = fl.Sequential([fl.Conv2D(4, 3), fl.Flatten(), fl.Dense(3)])
    params = whole.init(KEY, (None, 4, 4, 3))
    adapted = fl.lora(whole, 2, "**/kernel")
    with pytest.raises(fl.MissingError, match=r"attach\(rng, params, x.shape\)"):
        adapted.attach(KEY, params)
    new = adapted.attach(KEY, params, (None, 4, 4, 3))
    fl.save(tmp_path / "adapted.safetensors", adapted, new, shape=(None, 4, 4, 3))
    loaded, arrays, _ = fl.load(tmp_path / "adapted.safetensors")
    assert loaded == adapted
    jax.tree.map(np.testing.assert_array_equal, arrays, new)
    jax.tree.map(np.testing.assert_array_equal, loaded.merge(arrays), adapted.merge(new))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: fl.lora(model(), 2, "hat").init(KEY, X.shape), r"'hat' matches no kernel.*dense/kernel \(5, 4\)"),
        (lambda: fl.lora(model(), 2, "**/bias").init(KEY, X.shape), "matches no kernel"),
        (lambda: fl.lora(model(), 9).init(KEY, X.shape), "larger than rank=9; those are none"),
        (lambda: fl.lora(model(), 0), "rank=0"),
        (lambda: fl.lora(model(), 2).attach(KEY, None), "attach takes the params of the model"),
        (lambda: fl.lora(model(), 2, 3), "no patterns"),
        (lambda: fl.lora(fl.Dense, 2), "got the class Dense"),
        (lambda: fl.lora(model(), 2).merge(model().init(KEY, X.shape)), "attach"),
        (lambda: fl.lora(model(), 2).merge({"model": {}, "lora": {"dense": {"a": X}}}), "do not belong"),
    ],
)
def test_what_is_wrong(make, words):
    with pytest.raises(ValueError, match=words):
        make()
