"""Recurrent layers: cells, which take one step, and the layers that scan them over time."""
