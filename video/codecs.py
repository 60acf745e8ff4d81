"""The table of codecs: which encoders, containers, pixel formats and qualities each one means.

Everything a writer does differently for one codec is a row here; there is no other place to look.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from video.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "CODECS",
    "CONTAINERS",
    "GENERIC_HARDWARE",
    "Codec",
    "Encoder",
    "Quality",
    "choose_codec",
]


@dataclass(frozen=True, slots=True)
class Quality:
    """A scale of quality: ``crf`` (0 best, ``maximum`` worst) as an encoder's own options."""

    options: tuple[str, ...]
    default: int
    maximum: int
    base: int = 0
    scale: int = 1

    def encoder_options(self, crf: int | None) -> dict[str, str]:
        """The options for ``crf``, or for the default.

        Example:
            >>> webp = Quality(("quality",), default=10, maximum=100, base=100, scale=-1)
            >>> webp.encoder_options(5)
            {'quality': '95'}
        """
        value = self.base + self.scale * (self.default if crf is None else crf)
        return {option: str(value) for option in self.options}


@dataclass(frozen=True, slots=True)
class Encoder:
    """One encoder of FFmpeg and how we run it.

    ``even_size``: the pixels of the picture must come in whole 2x2 blocks.
    ``device``: the kind of hardware device that frames are uploaded to, where the encoder does not
    do that by itself.
    ``low_delay``: the options by which it hands every frame out before the next one comes in.
    ``baseline``: of H.264, what it calls the profile that all receivers of WebRTC take.
    """

    name: str
    pixel_format: str
    options: tuple[tuple[str, str], ...] = ()
    even_size: bool = False
    device: str | None = None
    ticks_per_second: int | None = None
    low_delay: tuple[tuple[str, str], ...] = ()
    baseline: str = "baseline"

    @property
    def is_rgb(self) -> bool:
        """Whether pixels stay RGB, so that nothing is lost to a conversion."""
        return not self.pixel_format.startswith(("yuv", "nv"))


@dataclass(frozen=True, slots=True)
class Codec:
    """A codec by name: the first of ``encoders`` that opens on this machine is used."""

    name: str
    suffixes: tuple[str, ...]
    encoders: tuple[Encoder, ...]
    quality: Quality | None = None
    lossless: Encoder | None = None
    alpha: Encoder | None = None
    """For frames that are transparent, where there is such a thing."""
    lossless_alpha: Encoder | None = None
    alpha_suffixes: tuple[str, ...] = ()
    """Of ``suffixes``, those that keep transparency."""
    software: str | None = None
    """For hardware: the codec to name when none of the encoders opens."""
    tag: str | None = None
    """The four characters that mark the stream in .mp4 and .mov, where the default is not best."""

    def holds_alpha(self, suffix: str, *, lossless: bool) -> bool:
        """Whether transparency is kept in a file with ``suffix``.

        Example:
            >>> CODECS["vp9"].holds_alpha(".webm", lossless=False)
            True
        """
        encoder = self.lossless_alpha if lossless else self.alpha
        return encoder is not None and suffix in self.alpha_suffixes


CONTAINERS: Mapping[str, str] = MappingProxyType(
    {
        ".mp4": "mp4",
        ".mov": "mov",
        ".mkv": "matroska",
        ".webm": "webm",
        ".gif": "gif",
        ".webp": "webp",
    }
)
"""File suffix -> the muxer's name in FFmpeg."""

_MOVIES = (".mp4", ".mov", ".mkv")
_DEFAULTS = {".webm": "vp9", ".gif": "gif", ".webp": "webp"}
_LOSSLESS_DEFAULTS = {".mkv": "ffv1", ".webm": "vp9", ".gif": "gif", ".webp": "webp"}
_ALIASES = {"hevc": "h265", "avc": "h264", "hevc_hw": "h265_hw"}

_TUNED = (("tune", "zerolatency"),)
_MEDIUM = ("preset", "medium")
_H264 = Encoder("libx264", "yuv420p", (_MEDIUM,), even_size=True, low_delay=_TUNED)
_H264_RGB = Encoder("libx264rgb", "rgb24", (_MEDIUM, ("qp", "0")), low_delay=_TUNED)
_X265 = (("x265-params", "log-level=error"),)
_X265_LOSSLESS = (("x265-params", "log-level=error:lossless=1"),)
_H265 = Encoder("libx265", "yuv420p", _X265, even_size=True, low_delay=_TUNED)
_H265_RGB = Encoder("libx265", "gbrp", _X265_LOSSLESS, low_delay=_TUNED)
_VP9_OPTIONS = (("row-mt", "1"), ("deadline", "good"), ("cpu-used", "4"))
_VP9_LOW_DELAY = (("lag-in-frames", "0"),)
_VP9 = Encoder("libvpx-vp9", "yuv420p", _VP9_OPTIONS, low_delay=_VP9_LOW_DELAY)
_VP9_ALPHA = Encoder("libvpx-vp9", "yuva420p", _VP9_OPTIONS)
_VP9_LOSSLESS = (*_VP9_OPTIONS, ("lossless", "1"))
_VP9_RGB = Encoder("libvpx-vp9", "gbrp", _VP9_LOSSLESS, low_delay=_VP9_LOW_DELAY)
_AV1_LOW_DELAY = (("svtav1-params", "pred-struct=1:lookahead=0"),)
_AV1 = Encoder("libsvtav1", "yuv420p", (("preset", "8"),), low_delay=_AV1_LOW_DELAY)
# Even, since pictures of an odd width come back from it with their last columns garbled.
_PRORES_OPTIONS = (("profile", "hq"), ("vendor", "apl0"))
_PRORES = Encoder("prores_ks", "yuv422p10le", _PRORES_OPTIONS, even_size=True)
_PRORES_4444_OPTIONS = (("profile", "4444"), ("vendor", "apl0"))
_PRORES_4444 = Encoder("prores_ks", "yuv444p10le", _PRORES_4444_OPTIONS, even_size=True)
_PRORES_4444_ALPHA = Encoder(
    "prores_ks", "yuva444p10le", (*_PRORES_4444_OPTIONS, ("alpha_bits", "16")), even_size=True
)
_FFV1_OPTIONS = (("level", "3"), ("g", "1"), ("slicecrc", "1"))
_FFV1 = Encoder("ffv1", "bgr0", _FFV1_OPTIONS)
_FFV1_ALPHA = Encoder("ffv1", "bgra", _FFV1_OPTIONS)
_WEBP_OPTIONS = (("compression_level", "4"),)
_WEBP = Encoder("libwebp_anim", "bgra", _WEBP_OPTIONS, ticks_per_second=1000)
_WEBP_LOSSLESS = Encoder(
    "libwebp_anim", "bgra", (*_WEBP_OPTIONS, ("lossless", "1")), ticks_per_second=1000
)

_SOFTWARE = (
    Codec("h264", _MOVIES, (_H264,), Quality(("crf",), 18, 51), lossless=_H264_RGB),
    Codec("h265", _MOVIES, (_H265,), Quality(("crf",), 20, 51), lossless=_H265_RGB, tag="hvc1"),
    Codec(
        "vp9",
        (".webm", ".mkv", ".mp4"),
        (_VP9,),
        Quality(("crf",), 24, 63),
        lossless=_VP9_RGB,
        alpha=_VP9_ALPHA,
        alpha_suffixes=(".webm", ".mkv"),
    ),
    Codec("av1", (".mp4", ".mkv", ".webm"), (_AV1,), Quality(("crf",), 26, 63)),
    Codec("prores", (".mov", ".mkv"), (_PRORES,)),
    Codec(
        "prores4444",
        (".mov", ".mkv"),
        (_PRORES_4444,),
        alpha=_PRORES_4444_ALPHA,
        alpha_suffixes=(".mov", ".mkv"),
    ),
    Codec(
        "ffv1",
        (".mkv",),
        (_FFV1,),
        lossless=_FFV1,
        alpha=_FFV1_ALPHA,
        lossless_alpha=_FFV1_ALPHA,
        alpha_suffixes=(".mkv",),
    ),
    Codec("gif", (".gif",), (Encoder("gif", "pal8"),)),
    Codec(
        "webp",
        (".webp",),
        (_WEBP,),
        Quality(("quality",), default=10, maximum=100, base=100, scale=-1),
        lossless=_WEBP_LOSSLESS,
        alpha=_WEBP,
        lossless_alpha=_WEBP_LOSSLESS,
        alpha_suffixes=(".webp",),
    ),
)

_QP_TO_LAMBDA = 118
"""FFmpeg's unit of ``global_quality`` for encoders that take a scale from 1 to 100."""

_VIDEOTOOLBOX = Quality(("global_quality",), 35, 99, base=100 * _QP_TO_LAMBDA, scale=-_QP_TO_LAMBDA)

_FORCED_IDR = {"nvenc": "forced-idr", "qsv": "forced_idr", "amf": "forced_idr"}
"""What lets viewers begin at a key frame that was asked for; others need no option."""

_SOFTWARE_OF = {"h264": "h264", "hevc": "h265", "av1": "av1"}


def _hardware(family: str, kind: str) -> Codec:
    """The codec of one hardware encoder, named as FFmpeg names it: ``h264_nvenc`` and the like."""
    software = _SOFTWARE_OF[family]
    suffixes = (*_MOVIES, ".webm") if family == "av1" else _MOVIES
    pixel_format, options, quality, device = {
        "nvenc": ("yuv420p", (("rc", "vbr"),), Quality(("cq",), 20, 51), None),
        "qsv": ("nv12", (), Quality(("global_quality",), 20, 51), None),
        "amf": ("nv12", (("rc", "cqp"),), Quality(("qp_i", "qp_p"), 20, 51), None),
        "vaapi": ("nv12", (), Quality(("qp",), 20, 51), "vaapi"),
        "videotoolbox": ("nv12", (("flags", "+qscale"),), _VIDEOTOOLBOX, None),
    }[kind]
    low_delay = {
        "nvenc": (("zerolatency", "1"), ("delay", "0")),
        "qsv": (("async_depth", "1"),),
        "vaapi": (("async_depth", "1"),),
    }.get(kind, ())
    if family == "h264" and kind in _FORCED_IDR:
        low_delay += ((_FORCED_IDR[kind], "1"),)
    baseline = "constrained_baseline" if kind in ("amf", "vaapi") else "baseline"
    name = f"{family}_{kind}"
    encoder = Encoder(name, pixel_format, options, True, device, None, low_delay, baseline)
    tag = "hvc1" if family == "hevc" else None
    return Codec(encoder.name, suffixes, (encoder,), quality, software=software, tag=tag)


_KINDS = {
    "h264": ("videotoolbox", "nvenc", "qsv", "amf", "vaapi"),
    "hevc": ("videotoolbox", "nvenc", "qsv", "amf", "vaapi"),
    "av1": ("nvenc", "qsv", "amf", "vaapi"),
}
_BY_ENCODER = tuple(_hardware(family, kind) for family, kinds in _KINDS.items() for kind in kinds)
_PRORES_VIDEOTOOLBOX = Codec(
    "prores_videotoolbox",
    (".mov",),
    (Encoder("prores_videotoolbox", "yuv422p10le", (("profile", "hq"),), even_size=True),),
    software="prores",
)

_ROWS = (*_SOFTWARE, *_BY_ENCODER, _PRORES_VIDEOTOOLBOX)

CODECS: Mapping[str, Codec] = MappingProxyType({row.name: row for row in _ROWS})
"""Codec name -> codec."""

GENERIC_HARDWARE: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        f"{_SOFTWARE_OF[family]}_hw": tuple(f"{family}_{kind}" for kind in kinds)
        for family, kinds in _KINDS.items()
    }
)
"""A generic name -> the hardware codecs it tries, in order."""


def choose_codec(
    suffix: str, codec: str | None = None, *, lossless: bool = False
) -> tuple[Codec, ...]:
    """The codecs to try, in order, for a file with ``suffix`` (``".mp4"``); one unless generic.

    Raises:
        InputError: for an unknown suffix or codec, or one the other cannot hold.

    Example:
        >>> [row.name for row in choose_codec(".mp4")]
        ['h264']
        >>> [row.name for row in choose_codec(".mkv", lossless=True)]
        ['ffv1']
    """
    suffix = suffix.lower()
    if suffix not in CONTAINERS:
        raise InputError(
            f"expected an output whose name ends in {', '.join(CONTAINERS)}; found {suffix!r}"
        )
    if codec is None:
        codec = (_LOSSLESS_DEFAULTS if lossless else _DEFAULTS).get(suffix, "h264")
    name = _ALIASES.get(codec.lower(), codec.lower())
    names = GENERIC_HARDWARE.get(name, (name,))
    if names[0] not in CODECS:
        own = [each for each in CODECS if "_" in each]
        known = ", ".join((*(each for each in CODECS if each not in own), *GENERIC_HARDWARE))
        raise InputError(
            f"expected a codec out of {known}, or an encoder such as {', '.join(own[:3])}; found"
            f" {codec!r:.60}"
        )
    chosen = tuple(CODECS[row] for row in names)
    suffixes = chosen[0].suffixes
    if suffix not in suffixes:
        raise InputError(
            f"codec {codec!r} goes into {', '.join(suffixes)}; found {suffix!r}: rename the output"
            " or choose another codec"
        )
    return chosen
