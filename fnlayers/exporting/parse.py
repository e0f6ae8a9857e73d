"""Parse a module of StableHLO in this process, which may crash or hang over it, and print what it calls, a name a line.

    python -I -S parse.py SECONDS BYTES FOLDERS... <module

ends with another status than 0 for what is no program. It imports nothing of fnlayers, nor jax: it takes 0.2 seconds.
"""

import contextlib
import sys


def main() -> None:
    """Read the module from the standard input, within the limits that the arguments say."""
    seconds, memory, *folders = sys.argv[1:]
    sys.path += folders
    with contextlib.suppress(ImportError):  # on Windows, where the caller's timeout alone ends a hang
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds)))
        resource.setrlimit(resource.RLIMIT_AS, (int(memory), int(memory)))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    from jaxlib.mlir import ir
    from jaxlib.mlir.dialects import stablehlo

    called, functions = set(), set()

    def visit(operation: ir.Operation) -> ir.WalkResult:
        if operation.name == "stablehlo.custom_call":
            called.add(ir.StringAttr(operation.attributes["call_target_name"]).value)
        elif operation.name == "func.func":
            functions.add(ir.StringAttr(operation.attributes["sym_name"]).value)
        return ir.WalkResult.ADVANCE

    with ir.Context() as context:
        context.enable_multithreading(False)
        module = stablehlo.deserialize_portable_artifact(context, sys.stdin.buffer.read())
        module.operation.verify()
        module.operation.walk(visit)
    if "main" not in functions:
        sys.exit("it has no function main")
    if any("\n" in name or "\r" in name for name in called):
        sys.exit("it calls what has no name")
    sys.stdout.buffer.write("\n".join(sorted(called)).encode("utf-8", "replace"))


if __name__ == "__main__":
    main()
