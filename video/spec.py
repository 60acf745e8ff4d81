"""Specs of videos to be: size, rate, codec, quality and colour tags, checked before work starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from video.codecs import CODECS, Codec, Encoder
from video.errors import InputError
from video.x264 import x264_options

if TYPE_CHECKING:
    from fractions import Fraction

__all__ = ["BT709", "RGB", "ColorTags", "VideoSpec"]

# x265's code for AVX2 writes past its buffers where a picture is 36 to 48 pixels wide.
_SAFE_X265_WIDTH = 64

MAX_SIDE = 16384
"""Pixels; the longest side that the codecs here have profiles for."""


@dataclass(frozen=True, slots=True)
class ColorTags:
    """Tags by which a file tells its colours, in the code points of ITU-T H.273.

    ``full_range`` false means limited range: 16 to 235 for luma, 16 to 240 for chroma, of 255.
    """

    matrix: int = 1
    primaries: int = 1
    transfer: int = 1
    full_range: bool = False

    @property
    def range_code(self) -> int:
        """FFmpeg's number for the range: 1 limited, 2 full."""
        return 2 if self.full_range else 1


BT709 = ColorTags()
"""The colours of high-definition video, which players assume."""

RGB = ColorTags(matrix=0, full_range=True)
"""No matrix at all: the samples are the R, G and B of BT.709 primaries."""


@dataclass(frozen=True, slots=True)
class VideoSpec:
    """A video's size (pixels), rate (frames per second), codec and quality.

    ``crf``: 0 is best; how far it goes, and the default, is the codec's.
    ``lossless``: every RGB byte comes back as it went in.
    ``alpha``: frames are RGBA, and stay so.
    ``low_delay``: every frame leaves the encoder before the next one comes, for a larger file.
    ``ticks_per_second``: of the clock of frames that have times of their own; None where each comes
    at its turn, and the rate tells when.
    ``is_baseline``: of H.264, the profile that all receivers of WebRTC take.

    Raises:
        InputError: where the values make no sense, or not together.

    Example:
        >>> from fractions import Fraction
        >>> spec = VideoSpec(33, 17, Fraction(24), CODECS["h264"], crf=20)
        >>> spec.coded_size(spec.encoders[0])
        (34, 18)
    """

    width: int
    height: int
    rate: Fraction
    codec: Codec
    crf: int | None = None
    lossless: bool = False
    alpha: bool = False
    low_delay: bool = False
    ticks_per_second: int | None = None
    is_baseline: bool = False

    def __post_init__(self) -> None:
        for name, side in (("width", self.width), ("height", self.height)):
            if isinstance(side, bool) or not isinstance(side, int) or not 1 <= side <= MAX_SIDE:
                raise InputError(
                    f"expected a {name} from 1 to {MAX_SIDE} pixels for video; found {side!r}"
                )
        if self.codec.name == "gif" and self.rate > 100:
            raise InputError(
                f"a GIF holds at most 100 frames per second; found {self.rate}: lower the rate"
            )
        if self.lossless and self.codec.lossless is None:
            able = ", ".join(row.name for row in CODECS.values() if row.lossless is not None)
            raise InputError(
                f"codec {self.codec.name!r} cannot be lossless in RGB; those that can: {able}"
            )
        if (
            self.alpha
            and (self.codec.lossless_alpha if self.lossless else self.codec.alpha) is None
        ):
            able = ", ".join(row.name for row in CODECS.values() if row.alpha is not None)
            raise InputError(
                f"codec {self.codec.name!r} cannot keep transparency; those that can: {able}"
            )
        self._check_crf()

    def _check_crf(self) -> None:
        if self.crf is None:
            return
        quality = self.codec.quality
        if self.lossless or quality is None:
            what = "a lossless video" if self.lossless else f"codec {self.codec.name!r}"
            raise InputError(f"{what} has no quality to set; found crf {self.crf!r}: leave it")
        is_number = isinstance(self.crf, int) and not isinstance(self.crf, bool)
        if not is_number or not 0 <= self.crf <= quality.maximum:
            raise InputError(
                f"expected a crf from 0 (best) to {quality.maximum} for {self.codec.name};"
                f" found {self.crf!r}"
            )

    @property
    def _alpha_encoder(self) -> Encoder | None:
        return self.codec.lossless_alpha if self.lossless else self.codec.alpha

    @property
    def encoders(self) -> tuple[Encoder, ...]:
        """The encoders to try, in order."""
        with_alpha = self._alpha_encoder
        if self.alpha and with_alpha is not None:
            return (with_alpha,)
        if self.lossless and self.codec.lossless is not None:
            return (self.codec.lossless,)
        return self.codec.encoders

    def coded_size(self, encoder: Encoder) -> tuple[int, int]:
        """Width and height in pixels as ``encoder`` takes them: padded to even where it must be."""
        if not encoder.even_size:
            return self.width, self.height
        return self.width + self.width % 2, self.height + self.height % 2

    def encoder_options(self, encoder: Encoder) -> dict[str, str]:
        """The options ``encoder`` is opened with."""
        options = dict(encoder.options)
        if self.codec.quality is not None and not self.lossless:
            options |= self.codec.quality.encoder_options(self.crf)
        if encoder.name.startswith("libx264"):
            options |= x264_options()
        if encoder.name == "libx265" and self.width < _SAFE_X265_WIDTH:
            options["x265-params"] += ":asm=0"
        if self.low_delay:
            options |= {"bf": "0", **dict(encoder.low_delay)}
        if self.is_baseline:
            options["profile"] = encoder.baseline
        if not encoder.is_rgb:
            options["chroma_sample_location"] = "left"
        return options

    def color_tags(self, encoder: Encoder) -> ColorTags:
        """The tags the stream carries, which are also what pixels are converted with."""
        return RGB if encoder.is_rgb else BT709
