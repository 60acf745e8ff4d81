"""Cameras of other programs: the libraries that show frames there, as one table."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from importlib import import_module
from types import MappingProxyType
from typing import Any, Final, Protocol

import numpy as np

from taesd_stream.errors import OutputError
from taesd_stream.sinks.frames import Frame
from tiling import Size
from video.errors import first_line

__all__ = ["CAMERA_KINDS", "CameraKind", "OpenCamera"]

_GL_RGBA: Final = 0x1908
"""OpenGL's number of that order of bytes."""


class OpenCamera(Protocol):
    """Shows frames of one size."""

    def send(self, frame: Frame, /) -> object:
        """Show a frame."""

    def close(self) -> object:
        """Give the camera back."""


@dataclass(frozen=True, slots=True)
class CameraKind:
    """A way to show frames in other programs.

    Attributes:
        library: The module that does it.
        distribution: What pip calls that.
        extra: Ours, which installs it.
        open: Opens a camera of a name, for frames of a size at a rate.
        platform: The only one that has it, as ``sys.platform`` and in words; None is any.
    """

    library: str
    distribution: str
    extra: str
    open: Callable[[str, Size, Fraction], OpenCamera]
    platform: tuple[str, str] | None = None

    @property
    def is_elsewhere(self) -> bool:
        """Whether it is on another platform than this one."""
        return self.platform is not None and self.platform[0] != sys.platform


def _virtual(name: str, size: Size, rate: Fraction) -> OpenCamera:
    library = import_module("pyvirtualcam")
    try:
        camera: OpenCamera = library.Camera(width=size.width, height=size.height, fps=float(rate))
    except RuntimeError as error:
        raise OutputError(
            f"camera: expected a virtual camera, found none ({first_line(error)}); set up"
            " v4l2loopback on Linux, OBS on macOS and Windows"
        ) from error
    return camera


class _Ndi:
    """Frames to whoever on the network asks for them."""

    def __init__(self, name: str, size: Size, rate: Fraction) -> None:
        structs = import_module("cyndilib.wrapper.ndi_structs")
        frame = import_module("cyndilib.video_frame").VideoSendFrame()
        frame.set_resolution(size.width, size.height)
        frame.set_frame_rate(rate)
        frame.set_fourcc(structs.FourCC.RGBX)
        self._sender: Any = import_module("cyndilib.sender").Sender(name, clock_video=False)
        self._sender.set_video_frame(frame)
        self._sender.open()

    def send(self, frame: Frame) -> None:
        self._sender.write_video(_with_alpha(frame).reshape(-1))

    def close(self) -> None:
        self._sender.close()


class _Spout:
    """Frames to programs on this machine, by memory of its graphics card."""

    def __init__(self, name: str, size: Size, rate: Fraction) -> None:
        self._sender: Any = import_module("SpoutGL").SpoutSender()
        self._sender.setSenderName(name)

    def send(self, frame: Frame) -> None:
        height, width = frame.shape[:2]
        pixels = _with_alpha(frame)
        if not self._sender.sendImage(pixels, width, height, _GL_RGBA, False, 0):
            raise OutputError(
                "spout: the frame was not taken; it needs a graphics card's DirectX 11"
            )

    def close(self) -> None:
        self._sender.releaseSender()


class _Syphon:
    """Frames to programs on this machine, by Metal."""

    def __init__(self, name: str, size: Size, rate: Fraction) -> None:
        self._server: Any = import_module("syphon").SyphonMetalServer(name)
        make = import_module("syphon.utils.raw").create_mtl_texture
        self._texture = make(self._server.device, size.width, size.height)
        self._copy = import_module("syphon.utils.numpy").copy_image_to_mtl_texture

    def send(self, frame: Frame) -> None:
        self._copy(_with_alpha(frame), self._texture)
        self._server.publish_frame_texture(self._texture)

    def close(self) -> None:
        self._server.stop()


def _with_alpha(frame: Frame) -> Frame:
    pixels = np.full((*frame.shape[:2], 4), 255, np.uint8)
    pixels[..., :3] = frame
    return pixels


CAMERA_KINDS: Mapping[str, CameraKind] = MappingProxyType(
    {
        "camera": CameraKind("pyvirtualcam", "pyvirtualcam", "camera", _virtual),
        "ndi": CameraKind("cyndilib", "cyndilib", "ndi", _Ndi),
        "spout": CameraKind("SpoutGL", "SpoutGL", "spout", _Spout, ("win32", "Windows")),
        "syphon": CameraKind("syphon", "syphon-python", "syphon", _Syphon, ("darwin", "macOS")),
    }
)
"""What a target begins with -> the kind of camera that it is."""
