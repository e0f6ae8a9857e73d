"""Rows of attention."""

from fnlayers.ops.cpu import attention
from fnlayers.ops.cpu.limits import Limits
from fnlayers.ops.problem import AttentionProblem
from fnlayers.ops.rows import Row


def divides_weights(p: AttentionProblem, t: Limits) -> bool:
    """Whether keys are fewer than features, in a program: a call by itself would compile one."""
    return p.is_traced and p.has_few_keys


ATTENTION = (
    Row(
        "divided_weights",
        when=divides_weights,
        every=attention.divided_weights,
        because="of few keys weights are smaller than y, and so to divide: a training step of 16 steps takes 0.85",
        bench="attention",
    ),
)
