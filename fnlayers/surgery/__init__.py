"""Models taken apart and put together: their insides, their parts, and other layers in their place."""

from fnlayers.surgery.cut import cut, restrict
from fnlayers.surgery.intermediates import intermediates
from fnlayers.surgery.replace import Replaced, replace_layer

__all__ = ["Replaced", "cut", "intermediates", "replace_layer", "restrict"]
