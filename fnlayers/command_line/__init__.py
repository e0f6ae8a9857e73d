"""`python -m fnlayers`: versions and devices, what is in a file of a model, and files in other formats."""

from fnlayers.command_line.main import main

__all__ = ["main"]
