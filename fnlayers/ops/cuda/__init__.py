"""What makes NVIDIA GPUs fast. `fnlayers.ops` is right without it, and gives the same numbers but for rounding.

- `lstm.py`: cuDNN's LSTM, as primitives with all derivatives. Bound only where this process has an NVIDIA GPU, and the
  scan in every program that is not for one.
"""
