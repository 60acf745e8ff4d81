"""Videos by push, by iterator, and by window of frames."""
