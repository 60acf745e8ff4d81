"""Options of where a page is served, and to whom."""

from __future__ import annotations

import argparse

__all__ = ["add_place"]


def add_place(parser: argparse.ArgumentParser) -> None:
    """Add the address of a page, who may open it, and where its frames go beside it."""
    group = parser.add_argument_group("the page")
    group.add_argument(
        "--host",
        metavar="H",
        default="127.0.0.1",
        help="the address to listen on; 0.0.0.0 lets other machines in, which must show the token"
        " that is printed; default: %(default)s",
    )
    group.add_argument(
        "--port",
        metavar="P",
        type=int,
        default=8765,
        help="0 is any that is free; default: %(default)s",
    )
    group.add_argument(
        "--token",
        metavar="T",
        default="auto",
        help="what viewers and pushers have to show; default: a new one with --host, else none",
    )
    group.add_argument(
        "--certificate",
        metavar="PEM",
        help="a certificate, for https; with its key, or with --private-key",
    )
    group.add_argument("--private-key", metavar="PEM", help="that of --certificate")
    group.add_argument("--title", metavar="WORDS", help="on the page; default: IN")
    group.add_argument(
        "--recordings",
        metavar="FOLDER",
        default=".",
        help="where videos go that are recorded on the page; default: the current folder",
    )
    group.add_argument(
        "--publish",
        metavar="TARGET",
        action="append",
        default=[],
        help="every frame goes there, too: rtmp:// rtsp:// srt:// udp:// whip+https://, .m3u8,"
        " a video, a folder for pictures, camera, ndi; may be given several times",
    )
    group.add_argument(
        "--overwrite", "-y", action="store_true", help="replace files that --publish names"
    )
