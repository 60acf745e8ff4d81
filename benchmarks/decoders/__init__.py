"""The contenders' decoders, each opened from its case."""

from benchmarks.decoders.opening import Decoder, open_decoder, preload

__all__ = ["Decoder", "open_decoder", "preload"]
