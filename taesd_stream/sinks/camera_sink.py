"""A virtual camera as a sink: what other programs, such as a call or a studio, take pictures of."""

from __future__ import annotations

from fractions import Fraction
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from taesd_stream.errors import InputError, MissingExtraError, OutputError
from taesd_stream.sinks.frames import frame_array
from video.errors import first_line

__all__ = ["CameraSink"]

_LIBRARY = "pyvirtualcam"


class CameraSink:
    """Shows frames in a virtual camera, the newest until the next one comes.

    Args:
        fps: Frames per second that the camera says it has.

    Raises:
        MissingExtraError: pyvirtualcam is not installed.
    """

    def __init__(self, fps: Fraction) -> None:
        if find_spec(_LIBRARY) is None:
            raise MissingExtraError(
                f"camera: {_LIBRARY} is not installed; pip install 'taesd-stream[camera]'"
            )
        self._fps = float(fps)
        self._camera: Any = None
        self._shape: tuple[int, ...] = ()

    def write(self, frame: object) -> None:
        """Show a frame, as ``Sink.write`` takes it.

        Raises:
            InputError: It is no frame, or of another size than the first.
            OutputError: There is no virtual camera on this machine.
        """
        pixels = frame_array(frame)
        if self._camera is None:
            self._camera = self._open(pixels.shape[1], pixels.shape[0])
            self._shape = pixels.shape
        if pixels.shape != self._shape:
            raise InputError(
                f"camera: expected frames {self._shape}, as the first one was, found {pixels.shape}"
            )
        self._camera.send(pixels)

    def close(self) -> None:
        """Give the camera back; a second call does nothing."""
        camera, self._camera = self._camera, None
        if camera is not None:
            camera.close()

    def _open(self, width: int, height: int) -> Any:
        library = import_module(_LIBRARY)
        try:
            return library.Camera(width=width, height=height, fps=self._fps)
        except RuntimeError as error:
            raise OutputError(
                f"camera: expected a virtual camera, found none ({first_line(error)}); set up"
                " v4l2loopback on Linux, OBS on macOS and Windows"
            ) from error
