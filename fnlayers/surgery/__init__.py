"""Models taken apart and put together: their insides, their parts, and other layers in their place."""

from fnlayers.models.lora import LoRA
from fnlayers.surgery.compare import Comparison, Difference, compare
from fnlayers.surgery.cut import cut, restrict
from fnlayers.surgery.intermediates import intermediates
from fnlayers.surgery.lora import lora
from fnlayers.surgery.replace import Replaced, replace_layer

__all__ = [
    "Comparison",
    "Difference",
    "LoRA",
    "Replaced",
    "compare",
    "cut",
    "intermediates",
    "lora",
    "replace_layer",
    "restrict",
]
