"""What a program may call outside itself, checked when a file is read: custom calls are the way out of StableHLO."""

import subprocess
import sys
from pathlib import Path

import jax.export

from fnlayers.core.errors import ConfigError

# `shape_assertion` compares symbolic sizes; the others are linear algebra, random bits and sorting inside jaxlib. A
# call of Python, of a file or of a library that the process has loaded is not among them.
ALLOWED = frozenset(
    ("shape_assertion", "Sharding", "SPMDFullToShardShape", "SPMDShardToFullShape", "annotate_device_placement")
    + ("cu_threefry2x32", "cu_threefry2x32_ffi", "hip_threefry2x32_ffi", "TopK", "mhlo.topk", "mhlo.erf")
    + ("chlo.top_k", "chlo.erf", "ApproxTopK", "stablehlo.dynamic_approx_top_k", "stablehlo.dynamic_top_k")
    + ("stablehlo.dynamic_reduce_window", "stablehlo.dynamic_rng_bit_generator", "Qr", "Eigh", "ProductOfElementary")
    + tuple(f"lapack_{kind}{name}_ffi" for kind in "sdcz" for name in ("geqrf", "getrf", "potrf", "trsm"))
    + tuple(f"lapack_{kind}{name}_ffi" for kind in "sd" for name in ("gesdd", "orgqr", "syevd"))
)
PARSER = Path(__file__).with_name("parse.py")
SECONDS, BYTES_A_SECOND = 10, 1 << 24  # of processor time to parse a module in; 100 MB take a fifth of one
WAITING = 60  # of other time, for each of these: a machine has other things to do
MEMORY = 4 << 30  # bytes of address space, and four times the module's size; it takes a tenth


def check_targets(program: jax.export.Exported) -> None:
    """Raise ConfigError for a program, or a derivative of it, that is damaged or calls what is not allowed."""
    called = set(_targets(program.mlir_module_serialized))
    if wrong := sorted(called - ALLOWED):
        raise ConfigError(f"the program calls {', '.join(wrong)[:200]}, which programs of layers do not call; refused")
    if program.has_vjp():
        check_targets(program.vjp())


def _targets(module: bytes) -> list[str]:
    """What a module calls. Parsed in a process of its own: over a damaged one jaxlib's parser can crash or hang."""
    seconds = SECONDS + len(module) // BYTES_A_SECOND
    limits = [str(seconds), str(MEMORY + 4 * len(module))]
    # without site and its environment: the parser is found where this process would find it, and nothing else is run
    run = [sys.executable, "-I", "-S", str(PARSER), *limits, *(folder for folder in sys.path if folder)]
    try:
        done = subprocess.run(run, input=module, capture_output=True, timeout=WAITING * seconds)
    except subprocess.TimeoutExpired:
        raise ConfigError("the file is damaged: its program cannot be parsed in any reasonable time") from None
    messages = done.stderr.decode("utf-8", "replace").strip().splitlines()
    if done.returncode:
        ended = f"the parser was ended by signal {-done.returncode}"
        why = messages[-1][:200] if done.returncode > 0 and messages else ended
        raise ConfigError(f"the file is damaged: its program cannot be parsed ({why})")
    return done.stdout.decode("utf-8", "replace").splitlines()
