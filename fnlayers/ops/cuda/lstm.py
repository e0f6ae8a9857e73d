"""cuDNN's LSTM, as primitives with all derivatives.

jax.experimental.rnn has the kernel and its gradient, but no other derivative, and a program that holds it can be
compiled for no other platform. Each primitive here has that kernel for CUDA and the scan for everything else: other
platforms, exports, forward mode, derivatives of the gradient, vmap.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.core
import jax.numpy as jnp
from jax.experimental import rnn
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from fnlayers.ops import reference
from fnlayers.ops.loop import Loop
from fnlayers.ops.recurrent import DenseScan, DenseWeights, ScanResult, join_lstm, standard_lstm_gates

IN_FULL = ("float32", "highest")  # of jax.default_matmul_precision: others let the card use TF32, as its products do
# The six arrays are x (time, batch, features), h, c (batch, units), kernel, recurrent, bias, as for `scan_dense`
Arrays = tuple[jax.Array, ...]
STANDARD = DenseScan(join_lstm, standard_lstm_gates, Loop())


def cudnn_lstm(
    weights: DenseWeights,
    carry: tuple[jax.Array, jax.Array],
    xs: jax.Array,
    mask: None,
    dropout_mask: None,
    call: DenseScan,
) -> ScanResult:
    """What `ops.scan_lstm` returns, by the kernel."""
    bias = jnp.zeros(weights.kernel.shape[-1], xs.dtype) if weights.bias is None else weights.bias
    xs = jnp.flip(xs, 0) if call.loop.reverse else xs
    ys, h, c = forward.bind(xs, *carry, weights.kernel, weights.recurrent, bias)[:3]
    return (h, c), h, ys if call.loop.return_all else None


# By the scan


def scan(x: jax.Array, h: jax.Array, c: jax.Array, kernel: jax.Array, recurrent: jax.Array, bias: jax.Array) -> Arrays:
    """(all outputs, the last h, the last c)."""
    weights = DenseWeights(kernel, recurrent, bias)
    carry, _, ys = reference.scan_dense(weights, (h, c), x, None, None, STANDARD)
    assert ys is not None
    return ys, *carry


def scan_forward(*inputs: jax.Array) -> Arrays:
    """As `scan`, and NaN for the kernel's residuals, so that its gradient cannot be taken of what it did not run."""
    residuals = jax.eval_shape(cudnn_forward, *inputs)[-1]
    return *scan(*inputs), jnp.full(residuals.shape, jnp.nan, residuals.dtype)


def scan_tangent(*arrays: jax.Array) -> Arrays:
    """Of `scan`, from the tangents of the six inputs, and then as `scan_backward`."""
    return jax.jvp(scan, arrays[6:12], arrays[:6])[1]


def scan_backward(*arrays: jax.Array) -> Arrays:
    """The gradients of the six inputs, from those of the three results, the six, all outputs, and the residuals."""
    return jax.vjp(scan, *arrays[3:9])[1](arrays[:3])


# By the kernel, which has the batch before the time, all weights in one vector, and a bias of x and of h


def cudnn_forward(*inputs: jax.Array) -> Arrays:
    """As `scan_forward`."""
    results, (*_, residuals) = rnn.lstm_fwd(*_packed(*inputs), **_options(*inputs[:2]))
    ys, h, c = results
    return ys.swapaxes(0, 1), h[0], c[0], residuals


def cudnn_backward(dys: jax.Array, dh: jax.Array, dc: jax.Array, *saved: jax.Array) -> Arrays:
    """As `scan_backward`."""
    *inputs, ys, residuals = saved
    all_residuals = (*_packed(*inputs), ys.swapaxes(0, 1), residuals)
    gradients = dys.swapaxes(0, 1), dh[None], dc[None]
    results = rnn.lstm_bwd(**_options(*inputs[:2]), residuals=all_residuals, gradients=gradients)
    dx, dh, dc, dweights = results[:4]
    kernel, recurrent = inputs[3:5]
    sizes = (kernel.size, recurrent.size, kernel.shape[-1])
    first, second, third = (sum(sizes[: i + 1]) for i in range(3))
    dkernel, drecurrent, dbias, _ = jnp.split(dweights, (first, second, third))
    dmatrices = dkernel.reshape(kernel.T.shape).T, drecurrent.reshape(recurrent.T.shape).T
    return dx.swapaxes(0, 1), dh[0], dc[0], *dmatrices, dbias


def _packed(x: jax.Array, h: jax.Array, c: jax.Array, *weights: jax.Array) -> Any:
    flat = [array.T.ravel() for array in weights]
    lengths = jnp.full(x.shape[1], x.shape[0], "int32")
    return x.swapaxes(0, 1), h[None], c[None], jnp.concatenate([*flat, jnp.zeros_like(weights[-1])]), lengths


def _options(x: jax.Array, h: jax.Array) -> dict[str, Any]:
    in_full = jax.config.jax_default_matmul_precision in IN_FULL  # type: ignore[attr-defined]
    precision = jax.lax.Precision.HIGHEST if in_full else jax.lax.Precision.HIGH
    sizes = dict(input_size=x.shape[-1], hidden_size=h.shape[-1], num_layers=1)
    return dict(**sizes, dropout=0.0, bidirectional=False, precision=precision)


# The primitives


def _primitive(name: str, by_scan: Callable[..., Arrays], by_kernel: Callable[..., Arrays]) -> Primitive:
    """A primitive that is one function for CUDA, and elsewhere another one of the same results."""
    primitive = Primitive(f"lstm_{name}")
    primitive.multiple_results = True

    def shapes(*avals: Any, **_: Any) -> list[Any]:
        structs = (jax.ShapeDtypeStruct(aval.shape, aval.dtype) for aval in avals)
        return [jax.core.ShapedArray(y.shape, y.dtype) for y in jax.eval_shape(by_scan, *structs)]

    def for_cuda(ctx: Any, *values: Any) -> Any:
        module = ctx.module_context
        # What is exported must run elsewhere, and the compiler cannot share the kernel's work among devices
        alone = getattr(module.axis_context, "num_devices", 1) == 1 and not module.lowering_parameters.for_export
        return mlir.lower_fun(by_kernel if alone else by_scan, multiple_results=True)(ctx, *values)

    def batched(arrays: Any, axes: Any) -> tuple[Any, Any]:
        results = jax.vmap(by_scan, in_axes=tuple(axes))(*arrays)
        return results, [0] * len(results)

    primitive.def_impl(jax.jit(primitive.bind))
    primitive.def_abstract_eval(shapes)
    mlir.register_lowering(primitive, mlir.lower_fun(by_scan, multiple_results=True))
    mlir.register_lowering(primitive, for_cuda, platform="cuda")
    batching.primitive_batchers[primitive] = batched
    ad.primitive_jvps[primitive] = lambda primals, tangents: jax.jvp(by_scan, primals, _instantiated(tangents))
    return primitive


def _instantiated(arrays: Any) -> Arrays:
    return tuple(ad.instantiate_zeros(array) for array in arrays)


forward = _primitive("forward", scan_forward, cudnn_forward)
tangent = _primitive("tangent", scan_tangent, scan_tangent)
backward = _primitive("backward", scan_backward, cudnn_backward)


def _forward_jvp(primals: Any, dprimals: Any) -> tuple[Any, Any]:
    ys, h, c, residuals = forward.bind(*primals)
    tangents = tangent.bind(*_instantiated(dprimals), *primals, ys, residuals)
    return (ys, h, c, residuals), (*tangents, jnp.zeros_like(residuals))


def _tangent_transpose(cotangents: Any, *arrays: Any) -> list[Any]:
    gradients = backward.bind(*_instantiated(cotangents), *arrays[6:])
    asked = [ad.is_undefined_primal(array) for array in arrays]
    return [gradients[i] if asked[i] else None for i in range(len(arrays))]


ad.primitive_jvps[forward] = _forward_jvp
ad.primitive_transposes[tangent] = _tangent_transpose
