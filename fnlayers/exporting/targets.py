"""What a program may call outside itself, checked when a file is read: custom calls are the way out of StableHLO."""

import jax.export

from fnlayers.core.errors import ConfigError

# `shape_assertion` compares symbolic sizes; the others are linear algebra, random bits and sorting inside jaxlib. A
# call of Python, of a file or of a library that the process has loaded is not among them.
ALLOWED = frozenset(
    ("shape_assertion", "Sharding", "SPMDFullToShardShape", "SPMDShardToFullShape", "annotate_device_placement")
    + ("cu_threefry2x32", "cu_threefry2x32_ffi", "hip_threefry2x32_ffi", "TopK", "mhlo.topk", "mhlo.erf")
    + ("chlo.top_k", "chlo.erf", "ApproxTopK", "stablehlo.dynamic_approx_top_k", "stablehlo.dynamic_top_k")
    + ("stablehlo.dynamic_reduce_window", "stablehlo.dynamic_rng_bit_generator", "Qr", "Eigh", "ProductOfElementary")
    + tuple(f"lapack_{kind}{name}_ffi" for kind in "sdcz" for name in ("geqrf", "getrf", "potrf", "trsm"))
    + tuple(f"lapack_{kind}{name}_ffi" for kind in "sd" for name in ("gesdd", "orgqr", "syevd"))
)


def check_targets(program: jax.export.Exported) -> None:
    """Raise ConfigError for a program, or a derivative of it, that calls what is not allowed."""
    called = _targets(program.mlir_module_serialized)
    if wrong := sorted(called - ALLOWED):
        raise ConfigError(f"the program calls {', '.join(wrong)[:200]}, which programs of layers do not call; refused")
    if program.has_vjp():
        check_targets(program.vjp())


def _targets(module: bytes) -> set[str]:
    from jax.extend.mlir import ir
    from jax.extend.mlir.dialects import stablehlo

    called: set[str] = set()

    def visit(operation: ir.Operation) -> ir.WalkResult:
        if operation.name == "stablehlo.custom_call":
            called.add(ir.StringAttr(operation.attributes["call_target_name"]).value)
        return ir.WalkResult.ADVANCE

    with ir.Context() as context:
        stablehlo.deserialize_portable_artifact(context, module).operation.walk(visit)
    return called
