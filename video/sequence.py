"""Numbered pictures: a folder, or names such as ``frame_%05d.png``, written and read as frames."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from video.color import check_image
from video.errors import InputError, OutputExistsError
from video.frame_reader import Frame, FrameReader
from video.image_names import parse_target, sequence_files, skipped_pictures
from video.images import read_upright, write_image
from video.named_colors import hdr_of_still
from video.pillow_opening import pages_of
from video.rates import parse_rate
from video.reading_remarks import ReadingRemarks, hdr_still_note, skipped_note
from video.safe_files.interrupts import deferred_interrupt
from video.safe_files.part_file import require_folder
from video.sink import FrameSink
from video.transparency import OVER_WHITE, Transparency

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from os import PathLike

    from numpy.typing import NDArray

__all__ = ["ImageSequenceReader", "ImageSequenceWriter", "read_sequence"]


class ImageSequenceWriter(FrameSink):
    """Frames into numbered pictures, or one frame into a still: the protocol of ``VideoWriter``.

    ``target`` is a folder (made if missing; frames are ``00000.png`` and so on), a path whose file
    name holds ``%d`` or ``%05d``, or a plain name such as ``still.png``, for exactly one frame.
    Each file appears complete or not at all, and what is complete stays if the work is interrupted
    or fails: ``notes`` says which. A still is written when the block ends well.

    Raises:
        InputError: for a name or size that makes no sense, for a second frame in a still, and
            at the end if there was no frame.
        OutputExistsError: if a picture of that name exists and ``overwrite`` is false.
        OutputError: if writing fails.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with ImageSequenceWriter(f"{folder}/%03d.png", width=4, height=2) as writer:
        ...         writer.write(np.zeros((2, 4, 3), np.uint8))
        ...     writer.files[0].name
        '000.png'
    """

    def __init__(
        self,
        target: str | PathLike[str],
        *,
        width: int,
        height: int,
        overwrite: bool = False,
        lossless: bool = False,
    ) -> None:
        super().__init__(target)
        self.size = self.coded_size = (width, height)
        self.files: list[Path] = []
        self.part_path: Path | None = None
        self._target = parse_target(target)
        self._folder = self._target.path.parent
        self._overwrite = overwrite
        self._lossless = lossless
        self._still: NDArray[np.uint8] | None = None
        if min(width, height) < 1:
            raise InputError(f"expected a size of at least 1x1; found {width}x{height}")
        if lossless and self._target.path.suffix.lower() in (".jpg", ".jpeg"):
            raise InputError(f"JPEG is never lossless; found '{self.path}': write .png")
        existing = self._target.existing()
        if existing and not overwrite:
            raise OutputExistsError(
                f"'{existing[0]}' exists already; give another name, or ask to overwrite it"
            )
        self._stale = len(existing)
        self._made_folder = self._make_folder()

    def _make_folder(self) -> bool:
        if self._folder.is_dir():
            return False
        require_folder(self.path)
        try:
            self._folder.mkdir()
        except OSError as error:
            raise InputError(
                f"cannot make the folder '{self._folder}': {error.strerror}"
            ) from error
        return True

    def write(self, frame: NDArray[np.uint8]) -> None:
        """Add one frame: uint8, (height, width, 3), RGB; or (height, width, 4), RGBA.

        What is transparent stays so in .png and .webp.

        Raises:
            InputError: if its shape or dtype is another, or no frame may follow.
            OutputError: if it cannot be written.
        """
        self._check_open()
        width, height = self.size
        channels = 4 if np.ndim(frame) == 3 and np.shape(frame)[2] == 4 else 3
        image = check_image(frame, width=width, height=height, channels=channels)
        if self._target.numbered is None:
            if self._still is not None:
                raise InputError(
                    f"'{self.path}' is one picture, and there is a second frame: write"
                    f" '{self.path.stem}_%05d{self.path.suffix}' or a folder, or ask for one frame"
                )
            self._still = image.copy()
        else:
            self._write_file(image)
        self.frames_written += 1

    def _write_file(self, image: NDArray[np.uint8]) -> None:
        file = self._target.file(len(self.files))
        with deferred_interrupt():
            write_image(file, image, overwrite=self._overwrite, lossless=self._lossless)
            self.files.append(file)

    def close(self) -> None:
        """Finish; a second call does nothing.

        Raises:
            InputError: if no frame was written.
        """
        if self._closed:
            return
        self._closed = True
        if self.frames_written == 0:
            self._remove_empty_folder()
            raise self._no_frames()
        if self._still is not None:
            self._write_file(self._still)
        left_over = self._stale - len(self.files)
        if left_over > 0:
            self._notes.append(f"{left_over} older pictures beyond these were left in place")

    def _remove_empty_folder(self) -> None:
        if self._made_folder and not any(self._folder.iterdir()):
            self._folder.rmdir()

    def _leave(self, error: BaseException | None) -> None:
        if error is None or (isinstance(error, KeyboardInterrupt) and self._still is not None):
            self.close()
            return
        self._closed = True
        if self.files:
            self._notes.append(
                f"kept: {len(self.files)} finished pictures, '{self.files[0]}' to"
                f" '{self.files[-1]}'"
            )
        else:
            self._remove_empty_folder()


def read_sequence(source: str | PathLike[str]) -> Iterator[NDArray[np.uint8]]:
    """Pictures of a folder, a pattern or a single file, as uint8 (H, W, 3) RGB, one at a time.

    What is transparent shows white.

    Raises:
        InputError: if there are none, one cannot be read, or their sizes differ.
    """
    return _pictures(sequence_files(source), ReadingRemarks(Path(source).name))


def _pictures(
    files: Iterable[Path], remarks: ReadingRemarks, size: tuple[int, int] | None = None
) -> Iterator[NDArray[np.uint8]]:
    for file in files:
        image = remarks.taken(read_upright(file))
        if size is not None and image.shape[:2] != size:
            raise InputError(
                f"'{file}' is {image.shape[1]}x{image.shape[0]}; expected {size[1]}x{size[0]}"
                " like those before it: make them one size, or encode each for itself"
            )
        size = image.shape[0], image.shape[1]
        _look_behind_the_first(file, remarks)
        yield image


def _look_behind_the_first(file: Path, remarks: ReadingRemarks) -> None:
    """Note what a picture has besides the one that was read."""
    from video.animation import frames_in

    with suppress(InputError):  # which is whole, whatever becomes of the others
        frames = frames_in(file)
        if frames > 1:
            remarks.frames[file.name] = frames
    pages = pages_of(file)
    if pages > 1:
        remarks.pages[file.name] = pages


class ImageSequenceReader(FrameReader):
    """Pictures as the frames of a video at ``rate``: the protocol of ``VideoReader``.

    ``transparency`` says what becomes of pictures with alpha.

    Raises:
        InputError: as ``read_sequence`` does.
    """

    knows_rate = False

    def __init__(
        self,
        source: str | PathLike[str],
        rate: str | int | float | Fraction = 24,
        transparency: Transparency = OVER_WHITE,
    ) -> None:
        self.path = Path(source)
        self._remarks = ReadingRemarks(self.path.name, transparency)
        self.rate = parse_rate(rate)
        files = self._files = sequence_files(source)
        self.frame_count = len(files)
        self.duration_seconds = len(files) / self.rate
        self.height, self.width = read_upright(files[0]).shape[:2]
        skipped = skipped_pictures(self.path)
        name = files[0].name
        self._on_files = (
            *hdr_still_note(name, hdr_of_still(files[0])),
            *skipped_note(self.path.name, skipped),
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """In what frames are not as the files have them; complete once all are read."""
        return (*self._remarks.lines(), *self._on_files)

    def __iter__(self) -> Iterator[Frame]:
        return self.frames_of(range(len(self._files)))

    def frames_of(self, numbers: range) -> Iterator[Frame]:
        wanted = range(len(self._files))[numbers.start : numbers.stop : numbers.step]
        files = [self._files[index] for index in wanted]
        size = self.height, self.width
        for index, image in zip(wanted, _pictures(files, self._remarks, size), strict=True):
            yield Frame(image, index / self.rate, index)

    def close(self) -> None:
        """Nothing is open between two pictures."""
