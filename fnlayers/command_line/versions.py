"""What is installed, and where arrays would lie."""

import platform
from importlib import metadata

import jax

from fnlayers.version import __version__

# The libraries that fnlayers uses where they are there, by the extra that installs them.
OPTIONAL = (
    "numpy",
    "optax",
    "h5py",
    "keras",
    "safetensors",
    "rich",
    "matplotlib",
)


def versions() -> str:
    """The versions of fnlayers, Python, jax and what may be installed with them, and jax's devices; a line for each."""
    lines = [
        ("fnlayers", __version__),
        ("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        ("jax", jax.__version__),
        ("jaxlib", _version("jaxlib")),
        *((name, _version(name)) for name in OPTIONAL),
        ("devices", _devices()),
    ]
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{name:{width}}  {value}" for name, value in lines)


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _devices() -> str:
    """Jax's devices; what is wrong where it has none."""
    try:
        return ", ".join(f"{device.platform}:{device.id} ({device.device_kind})" for device in jax.devices())
    except RuntimeError as error:
        return f"none: {' '.join(str(error).split())[:200]}"
