"""A small GPT of characters: trained on a text, saved, loaded back; it writes on from where the text stops.

    python examples/tiny_gpt.py                        Python's language reference (comes with Python)
    python examples/tiny_gpt.py --text FILE            any other text

It prints the model's summary, what the model writes before and after training, and the loss on text it has not seen;
writes `model.safetensors`, its `characters.txt` and the loss curves `history.png` to --out; loads the file back, and
generates twice: with a cache of the keys and values of earlier steps, and by running the whole text for each character.
"""

import argparse
import functools
import pathlib
import sys
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import fnlayers as fl


class Text(NamedTuple):
    """A text as numbers: what each stands for, and windows (examples, steps) of what to train on and what not."""

    characters: str
    train: np.ndarray
    test: np.ndarray


def language_reference() -> str:
    """The half a million characters that Python's help() shows; under Python's own license, the PSF's."""
    from pydoc_data.topics import topics

    return "\n\n".join(topics[name] for name in sorted(topics))


def windows(text: str, steps: int) -> Text:
    """The text cut into windows that overlap by one character, each tenth of them held out."""
    characters = "".join(sorted(set(text)))
    code = {character: number for number, character in enumerate(characters)}
    numbers = np.array([code[character] for character in text], "int32")
    count = (len(numbers) - 1) // steps
    if count < 10:
        sys.exit(f"the text has {len(text)} characters; give at least {10 * steps + 1}, or a smaller --steps")
    cut = np.stack([numbers[i * steps : (i + 1) * steps + 1] for i in range(count)])
    held_out = np.arange(count) % 10 == 9
    return Text(characters, cut[~held_out], cut[held_out])


def gpt(characters: int, width: int, depth: int) -> fl.Sequential:
    """Decoder blocks with rotary positions, compiled once for all of them."""
    block = fl.TransformerDecoder(
        4 * width, num_heads=width // 32, activation="gelu", normalize_first=True, rotary_wavelength=10000
    )
    return fl.Sequential(
        [
            fl.Embedding(characters, width),
            fl.Repeat(block, depth),
            fl.LayerNormalization(),
            fl.Dense(characters),
        ]
    )


@functools.partial(jax.jit, static_argnames=("model", "steps"))
def write_on(model: fl.Layer, params: Any, prompt: jax.Array, rng: jax.Array, steps: int) -> jax.Array:
    """The prompt (batch, steps) and `steps` drawn characters; each step runs the model on one character."""
    decoder = fl.cached(model, prompt.shape[1] + steps)
    out = decoder.run(params, prompt, state=decoder.init_state((len(prompt), 1)))

    def step(carry: tuple, key: jax.Array) -> tuple:
        logits, state = carry
        drawn = draw(key, logits)
        out = decoder.run(params, drawn[:, None], state=state)
        return (out.y[:, -1], out.state), drawn

    _, drawn = jax.lax.scan(step, (out.y[:, -1], out.state), jax.random.split(rng, steps))
    return jnp.concatenate([prompt, drawn.T], axis=1)


@functools.partial(jax.jit, static_argnames=("model", "steps"))
def write_on_slowly(model: fl.Layer, params: Any, prompt: jax.Array, rng: jax.Array, steps: int) -> jax.Array:
    """The same without a cache: each step runs the model on the whole text; nothing attends to its unwritten end."""
    start = prompt.shape[1]

    def step(text: jax.Array, xs: tuple) -> tuple:
        at, key = xs
        drawn = draw(key, model.apply(params, text)[:, at - 1])
        return text.at[:, at].set(drawn), None

    empty = jnp.pad(prompt, ((0, 0), (0, steps)))
    return jax.lax.scan(step, empty, (start + jnp.arange(steps), jax.random.split(rng, steps)))[0]


def draw(key: jax.Array, logits: jax.Array, temperature: float = 0.8) -> jax.Array:
    return jax.random.categorical(key, logits / temperature).astype("int32")


def timed(function: Any, *args: Any) -> tuple[Any, float]:
    """The result, and the seconds it takes once it is compiled."""
    function(*args)
    start = time.perf_counter()
    return jax.block_until_ready(function(*args)), time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=pathlib.Path, help="a text file; default: Python's language reference")
    parser.add_argument("--steps", type=int, default=128, help="the length of the windows it is trained on")
    parser.add_argument("--width", type=int, default=96, help="the features of a step, a multiple of 32")
    parser.add_argument("--depth", type=int, default=3, help="the number of blocks")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("out"))
    parser.add_argument("--max-loss", type=float, default=float("inf"), help="exit with an error above this")
    args = parser.parse_args()

    text = windows(args.text.read_text(encoding="utf-8") if args.text else language_reference(), args.steps)
    model = gpt(len(text.characters), args.width, args.depth)
    shape = (None, args.steps)
    print(fl.summary(model, shape))

    start_key, train_key, write_key = jax.random.split(jax.random.key(args.seed), 3)
    params = model.init(start_key, shape)
    prompt = jnp.asarray(text.test[len(text.test) // 2, None, : args.steps // 4])
    arguments = (prompt, write_key, args.steps - prompt.shape[1])

    def show(when: str, written: jax.Array) -> None:
        begun, drawn = ("".join(text.characters[i] for i in part) for part in np.split(written[0], [prompt.shape[1]]))
        print(f"\n{when}, from {begun!r}:\n{drawn}\n")

    show("before training", write_on(model, params, *arguments))
    steps = args.epochs * -(-len(text.train) // args.batch_size)
    rate = optax.warmup_cosine_decay_schedule(0.0, 3e-3, max(1, steps // 10), max(2, steps))
    start = time.perf_counter()
    result = fl.fit(
        model,
        (text.train[:, :-1], text.train[:, 1:]),
        loss=optax.softmax_cross_entropy_with_integer_labels,
        optimizer=optax.adamw(rate, weight_decay=0.01, mask=fl.decay_mask(model, shape)),
        epochs=args.epochs,
        batch_size=args.batch_size,
        validation_data=(text.test[:, :-1], text.test[:, 1:]),
        metrics={"accuracy": fl.metrics.accuracy},
        params=params,
        rng=train_key,
    )
    loss = result.history["val_loss"][-1]
    print(f"loss {loss:.4f} a character (by chance {np.log(len(text.characters)):.4f}) on text held out, ", end="")
    print(f"after {args.epochs} epochs, {time.perf_counter() - start:.0f} s")

    args.out.mkdir(parents=True, exist_ok=True)
    fl.show.history(result.history, args.out / "history.png")
    (args.out / "characters.txt").write_text(text.characters, encoding="utf-8", newline="")
    fl.save(args.out / "model.safetensors", model, result.params)
    loaded, params, _ = fl.load(args.out / "model.safetensors")
    print(f"saved {args.out / 'model.safetensors'}, and loaded back")

    written, seconds = timed(write_on, loaded, params, *arguments)
    slowly, slow_seconds = timed(write_on_slowly, model, result.params, *arguments)
    show("after training", written)
    same = np.array_equal(written, slowly)
    print(f"written with a cache in {1e3 * seconds:.0f} ms, without in {1e3 * slow_seconds:.0f} ms; the same: {same}")
    if not same:
        sys.exit("the model wrote another text without a cache")
    if loss > args.max_loss:
        sys.exit(f"the loss {loss:.4f} is above {args.max_loss}")


if __name__ == "__main__":
    main()
