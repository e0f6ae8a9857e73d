"""Programs of the tests are compiled in little time, since each runs once, on a few numbers.

Compiling is most of what the tests cost, and optimizing takes three times as long as not. The programs are the same up to
XLA's backend for CPUs; what that makes of them when it optimizes is seen by the examples and the conformance cases. jax
reads XLA_FLAGS at its first computation, so this is imported before the table of cases, which makes arrays.
"""

import os

import jax

# Later versions of XLA know the flag no more.
FLAGS = " --xla_cpu_use_fusion_emitters=false" if jax.version.__version_info__ < (0, 11) else ""


def start() -> None:
    """Have this process compile quickly; those that tests start compile as ever."""
    flags = os.environ.get("XLA_FLAGS")
    os.environ["XLA_FLAGS"] = (flags or "") + FLAGS
    if jax.default_backend() == "cpu":
        jax.config.update("jax_disable_most_optimizations", True)
    if flags is None:
        del os.environ["XLA_FLAGS"]
    else:
        os.environ["XLA_FLAGS"] = flags


start()
