"""Files that are complete under their name, or not there."""
