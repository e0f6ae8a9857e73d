"""Silero's voice activity detector from its published weights: for each 32 ms of sound, how likely somebody speaks.

    pip install --no-deps silero-vad                             the weights, without PyTorch
    python examples/pretrained_speech.py --wav FILE              16 bit, 16 kHz, one channel: prints who speaks when
    python examples/pretrained_speech.py --check FOLDER          compares with numbers of another program

The network is a short-time Fourier transform written as a convolution, four more convolutions, an LSTM, and one output
(Silero Team, Silero VAD, 2024, MIT licence). The package has the weights of two trainings, one in `.safetensors` as
PyTorch lays them out, one in `.onnx` files; --weights takes either (the second with `pip install onnx`). --check reads
`input.npz` (input, h, c) and `ref.npz` (speech_probs, hn, cn), which must come from the same training.
"""

import argparse
import importlib.util
import pathlib
import sys
import wave
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import fnlayers as fl
from fnlayers.state_dicts import conv, lstm

Run = Callable[[np.ndarray, Any, Any], dict[str, Any]]  # (sound, h, c) -> speech, h, c

RATE, WINDOW, CONTEXT = (
    16_000,
    512,
    64,
)  # samples a second, samples a window, samples of the window before that it reads too

# PyTorch's names -> ours: (out, in, window) becomes (window, in, out), the two biases of the LSTM are added.
MAPPING = {
    "stft_conv": conv("encoder/layer/stft"),
    "conv{i}": conv("encoder/layer/conv{i}"),
    "lstm_cell": lstm("lstm/cell", cell=True),
    "final_conv.weight": ("speech/kernel", lambda kernel: kernel[..., 0].T),  # a window of one step
    "final_conv.bias": "speech/bias",
}


def reflect(x: jax.Array) -> jax.Array:
    """(..., CONTEXT + WINDOW) -> (..., CONTEXT + WINDOW + 64, 1): the end once more, mirrored."""
    return jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, 64)], mode="reflect")[..., None]


def magnitude(x: jax.Array) -> jax.Array:
    """Real and imaginary parts, side by side in the last axis, to absolute values."""
    real, imaginary = jnp.split(x, 2, axis=-1)
    return jnp.sqrt(real**2 + imaginary**2)


def conv(filters: int, strides: int, name: str) -> list[fl.Layer]:
    """A convolution with a zero on either side, as PyTorch pads ("same" would add one at the end alone)."""
    return [fl.ZeroPadding1D(1), fl.Conv1D(filters, 3, strides=strides, activation="relu", name=name)]


def detector() -> fl.Functional:
    """(recordings, windows, CONTEXT + WINDOW) and a carry -> (recordings, windows, 1) and the next carry."""
    encoder = fl.Sequential(
        [
            fl.Lambda(reflect),
            fl.Conv1D(258, 256, strides=128, use_bias=False, name="stft"),
            fl.Lambda(magnitude),
            *conv(128, 1, "conv1"),
            *conv(64, 2, "conv2"),
            *conv(64, 2, "conv3"),
            *conv(128, 1, "conv4"),
            fl.Flatten(),
        ]
    )
    sound = fl.Input((None, CONTEXT + WINDOW), name="sound")
    h, c = fl.Input((128,), name="h"), fl.Input((128,), name="c")
    features = fl.TimeDistributed(encoder, name="encoder")(sound)
    memory, h_next, c_next = fl.LSTM(128, return_sequences=True, return_state=True, name="lstm")(features, h, c)
    speech = fl.Dense(1, activation="sigmoid", name="speech")(fl.ReLU()(memory))
    return fl.functional({"sound": sound, "h": h, "c": c}, {"speech": speech, "h": h_next, "c": c_next})


def from_onnx(path: pathlib.Path) -> dict[str, np.ndarray]:
    """ONNX has the gates of an LSTM in the order i, o, f, c, where PyTorch and Keras have i, f, c, o."""
    import onnx

    graph = onnx.load(path).graph
    arrays = {array.name: onnx.numpy_helper.to_array(array) for array in graph.initializer}
    names = {"stft.forward_basis_buffer": "stft_conv.weight"}
    for old, new in [(f"encoder.{n}", f"conv{n + 1}") for n in range(4)] + [("output", "final_conv")]:
        names |= {f"{old}.{part}": f"{new}.{part}" for part in ("weight", "bias")}
    weights = {names[name]: array for name, array in arrays.items() if name in names}
    kernel, recurrent, bias = (
        arrays[name][0] for name in next(n for n in graph.node if n.op_type == "LSTM").input[1:4]
    )
    parts = {
        "weight_ih": kernel,
        "weight_hh": recurrent,
        "bias_ih": bias[: len(kernel)],
        "bias_hh": bias[len(kernel) :],
    }
    for part, array in parts.items():
        i, o, f, c = np.split(array, 4)
        weights[f"lstm_cell.{part}"] = np.concatenate([i, f, c, o])
    return weights


def weights_file() -> pathlib.Path:
    """The file in the installed package, which is not imported: that would need PyTorch."""
    package = importlib.util.find_spec("silero_vad")
    if package is None or package.origin is None:
        sys.exit("the weights come with silero-vad: pip install --no-deps silero-vad, or name a file with --weights")
    return pathlib.Path(package.origin).parent / "data" / "silero_vad_16k.safetensors"


def read_wav(path: pathlib.Path) -> np.ndarray:
    """The samples of a WAV file, in -1 to 1."""
    with wave.open(str(path)) as file:
        rate, channels, size = file.getframerate(), file.getnchannels(), file.getsampwidth()
        if (rate, channels, size) != (RATE, 1, 2):
            sys.exit(f"{path} has {rate} Hz, {channels} channels, {size} bytes; expected {RATE} Hz, 1 channel, 2 bytes")
        return np.frombuffer(file.readframes(file.getnframes()), "<i2") / np.float32(2**15)


def windows(samples: np.ndarray) -> np.ndarray:
    """(1, windows, CONTEXT + WINDOW): cut into windows, padded with silence, each with the end of the one before it."""
    count = -(-len(samples) // WINDOW)
    padded = np.pad(samples, (CONTEXT, count * WINDOW - len(samples)))
    return padded[np.arange(count)[:, None] * WINDOW + np.arange(CONTEXT + WINDOW)][None]


def spoken(speech: np.ndarray, threshold: float = 0.5) -> list[tuple[float, float]]:
    """(start, end) in seconds of each run of windows above the threshold."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], speech > threshold, [False]])))
    return [(start * WINDOW / RATE, end * WINDOW / RATE) for start, end in edges.reshape(-1, 2)]


def largest_difference(run: Run, inputs: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> float:
    """Between the output of another program and the model's: in one run, and in two with the carry between."""
    sound, h, c = inputs["input"][None], inputs["h"][0], inputs["c"][0]
    at_once = run(sound, h, c)
    half = sound.shape[1] // 2
    first = run(sound[:, :half], h, c)
    second = run(sound[:, half:], first["h"], first["c"])
    in_two = {**second, "speech": np.concatenate([first["speech"], second["speech"]], axis=1)}
    pairs = (("speech", "speech_probs"), ("h", "hn"), ("c", "cn"))
    return max(
        float(abs(np.ravel(out[ours]) - np.ravel(expected[theirs])).max())
        for out in (at_once, in_two)
        for ours, theirs in pairs
    )


def runner(model: fl.Layer, weights: pathlib.Path) -> Run:
    """The compiled model with a file's weights."""
    source = from_onnx(weights) if weights.suffix == ".onnx" else weights
    apply, (params, _) = jax.jit(model.apply), fl.load_state_dict(model, None, source, MAPPING)
    return lambda sound, h, c: apply(params, {"sound": sound, "h": h, "c": c})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=pathlib.Path, help="default: silero_vad_16k.safetensors of the package")
    parser.add_argument("--wav", type=pathlib.Path, help="a sound file")
    parser.add_argument("--check", type=pathlib.Path, help="a folder with input.npz and ref.npz")
    args = parser.parse_args()

    model = detector()
    print(fl.summary(model, model.in_shape))
    run = runner(model, args.weights or weights_file())
    if args.check:
        worst = largest_difference(run, np.load(args.check / "input.npz"), np.load(args.check / "ref.npz"))
        print(f"largest difference from {args.check / 'ref.npz'}: {worst:.1e}")
        if worst > 1e-4:
            sys.exit("that is more than 1e-4")
    if args.wav:
        samples, silence = read_wav(args.wav), np.zeros((1, 128), "float32")
        speech = np.asarray(run(windows(samples), silence, silence)["speech"])[0, :, 0]
        for start, end in spoken(speech):
            print(f"speech from {start:.2f} s to {end:.2f} s")


if __name__ == "__main__":
    main()
