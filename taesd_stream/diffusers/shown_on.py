"""What previews are shown on: a picture that is replaced, a notebook, or any sink."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal, TypeAlias

from taesd_stream.diffusers.pictures import Picture
from taesd_stream.errors import InputError, MissingExtraError
from taesd_stream.sinks import Sink, Target, as_sink
from video import write_image
from video.image_names import WRITABLE_SUFFIXES
from video.images import check_writable, encode_image

__all__ = ["PreviewTarget", "shown_on"]

PreviewTarget: TypeAlias = Target | Literal["notebook"] | None
"""A picture, "notebook" (or None), or what ``as_sink`` takes."""


def shown_on(target: PreviewTarget) -> Sink:
    """What shows pictures on a target.

    Raises:
        InputError: It is none, or nothing can be written there.
        MissingExtraError: It is a notebook, and IPython is not installed.
    """
    if target is None or target == "notebook":
        return Notebook()
    if isinstance(target, str | os.PathLike):
        path = Path(target)
        if path.suffix.lower() in WRITABLE_SUFFIXES and "%" not in path.name and not path.is_dir():
            return Still(path)
    return as_sink(target)


class Still:
    """A picture in a file that is replaced in one step: who looks at it never sees half of one.

    Args:
        path: A .png, .jpg or .webp.

    Raises:
        InputError: There is no folder for it.
    """

    def __init__(self, path: Path) -> None:
        self._path = check_writable(path, overwrite=True)

    def write(self, frame: Picture) -> None:
        """Put (H, W, 3) bytes in the place of what is there."""
        write_image(self._path, frame, overwrite=True)

    def close(self) -> None:
        """Nothing is left to be done."""


class Notebook:
    """A picture in the output of a notebook's cell, which changes in its place.

    Raises:
        MissingExtraError: IPython is not installed.
        InputError: No notebook runs this.
    """

    def __init__(self) -> None:
        try:
            from IPython import get_ipython
            from IPython.display import Image, display
        except ImportError as error:
            raise MissingExtraError(
                "notebook: IPython is not installed; pip install 'taesd-stream[notebook]', or give"
                " a target such as 'preview.png'"
            ) from error
        if get_ipython() is None:
            raise InputError(
                "target: expected a file, a folder, a function or a sink outside of notebooks,"
                " found none; give one, such as 'preview.png'"
            )
        self._image, self._display = Image, display
        self._handle: Any = None

    def write(self, frame: Picture) -> None:
        """Show (H, W, 3) bytes in the place of the picture before."""
        image = self._image(data=encode_image(Path("preview.jpg"), frame).tobytes(), format="jpeg")
        if self._handle is None:
            self._handle = self._display(image, display_id=True)
        else:
            self._handle.update(image)

    def close(self) -> None:
        """Leave the last picture where it is; the next one begins another."""
        self._handle = None
