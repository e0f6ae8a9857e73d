"""Files of Keras, read and written as data alone: nothing that a file names is imported, called or opened."""

from fnlayers.keras_files.load import load_keras
from fnlayers.keras_files.load_weights import load_keras_weights
from fnlayers.keras_files.save import save_keras

__all__ = ["load_keras", "load_keras_weights", "save_keras"]
