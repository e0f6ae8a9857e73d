"""Rows of arrays that XLA shall compute by themselves."""

from fnlayers.ops.cpu import fusion
from fnlayers.ops.rows import Row

MEAN_OPERAND = (
    Row(
        "fusion_barrier",
        when=lambda p, t: True,
        every=fusion.fusion_barrier,
        because="YNNPACK absorbs convolutions into a mean that follows: four of 64 channels 39 ms, with a barrier 20",
        bench="direct",
    ),
)
GRADIENT_ONCE = (
    Row(
        "materialized_gradient",
        when=lambda p, t: True,
        every=fusion.materialized_gradient,
        because="XLA computes a gradient of many terms again in each loop that reads it: ResNet blocks train in 0.92",
        bench="moments",
    ),
)
