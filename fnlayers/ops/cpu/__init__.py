"""What makes CPUs fast. `fnlayers.ops` is right without this folder, and gives the same numbers but for rounding.

XLA's CPU backend makes little of some plain calls: it runs a 1x1 window as a convolution, multiplies the zeros of a
transposed one, and hands convolutions to YNNPACK, which is slow at the gradients of kernels. For those there are other
algorithms, with derivatives of all orders, forward and reverse.

- `problem.py`: what a choice depends on: sizes, windows, dtypes, and which code convolves in the program.
- `conv.py`, `conv_kernel_gradient.py`, `conv_transpose.py`, `pooling.py`: the algorithms, functions of arrays.
- `table.py`: the rows that say for which problem which algorithm is taken, why, and what measures it; and their limits.
- `compose.py`: one function of the algorithms that were chosen for its passes.
- `fusion.py`: arrays that XLA shall compute once, or not together with what reads them.

A row whose gain is gone with a newer XLA is to be deleted: `benchmarks/algorithms.py` measures each row.
"""
