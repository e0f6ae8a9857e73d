"""Attention with one head and with several, positions of steps, and what is kept from run to run in generation."""
