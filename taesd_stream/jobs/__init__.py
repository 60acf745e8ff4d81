"""Joins latents, a model and a file: nothing else does."""
