"""The pictures that nano learns from: packages of Debian, and what is taken out of them.

Debian's main archive holds free works only; each package names its authors and licences under
usr/share/doc. Pictures are stored as PNG no longer than 1600 pixels a side: originals are larger,
and made small they are sharp and free of noise.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["PACKAGES", "Package", "collect", "download", "is_held_out"]

_LONGEST = 1600
_SHORTEST = 256
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
# Pixels of the same picture for another screen, and thumbnails of it.
_OTHER_SIZE = re.compile(r"[-_]?\d{3,4}x\d{3,4}$")
_THUMBNAIL = "screenshot"
_HELD_OUT_SHARE = 10


@dataclass(frozen=True, slots=True)
class Package:
    """A Debian package with pictures in it.

    Attributes:
        name: Of the package.
        folder: Where in it the pictures are.
        weight: How often one of its pictures is looked at, beside those of others.
    """

    name: str
    folder: str
    weight: float


# Photographs count more than drawn backgrounds, which are smooth for the most part.
PACKAGES = (
    Package("gnome-backgrounds", "usr/share/backgrounds", 1.0),
    Package("plasma-workspace-wallpapers", "usr/share/wallpapers", 1.0),
    Package("mate-backgrounds", "usr/share/backgrounds", 1.0),
    Package("ukui-wallpapers", "usr/share/backgrounds", 1.0),
    Package("lomiri-wallpapers-16.04", "usr/share/backgrounds", 4.0),
    Package("lomiri-wallpapers-20.04", "usr/share/backgrounds", 2.0),
    Package("lxqt-themes", "usr/share/lxqt/wallpapers", 2.0),
    Package("palapeli-data", "usr/share/palapeli/collection", 4.0),
    Package("gcompris-qt-data", "usr/share/gcompris-qt/rcc", 2.0),
)


def download(folder: Path) -> None:
    """Fetch the packages with apt and unpack them, each into a folder of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    for package in PACKAGES:
        target = folder / package.name
        if target.exists():
            continue
        subprocess.run(["apt-get", "download", package.name], cwd=folder, check=True)
        archive = next(folder.glob(f"{package.name}_*.deb"))
        part = folder / f"{package.name}.part"
        shutil.rmtree(part, ignore_errors=True)
        subprocess.run(["dpkg-deb", "-x", archive, part], check=True)
        part.rename(target)


def collect(packages: Path, pictures: Path) -> int:
    """Write every picture that can be learned from as a PNG; how many there are.

    Left out are the smaller ones of several sizes of a picture, what is transparent in places, and
    what is nearly of one colour.
    """
    pictures.mkdir(parents=True, exist_ok=True)
    count = 0
    for package in PACKAGES:
        best: dict[str, NDArray[np.uint8]] = {}
        for name, content in _contents(packages / package.name / package.folder):
            picture = _usable(content)
            if picture is not None and (name not in best or best[name].size < picture.size):
                best[name] = picture
        for name, picture in best.items():
            cv2.imwrite(str(pictures / f"{package.name}__{name}.png"), picture)
        count += len(best)
    return count


def is_held_out(picture: Path) -> bool:
    """Whether a picture is never trained on: one in ten, by a hash of the name.

    Variants of a picture for day and night share the name up to a dot, and so their fate.
    """
    family = picture.name.partition(".")[0]
    return int(hashlib.sha256(family.encode()).hexdigest(), 16) % _HELD_OUT_SHARE == 0


def _contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    """The pictures in a folder, files within Qt's resource files included, under short names."""
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".rcc":
            for offset, content in _webp_within(path.read_bytes()):
                yield f"{path.stem}-{offset}", content
        elif path.suffix.lower() in _SUFFIXES and path.stem != _THUMBNAIL:
            yield _short_name(path.relative_to(folder)), path.read_bytes()


def _short_name(path: Path) -> str:
    """Folders but those that all share, and the name without its size.

    >>> _short_name(Path("Kay/contents/images_dark/5120x2880.png"))
    'Kay.dark'
    >>> _short_name(Path("mate/abstract/Elephants_3840x2160.jpg"))
    'Elephants'
    >>> _short_name(Path("gnome/wood-d.webp"))
    'wood.d'
    """
    name = _OTHER_SIZE.sub("", path.stem)
    if not name:
        _, _, variant = path.parent.name.partition("_")
        name = f"{path.parts[0]}.{variant}" if variant else path.parts[0]
    return re.sub(r"-([dl])$", r".\1", name)


def _webp_within(content: bytes) -> Iterator[tuple[int, bytes]]:
    """WebP files stored one after the other: each says how long it is behind RIFF."""
    start = content.find(b"RIFF")
    while start >= 0:
        (size,) = struct.unpack_from("<I", content, start + 4)
        if content[start + 8 : start + 12] == b"WEBP":
            yield start, content[start : start + 8 + size]
        start = content.find(b"RIFF", start + 4)


def _usable(content: bytes) -> NDArray[np.uint8] | None:
    decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None or decoded.ndim != 3:
        return None
    if decoded.dtype == np.uint16:
        decoded = np.asarray(decoded // 256, np.uint8)
    picture, alpha = decoded[..., :3], decoded[..., 3:]
    if alpha.size and alpha.min() < 255:
        return None
    shrink = _LONGEST / max(picture.shape)
    if shrink < 1:
        height, width = (round(side * shrink) for side in picture.shape[:2])
        picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    if min(picture.shape[:2]) < _SHORTEST or picture.std() < 8:
        return None
    return np.ascontiguousarray(picture, np.uint8)
