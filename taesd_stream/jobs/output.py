"""The output of a job: where it goes, which kind of file it is, and every option of that kind."""

from __future__ import annotations

import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import NoReturn

from taesd_stream.errors import InputError
from taesd_stream.jobs import output_kinds as kinds
from taesd_stream.jobs.resume.journal import folder_of
from taesd_stream.jobs.standard_output import STANDARD_OUTPUT, check_standard_output
from video.codecs import Codec, choose_codec
from video.large.formats import choose_compression, choose_format
from video.options import VideoOptions
from video.rates import DEFAULT_RATE, parse_rate
from video.safe_files.part_file import check_output
from video.spec import VideoSpec
from video.transparency import Background, Transparency

__all__ = ["Output"]

_OPTIONS = tuple(dict.fromkeys(option for kind in kinds.KINDS for option in kind.takes))


@dataclass(frozen=True, slots=True)
class Output:
    """The place that frames, or one picture, go to, and all options; checked when it is made.

    Attributes:
        name: A file, a folder, a pattern such as ``frame_%05d.png``, or "-" for standard output.
        fps: Frames per second, as ``video.parse_rate`` takes it; None is what the latents say, or
            else 24.
        codec: What ``video.choose_codec`` takes; None is the suffix's.
        crf: Quality of a video, 0 is best; None is the codec's.
        lossless: Keep every RGB byte.
        audio: A file whose sound goes along.
        audio_start: The seconds of that sound that belong to frames before the first one.
        compression: Of a picture written by rows, what its format calls it; None is its default.
        quality: Of JPEG, 1 to 100; None is 90.
        preview: A small picture of what is done, written again and again.
        resume: Keep what is finished, and go on from what an earlier run has kept.
        overwrite: Whether an existing file may be replaced.
        background: The colour that transparent pictures are laid over, whatever the file could
            hold; None keeps alpha where the file does, and is white elsewhere.
        alpha: Whether pictures are RGBA and stay so, which is known once the model is.
        metadata: Names and texts that a video keeps.

    Raises:
        InputError: The name tells no kind of file, or an option makes no sense for its kind.

    >>> Output("a.mp4", compression="jpeg")
    Traceback (most recent call last):
    taesd_stream.InputError: compression: expected none for .mp4, which is a video, found 'jpeg'; \
leave it out, or write .png .npy .tif .tiff .ome.zarr .zarr .dzi
    """

    name: str | os.PathLike[str]
    fps: str | int | float | Fraction | None = None
    codec: str | None = None
    crf: int | None = None
    lossless: bool = False
    audio: str | os.PathLike[str] | None = None
    compression: str | None = None
    quality: int | None = None
    preview: str | os.PathLike[str] | None = None
    resume: bool = False
    overwrite: bool = False
    background: Background = None
    alpha: bool = False
    audio_start: Fraction = Fraction(0)
    metadata: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        rate, kind = self.rate, self.kind
        for option in _OPTIONS:
            value = getattr(self, option)
            if not (value is None or value is False or value == () or option in kind.takes):
                self._refuse(option, value)
        if self.resume and self.is_for_several and not kind.is_one_picture:
            self._refuse("resume", True)
        for codec in self._codecs:
            VideoSpec(16, 16, rate, codec, self.crf, self.lossless)
        _ = self.chosen_compression, self.transparency

    @property
    def path(self) -> Path:
        """The name as a path."""
        return Path(self.name)

    @property
    def rate(self) -> Fraction:
        """Frames per second, exactly."""
        return parse_rate(DEFAULT_RATE if self.fps is None else self.fps)

    @property
    def suffix(self) -> str:
        """The name's suffix in small letters; that of Matroska for standard output."""
        return ".mkv" if self.is_stream else self.path.suffix.lower()

    @property
    def is_stream(self) -> bool:
        """Whether it is standard output."""
        return os.fspath(self.name) == STANDARD_OUTPUT

    @property
    def is_for_several(self) -> bool:
        """Whether it is a folder that exists, or a pattern: frames are files of their own."""
        return "%" in self.path.name or os.path.isdir(self.name)

    @property
    def makes_pictures(self) -> bool:
        """Whether every frame becomes a file of its own."""
        return self.kind is kinds.FOLDER or self.is_for_several

    @property
    def transparency(self) -> Transparency:
        """What becomes of pictures with alpha."""
        return Transparency.of(self.background, holds_alpha=self.alpha)

    @property
    def holds_alpha(self) -> bool:
        """Whether the file can keep transparency, and no background takes its place."""
        if self.background is not None or self.chosen_compression == "jpeg":
            return False
        could = (codec.holds_alpha(self.suffix, lossless=self.lossless) for codec in self._codecs)
        return self.kind.holds_alpha or any(could)

    @property
    def channels(self) -> int:
        """Of the pictures that are written: 3, or 4 with alpha."""
        return 4 if self.alpha else 3

    @property
    def _codecs(self) -> tuple[Codec, ...]:
        """The codecs of a video, in the order to be tried; none where it is something else."""
        if self.kind not in (kinds.VIDEO, kinds.GIF, kinds.WEBP, kinds.STREAM):
            return ()
        return choose_codec(self.suffix, self.codec, lossless=self.lossless)

    @property
    def is_segmentable(self) -> bool:
        """Whether it can be made in segments that are joined at the end."""
        return self.kind is kinds.VIDEO

    @property
    def is_raw(self) -> bool:
        """Whether finished rows are kept in just the form that the file has in the end."""
        return self.kind is kinds.NPY

    @property
    def kind(self) -> kinds.OutputKind:
        """The row of the table that its name stands for.

        Raises:
            InputError: None does.
        """
        name = os.fspath(self.name).lower()
        if self.is_stream:
            return kinds.STREAM
        for kind in (kinds.TIFF, kinds.ZARR, kinds.DEEP_ZOOM):
            if name.endswith(kind.suffixes):
                return kind
        suffix = self.path.suffix.lower()
        if suffix == ".webp" and "%" in self.path.name:
            return kinds.WEBP_PICTURES
        found = next((kind for kind in kinds.KINDS if suffix in kind.suffixes), None)
        if os.path.isdir(self.name) and found not in (kinds.NPY, kinds.SAFETENSORS):
            return kinds.FOLDER
        if not name or (found is None and suffix):
            raise InputError(
                f"output: expected a name ending in one of {' '.join(sorted(kinds.SUFFIXES))}, a"
                f" folder, or - for standard output; found {os.fspath(self.name)!r}"
            )
        return found or kinds.FOLDER

    @property
    def chosen_compression(self) -> str | None:
        """The compression to write with: a lossless one where that is asked for.

        Raises:
            InputError: The format has no such compression, or it is not lossless.
        """
        if not self.kind.holds_rows:
            return None
        row_format = choose_format(self.path)
        chosen = choose_compression(row_format, self.compression)
        if not self.lossless or chosen != "jpeg":
            return self.compression
        if self.compression is None:
            return next(each for each in row_format.compressions if each != "jpeg")
        raise InputError(
            "lossless: expected a compression that keeps every byte, found jpeg; leave one of them"
            " out"
        )

    @property
    def video_options(self) -> VideoOptions:
        """The options that concern a video."""
        return VideoOptions(
            self.rate,
            self.codec,
            self.crf,
            self.lossless,
            self.audio,
            self.overwrite,
            audio_start=self.audio_start,
            alpha=self.alpha,
            metadata=self.metadata,
        )

    def check_place(self) -> None:
        """Refuse a place that nothing can be written to, before anything is loaded.

        What is there already is found out about later where a run may go on with it.

        Raises:
            InputError: The file exists, its folder does not, or a terminal would get a video.
            MissingExtraError: The library of its format is not installed.
        """
        overwrite = self.overwrite or self.resume
        if self.is_stream:
            check_standard_output()
        elif self.kind.is_one_picture:
            from video.large.writing import check_rows

            check_rows(
                self.name,
                width=1,
                height=1,
                compression=self.chosen_compression,
                quality=self.quality,
                overwrite=overwrite,
            )
        elif not self.makes_pictures:
            check_output(self.name, overwrite=overwrite)
        self._check_preview()

    def check_count(self, frames: int | None) -> None:
        """Refuse the name of one picture for several frames.

        Raises:
            InputError: That.
        """
        if frames in (None, 1):
            return
        if self.kind.is_one_picture or (
            self.kind in (kinds.PNG, kinds.JPEG) and not self.is_for_several
        ):
            raise self.several(f"{frames} frames")

    def several(self, found: str) -> InputError:
        """The error of one picture being asked for, where there is another number of them."""
        name = self.path.name
        own = next(each for each in self.kind.suffixes if name.lower().endswith(each))
        stem = name[: -len(own)]
        suffix = ".png" if self.kind.is_one_picture else own
        return InputError(
            f"output: {self.name} is one picture, and there are {found}; for all of them write"
            f" {stem}_%05d{suffix}, a folder, or a video such as {stem}.mp4, or give --frames N"
            " (frames= in Python) for one"
        )

    def check_size(self, width: int, height: int) -> None:
        """Refuse pictures that the format cannot hold.

        Raises:
            InputError: It says which formats can.
        """
        most = self.kind.largest
        if most is not None and max(width, height) > most:
            larger = (each for kind in kinds.KINDS if kind.is_one_picture for each in kind.suffixes)
            raise InputError(
                f"output: {self.suffix} holds pictures of up to {most} pixels a side, found"
                f" {width}x{height}; write {' '.join(larger)} or .png, or give --crop"
                " (crop= in Python)"
            )

    def _refuse(self, option: str, value: object) -> NoReturn:
        what = "several pictures" if self.is_for_several else self.kind.what
        found = "" if value is True else f", found {str(value)!r}"
        raise InputError(
            f"{option}: expected none for {self.suffix or self.name}, which is {what}{found}; leave"
            f" it out, or write {' '.join(kinds.suffixes_that_take(option))}"
        )

    def _check_preview(self) -> None:
        if self.preview is None:
            return
        from video.images import check_writable

        if Path(self.preview).absolute() == self.path.absolute():
            raise InputError(
                f"preview: expected another file than the output, found {os.fspath(self.preview)!r}"
                " for both; give it a name of its own"
            )
        is_going_on = self.resume and (folder_of(self.name).is_dir() or self.path.exists())
        check_writable(self.preview, overwrite=self.overwrite or is_going_on)
