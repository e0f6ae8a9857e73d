"""What a program says, while it is traced, about the products in it; `fnlayers.host` asks when it compiles for CPUs.

XLA hands convolutions and products on CPUs to a library, YNNPACK, unless a program's options say otherwise. Its own
code is the faster one for convolutions, for products of many rows, and for those of a recurrent layer's single steps.
"""

import contextlib
import contextvars
import os
from collections.abc import Iterator

import jax

OWN_FLAG = "--xla_cpu_experimental_ynn_fusion_type=-LIBRARY_FUSION_TYPE_INDIVIDUAL_CONVOLUTION"
MANY_ROWS = 512  # of a product, from which on XLA's own code is faster: 1.1 times on average


class Program:
    """A program that is traced to be compiled with options: multiplications for which each code is the faster one."""

    def __init__(self) -> None:
        self.own = self.library = 0.0

    def count(self, rows: int, multiplications: int) -> None:
        """Add a product."""
        if rows >= MANY_ROWS:
            self.own += multiplications
        else:
            self.library += multiplications

    @property
    def has_own_products(self) -> bool:
        """Whether XLA's own code is the faster one for most of it."""
        return self.own > self.library


_program: contextvars.ContextVar[Program | None] = contextvars.ContextVar("program", default=None)


@contextlib.contextmanager
def traced(program: Program | None) -> Iterator[None]:
    """Within it that program is traced; None: nothing in it counts."""
    token = _program.set(program)
    try:
        yield
    finally:
        _program.reset(token)


def own_convolutions() -> bool:
    """Whether convolutions will be XLA's own: in the program that is traced, or in all of the process."""
    return _program.get() is not None or OWN_FLAG in os.environ.get("XLA_FLAGS", "")


def count_product(x: jax.Array, inner: int, outer: int) -> None:
    """Of all rows of x, whose last axes have `inner` cells, with a matrix (inner, outer)."""
    program, size = _program.get(), x.size
    if program is not None and isinstance(size, int) and inner:
        program.count(size // inner, size * outer)


def wish_own_products() -> None:
    """Say that all products shall be XLA's own."""
    program = _program.get()
    if program is not None:
        program.own = float("inf")
