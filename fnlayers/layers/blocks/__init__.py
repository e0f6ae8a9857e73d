"""Blocks: layers made of layers of other families."""
