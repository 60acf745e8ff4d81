"""Options for what costs less than all of it."""

from __future__ import annotations

import argparse

__all__ = ["add_reduced", "add_shortcuts"]


def add_reduced(parser: argparse.ArgumentParser) -> None:
    """Add the options for cheaper frames, as previews take them."""
    parser.add_argument(
        "--no-time-upscale",
        dest="time_upscale",
        action="store_false",
        help="a cheap preview: one frame per latent (TAEHV and its kin)",
    )
    parser.add_argument(
        "--no-space-upscale",
        dest="space_upscale",
        action="store_false",
        help="a cheaper one: small frames, a pixel or a few per latent (TAEHV and its kin)",
    )


def add_shortcuts(parser: argparse.ArgumentParser) -> None:
    """Add the options for full VAEs that are not computed exactly."""
    parser.add_argument(
        "--fast-norms",
        action="store_true",
        help="full VAEs: estimate what norms go by from the picture at reduced size; not exact",
    )
    parser.add_argument(
        "--fast-attention",
        metavar="N",
        type=int,
        help="full VAEs: attention within windows of N latents a side; not exact",
    )
