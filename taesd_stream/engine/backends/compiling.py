"""Backends that need a library of their own, and graphs: made when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from taesd_stream.engine.backends.backend import Backend
from taesd_stream.engine.backends.openvino import openvino_backend
from taesd_stream.engine.settings import PROVIDERS, Settings
from taesd_stream.errors import MissingExtraError
from taesd_stream.models.layers.chain import Chain
from taesd_stream.models.layers.conv import Conv
from taesd_stream.models.layers.enlarging import EnlargingConv
from taesd_stream.models.layers.layer import Layer
from taesd_stream.models.layers.pointwise import ReLU, SignedToUnit, SoftClamp
from taesd_stream.models.layers.residual import Residual
from taesd_stream.models.layers.shuffles import PixelShuffle
from taesd_stream.models.layers.temporal import MemBlock, TimeGrow
from taesd_stream.models.layers.upsampling import Upsample
from taesd_stream.models.network import Network

__all__ = ["compiling_backend", "is_compilable"]

_EMITTED = (
    Conv,
    EnlargingConv,
    PixelShuffle,
    ReLU,
    SignedToUnit,
    SoftClamp,
    TimeGrow,
    Upsample,
)


def compiling_backend(settings: Settings, network: Network, latents: Sequence[Tensor]) -> Backend:
    """The backend that settings name, for a network whose tiles lie in the host's memory.

    Args:
        latents: As of ``openvino_backend``.

    Raises:
        MissingExtraError: What it needs is not installed.
    """
    if settings.backend == "openvino":
        return openvino_backend(settings, network, latents)
    try:
        from taesd_stream.engine.backends.onnx_kernels import OnnxBackend
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"backend: onnxruntime needs {error.name}, which is not installed;"
            " pip install 'taesd-stream[onnx]'"
        ) from error
    return OnnxBackend(list(dict.fromkeys([PROVIDERS[settings.provider], PROVIDERS["cpu"]])))


def is_compilable(network: Network) -> bool:
    """Whether the libraries that need graphs can run all of a network."""
    return all(_can_be_emitted(each.body) for each in network.passes)


def _can_be_emitted(layer: Layer) -> bool:
    """Whether there is a graph for a layer, in `openvino_graph` and in `onnx_graph`."""
    if isinstance(layer, Chain):
        return all(map(_can_be_emitted, layer.layers))
    if isinstance(layer, Residual | MemBlock):
        return _can_be_emitted(layer.conv)
    if isinstance(layer, Conv) and layer.footprint.after is not None:
        return False
    return isinstance(layer, _EMITTED)
