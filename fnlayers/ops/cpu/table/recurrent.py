"""Rows of scans over time: of any cell, and of cells with dense weights."""

from fnlayers.ops import reference
from fnlayers.ops.cpu import scan
from fnlayers.ops.cpu.limits import Limits
from fnlayers.ops.problem import DenseScanProblem
from fnlayers.ops.rows import Row


def has_large_steps(p: DenseScanProblem, t: Limits) -> bool:
    """Whether a step is large enough to train faster with the features before the batch.

    Of GRUs those whose last output alone is returned, since all outputs must be transposed again.
    """
    if not p.is_known or p.length == 1 or p.batch < t.least_scanned_batch:
        return False
    if p.features < t.least_scanned_features or p.units < t.least_scanned_units:
        return False
    if p.has_four_gates:
        return p.batch * p.units >= t.least_scanned_elements and not p.has_many_features
    return not p.call.loop.return_all


def has_large_single_gate(p: DenseScanProblem, t: Limits) -> bool:
    """Whether a step of a single gate is large enough to train faster with the features before the batch."""
    several = p.is_known and p.length > 1 and p.batch >= t.few_scanned_rows and p.features >= t.least_scanned_features
    return p.gates == 1 and several and p.units >= t.large_single_gate_units


def has_few_rows(p: DenseScanProblem, t: Limits) -> bool:
    """Whether there are so few that reading the weights of x in each step takes longer than the step."""
    if not p.is_known:
        return False
    if p.has_four_gates:
        return p.batch == 1 or (p.has_many_features and p.batch < t.few_scanned_rows)
    return p.batch <= 2 and p.features * p.gates * p.units >= t.large_input_kernel


SCAN = (
    Row(
        "projected_inside",
        when=lambda p, t: p.before is None,
        every=reference.scan_projecting_inside,
        because="all steps' projections of x leave the cache, one step's stays: 0.75 of the time, 0.57 of the memory",
        bench="simple_rnn",
    ),
)
SCAN_DENSE = (
    Row(
        "features_major_of_one_gate",
        when=has_large_single_gate,
        training=scan.features_major,
        because="each step sums the weights' gradients: a single gate of 256 or 512 units trains in 0.65 to 0.9",
        bench="simple_rnn",
    ),
    Row(
        "single_gate",
        when=lambda p, t: p.gates == 1,
        every=scan.projected_before,
        because="the projection of x for a single gate is read as it lies; made in every step it takes 1.0 to 1.4",
        bench="simple_rnn",
    ),
    Row(
        "features_major_forward",
        when=lambda p, t: has_large_steps(p, t) and p.batch >= t.large_scanned_batch,
        forward=scan.features_major,
        because="batch-major gates are not contiguous, and each step packs its weights: 0.65 of the time",
        bench="lstm",
    ),
    Row(
        "features_major",
        when=has_large_steps,
        training=scan.features_major,
        because="each step sums the weights' gradients: one of 128 units on (64, 100, 64) trains in 0.65",
        bench="lstm",
    ),
    Row(
        "few_rows",
        when=has_few_rows,
        forward=scan.projected_before,
        because="each step of few rows reads the weights of x again: 0.4 to 0.9 of the time with one product before",
        bench="lstm",
    ),
    Row(
        "half_precision_steps",
        when=lambda p, t: p.has_four_gates and p.is_half_precision and p.features >= t.half_precision_features,
        forward=scan.projected_before,
        because="in half precision each step converts the weights of x again: 0.8 to 0.9 with one product before",
        bench="lstm",
    ),
    Row(
        "small_steps",
        when=lambda p, t: p.is_known and (p.has_many_features or p.elements <= t.few_gate_elements),
        training=scan.projected_before,
        because="each small step sums the gradient of x's weights: 0.4 to 0.9 of the time with one product before",
        bench="lstm",
    ),
    Row(
        "few_rows_in_training",
        when=lambda p, t: p.is_known and p.batch <= t.few_scanned_rows and not p.has_four_gates,
        training=scan.projected_before,
        because="each step of few rows sums the gradient of x's weights: 0.4 to 0.9 with one product before",
        bench="gru",
    ),
    Row(
        "projected_inside",
        when=lambda p, t: True,
        every=scan.projected_inside,
        because="all steps' projections of x leave the cache, one step's stays: 0.75 of the time, 0.57 of the memory",
        bench="lstm",
    ),
)
