"""fnlayers: Keras 3's layers as pure functions on JAX.

A layer is plain data and a pair of pure functions: `params = layer.init(rng, shape)`, `y = layer.apply(params, x)`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fnlayers import catalog, core, freezing, functions, host, layers, models, ops, trees
from fnlayers.catalog import *
from fnlayers.core import *
from fnlayers.core.elsewhere import refuse_name
from fnlayers.freezing import *
from fnlayers.functions import *
from fnlayers.host import *
from fnlayers.layers.recurrent.cell import Cell
from fnlayers.trees import *
from fnlayers.version import __version__

# What people do with a model once it is built is imported when it is first asked for: a third of the library's import.
if TYPE_CHECKING:
    from fnlayers import debug as debug, show as show, state_dicts as state_dicts
    from fnlayers.exporting import *
    from fnlayers.keras_files import *
    from fnlayers.program_cache import *
    from fnlayers.saving import load as load, save as save
    from fnlayers.sharding import *
    from fnlayers.show import summary as summary
    from fnlayers.state_dicts import load_state_dict as load_state_dict, match_weights as match_weights
    from fnlayers.surgery import (
        compare as compare,
        cut as cut,
        intermediates as intermediates,
        lora as lora,
        replace_layer as replace_layer,
        restrict as restrict,
    )
    from fnlayers.training import *

LATER = {
    "fnlayers": ("debug", "show", "state_dicts"),
    "fnlayers.exporting": ("Exported", "export", "load_exported", "to_onnx"),
    "fnlayers.keras_files": ("load_keras", "load_keras_weights", "save_keras"),
    "fnlayers.program_cache": ("CompilationCache", "compilation_cache"),
    "fnlayers.saving": ("load", "save"),
    "fnlayers.sharding": ("Shardings", "shardings"),
    "fnlayers.show": ("summary",),
    "fnlayers.state_dicts": ("load_state_dict", "match_weights"),
    "fnlayers.surgery": ("compare", "cut", "intermediates", "lora", "replace_layer", "restrict"),
    "fnlayers.training": (
        "AddLogs", "CSVLog", "Checkpoint", "CheckpointError", "EarlyStopping", "Ensemble", "Event", "Fitted", "JSONLog",
        "KeepBest", "Memory", "NonFiniteError", "Replace", "SetLearningRate", "StepEvent", "Stop", "TensorBoardLog",
        "TrainState", "averaged", "clear_cache", "ensemble", "evaluate", "fit", "losses", "make_step", "memory",
        "metrics", "optimizer", "per_example_grad", "predict", "restore",
    ),
}  # fmt: skip

_PARTS = (core, freezing, functions, host, trees)

# Each name stands in the __all__ of its own file; type checkers follow the imports above.
__all__ = ["Cell", "__version__", "layers", "models", "ops"]
__all__ += [name for name in vars(catalog) if not name.startswith("_")]  # pyright: ignore[reportUnsupportedDunderAll]
__all__ += [name for part in _PARTS for name in part.__all__ if name not in __all__]
__all__ += [name for names in LATER.values() for name in names]


def __getattr__(name: str) -> Any:
    for module, names in LATER.items():
        if name in names:
            value = import_module(f"fnlayers.{name}") if module == "fnlayers" else getattr(import_module(module), name)
            globals()[name] = value
            return value
    training = () if name.startswith("_") else (__getattr__("losses"), __getattr__("metrics"))
    modules = (*(getattr(functions, name) for name in functions.__all__), *training)
    return refuse_name("fnlayers", name, __all__, modules)


def __dir__() -> list[str]:
    return sorted(__all__)
