"""Write models.npz: what networks of torchvision, timm and transformers give, with weights drawn from their names.

    python tests/state_dicts/golden/make_models.py      (torchvision 0.29.1, timm 1.0.31, transformers 5.24.0)

It holds no weights: the names and shapes of each state dict, an input and the output.
"""

import json
import pathlib
import sys

import numpy as np
import timm
import torch
import torchvision
import transformers

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from drawn import drawn_weight

RNG = np.random.default_rng(0)
TOKENS = RNG.integers(1, 30, (2, 7))
PADDED = np.where(np.arange(7) < [[7], [4]], TOKENS, 0)
TYPES = np.where(np.arange(7) < 3, 0, 1) * (PADDED > 0)


def image(size):
    return drawn_weight(f"image {size}", (2, size, size, 3)).transpose(0, 3, 1, 2) * size


def small_resnet(block):
    """torchvision's, narrow: its own blocks, by its own method."""
    model = torchvision.models.ResNet(block, [1, 1, 1, 1])
    model.inplanes = 4
    model.conv1, model.bn1 = torch.nn.Conv2d(3, 4, 7, 2, 3, bias=False), torch.nn.BatchNorm2d(4)
    for stage, count in enumerate((2, 1)):
        blocks = model._make_layer(block, 4 * 2**stage, count, stride=1 + (stage > 0))
        setattr(model, f"layer{stage + 1}", blocks)
    model.layer3 = model.layer4 = torch.nn.Identity()
    model.fc = torch.nn.Linear(8 * block.expansion, 5)
    return model


BERT = dict(vocab_size=30, hidden_size=12, num_hidden_layers=2, num_attention_heads=3, intermediate_size=48,
            max_position_embeddings=16)  # fmt: skip
GPT2 = dict(vocab_size=30, n_positions=16, n_embd=12, n_layer=2, n_head=3)
LLAMA = dict(vocab_size=30, hidden_size=16, intermediate_size=20, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, rms_norm_eps=1e-5)  # fmt: skip


def models():
    """(name, model, inputs) of each."""
    resnets, vits = torchvision.models, timm.models.vision_transformer.VisionTransformer
    yield "resnet_basic", small_resnet(resnets.resnet.BasicBlock), image(40)
    yield "resnet_bottleneck", small_resnet(resnets.resnet.Bottleneck), image(40)
    yield "resnet18", resnets.resnet18(), image(64)
    yield "resnet50", resnets.resnet50(), image(64)
    yield "vit", vits(img_size=16, patch_size=8, embed_dim=12, depth=2, num_heads=3, num_classes=5), image(16)
    yield "vit_tiny", timm.create_model("vit_tiny_patch16_224"), image(224)
    bert = transformers.BertModel(transformers.BertConfig(**BERT))
    yield "bert", bert, {"input_ids": PADDED, "token_type_ids": TYPES, "attention_mask": PADDED > 0}
    yield "gpt2", transformers.GPT2Model(transformers.GPT2Config(**GPT2)), {"input_ids": TOKENS}
    yield "gpt2_head", transformers.GPT2LMHeadModel(transformers.GPT2Config(**GPT2)), {"input_ids": TOKENS}
    yield "llama", transformers.LlamaForCausalLM(transformers.LlamaConfig(**LLAMA)), {"input_ids": TOKENS}
    tied = transformers.LlamaForCausalLM(transformers.LlamaConfig(**LLAMA, tie_word_embeddings=True))
    yield "llama_tied", tied, {"input_ids": TOKENS}


def outputs(name, model, inputs):
    model.eval()
    state = model.state_dict()
    first = {
        value.data_ptr(): key for key, value in reversed(state.items())
    }  # the name that a tied array is drawn from
    types = {}
    for key, value in state.items():
        types[key] = [first[value.data_ptr()], list(value.shape), str(value.dtype).removeprefix("torch.")]
        value.copy_(torch.from_numpy(drawn_weight(*types[key])))
    if isinstance(inputs, dict):
        tensors = {key: torch.from_numpy(np.asarray(value)) for key, value in inputs.items()}
        result = model(**tensors)
        tensors_out = {key: result[key] for key in ("logits", "last_hidden_state", "pooler_output") if key in result}
    else:
        inputs = {"x": inputs}
        tensors_out = {"logits": model(torch.from_numpy(inputs["x"]))}
    arrays = {f"{name}/{key}": value for key, value in inputs.items() if key != "x"}  # images are drawn again
    return (
        arrays
        | {f"{name}/{key}": value.numpy() for key, value in tensors_out.items()}
        | {f"{name}/types": json.dumps(types)}
    )


if __name__ == "__main__":
    arrays = {}
    with torch.no_grad():
        for name, model, inputs in models():
            arrays |= outputs(name, model, inputs)
            print(name, [key for key in arrays if key.startswith(f"{name}/")])
    np.savez_compressed(pathlib.Path(__file__).with_name("models.npz"), **arrays)
