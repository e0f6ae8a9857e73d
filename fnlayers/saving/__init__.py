"""Models as data alone: `save` and `load` one .safetensors file, `to_config` and `from_config` a plain dict."""

from fnlayers.saving.config import from_config, to_config
from fnlayers.saving.files import load, save

__all__ = ["from_config", "load", "save", "to_config"]
