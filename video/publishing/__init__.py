"""Frames to servers and to HLS folders, each at its time."""
