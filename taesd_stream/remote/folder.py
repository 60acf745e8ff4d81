"""A folder at an address that may hold a Zarr array or group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module

from taesd_stream.errors import InputError, MissingExtraError
from taesd_stream.remote.place import Place, explained
from video.large.zarr_folders import VERSIONS, Watch

__all__ = ["RemoteZarrFolder", "is_zarr_at"]


def is_zarr_at(place: Place) -> bool:
    """Tell whether a folder holds the metadata of a Zarr array or group.

    Raises:
        InputError: The store does not tell.
    """
    folder = RemoteZarrFolder(place)
    return any(folder.holds(file) for file in VERSIONS)


@dataclass(frozen=True)
class RemoteZarrFolder:
    """A folder of a store; as ``video.large.zarr_folders.ZarrFolder``."""

    place: Place

    @property
    def name(self) -> str:
        return self.place.address

    def store(self) -> object:
        try:
            storage = import_module("zarr.storage")
        except ImportError as error:
            raise MissingExtraError(
                f"{self.name}: .zarr needs zarr: pip install 'taesd-stream[gigapixel]'"
            ) from error
        with explained(self.name):
            return storage.FsspecStore.from_url(self.place.address, read_only=True)

    def holds(self, file: str) -> bool:
        return self.place.below(file).kind() == "file"

    def read(self, file: str, most_bytes: int) -> bytes:
        at = self.place.below(file)
        with explained(at.address):
            size = at.files.info(at.path)["size"]
            if size is None or size > most_bytes:
                raise InputError(
                    f"{at.address}: expected metadata of up to {most_bytes >> 20} MiB, found"
                    f" {size} bytes: check the address"
                )
            return bytes(at.files.cat_file(at.path))

    def members(self) -> list[str]:
        folders = (name for name, kind in self.place.entries().items() if kind == "directory")
        return sorted(name for name in folders if is_zarr_at(self.place.below(name)))

    def below(self, path: str) -> RemoteZarrFolder | None:
        parts = path.split("/")
        leads_out = any(part in {"", ".", ".."} or set(part) & set("\\?#%:") for part in parts)
        return None if leads_out else RemoteZarrFolder(self.place.below(path))

    def watch(self, name: str, files: Sequence[str]) -> Watch:
        return _WatchedPlaces.of(name, [self.place.below(file) for file in files])


@dataclass(frozen=True)
class _WatchedPlaces:
    """Files of a store as they were when they were opened."""

    name: str
    places: Sequence[Place]
    stamps: Sequence[tuple[object, ...]]

    @classmethod
    def of(cls, name: str, places: Sequence[Place]) -> _WatchedPlaces:
        return cls(name, places, _stamps(name, places))

    def check(self) -> None:
        if _stamps(self.name, self.places) != self.stamps:
            raise InputError(
                f"{self.name}: the file changed while it was being read: open it again"
            )


def _stamps(name: str, places: Sequence[Place]) -> list[tuple[object, ...]]:
    with explained(name):
        return [place.stamp() for place in places]
