"""Plain functions and small frozen dataclasses that layers take as arguments, each with a table of Keras's names.

`activations` are functions of an array, `initializers` draw a weight from a key, `regularizers` map a weight to a
penalty, `constraints` map a weight to the nearest one allowed.
"""

from fnlayers.functions import activations, constraints, initializers, regularizers

__all__ = ["activations", "constraints", "initializers", "regularizers"]
