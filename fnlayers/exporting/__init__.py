"""Models as programs that need none of their code: StableHLO by `export` and `load_exported`, ONNX by `to_onnx`."""

from fnlayers.exporting.program import Exported, export, load_exported
from fnlayers.exporting.to_onnx import to_onnx

__all__ = ["Exported", "export", "load_exported", "to_onnx"]
