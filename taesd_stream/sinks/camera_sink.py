"""A camera as a sink: what other programs, such as a call or a studio, take pictures of."""

from __future__ import annotations

from fractions import Fraction
from importlib.util import find_spec
from typing import Final, TypeGuard

from taesd_stream.errors import InputError, MissingExtraError
from taesd_stream.sinks.camera_kinds import CAMERA_KINDS, OpenCamera
from taesd_stream.sinks.frames import frame_array
from tiling import Size

__all__ = ["CameraSink", "is_camera"]

_OUR_NAME: Final = "taesd-stream"
_WITHOUT_NAME: Final = "camera"


def is_camera(target: object) -> TypeGuard[str]:
    """Whether a target is a camera: "camera", or "ndi", "spout" or "syphon", with a name or not.

    >>> [is_camera(name) for name in ("camera", "ndi", "ndi:Stage", "camera.mp4", "camera:1")]
    [True, True, True, False, False]
    """
    if not isinstance(target, str):
        return False
    kind, colon, name = target.partition(":")
    return kind in CAMERA_KINDS and (not colon or (bool(name) and kind != _WITHOUT_NAME))


class CameraSink:
    """Shows frames in a camera, the newest until the next one comes.

    Args:
        target: "camera", a virtual camera; or "ndi:NAME", "spout:NAME" or "syphon:NAME", under
            which other programs find it. Without a name it is called taesd-stream.
        fps: Frames per second that the camera says it has.

    Raises:
        InputError: This platform has no such camera.
        MissingExtraError: Its library is not installed.
    """

    def __init__(self, target: str, fps: Fraction) -> None:
        self._scheme, _, name = target.partition(":")
        self._name = name or _OUR_NAME
        self._kind = kind = CAMERA_KINDS[self._scheme]
        if kind.is_elsewhere and kind.platform is not None:
            raise InputError(
                f"{self._scheme}: expected {kind.platform[1]}, which alone has it, found another"
                " system; ndi:NAME is for all"
            )
        if find_spec(kind.library) is None:
            raise MissingExtraError(
                f"{self._scheme}: {kind.distribution} is not installed; pip install"
                f" 'taesd-stream[{kind.extra}]'"
            )
        self._fps = fps
        self._camera: OpenCamera | None = None
        self._shape: tuple[int, ...] = ()

    def write(self, frame: object) -> None:
        """Show a frame, as ``Sink.write`` takes it.

        Raises:
            InputError: It is no frame, or of another size than the first.
            OutputError: There is no such camera on this machine, or it does not take it.
        """
        pixels = frame_array(frame)
        if self._camera is None:
            size = Size(pixels.shape[0], pixels.shape[1])
            self._camera = self._kind.open(self._name, size, self._fps)
            self._shape = pixels.shape
        if pixels.shape != self._shape:
            raise InputError(
                f"{self._scheme}: expected frames {self._shape}, as the first one was, found"
                f" {pixels.shape}"
            )
        self._camera.send(pixels)

    def close(self) -> None:
        """Give the camera back; a second call does nothing."""
        camera, self._camera = self._camera, None
        if camera is not None:
            camera.close()
