"""Readers of latents: one module for each kind of file."""
