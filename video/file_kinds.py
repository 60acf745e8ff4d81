"""Kinds of files that are known by how they begin, whatever their names: the one table of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from video.errors import InputError

__all__ = [
    "ANIMATED_AVIF",
    "HEAD_BYTES",
    "TIFF",
    "Advice",
    "FileKind",
    "kind_of",
    "kind_of_file",
    "refuse_unread",
]

HEAD_BYTES = 512
"""How much of a file tells its kind."""

_TS_PACKET = 188


class Advice:
    """What to do with files that are not read."""

    picture = "save it as .png or .tif"
    drawing = "draw it at the size that you want, as .png"
    document = "save its pages as .png"
    raw = "develop it, as a 16-bit .tif or .png"
    hdr = "map its tones to 8 or 16 bits, as .png or .tif"
    archive = "unpack it, and give the folder of pictures"
    page = "it is what a site sent in place of a file: download it anew"
    text = "give a picture, a video or a folder of pictures"
    playlist = "give the video that it names"
    sound = "give a picture or a video"
    lfs = "run `git lfs pull`"
    latents = "encode takes pictures; `taesd-video info` says what is in it"


@dataclass(frozen=True, slots=True)
class FileKind:
    """What a file is.

    Attributes:
        name: for messages.
        pillow: the name that Pillow has for the format of a picture; None if it is none.
        is_video: whether FFmpeg reads it.
        advice: what to do, where it is not read; None where it is.
    """

    name: str
    pillow: str | None = None
    is_video: bool = False
    advice: str | None = None

    @property
    def is_picture(self) -> bool:
        """Whether it shows something that a folder of pictures could have had in it."""
        return self.pillow is not None or self.advice in _ADVICE_ON_PICTURES or self == _GIF


_ADVICE_ON_PICTURES = (Advice.picture, Advice.drawing, Advice.raw, Advice.hdr)
TIFF = FileKind("a TIFF", "TIFF")
ANIMATED_AVIF = FileKind("an animated AVIF", is_video=True)
_GIF = FileKind("a GIF", is_video=True)
_JPEG_2000 = FileKind("a JPEG 2000 picture", "JPEG2000")
_PNM = FileKind("a PPM or PGM picture", "PPM")
_TGA = FileKind("a TGA picture", "TGA")
_JPEG_XL = FileKind("a JPEG XL picture", advice=Advice.picture)
_RAW = FileKind("a camera's raw picture", advice=Advice.raw)
_HDR = FileKind("a Radiance HDR picture", advice=Advice.hdr)
_SVG = FileKind("an SVG drawing", advice=Advice.drawing)
_HTML = FileKind("a web page (HTML)", advice=Advice.page)
_ZIP = FileKind("a zip archive", advice=Advice.archive)
_LATENTS = FileKind("a file of PyTorch", advice=Advice.latents)
_EMPTY = FileKind("an empty file", advice="copy or save it anew")
_ZEROS = FileKind("nothing but zeros", advice="copy or save it anew")
_TEXT = FileKind("a text", advice=Advice.text)

# Longer beginnings go before shorter ones that they begin with.
_BEGINNINGS: tuple[tuple[int, bytes, FileKind], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", FileKind("a PNG", "PNG")),
    (0, b"\xff\xd8\xff\xf7", FileKind("a JPEG-LS picture", advice=Advice.picture)),
    (0, b"\xff\xd8\xff", FileKind("a JPEG", "JPEG")),
    (8, b"WEBP", FileKind("a WebP", "WEBP")),
    (0, b"qoif", FileKind("a QOI picture", "QOI")),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", _JPEG_2000),
    (0, b"\xff\x4f\xff\x51", _JPEG_2000),
    *((0, b"P%d%c" % (digit, space), _PNM) for digit in range(1, 7) for space in b"\n\r\t #"),
    (0, b"II*\0\x10\0\0\0CR", _RAW),
    (4, b"ftypcrx ", _RAW),
    (0, b"FUJIFILMCCD-RAW", _RAW),
    (0, b"IIU\0", _RAW),
    (0, b"IIRO", _RAW),
    (0, b"IIRS", _RAW),
    (0, b"MMOR", _RAW),
    (0, b"II*\0", TIFF),
    (0, b"MM\0*", TIFF),
    (0, b"II+\0", TIFF),
    (0, b"MM\0+", TIFF),
    (0, b"\xff\x0a", _JPEG_XL),
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", _JPEG_XL),
    (0, b"II\xbc", FileKind("a JPEG XR picture", advice=Advice.picture)),
    (0, b"8BPS", FileKind("a Photoshop file", advice=Advice.picture)),
    (0, b"gimp xcf", FileKind("a GIMP file", advice=Advice.picture)),
    (0, b"v/1\x01", FileKind("an OpenEXR picture", advice=Advice.hdr)),
    (0, b"#?RADIANCE", _HDR),
    (0, b"#?RGBE", _HDR),
    (0, b"%PDF", FileKind("a PDF", advice=Advice.document)),
    (0, b"%!PS", FileKind("a PostScript file", advice=Advice.document)),
    (0, b"PK\3\4", _ZIP),
    (0, b"7z\xbc\xaf\x27\x1c", FileKind("a 7z archive", advice=Advice.archive)),
    (0, b"Rar!\x1a\7", FileKind("a RAR archive", advice=Advice.archive)),
    (0, b"\x1f\x8b", FileKind("a gzip archive", advice=Advice.archive)),
    (257, b"ustar", FileKind("a tar archive", advice=Advice.archive)),
    (0, b"version https://git-lfs", FileKind("a pointer of git-lfs", advice=Advice.lfs)),
    (0, b"#EXTM3U", FileKind("a playlist", advice=Advice.playlist)),
    (0, b"ffconcat version", FileKind("a playlist", advice=Advice.playlist)),
    (0, b"ID3", FileKind("a sound (MP3)", advice=Advice.sound)),
    (0, b"fLaC", FileKind("a sound (FLAC)", advice=Advice.sound)),
    (8, b"WAVE", FileKind("a sound (WAV)", advice=Advice.sound)),
    (8, b"AVI ", FileKind("an AVI", is_video=True)),
    (0, b"GIF8", _GIF),
    (0, b"\x1a\x45\xdf\xa3", FileKind("a Matroska or WebM file", is_video=True)),
    (4, b"ftypavis", ANIMATED_AVIF),
    (4, b"ftyp", FileKind("an MP4 or QuickTime file", is_video=True)),
    (0, b"YUV4MPEG2", FileKind("a y4m file", is_video=True)),
    (0, b"FLV\1", FileKind("an FLV", is_video=True)),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", FileKind("a WMV or ASF file", is_video=True)),
    (0, b"OggS", FileKind("an Ogg file", is_video=True)),
    (0, b"\0\0\1\xba", FileKind("an MPEG program stream", is_video=True)),
    (0, b"\x06\x0e\x2b\x34", FileKind("an MXF file", is_video=True)),
)
# These begin like TIFF, or with nothing that is theirs alone.
_RAW_SUFFIXES = (".dng", ".nef", ".nrw", ".arw", ".sr2", ".cr2", ".pef", ".srw", ".3fr", ".iiq")
_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)
_LATENT_SUFFIXES = (".pt", ".pth", ".ckpt", ".pkl", ".latent")


def kind_of(head: bytes, name: Path) -> FileKind | None:
    """The kind of a file by its first ``HEAD_BYTES``; None where they tell nothing.

    ``name`` counts where several kinds begin alike.

    >>> kind_of(b"P6 2 1 255 ", Path("a.png")).pillow
    'PPM'
    """
    suffix = name.suffix.lower()
    found = next(
        (kind for at, magic, kind in _BEGINNINGS if head.startswith(magic, at)), None
    ) or _less_plain_kind(head, suffix)
    if found is TIFF and suffix in _RAW_SUFFIXES:
        return _RAW
    if found is _ZIP and suffix in _LATENT_SUFFIXES:
        return _LATENTS
    return found


def kind_of_file(path: Path) -> FileKind | None:
    """The kind of a file, as ``kind_of`` tells it.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return kind_of(file.read(HEAD_BYTES), path)
    except OSError as error:
        raise InputError(f"cannot read '{path}': {error.strerror}") from error


def refuse_unread(kind: FileKind | None, path: Path) -> None:
    """Name a kind that is not read, and say what to do.

    Raises:
        InputError: it is one.
    """
    if kind is not None and kind.advice is not None:
        raise InputError(
            f"expected a picture or a video at '{path}'; found {kind.name}, which is not read:"
            f" {kind.advice}"
        )


def _less_plain_kind(head: bytes, suffix: str) -> FileKind | None:
    if not head:
        return _EMPTY
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return FileKind("a BMP", "BMP")
    if head[:1] == b"G" and head[_TS_PACKET : _TS_PACKET + 1] == b"G":
        return FileKind("an MPEG transport stream", is_video=True)
    if suffix == ".tga":
        return _TGA
    if len(head) == HEAD_BYTES and not any(head):
        return _ZEROS
    return _text_kind(head)


def _text_kind(head: bytes) -> FileKind | None:
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return _HTML
    if start.startswith(b"<") and b"<svg" in start:
        return _SVG
    try:
        text = head[:-4].decode() if len(head) == HEAD_BYTES else head.decode()
    except UnicodeDecodeError:
        return None
    is_plain = all(letter.isprintable() or letter in "\t\n\r\f" for letter in text)
    return _TEXT if is_plain else None
