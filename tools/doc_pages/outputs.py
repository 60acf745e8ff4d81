"""The tables of outputs, from the tables of kinds, codecs and formats."""

from __future__ import annotations

from doc_pages.markdown import code_list, table
from taesd_stream.jobs import output_kinds as kinds
from video import CODECS
from video.large.formats import FORMATS

__all__ = ["codecs", "compressions", "options_of_outputs"]

_LARGE_PICTURES = {
    "BigTIFF": "BigTIFF in tiles, with a pyramid in SubIFDs: QuPath, libvips, OpenSlide",
    "OME-Zarr": "OME-Zarr 0.5, multiscale: napari, neuroglancer, vizarr",
    "Deep Zoom": "Deep Zoom, for OpenSeadragon on a web page",
    "PNG": "PNG, row by row where the picture is too large for memory",
    "NumPy": "uint8 (1, H, W, 3)",
}

_WITHOUT_SUFFIX = {
    kinds.STREAM: "`-`",
    kinds.FOLDER: "a folder",
    kinds.WEBP_PICTURES: "numbered `.webp`",
}


def codecs() -> str:
    """The codecs that are computed, where each may go, and what its quality can be."""
    rows = []
    for codec in CODECS.values():
        if codec.software is not None:
            continue
        quality = codec.quality
        rows.append(
            [
                f"`{codec.name}`",
                code_list(codec.suffixes),
                "none" if quality is None else f"0 to {quality.maximum}, {quality.default}",
                "yes" if codec.lossless else "no",
            ]
        )
    return table(["codec", "goes into", "`--crf`, the default last", "`--lossless`"], rows)


def compressions() -> str:
    """The formats for one picture of any size, who reads them, and how each can be compressed."""
    return table(
        ["OUT", "is", "`--compression`, the default first"],
        (
            [code_list(each.suffixes), _LARGE_PICTURES[each.name], ", ".join(each.compressions)]
            for each in FORMATS
        ),
    )


def options_of_outputs() -> str:
    """Which options each kind of output takes."""
    return table(
        ["OUT", "is", "takes"],
        (
            [
                _WITHOUT_SUFFIX.get(kind) or code_list(kind.suffixes),
                kind.what,
                code_list(
                    f"--{option}" for option in kind.takes if option not in kinds.ONLY_IN_PYTHON
                ),
            ]
            for kind in (*kinds.KINDS, *_WITHOUT_SUFFIX)
        ),
    )
