"""Rows of products, and for whole programs which code of XLA's multiplies."""

from fnlayers.ops.cpu import dense
from fnlayers.ops.cpu.limits import Limits
from fnlayers.ops.program import Program
from fnlayers.ops.rows import Row


def prefers_xla_products(program: Program, t: Limits) -> bool:
    """Whether XLA's own code is faster than YNNPACK for most multiplications of a program's products."""
    large = sum(count for rows, count in program.products.items() if rows >= t.product_rows)
    return program.needs_xla_products or large > program.products.total() - large


DOT = (
    Row(
        "one_matrix_product",
        when=lambda p, t: not p.is_of_matrices,
        every=dense.one_matrix_product,
        because="a product over (batch, steps, features) copies both arrays for the kernel's gradient: 0.5 to 0.6",
        bench="dense",
    ),
)
