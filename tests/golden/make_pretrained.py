"""Write pretrained.npz: what PyTorch gives for the networks of examples/pretrained_*.py.

    python tests/golden/make_pretrained.py SILERO.safetensors MINILM_FOLDER      (torch 2.15.0, transformers 5.23.0)

Silero's detector is written out here with torch's layers, without ours; MiniLM is run by transformers.
"""

import pathlib
import sys

import numpy as np
import torch
import transformers
from safetensors.torch import load_file

SENTENCES = [
    "A man is eating food.",
    "Someone has a meal.",
    "",
    "Ünïcode, punctuation... and (many) odd-looking tokens: x_1 = 3.14!",
    "Layers are pure functions of their parameters and their input; nothing is hidden, and so they can be mapped, "
    "differentiated and compiled.",
]


def detector(path):
    """Speech probabilities and the last carry for half a second of a hum that swells, in noise."""
    w, rng = load_file(path), np.random.default_rng(0)
    time = np.arange(16 * 512) / 16_000
    hum = sum(np.sin(2 * np.pi * 120 * n * time) / n for n in range(1, 20)) * np.linspace(0, 0.3, len(time))
    samples = np.pad(hum + rng.normal(0, 0.005, len(time)), (64, 0)).astype("float32")
    sound = samples[np.arange(16)[:, None] * 512 + np.arange(576)]
    cell = torch.nn.LSTMCell(128, 128)
    cell.load_state_dict({name: w[f"lstm_cell.{name}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")})
    h = c = torch.zeros(1, 128)
    speech = []
    for window in torch.from_numpy(sound):
        x = torch.nn.functional.pad(window[None, None], (0, 64), mode="reflect")
        x = torch.nn.functional.conv1d(x, w["stft_conv.weight"], stride=128)
        x = (x[:, :129] ** 2 + x[:, 129:] ** 2).sqrt()
        for name, stride in (("conv1", 1), ("conv2", 2), ("conv3", 2), ("conv4", 1)):
            x = torch.nn.functional.conv1d(x, w[f"{name}.weight"], w[f"{name}.bias"], stride, 1).relu()
        h, c = cell(x[..., 0], (h, c))
        speech.append(torch.sigmoid(h.relu() @ w["final_conv.weight"][0] + w["final_conv.bias"])[0, 0])
    return {"sound": sound, "speech_probs": torch.stack(speech), "hn": h[None], "cn": c[None]}


def embeddings(folder):
    """The mean of the last hidden states over real tokens, length 1."""
    tokenizer, model = (kind.from_pretrained(folder) for kind in (transformers.AutoTokenizer, transformers.AutoModel))
    batch = tokenizer(SENTENCES, padding=True, return_tensors="pt")
    hidden, real = model.eval()(**batch).last_hidden_state, batch["attention_mask"][..., None]
    mean = (hidden * real).sum(1) / real.sum(1)
    return {"sentences": np.array(SENTENCES), "embeddings": torch.nn.functional.normalize(mean)}


if __name__ == "__main__":
    with torch.no_grad():
        arrays = detector(sys.argv[1]) | embeddings(sys.argv[2])
    np.savez(pathlib.Path(__file__).with_name("pretrained.npz"), **{k: np.asarray(v) for k, v in arrays.items()})
