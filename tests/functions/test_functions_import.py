import subprocess
import sys


def test_importing_allocates_nothing_and_needs_only_jax():
    """In a fresh process: no backend starts, and nothing of fnlayers beyond this package comes along."""
    code = (
        "import sys, jax; from jax._src import xla_bridge as bridge; "
        "from fnlayers.functions import activations, constraints, initializers, regularizers; "
        "assert not bridge._backends, 'a device was started'; "
        "others = [m for m in sys.modules if m.startswith('fnlayers.') and not m.startswith('fnlayers.functions')]; "
        "assert not others, others; assert 'scipy.signal' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
