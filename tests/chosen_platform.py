"""The platform that `--platform` names, chosen when this module is imported: jax takes one as soon as it makes an array.

pytest reads options of a conftest only after it has imported all of them, so the command line is read here.
"""

import argparse
import os
import sys

import jax
import pytest

_parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
_parser.add_argument("--platform")
_platform = _parser.parse_known_args(sys.argv[1:])[0].platform
if _platform:
    # The first is taken; some tests ask for the host by name. The variable is for processes that the tests start.
    os.environ["JAX_PLATFORMS"] = f"{_platform},cpu" if _platform != "cpu" else "cpu"
    jax.config.update("jax_platforms", os.environ["JAX_PLATFORMS"])


def check(platform: str | None) -> None:
    """Raise unless jax runs on that platform."""
    if platform and jax.default_backend() != {"cuda": "gpu", "rocm": "gpu"}.get(platform, platform):
        raise pytest.UsageError(f"--platform={platform}: jax runs on {jax.default_backend()} here")
