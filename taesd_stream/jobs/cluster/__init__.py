"""One job on many machines: units of it are made by workers of a Ray cluster."""
