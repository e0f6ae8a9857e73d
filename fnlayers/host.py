"""What makes XLA's programs for CPUs faster besides the algorithms in `ops/cpu`: options of compiler and allocator.

XLA hands convolutions on CPUs to YNNPACK, which takes up to four times as long for them as XLA's own code does, and
products as well. `jit` turns that off where it helps, `tune_host` for the convolutions of the whole process.
"""

import ctypes
import functools
import inspect
import mmap
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jaxlib

from fnlayers.core.values import check_arguments
from fnlayers.ops import program, reference
from fnlayers.ops.cpu.limits import Limits
from fnlayers.ops.program import XLA_FLAG, Program
from fnlayers.ops.reference import Window

__all__ = ["jit", "tune_host"]

OPTION, _ = XLA_FLAG.removeprefix("--").split("=")
REDUCTIONS = "LIBRARY_FUSION_TYPE_REDUCE"  # of YNNPACK, far faster than XLA's own
PRODUCTS = f"LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT,{REDUCTIONS}"

# malloc.h: mallopt's parameters, and the values with which freed memory stays in the process
TRIM_THRESHOLD, TOP_PAD, MMAP_MAX, ARENA_MAX = -1, -2, -4, -8
# Two arenas: those of further threads take what is larger than 64 MB from the kernel, whatever MMAP_MAX says, and with
# a single one threads wait for each other
KEEP = ((ARENA_MAX, 2), (MMAP_MAX, 0), (TRIM_THRESHOLD, 2**31 - 1), (TOP_PAD, 1 << 28))


def jit(function: Callable, **options: Any) -> Callable:
    """`jax.jit(function, **options)`, on CPUs with the compiler's options that make convolutions and products fast.

    `make_step`, `fit`, `evaluate` and `predict` compile with it. The options are chosen at the first call. Within
    another jit, whose options count there, and on other platforms it is `jax.jit`.

    Raises:
        ConfigError: by the compiled function, for arrays of NumPy that jax would change: 64-bit integers that 32 bits
            cannot hold, objects, the other byte order. Under `jax.jit` such integers wrap silently.

    >>> import fnlayers as fl
    >>> model = fl.Dense(2)
    >>> jit(model.apply)({"kernel": jax.numpy.ones((3, 2)), "bias": jax.numpy.ones(2)}, jax.numpy.ones((1, 3)))
    Array([[4., 4.]], dtype=float32)
    """
    compiled = jax.jit(function, **options)
    if jax.default_backend() == "cpu" and _accepts_options():
        compiled = _with_options(function, options, compiled)
    return _checked(compiled, function, options)


def _checked(compiled: Callable, function: Callable, options: dict[str, Any]) -> Callable:
    """The compiled function, which looks at arrays on the host before jax casts them."""
    names, positions, words = _parameters(function), *_static(function, options)

    def check(args: tuple, kwargs: dict[str, Any]) -> None:
        if positions or words:  # values of any kind, which jax does not cast
            args = tuple(None if i in positions else value for i, value in enumerate(args))
            kwargs = {name: value for name, value in kwargs.items() if name not in words}
        check_arguments(args, kwargs, names)

    def after_check(method: Callable) -> Callable:
        def call(*args: Any, **kwargs: Any) -> Any:
            check(args, kwargs)
            return method(*args, **kwargs)

        return call

    step = functools.wraps(function)(after_check(compiled))
    vars(step).update({name: after_check(getattr(compiled, name)) for name in ("lower", "trace")})  # as of jax.jit
    vars(step).update(unchecked=compiled)  # for arrays that were looked at before
    return step


def _parameters(function: Callable) -> list[str]:
    """The names of a function's parameters, as far as it says them."""
    try:
        return list(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # of a builtin
        return []


def _static(function: Callable, options: dict[str, Any]) -> tuple[set[int], set[str]]:
    """The positions and the names of static arguments: jit takes either, and finds the other."""
    names = _parameters(function)
    numbers, words = (options.get(name) for name in ("static_argnums", "static_argnames"))
    listed = {words} if isinstance(words, str) else set(words or ())
    positions = {numbers} if isinstance(numbers, int) else set(numbers or ())
    positions = {i if i >= 0 else i + len(names) for i in positions}
    positions |= {names.index(name) for name in listed if name in names}
    return positions, listed | {names[i] for i in positions if i < len(names)}


def _with_options(function: Callable, options: dict[str, Any], without: Callable) -> Callable:
    """The function compiled with the options of XLA's that its products call for; within another jit, `without`."""
    recorded = Program()

    @functools.wraps(function)
    def traced(*args: Any, **kwargs: Any) -> Any:
        with program.traced(recorded):
            return function(*args, **kwargs)

    compiled = functools.cache(lambda enabled: jax.jit(traced, compiler_options={OPTION: enabled}, **options))
    chosen: list[Callable] = []

    def choose(*args: Any, **kwargs: Any) -> Callable:
        from fnlayers.ops.cpu.table import prefers_xla_products  # imported with the tables: see compose.tables

        if not chosen:
            compiled(PRODUCTS).trace(*args, **kwargs)
            chosen.append(compiled(REDUCTIONS if prefers_xla_products(recorded, Limits()) else PRODUCTS))
        return chosen[0]

    def step(*args: Any, **kwargs: Any) -> Any:
        try:
            return (chosen[0] if chosen else choose(*args, **kwargs))(*args, **kwargs)
        except ValueError as error:
            if "top-level" not in str(error):
                raise
        return without(*args, **kwargs)

    def like(name: str) -> Callable:
        return lambda *args, **kwargs: getattr(choose(*args, **kwargs), name)(*args, **kwargs)

    vars(step).update(lower=like("lower"), trace=like("trace"))  # of what jax.jit returns
    return step


@functools.cache
def _accepts_options() -> bool:
    """Whether this XLA knows the option: asked by compiling next to nothing."""
    try:
        jax.jit(lambda x: x, compiler_options={OPTION: PRODUCTS}).lower(0.0).compile()
    except (RuntimeError, TypeError):
        return False
    return True


def tune_host() -> tuple[str, ...]:
    """Set this process up for fast training on a CPU; call it before the first computation. Says what it did.

    On Linux with glibc freed memory stays in the process. Otherwise each step returns its large arrays to the kernel
    and gets them again as empty pages, which costs 10 to 50 % of a step. So the process keeps the most memory
    that it ever used. Where no computation has run yet, XLA's own convolutions take the place of YNNPACK's in every
    program, whoever compiles it. Elsewhere it does nothing, and says so.

    >>> tune_host()  # doctest: +SKIP
    ('freed memory stays in the process', "convolutions are XLA's own")
    """
    return (_keep_memory(), _xla_convolutions())


def _keep_memory() -> str:
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return "memory as it was: freed memory stays with glibc on Linux alone"
    mallopt = ctypes.CDLL(None).mallopt
    if not all(mallopt(parameter, value) for parameter, value in KEEP):
        return "memory as it was: mallopt refused"
    return "freed memory stays in the process"


def _xla_convolutions() -> str:
    flags = os.environ.get("XLA_FLAGS", "")
    if not _knows_flag():  # XLA ends the process at a flag that it does not know
        return "convolutions as they were: this jaxlib knows no other"
    if OPTION not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {XLA_FLAG}".strip()
    if jax.default_backend() == "cpu" and _compiles_convolutions():
        return "convolutions are XLA's own"
    os.environ["XLA_FLAGS"] = flags  # as it was: the rows of ops/cpu ask it which convolutions there are
    return "convolutions as they were: call tune_host() before the first computation, on a CPU"


def _knows_flag() -> bool:
    """Whether jaxlib's library holds the option's name, and the words of the help for its minus sign."""
    words = (OPTION.encode(), b"INDIVIDUAL_CONVOLUTION", b"'+' or '-' prefix")
    return any(_holds(path, words) for path in Path(jaxlib.__file__).parent.glob("*.so"))


def _holds(path: Path, words: tuple[bytes, ...]) -> bool:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        return all(text.find(word) >= 0 for word in words)


def _compiles_convolutions() -> bool:
    """Whether a convolution compiled now is XLA's own."""
    x, kernel = jax.ShapeDtypeStruct((8, 16, 16, 64), "float32"), jax.ShapeDtypeStruct((3, 3, 64, 64), "float32")
    compiled = (
        jax.jit(lambda x, kernel: reference.conv(x, kernel, Window((1, 1), "SAME", (1, 1)))).lower(x, kernel).compile()
    )
    return "ynn" not in str(compiled.as_text())
