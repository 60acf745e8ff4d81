"""Layers with footprints; chains and passes of them, and what they remember."""
