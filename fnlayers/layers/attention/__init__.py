"""Attention with one head and with several, positions of steps, and the cache of generation."""
