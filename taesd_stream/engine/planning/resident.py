"""Memory that tensors occupy, with what allocators and libraries keep besides."""

from __future__ import annotations

from taesd_stream.engine.settings import Settings
from taesd_stream.models.network import Network

__all__ = ["resident_bytes"]

# The C library keeps freed blocks of less than 32 MiB for reuse, in pieces that do not fit each
# other. Resident memory was measured above what tensors held: at small tiles by 3.6 times that, at
# larger ones by 105 MiB and 1.2 times that, never by more than 300 MiB.
_HEAP_KEEPS_SMALL = 3.6
_HEAP_KEEPS_ALWAYS = 105 << 20
_HEAP_KEEPS_LARGE = 1.2
_HEAP_KEEPS_AT_MOST = 300 << 20
# OpenVINO keeps its code, its weights, and blocks for activations that fit each other but nearly.
# TAESD's decoder, with a finished tile: at tiles of 15 latents 86 MiB in 16 bits and 96 in float32,
# of 51 latents 164 and 237; undivided at 128 latents 509 and 932, in tiles as large as that 554 for
# nine of them and 627 for 64, in 16 bits; in float32 915, and 1,366 in sections at 256. The steps
# that one becomes do not wait for each other as with PyTorch: what TAEHV (four of one) was seen to
# hold besides states is 3 to 3.3 times what is live at once for a step, for TAESDV (one of one) 1.4
# to 1.7 times; in 8 bits 5.4 times, since sums are of float32.
_OPENVINO_KEEPS_ALWAYS = 90 << 20
_OPENVINO_KEEPS = 1.25
_OPENVINO_TOGETHER = {1: 0.85, 2: 0.5, 4: 0.5}
# The same of ONNX Runtime, which keeps its code and weights, and no blocks from tile to tile. Above
# these and states, in float32, it was seen to hold 1.0 to 1.3 times what is live for TAESD, 1.1
# times for nano, 0.9 for TAEF2; for a step of TAESDV (one of one) 1.4 times, of TAEHV (four of one)
# 2.7 to 4 times.
_ONNX_KEEPS_ALWAYS = 60 << 20
_ONNX_KEEPS = 1.35
_ONNX_TOGETHER = 0.5


def resident_bytes(live_bytes: int, network: Network, settings: Settings) -> int:
    """What a tile is seen to hold, of which so much is live at once."""
    if settings.device.type != "cpu":
        return live_bytes
    steps = network.rate[0] if network.stateful else 0
    if settings.backend == "openvino":
        together = 1 + steps * _OPENVINO_TOGETHER[settings.dtype.itemsize]
        return int(live_bytes * _OPENVINO_KEEPS * together) + _OPENVINO_KEEPS_ALWAYS
    if settings.backend == "onnxruntime":
        together = 1 + steps * _ONNX_TOGETHER
        return int(live_bytes * _ONNX_KEEPS * together) + _ONNX_KEEPS_ALWAYS
    kept = min(
        live_bytes * _HEAP_KEEPS_SMALL,
        live_bytes * _HEAP_KEEPS_LARGE + _HEAP_KEEPS_ALWAYS,
        _HEAP_KEEPS_AT_MOST,
    )
    return live_bytes + int(kept)
