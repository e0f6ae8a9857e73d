import ast
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "fnlayers" / "functions"


def test_importing_starts_no_device():
    code = (
        "from jax._src import xla_bridge; "
        "from fnlayers.functions import activations, constraints, initializers, regularizers; "
        "assert not xla_bridge._backends"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_only_jax_numpy_and_itself():
    for path in PACKAGE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                ours = name.startswith(
                    ("fnlayers.functions", "fnlayers.plain_data", "fnlayers.kinds", "fnlayers.half_precision")
                )
                assert ours or name.split(".")[0] in {"jax", "numpy"} | sys.stdlib_module_names, (path.name, name)
