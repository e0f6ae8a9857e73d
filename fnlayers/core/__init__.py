"""The contract: what a layer declares, what it is given, what it returns. Read `layer.py` first."""

from fnlayers.core.context import Context, Out
from fnlayers.core.dtypes import Policy as Policy, policy as policy
from fnlayers.core.errors import ConfigError, LayerError, MissingError, ShapeError
from fnlayers.core.layer import Layer, layerclass
from fnlayers.core.shapes import ArrayType as ArrayType, known, per_axis as per_axis
from fnlayers.core.spec import Drawn, Param, State
from fnlayers.core.symbol import Input, InputLayer, Symbol
from fnlayers.plain_data import FrozenDict as FrozenDict

__all__ = [
    "ConfigError",
    "Context",
    "Drawn",
    "Input",
    "InputLayer",
    "Layer",
    "LayerError",
    "MissingError",
    "Out",
    "Param",
    "ShapeError",
    "State",
    "Symbol",
    "known",
    "layerclass",
]
