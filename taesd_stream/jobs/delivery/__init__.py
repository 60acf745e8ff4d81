"""Gets frames and bands from the device that computes them into files."""
