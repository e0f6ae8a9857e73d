"""The base of the recurrent layers by its name of before: `layers/recurrent/base.py`."""

from fnlayers.layers.recurrent.base import Recurrent as Recurrent
