"""Networks of torchvision, timm and transformers in examples/models: the numbers that PyTorch gave for drawn weights."""

import importlib.util
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnlayers as fl
from drawn import drawn_weight
from fnlayers.state_dicts import prefixed, tied

GOLDEN = np.load(pathlib.Path(__file__).parent / "golden" / "models.npz")
EXAMPLES = pathlib.Path(__file__).parents[2] / "examples" / "models"


def example(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def theirs(name):
    """Their state dict: names and shapes are stored, the numbers are drawn."""
    return {key: drawn_weight(*drawn) for key, drawn in json.loads(str(GOLDEN[f"{name}/types"])).items()}


def close(ours, golden):
    np.testing.assert_allclose(ours, golden, rtol=1e-4, atol=1e-4 * np.abs(golden).max())


def image(size):
    return drawn_weight(f"image {size}", (2, size, size, 3)) * size


@pytest.mark.parametrize(
    "name, size, options",
    [
        ("resnet_basic", 40, dict(blocks=(2, 1), bottleneck=False, classes=5, width=4)),
        ("resnet_bottleneck", 40, dict(blocks=(2, 1), classes=5, width=4)),
        pytest.param("resnet18", 64, dict(blocks=(2, 2, 2, 2), bottleneck=False), marks=pytest.mark.slow),
        pytest.param("resnet50", 64, dict(), marks=pytest.mark.slow),
    ],
)
def test_resnet_of_torchvision(name, size, options):
    module = example("resnet")
    model = module.resnet(**options)
    params, state = fl.load_state_dict(model, None, theirs(name), module.RESNET)
    close(jax.jit(model.apply)(params, image(size), state=state), GOLDEN[f"{name}/logits"])


@pytest.mark.parametrize(
    "name, options",
    [
        ("vit", dict(size=16, patch=8, width=12, depth=2, heads=3, classes=5)),
        pytest.param("vit_tiny", dict(width=192, heads=3), marks=pytest.mark.slow),
    ],
)
def test_vit_of_timm(name, options):
    module = example("vit")
    model = module.vit(**options)
    params, _ = fl.load_state_dict(model, None, theirs(name), module.VIT)
    close(jax.jit(model.apply)(params, image(options.get("size", 224))), GOLDEN[f"{name}/logits"])


def test_bert_of_transformers():
    module = example("bert")
    model = module.bert(30, 12, 2, 3, 16)
    params, _ = fl.load_state_dict(model, None, theirs("bert"), module.BERT)
    out = jax.jit(model.apply)(params, {"tokens": GOLDEN["bert/input_ids"], "types": GOLDEN["bert/token_type_ids"]})
    valid = GOLDEN["bert/attention_mask"]
    close(out["hidden"][valid], GOLDEN["bert/last_hidden_state"][valid])
    close(out["pooled"], GOLDEN["bert/pooler_output"])


@pytest.mark.parametrize("name", ["gpt2", "gpt2_head"])
def test_gpt2_of_transformers(name):
    module = example("gpt2")
    model, table, arrays = module.gpt2(30, 12, 2, 3, 16), module.GPT2, theirs(name)
    if name == "gpt2_head":
        table = prefixed("transformer.", table) | {"lm_head.weight": tied("transformer.wte.weight")}
    params, _ = fl.load_state_dict(model, None, arrays, table)
    if name == "gpt2":  # without an output matrix, which is the table
        logits = GOLDEN["gpt2/last_hidden_state"] @ arrays["wte.weight"].T
    else:
        logits = GOLDEN["gpt2_head/logits"]
    close(jax.jit(model.apply)(params, GOLDEN[f"{name}/input_ids"]), logits)


@pytest.mark.parametrize("name", ["llama", "llama_tied"])
def test_llama_of_transformers(name):
    module, tokens = example("llama"), jnp.asarray(GOLDEN[f"{name}/input_ids"])
    model = module.llama(30, 16, 2, 4, 2, 20, tie_weights=name == "llama_tied")
    table = module.LLAMA_TIED if name == "llama_tied" else module.LLAMA
    params, _ = fl.load_state_dict(model, None, theirs(name), table)
    close(jax.jit(model.apply)(params, tokens), GOLDEN[f"{name}/logits"])


@pytest.mark.slow
def test_llama_writes_step_by_step():
    module, tokens = example("llama"), jnp.asarray(GOLDEN["llama/input_ids"])
    model = module.llama(30, 16, 2, 4, 2, 20)
    params, _ = fl.load_state_dict(model, None, theirs("llama"), module.LLAMA)
    decoder = fl.cached(model, 8)
    prompt = decoder.run(params, tokens[:, :6], state=decoder.init_state((2, 1)))
    close(decoder.run(params, tokens[:, 6:], state=prompt.state).y, GOLDEN["llama/logits"][:, 6:])
