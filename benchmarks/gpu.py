"""Training on one GPU: how near to what the card can do, and how near to Flax linen and PyTorch.

    python benchmarks/gpu.py [--json FILE] [--seconds N] [--networks NAME ...] [--dtypes NAME ...] [--tiny]

First the card's ceilings, measured: matrix products in each dtype, and copying. Then a training step of each network in
`networks`, by each library that is installed; the libraries take turns, PyTorch in a process of its own. For each it
prints examples a second, the fraction of the matrix products' ceiling (of the multiply-adds that the model needs, 3
times those of its forward pass), the fraction of the copying ceiling (of the bytes that XLA says the step moves), and
its time over that of fnlayers in the same round. The LSTM in float32 is also run as a scan, and by cuDNN's kernel as
jax has it, with the gradient alone.

Compiling takes most of the time. So all networks are measured in bfloat16 before any is in float32, and those that
compile fast before others: ResNet-50 in float32 is what is left out first.

It needs no network and no attention: a contender that fails is noted and left out, each figure is written at once, and
after --seconds (less than 8 minutes) it stops with what it has. --tiny runs on any machine in seconds, to see that it
works.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

import machine
from figures import write as write_figures
from flops import flops
from networks import FULL, TINY, Network, ours
from networks.jitted import Training

DTYPES = ("bfloat16", "float32")
CONTENDERS = ("fnlayers", "linen", "torch")
LEAST_ROUNDS = 3  # of a contest, however long compiling took
LSTMS = {"scan": "scanned_lstm", "cudnn": "cudnn_lstm"}


class Scale(NamedTuple):
    """How much is done.

    Arguments:
        networks: which networks.
        width: of the square matrices that are multiplied.
        elements: of the array that is copied.
        seconds: that a contender runs in a round.
        rounds: how many.
    """

    networks: tuple[Network, ...]
    width: int
    elements: int
    seconds: float
    rounds: int


SCALES = {False: Scale(FULL, 8192, 2**28, 0.2, 7), True: Scale(TINY, 64, 2**12, 0.001, 2)}


# Ceilings


def ceilings(scale: Scale) -> dict[str, float]:
    """Operations a second of matrix products, and bytes a second of a copy; the best of the rounds."""
    products = {"float32": ("float32", None), "float32 in full": ("float32", "highest"), "bfloat16": ("bfloat16", None)}
    ceiling = {name: 2 * scale.width**3 / product_seconds(scale, *how) for name, how in products.items()}
    return ceiling | {"copy": 2 * 4 * scale.elements / copy_seconds(scale)}


def product_seconds(scale: Scale, dtype: str, precision: str | None) -> float:
    """Of one product of square matrices. jax's default in float32 is TF32, where the card has it."""
    a = jax.random.normal(jax.random.key(0), (scale.width, scale.width), dtype) / scale.width**0.5
    return best(scale, jax.jit(lambda a: jnp.matmul(a, a, precision=precision)), a)


def copy_seconds(scale: Scale) -> float:
    """Of reading and writing one array."""
    return best(scale, jax.jit(jnp.negative), jnp.ones(scale.elements))


def best(scale: Scale, run: Callable, x: Any) -> float:
    """Seconds a call, when many wait in the queue."""
    jax.block_until_ready(run(x))

    def seconds(calls: int) -> float:
        start = time.perf_counter()
        for _ in range(calls):
            y = run(x)
        jax.block_until_ready(y)
        return (time.perf_counter() - start) / calls

    calls = calls_for(scale, seconds(1))
    return min(seconds(calls) for _ in range(scale.rounds))


def calls_for(scale: Scale, once: float) -> int:
    """How many calls fill a round."""
    return max(1, min(1000, int(scale.seconds / once)))


# Contenders


class Torch:
    """PyTorch in a process of its own, which is given lines of JSON and answers each with one."""

    def __init__(self, python: str) -> None:
        self.process = subprocess.Popen(
            [python, "-m", "networks.pytorch"],
            cwd=pathlib.Path(__file__).parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, **question: Any) -> dict[str, Any]:
        """Its answer, or an error."""
        assert self.process.stdin and self.process.stdout
        print(json.dumps(question), file=self.process.stdin, flush=True)
        answer = json.loads(self.process.stdout.readline() or '{"error": "the process ended"}')
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    def prepare(self, network: Network, dtype: str) -> Training:
        """A training step of the network."""
        answer = self.ask(prepare=[network, dtype])
        return Training(lambda calls: self.ask(run=calls)["seconds"], answer["params"])

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()


def prepared(name: str, network: Network, dtype: str, torch: Torch | None) -> Training:
    """A contender's training step of the network."""
    if name == "linen":
        from networks import linen

        return linen.prepare(network, dtype)
    if name == "torch":
        assert torch is not None
        return torch.prepare(network, dtype)
    return ours.prepare(network, dtype, LSTMS.get(name))


def contest(
    scale: Scale, network: Network, dtype: str, names: list[str], torch: Torch | None, write: Callable, ends: float
) -> dict[str, Any]:
    """Each contender's figures. First each is prepared and timed alone, then all take turns.

    After LEAST_ROUNDS no round begins later than `ends`, a time of time.monotonic().
    """
    trainings: dict[str, Training] = {}
    calls: dict[str, int] = {}
    row: dict[str, Any] = {"network": network.name, "dtype": dtype, "shape": network.shape, **network.options}
    row |= {"flops": 3 * forward_flops(network, dtype), "contenders": {}}
    for name in names:
        start = time.perf_counter()
        try:
            training = prepared(name, network, dtype, torch)
            calls[name] = calls_for(scale, training.run(1))
            alone = training.run(calls[name]) / calls[name]
        except Exception as error:  # whatever one library cannot do, the others go on
            row["contenders"][name] = {"error": f"{type(error).__name__}: {error}"[:500]}
        else:
            trainings[name] = training
            row["contenders"][name] = {
                "params": training.params,
                "bytes": training.bytes,
                "compile_seconds": training.compile_seconds,
                "prepare_seconds": time.perf_counter() - start,
                "step_seconds": alone,
            }
        write(row)
    times: dict[str, list[float]] = {name: [] for name in trainings}
    for rounds in range(scale.rounds):
        if rounds >= LEAST_ROUNDS and time.monotonic() > ends:
            break
        for name, training in trainings.items():
            times[name].append(training.run(calls[name]) / calls[name])
    for name, seconds in times.items():
        figures = row["contenders"][name] | {"step_seconds": statistics.median(seconds)}
        if "fnlayers" in times:
            figures["time over fnlayers"] = statistics.median(
                mine / base for mine, base in zip(seconds, times["fnlayers"], strict=True)
            )
        row["contenders"][name] = figures
    write(row)
    return row


def forward_flops(network: Network, dtype: str) -> int:
    """Of one forward pass, counted in our model."""
    model, x = ours.model_of(network, dtype), jax.ShapeDtypeStruct(network.shape, "float32")
    params, state = jax.eval_shape(
        lambda: (model.init(jax.random.key(0), network.shape), model.init_state(network.shape))
    )
    return flops(lambda params, state, x: model.run(params, x, state=state, train=True).y, params, state, x)


# The run


def rated(row: dict[str, Any], ceiling: Mapping[str, float]) -> dict[str, Any]:
    """The row with rates and fractions of the ceilings."""
    for figures in row["contenders"].values():
        if "step_seconds" in figures:
            seconds = figures["step_seconds"]
            figures["examples_per_second"] = row["shape"][0] / seconds
            figures["fraction of products"] = row["flops"] / seconds / ceiling[row["dtype"]]
            if figures["bytes"]:
                figures["fraction of copying"] = figures["bytes"] / seconds / ceiling["copy"]
    return row


def show(row: dict[str, Any]) -> None:
    """Print a line for each contender."""
    for name, figures in row["contenders"].items():
        line = f"{row['network']:12} {row['dtype']:9} {name:9} "
        if "error" in figures:
            print(line + figures["error"].splitlines()[0][:80])
            continue
        line += f"{1e3 * figures['step_seconds']:9.2f} ms {figures['examples_per_second']:9.0f} examples/s"
        line += f"   products {figures['fraction of products']:6.1%}"
        line += f"   copying {figures['fraction of copying']:6.1%}" if "fraction of copying" in figures else " " * 18
        if "time over fnlayers" in figures:
            line += f"   {figures['time over fnlayers']:5.2f} x the time of fnlayers"
        print(line, flush=True)


def card() -> dict[str, Any]:
    """What the device says of itself."""
    device = jax.local_devices()[0]
    memory = (device.memory_stats() or {}).get("bytes_limit")
    capability = getattr(device, "compute_capability", None)
    return {"name": device.device_kind, "platform": device.platform, "capability": capability, "memory": memory}


def stop_after(seconds: float, torch: Torch | None) -> threading.Timer:
    """End the process in so many seconds, whatever it does then: a compiler that runs cannot be interrupted."""

    def end() -> None:
        print(f"stopped after {seconds:.0f} s", flush=True)
        if torch:
            torch.close()
        os._exit(0)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    return timer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", help="also write the figures to this file, as they come")
    parser.add_argument("--seconds", type=float, default=460, help="stop after so many")
    parser.add_argument("--networks", nargs="+", choices=[n.name for n in FULL], help="these alone")
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=DTYPES)
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=CONTENDERS)
    parser.add_argument(
        "--batch-fraction", type=float, default=1.0, help="part of each batch, for a card of less memory"
    )
    parser.add_argument("--torch-python", default=sys.executable, help="an interpreter that has PyTorch")
    parser.add_argument("--tiny", action="store_true", help="sizes for a test")
    args = parser.parse_args()
    # The rest of the memory is for PyTorch's process
    os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.6")
    if not args.tiny and jax.default_backend() != "gpu":
        sys.exit(f"jax finds no GPU here, only {jax.default_backend()}; --tiny shows that the program works")

    installed: Any = machine.facts()["versions"]
    absent = ["linen"] * ("flax" not in installed)
    absent += ["torch"] * (args.torch_python == sys.executable and "torch" not in installed)
    names = [name for name in args.contenders if name not in absent]
    torch = Torch(args.torch_python) if "torch" in names else None
    timer = stop_after(args.seconds, torch)
    try:
        rows = measured(args, names, torch, absent)
    finally:
        timer.cancel()
        if torch:
            torch.close()
    print(f"{len(rows)} contests in {args.json or 'no file'}")


def in_order(networks: Sequence[Network], chosen: Sequence[str], dtypes: Sequence[str]) -> list[tuple[Network, str]]:
    """The contests of the chosen networks, or of all: each network in the first dtype before any in the second."""
    return [(network, dtype) for dtype in dtypes for network in networks if not chosen or network.name in chosen]


def measured(args: argparse.Namespace, names: list[str], torch: Torch | None, absent: list[str]) -> list[dict]:
    """All figures of a run, written as they come."""
    scale, rows = SCALES[args.tiny], []
    print(f"{card()['name']}; not installed: {', '.join(absent) or 'nothing'}")
    ceiling = ceilings(scale)
    print("   ".join(f"{name} {rate / 1e12:.3g} T/s" for name, rate in ceiling.items()), flush=True)

    def write(row: dict[str, Any]) -> None:
        finished = [*rows, rated(row, ceiling)]
        write_figures(args.json, card=card(), ceilings=ceiling, rows=finished, not_installed=absent)

    contests = in_order(scale.networks, args.networks, args.dtypes)
    stops = time.monotonic() + args.seconds
    for done, (network, dtype) in enumerate(contests):
        now = time.monotonic()
        ends = now + (stops - now) / (
            len(contests) - done
        )  # what an earlier one leaves is divided among all later ones
        has_kernel = network.name == "lstm" and dtype == "float32" and "fnlayers" in names
        here = names + (list(LSTMS) if has_kernel else [])
        row = contest(scale, network.of_batch(args.batch_fraction), dtype, here, torch, write, ends)
        rows.append(row)
        show(row)
    return rows


if __name__ == "__main__":
    main()
