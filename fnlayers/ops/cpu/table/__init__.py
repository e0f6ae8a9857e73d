"""Which algorithm is taken for which problem on CPUs, why, and what measures it: all that is known of "when".

For each pass the first row that holds and names an algorithm for it is taken; where none does, the reference. Rows look
at problems and limits alone, algorithms at arrays. Each file has the rows of one kind of problem, after the
predicates that they share.
"""

from fnlayers.ops.cpu.table.attention import ATTENTION
from fnlayers.ops.cpu.table.conv import CONV
from fnlayers.ops.cpu.table.conv_transpose import CONV_TRANSPOSE
from fnlayers.ops.cpu.table.dot import DOT, prefers_xla_products
from fnlayers.ops.cpu.table.fusion import GRADIENT_ONCE, MEAN_OPERAND
from fnlayers.ops.cpu.table.pooling import MAX_POOL, SUM_POOL
from fnlayers.ops.cpu.table.recurrent import SCAN, SCAN_DENSE

__all__ = ["TABLES", "prefers_xla_products"]

TABLES = {
    "dot": DOT,
    "attention": ATTENTION,
    "scan": SCAN,
    "scan_dense": SCAN_DENSE,
    "conv": CONV,
    "conv_transpose": CONV_TRANSPOSE,
    "max_pool": MAX_POOL,
    "sum_pool": SUM_POOL,
    "mean_operand": MEAN_OPERAND,
    "gradient_once": GRADIENT_ONCE,
}
