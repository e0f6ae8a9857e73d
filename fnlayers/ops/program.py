"""What a program records, while it is traced, about its products; `fnlayers.host` reads it when it compiles for CPUs.

XLA hands convolutions and products on CPUs to YNNPACK, unless a program's options say otherwise. XLA's own code is
faster for convolutions, for products of many rows, and for recurrent layers with features before the batch.
"""

import contextlib
import contextvars
import os
from collections import Counter
from collections.abc import Iterator

import jax

XLA_FLAG = "--xla_cpu_experimental_ynn_fusion_type=-LIBRARY_FUSION_TYPE_INDIVIDUAL_CONVOLUTION"


class Program:
    """A program that is traced to be compiled with options.

    Arguments:
        products: the multiplications of its products, by their numbers of rows.
        needs_xla_products: whether an algorithm in it needs all products to be compiled by XLA.
    """

    def __init__(self) -> None:
        self.products: Counter[int] = Counter()
        self.needs_xla_products = False


_program: contextvars.ContextVar[Program | None] = contextvars.ContextVar("program", default=None)


@contextlib.contextmanager
def traced(program: Program | None) -> Iterator[None]:
    """Within it that program is traced; None: one that is compiled without options."""
    token = _program.set(program)
    try:
        yield
    finally:
        _program.reset(token)


def uses_xla_convolutions() -> bool:
    """Whether XLA compiles convolutions itself: in the program that is traced, or in the whole process."""
    return _program.get() is not None or XLA_FLAG in os.environ.get("XLA_FLAGS", "")


def count_product(x: jax.Array, inner: int, outer: int) -> None:
    """Count the product of all rows of x, whose last axes have `inner` elements, with a matrix (inner, outer)."""
    program, size = _program.get(), x.size
    if program is not None and isinstance(size, int) and inner:
        program.products[size // inner] += size * outer


def want_xla_products() -> None:
    """Record that XLA has to compile all products of the program itself."""
    program = _program.get()
    if program is not None:
        program.needs_xla_products = True
