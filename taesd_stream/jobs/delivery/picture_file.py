"""A file that the bands of one large picture go to, with a preview and a journal beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from contextlib import closing as close

from taesd_stream.engine.streams.picture_run import PictureRun
from taesd_stream.errors import InputError, Interrupted, OutputError
from taesd_stream.jobs.delivery.bands import Band, Rows, bands_of, strips
from taesd_stream.jobs.delivery.frame_sinks import row_opener
from taesd_stream.jobs.delivery.preview import Preview
from taesd_stream.jobs.delivery.waiting import writing_behind
from taesd_stream.jobs.output import Output
from taesd_stream.jobs.resume.journal import Journal
from tiling import Size, format_bytes
from video.large.disk_space import needed_bytes
from video.large.npy import RowFile
from video.large.row_writer import RowWriter
from video.safe_files.part_file import publish

__all__ = ["needed_bytes_of", "rows_done", "write_bands"]

_ROWS = "rows.npy"


def needed_bytes_of(output: Output, size: Size) -> tuple[int, int]:
    """Tell how much of the disk a picture of a size, in pixels, takes.

    Returns:
        What the output and temporary files take at most; and what the rows that are kept take.
    """
    needed = needed_bytes(
        output.path,
        width=size.width,
        height=size.height,
        compression=output.chosen_compression,
        alpha=output.alpha,
    )
    return needed, output.channels * size.area if output.resume and not output.is_raw else 0


def rows_done(picture: PictureRun, journal: Journal | None) -> int:
    """Count the rows of a picture that are finished, as its journal tells; 0 if it has none."""
    return picture.bands[journal.done - 1].stop if journal is not None and journal.done else 0


def write_bands(
    picture: PictureRun,
    output: Output,
    journal: Journal | None,
    *,
    on_tile: Callable[[int, int], None],
) -> tuple[str, ...]:
    """Decode a picture into a file.

    Args:
        picture: What to decode.
        journal: Keeps finished bands, and says how many there are; None keeps none.
        on_tile: Told after each tile how many pixels are done, and of how many.

    Returns:
        What the reader should know.

    Raises:
        OutputError: It could not be written.
        Interrupted: Ctrl-C; the message says what is left and where.
    """
    try:
        with ExitStack() as closing:
            rows = _Rows(closing, picture, output, journal)
            rows.replay()
            with (
                writing_behind(closing, rows.take, most=1) as writing,
                close(
                    bands_of(
                        picture,
                        rows.next_band,
                        output.transparency,
                        writing.check,
                        on_tile,
                    )
                ) as bands,
            ):
                for band in bands:
                    writing.put(band)
            rows.publish()
    except KeyboardInterrupt as error:
        raise Interrupted(f"interrupted; {_what_is_kept(picture, journal)}") from error
    except OutputError as error:
        needed = sum(needed_bytes_of(output, picture.made))
        error.add_note(
            f"up to {format_bytes(needed)} of the disk are needed in all;"
            f" {_what_is_kept(picture, journal)}"
        )
        raise
    return rows.notes


def _what_is_kept(picture: PictureRun, journal: Journal | None) -> str:
    if journal is None:
        return (
            "nothing is left behind (with --resume, resume=True in Python, finished rows are kept)"
        )
    return (
        f"{rows_done(picture, journal)} of {picture.made.height} rows are kept in {journal.folder};"
        " give the same command once more, with --resume (resume=True in Python), to go on"
    )


class _Rows:
    """Everything that rows go to, from top to bottom."""

    def __init__(
        self,
        closing: ExitStack,
        picture: PictureRun,
        output: Output,
        journal: Journal | None,
    ) -> None:
        self._output, self._journal = output, journal
        self._size = size = picture.made
        self._preview: Preview | None = None
        self._kept: RowFile | None = None
        self._writer: RowWriter | None = None
        self.next_band = 0
        if output.preview is not None:
            self._preview = Preview(
                output.preview, width=size.width, height=size.height, channels=output.channels
            )
        if journal is not None:
            self.next_band = journal.done
            rows = rows_done(picture, journal)
            self._kept = closing.enter_context(_kept_rows(journal, size, rows, output.channels))
        if journal is None or not output.is_raw:
            writer = row_opener(output, size)(
                memory_bytes=picture.waiting.writing_bytes,
                part_folder=None if journal is None else journal.folder,
            )
            self._writer = closing.enter_context(writer)

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks of the writer."""
        return self._writer.notes if self._writer is not None else ()

    def replay(self) -> None:
        """Give what an earlier run has finished to all but the file that it is kept in."""
        if self._kept is None:
            return
        for start, stop in strips(self._kept.rows, self._size.width):
            self._give(self._kept.read(start, stop))

    def take(self, bands: Iterator[Band]) -> None:
        """Write bands as they come; each is noted when it is on the disk."""
        for band in bands:
            for strip in band.strips():
                if self._kept is not None:
                    self._keep(self._kept, strip)
                self._give(strip)
            if self._kept is not None and self._journal is not None:
                self._kept.sync()
                self._journal.note(band.number + 1)
            del band  # else it would be held while the next one is waited for
        if self._preview is not None:
            self._preview.save()

    def publish(self) -> None:
        """Give the rows that were kept the name of the output, if they are the output."""
        if self._kept is None or self._writer is not None:
            return
        self._kept.close()
        publish(self._kept.path, self._output.path, overwrite=self._output.overwrite)

    def _give(self, strip: Rows) -> None:
        if self._writer is not None:
            self._writer.write(strip)
        if self._preview is not None:
            self._preview.write(strip)

    def _keep(self, kept: RowFile, strip: Rows) -> None:
        try:
            kept.write(strip)
        except OSError as error:
            raise OutputError(f"cannot write {kept.path}: {error.strerror}") from error


def _kept_rows(journal: Journal, size: Size, rows: int, channels: int) -> RowFile:
    """The rows that are kept, cut to those that the journal knows of."""
    journal.keep_only(_ROWS)  # not half an output of the run before
    path = journal.folder / _ROWS
    if not journal.done:
        return RowFile.create(path, width=size.width, height=size.height, channels=channels)
    try:
        kept = RowFile(path, width=size.width, height=size.height, channels=channels)
    except OSError as error:
        raise InputError(
            f"resume: expected finished rows in {path}, found none ({error.strerror}); remove"
            f" {journal.folder} to begin anew"
        ) from error
    kept.truncate_to(rows)
    return kept
