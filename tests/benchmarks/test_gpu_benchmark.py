"""The GPU benchmark runs, tiny and on any machine; its networks are the ones that their names say."""

import json
import sys
import time

import jax
import jax.numpy as jnp
import pytest

import gpu
from flops import flops
from networks import FULL, TINY, ours


def run(monkeypatch, *options):
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--tiny", *map(str, options)])
    gpu.main()


def params_of(network):
    model = ours.model_of(network, "float32")
    return jax.eval_shape(lambda: model.init(jax.random.key(0), network.shape))


def test_a_tiny_run(monkeypatch, tmp_path, capsys):
    file = tmp_path / "found.json"
    run(monkeypatch, "--networks", "lstm", "--contenders", "fnlayers", "--dtypes", "float32", "--json", file)
    written = json.loads(file.read_text())
    assert {"float32", "float32 in full", "bfloat16", "copy"} == written["ceilings"].keys() and written["card"][
        "platform"
    ]
    (lstm,) = written["rows"]
    assert lstm["contenders"].keys() == {"fnlayers", "scan", "cudnn"}
    assert "error" in lstm["contenders"]["cudnn"]  # there is none for CPUs, and the others go on
    assert lstm["contenders"]["scan"]["time over fnlayers"] > 0
    assert lstm["flops"] == 3 * 2 * (2 * 4) * (3 + 4) * 4 * 4  # 4 gates of 4 units, for 2 sequences of 4 steps
    assert lstm["contenders"]["fnlayers"]["fraction of products"] > 0
    out = capsys.readouterr().out
    assert "lstm" in out and "examples/s" in out


@pytest.mark.parametrize(
    "network", [n for n in TINY if n.name in ("mobilenet", "transformer", "unet")], ids=lambda n: n.name
)
def test_the_others_train_in_half_precision(network):
    training = ours.prepare(network, "bfloat16")
    assert training.run(2) > 0 and training.params > 0


def test_all_networks_are_reached_in_half_precision_first():
    contests = gpu.in_order(FULL, [], gpu.DTYPES)
    assert {(n.name, dtype) for n, dtype in contests[: len(FULL)]} == {(n.name, "bfloat16") for n in FULL}
    assert len(contests) == 10 and contests[-1][0].name == "resnet"  # which compiles longest


def test_resnet_is_resnet_50():
    (network,) = (n for n in FULL if n.name == "resnet")
    assert sum(leaf.size for leaf in jax.tree.leaves(params_of(network))) == 25_557_032
    one = network._replace(shape=(1, 224, 224, 3))
    assert gpu.forward_flops(one, "float32") == pytest.approx(2 * 4.09e9, rel=0.01)
    assert network.of_batch(0.25).shape == (32, 224, 224, 3)


@pytest.mark.parametrize("network", TINY, ids=lambda n: n.name)
def test_all_libraries_have_the_same_model(network):
    linen = pytest.importorskip("networks.linen")
    pytorch = pytest.importorskip("networks.pytorch")
    own = sum(leaf.size for leaf in jax.tree.leaves(params_of(network)))
    model = getattr(linen, network.name)(network.shape, **network.options)
    shaped = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.ones(network.shape), True))
    assert sum(leaf.size for leaf in jax.tree.leaves(shaped["params"])) == own
    model = getattr(pytorch, network.name)(network.shape, **network.options)
    second_bias = 4 * network.options["units"] if network.name == "lstm" else 0
    assert sum(p.numel() for p in model.parameters()) == own + second_bias


def test_flops_of_what_is_not_a_plain_product():
    x, w = jnp.ones((2, 3)), jnp.ones((3, 3))
    assert flops(lambda x, w: jax.lax.scan(lambda x, _: (x @ w, None), x, length=5)[0], x, w) == 5 * 2 * 2 * 3 * 3
    assert flops(lambda x, w: jax.lax.cond(True, lambda: x @ w, lambda: x), x, w) == 2 * 2 * 3 * 3
    image, kernel = jnp.ones((1, 4, 4, 2)), jnp.ones((2, 2, 2, 6))

    def stretched(image, kernel):
        return jax.lax.conv_transpose(image, kernel, (2, 2), "SAME")

    assert flops(stretched, image, kernel) == 2 * (4 * 4) * (2 * 2 * 2 * 6)
    grouped = jax.lax.conv_general_dilated
    assert flops(lambda a, b: grouped(a, b, (1, 1), "SAME", feature_group_count=2), jnp.ones((1, 4, 4, 4)), kernel) == (
        2 * (4 * 4) * (2 * 2 * 2 * 6)
    )


def test_time_runs_out(monkeypatch):
    ended = []
    monkeypatch.setattr(gpu.os, "_exit", ended.append)
    gpu.stop_after(0.01, None)
    until = time.monotonic() + 5
    while not ended and time.monotonic() < until:
        time.sleep(0.01)
    assert ended == [0]


def test_without_a_gpu_it_says_so(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    monkeypatch.setattr(gpu.jax, "default_backend", lambda: "cpu")
    with pytest.raises(SystemExit, match="--tiny"):
        gpu.main()
