"""Models taken apart and put together: their insides, their parts, and other layers in their place."""

from fnlayers.surgery.cut import cut, restrict
from fnlayers.surgery.intermediates import intermediates

__all__ = ["cut", "intermediates", "restrict"]
