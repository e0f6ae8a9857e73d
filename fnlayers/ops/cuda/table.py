"""Which algorithm is taken for which problem on NVIDIA GPUs, why, and what measures it."""

import functools
from typing import Any

import jax

from fnlayers.ops.cuda import attention
from fnlayers.ops.problem import AttentionProblem, DenseScanProblem
from fnlayers.ops.rows import Row


def fits_cudnn_lstm(p: DenseScanProblem, _: Any) -> bool:
    """Whether cuDNN has that LSTM: the standard one, in float32, of whole sequences."""
    sizes = p.is_known and p.length and p.batch and p.features
    plain = p.is_standard_lstm and not p.has_masks and not p.has_recurrent_bias and p.call.loop.unroll == 1
    return bool(plain and p.is_float32 and sizes)


def cudnn_lstm(*arrays: Any) -> Any:
    """See `fnlayers.ops.cuda.lstm`, which is imported here since jax.extend takes 18 ms."""
    from fnlayers.ops.cuda import lstm

    return lstm.cudnn_lstm(*arrays)


@functools.cache
def has_gpu() -> bool:
    """Whether this process has an NVIDIA GPU."""
    try:
        return bool(jax.local_devices(backend="cuda"))
    except RuntimeError:
        return False


def fits_fused_attention(p: AttentionProblem, _: Any) -> bool:
    """Whether cuDNN's kernel can take it, and the caller lets it."""
    return p.allows_fused and not attention.missing(p)


SCAN_DENSE = (
    Row(
        "cudnn_lstm",
        when=fits_cudnn_lstm,
        every=cudnn_lstm,
        because="each step of a scan starts kernels for little work: an LSTM trains in 13.1 ms, scanned in 21.0",
        bench="gpu.py",
        device=lambda: has_gpu(),
    ),
)
ATTENTION = (
    Row(
        "cudnn_attention",
        when=fits_fused_attention,
        every=attention.fused,
        because="the scores of all pairs are written to memory and read again; the kernel holds a tile of them",
        bench="gpu.py",
        device=lambda: attention.has_cudnn_attention(),
    ),
)

TABLES = {"scan_dense": SCAN_DENSE, "attention": ATTENTION}
