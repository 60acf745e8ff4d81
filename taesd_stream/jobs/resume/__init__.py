"""Keeps what a run has finished, so that another goes on from there."""
