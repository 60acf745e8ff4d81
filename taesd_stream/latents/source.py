"""The interface of every source of latents, and the source that lies somewhere in full."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, overload

import torch
from einops import rearrange

from taesd_stream.errors import LatentsError
from taesd_stream.latents.checks import as_latents_errors, dtype_name, require_memory
from taesd_stream.latents.metadata import LatentMetadata
from video.closing import Closing
from video.regions import checked_region

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

    from taesd_stream.models.latent_spaces import Convention

    Slices: TypeAlias = tuple[slice, slice]

__all__ = ["LatentSource", "Store", "StoredSource"]


class Store(ABC):
    """An array that lies in a file or in memory and can be read in part.

    Attributes:
        shape: one size per axis.
        dtype: of the stored numbers.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype

    @abstractmethod
    def copy_to(self, out: torch.Tensor, index: tuple[slice, ...]) -> None:
        """Copy the block ``index`` (per axis: start and stop within the shape, step 1) to ``out``.

        ``out`` has the block's shape and the store's dtype, lies on the CPU, and may be strided.
        """

    def block(self, index: tuple[slice, ...]) -> torch.Tensor:
        """The block ``index``, as of ``copy_to``, in a tensor of its own."""
        shape = [part.stop - part.start for part in index]
        block = torch.empty(shape, dtype=self.dtype, device="cpu")
        self.copy_to(block, index)
        return block

    def close(self) -> None:  # noqa: B027 (most have nothing to do)
        """Let go of what stays open between two reads, if anything does."""


class LatentSource(Closing):
    """Latents in order of time, each a (C, h, w) tensor on the CPU in the dtype they are stored in.

    ``len(source)`` is the number of latents; several clips count one after the other.
    ``source[i]`` is latent i, (C, h, w), and ``source[a:b]`` a (T, C, h, w) tensor; both are fresh
    copies, both read only what they return. Iterating yields one latent after the other and holds
    one. A source is for one thread at a time. It is a context manager that closes itself.

    Attributes:
        name: of the source, in errors.
        shape: the sizes of the stored axes, as stored.
        layout: the names of the stored axes, such as ``"T C H W"``: see ``layouts``.
        dtype: the stored floating dtype.
        frames: the number of latents along time, or None while an iterator has not told.
        clips: the number of videos, one after the other, each of as many latents.
        nbytes: the size of all latents in the stored dtype, or None if their number is unknown.
        metadata: what the source says of them beside their numbers, such as their convention.
    """

    name: str
    layout: str
    frames: int | None
    clips: int = 1
    nbytes: int | None
    metadata: LatentMetadata = LatentMetadata()

    @property
    def convention(self) -> Convention | None:
        """The scale of the numbers, if the source says: see ``models.latent_spaces``."""
        return self.metadata.convention

    @property
    def shape(self) -> tuple[int, ...]:
        return self._stored()[0]

    @property
    def dtype(self) -> torch.dtype:
        return self._stored()[1]

    @property
    def channels(self) -> int:
        return self._size("C")

    @property
    def height(self) -> int:
        """Rows of a latent, in latents."""
        return self._size("H")

    @property
    def width(self) -> int:
        """Columns of a latent, in latents."""
        return self._size("W")

    def __len__(self) -> int:
        return len(self._numbers())

    @overload
    def __getitem__(self, key: int) -> torch.Tensor: ...
    @overload
    def __getitem__(self, key: slice) -> torch.Tensor: ...
    def __getitem__(self, key: int | slice) -> torch.Tensor:
        if isinstance(key, slice):
            wanted = self._numbers()[key]
            out = self._empty(len(wanted))
            if wanted.step == 1:
                self.copy_latents(out, wanted.start)
            else:
                for row, frame in enumerate(wanted):
                    self.copy_latents(out[row : row + 1], frame)
            return out
        number = self._number_of(key)
        return self.region(number, slice(0, self.height), slice(0, self.width))

    def region(self, index: int, rows: slice, columns: slice) -> torch.Tensor:
        """A region of latent ``index``: ``source[index][:, rows, columns]``, a fresh copy.

        It is all that is read, but where numbers are packed: what they are packed with is unpacked.

        Args:
            index: Which latent; from the end where negative.
            rows: Which rows, by start and stop within the latent, at least one.
            columns: Which columns, in the same way.

        Raises:
            LatentsError: There is no such region.
        """
        number = self._number_of(index)
        with as_latents_errors():
            rows, columns = checked_region(rows, columns, (self.height, self.width), self.name)
        out = self._empty(1, (rows.stop - rows.start, columns.stop - columns.start))
        self.copy_latents(out, number, (rows, columns))
        return out[0]

    def __iter__(self) -> Iterator[torch.Tensor]:
        return (self[number] for number in self._numbers())

    @abstractmethod
    def describe(self) -> str:
        """One line for people: where the latents are, how many, how large, and how stored."""

    @abstractmethod
    def close(self) -> None:
        """Let go of files and memory; reading afterwards raises LatentsError."""

    @abstractmethod
    def _stored(self) -> tuple[tuple[int, ...], torch.dtype]:
        """Shape and dtype of the numbers, as they are stored."""

    def _numbers(self) -> range:
        """The numbers of all latents; raises LatentsError where they cannot be indexed."""
        if self.frames is None:
            raise LatentsError(
                f"{self.name}: expected latents that can be indexed, found an iterator: "
                "iterate over it, or save it to a file and open that"
            )
        return range(self.frames)

    @abstractmethod
    def copy_latents(self, out: torch.Tensor, first: int, region: Slices | None = None) -> None:
        """Read latents ``first``, ``first + 1``, ... into ``out`` (T, C, h, w).

        Args:
            region: Rows and columns to read of each; None is all.
        """

    def _number_of(self, frame: int) -> int:
        try:
            return self._numbers()[frame]
        except IndexError:
            raise IndexError(
                f"{self.name} holds {len(self)} latents: there is no latent {frame}"
            ) from None

    def _empty(self, frames: int, size: tuple[int, int] | None = None) -> torch.Tensor:
        shape = (frames, self.channels, *(size or (self.height, self.width)))
        require_memory(math.prod(shape) * self.dtype.itemsize, f"{frames} latents of {self.name}")
        return torch.empty(shape, dtype=self.dtype, device="cpu")

    def _size(self, axis: str) -> int:
        return self.shape[self.layout.split().index(axis)]


class StoredSource(LatentSource):
    """Latents that a :class:`Store` holds under a known layout.

    ``name`` is what errors call the source, ``kind`` is what it is, in words, ``remark`` what its
    description should add, and ``part_layout`` the layout of the arrays that it is joined from, if
    it is joined. ``metadata`` is what its file says of the numbers.
    """

    def __init__(
        self,
        store: Store,
        layout: str,
        *,
        name: str,
        kind: str,
        remark: str = "",
        part_layout: str | None = None,
        metadata: LatentMetadata | None = None,
    ) -> None:
        axes = layout.split()
        sizes = dict(zip(axes, store.shape, strict=True))
        self._store: Store | None = store
        self._kind = kind
        self._time_axis = "T" if "T" in axes else "N"
        self._clip_frames = sizes.get(self._time_axis, 1)
        self._clip_axes = {"N": 1} if "N" in axes and "T" in axes else {}
        time = " ".join(axis for axis in axes if axis in "NT")
        self._frames_to_stored = f"({time}) C H W -> {layout}"
        self.name = name
        self.layout = layout
        self._shape, self._dtype = store.shape, store.dtype
        self.clips = sizes.get("N", 1)
        self.frames: int = self._clip_frames * (self.clips if self._clip_axes else 1)
        self.nbytes: int = math.prod(self.shape) * self.dtype.itemsize
        self.remark = remark
        self.part_layout = part_layout or layout
        self.metadata = metadata or LatentMetadata()

    def _stored(self) -> tuple[tuple[int, ...], torch.dtype]:
        return self._shape, self._dtype

    def describe(self) -> str:
        plural = "latent" if self.frames == 1 else "latents"
        return (
            f"{self.name}: {self.frames} {plural} of {self.channels} channels, "
            f"{self.width}x{self.height}, {dtype_name(self.dtype)}, "
            f"stored {self.layout} {self.shape} in {self._kind}, {self.nbytes / 2**20:.1f} MiB"
            + (f", in the scale of the {self.convention}" if self.convention else "")
            + (f" ({self.remark})" if self.remark else "")
        )

    def close(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None

    def copy_latents(self, out: torch.Tensor, first: int, region: Slices | None = None) -> None:
        if self._store is None:
            raise LatentsError(f"{self.name} is closed: open it again to read from it")
        done = 0
        while done < len(out):
            clip, start = divmod(first + done, self._clip_frames)
            count = min(len(out) - done, self._clip_frames - start)
            block = rearrange(out[done : done + count], self._frames_to_stored, **self._clip_axes)
            self._store.copy_to(block, self._index(clip, start, start + count, region))
            done += count

    def _index(self, clip: int, start: int, stop: int, region: Slices | None) -> tuple[slice, ...]:
        wanted = {"N": slice(clip, clip + 1), self._time_axis: slice(start, stop)}
        if region is not None:
            wanted |= dict(zip("HW", region, strict=True))
        sizes = zip(self.layout.split(), self.shape, strict=True)
        return tuple(wanted.get(axis, slice(0, size)) for axis, size in sizes)
