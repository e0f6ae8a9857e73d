"""What makes CPUs fast. `fnlayers.ops` is right without this folder, and gives the same numbers but for rounding.

XLA's CPU backend makes little of some plain calls: it runs a 1x1 window as a convolution, multiplies the zeros of a
transposed one, and hands convolutions to YNNPACK, which is slow at the gradients of kernels. For those there are other
algorithms, with derivatives of all orders, forward and reverse.

- `dense.py`, `attention.py`, `scan.py`, `conv.py`, `conv_kernel_gradient.py`, `conv_transpose.py`, `pooling.py`: the
  algorithms, functions of arrays.
- `conv_layouts.py`: convolutions in the bodies of loops, which XLA leaves in the layouts of the backward pass.
- `fusion.py`: arrays that XLA shall compute once, or not together with what reads them.
- `table/`: the rows that say for which problem which algorithm is taken, why, and what measures it.
- `limits.py`: the numbers that the rows compare with.

What a choice depends on stands in `ops/problem.py`; `ops/compose.py` makes one function of what was chosen for the
passes. A row whose gain is gone with a newer XLA is to be deleted: `benchmarks/algorithms.py` measures each row.
"""
