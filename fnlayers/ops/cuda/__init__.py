"""What makes NVIDIA GPUs fast. `fnlayers.ops` is right without it, and gives the same numbers but for rounding.

- `lstm.py`: cuDNN's LSTM, as primitives with all derivatives.
- `attention.py`: cuDNN's fused attention, and what it needs.
- `table.py`: the rows that say for which problem each is taken, why, and what measures it. They are taken only where
  this process has such a GPU.
"""
