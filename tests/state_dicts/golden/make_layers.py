"""Write layers.npz: what layers of PyTorch give, with their state dicts; and files of torch.save.

python tests/state_dicts/golden/make_layers.py      (torch 2.14.1)
"""

import pathlib

import numpy as np
import torch
from torch import nn

HERE = pathlib.Path(__file__).parent


class Columns(nn.Module):
    """The columns of an image as steps, as for reading text: (batch, channels, height, width) -> (batch, width, ...)."""

    def forward(self, x):
        return x.permute(0, 3, 1, 2).flatten(2)


SEQUENCE, IMAGE = (2, 5, 3), (2, 4, 6, 6)
LAYERS = {
    "linear": (nn.Linear(3, 4), SEQUENCE),
    "conv1d": (nn.Conv1d(4, 6, 3, stride=2, groups=2), (2, 4, 9)),
    "conv2d": (nn.Conv2d(4, 5, (3, 2), dilation=(1, 2)), IMAGE),
    "conv3d": (nn.Conv3d(2, 3, 2, bias=False), (1, 2, 3, 4, 3)),
    "conv1d_transpose": (nn.ConvTranspose1d(4, 3, 4, stride=2), (2, 4, 5)),
    "conv2d_transpose": (nn.ConvTranspose2d(4, 3, (3, 2), stride=(2, 1)), IMAGE),
    "conv3d_transpose": (nn.ConvTranspose3d(2, 3, 2), (1, 2, 2, 3, 2)),
    "depthwise1d": (nn.Conv1d(4, 8, 3, groups=4), (2, 4, 7)),
    "depthwise2d": (nn.Conv2d(4, 8, (3, 2), groups=4), IMAGE),
    "batch_norm": (nn.BatchNorm2d(4), IMAGE),
    "layer_norm": (nn.LayerNorm(3), SEQUENCE),
    "group_norm": (nn.GroupNorm(2, 4), IMAGE),
    "rms_norm": (nn.RMSNorm(3, eps=1e-6), SEQUENCE),
    "prelu": (nn.PReLU(4), IMAGE),
    "embedding": (nn.Embedding(7, 3), (2, 5)),
    "lstm": (nn.LSTM(3, 4, batch_first=True), SEQUENCE),
    "lstm_deep": (nn.LSTM(3, 4, num_layers=2, bidirectional=True, batch_first=True), SEQUENCE),
    "gru": (nn.GRU(3, 4, batch_first=True), SEQUENCE),
    "gru_both": (nn.GRU(3, 4, bidirectional=True, batch_first=True), SEQUENCE),
    "rnn": (nn.RNN(3, 4, batch_first=True), SEQUENCE),
    "lstm_cell": (nn.LSTMCell(3, 4), (2, 3)),
    "gru_cell": (nn.GRUCell(3, 4), (2, 3)),
    "attention": (nn.MultiheadAttention(6, 2, batch_first=True), (2, 5, 6)),
    "attention_apart": (
        nn.MultiheadAttention(6, 2, kdim=4, vdim=5, batch_first=True),
        [(2, 5, 6), (2, 3, 4), (2, 3, 5)],
    ),
    "flattened": (nn.Sequential(nn.Conv2d(2, 3, 2), nn.Flatten(), nn.BatchNorm1d(18), nn.Linear(18, 4)), (2, 2, 4, 3)),
    "unflattened": (
        nn.Sequential(nn.Linear(4, 18), nn.BatchNorm1d(18), nn.Unflatten(1, (3, 3, 2)), nn.ConvTranspose2d(3, 2, 2)),
        (2, 4),
    ),
    "columns": (
        nn.Sequential(Columns(), nn.LSTM(6, 4, num_layers=2, bidirectional=True, batch_first=True)),
        (2, 3, 2, 5),
    ),
    "untied": (nn.Sequential(nn.Embedding(7, 3), nn.Linear(3, 7, bias=False)), (2, 5)),
}


def drawn(shape, rng, layer):
    if any(isinstance(module, nn.Embedding) for module in layer.modules()):
        return torch.from_numpy(rng.integers(0, 7, shape))
    return torch.from_numpy(rng.standard_normal(shape).astype("float32"))


def outputs(name, layer, shape, rng):
    """The arrays of one layer by name: x, y and those of its state dict."""
    for key, value in layer.state_dict().items():
        if value.dtype == torch.float32:
            noise = torch.from_numpy(rng.standard_normal(tuple(value.shape)).astype("float32"))
            value.copy_(noise.abs() + 0.5 if key.endswith("running_var") else noise / 2)
    inputs = [drawn(s, rng, layer) for s in shape] if isinstance(shape, list) else [drawn(shape, rng, layer)]
    if isinstance(layer, nn.MultiheadAttention):
        y = layer(*(inputs * 3)[:3], need_weights=False)
    else:
        y = layer(*inputs)
    while isinstance(y, tuple):
        y = y[0]
    arrays = {f"{name}/x{i}": x.numpy() for i, x in enumerate(inputs)} | {f"{name}/y": y.numpy()}
    return arrays | {f"{name}/theirs/{key}": value.numpy() for key, value in layer.state_dict().items()}


def files():
    """Small files of torch.save: a state dict, a training's checkpoint, views and dtypes, what is not read."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    state, base = model.state_dict(), torch.arange(12.0).reshape(3, 4)
    torch.save(state, HERE / "state_dict.pt")
    torch.save(state, HERE / "protocol_4.pt", pickle_protocol=4)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(4, 3)).sum().backward()
    optimizer.step()
    torch.save({"epoch": 3, "model": state, "optimizer": optimizer.state_dict(), "lr": 1e-3}, HERE / "checkpoint.pt")
    views = {"base": base, "transposed": base.t(), "part": base[1:, ::2], "scalar": base[1, 1], "empty": base[:0]}
    dtypes = {name: torch.tensor([0, 1, 2]).to(getattr(torch, name)) for name in DTYPES}
    torch.save(views | dtypes | {"parameter": nn.Parameter(base[0])}, HERE / "views.pt")
    torch.save(model, HERE / "module.pt")
    torch.save(state, HERE / "legacy.pt", _use_new_zipfile_serialization=False)


DTYPES = ("float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool", "complex64",
          "float8_e4m3fn", "float8_e5m2", "uint16")  # fmt: skip


if __name__ == "__main__":
    rng = np.random.default_rng(0)
    with torch.no_grad():
        arrays = {}
        for name, (layer, shape) in LAYERS.items():
            arrays |= outputs(name, layer.eval(), shape, rng)
    np.savez_compressed(HERE / "layers.npz", **arrays)
    files()
