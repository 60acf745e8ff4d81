"""The one of several named arrays that holds the latents."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from taesd_stream.errors import LatentsError
from taesd_stream.latents.layouts import possible_layouts
from taesd_stream.latents.packing import packings_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from taesd_stream.latents.read_options import ReadOptions

__all__ = ["ArrayInfo", "choose_key", "has_usual_key", "listing", "only_fitting", "short"]

_log = logging.getLogger("taesd_stream")

_FIRST_KEYS: Final = ("input_latents", "latents", "samples", "latent_tensor")
"""Keys that are taken before all others; the first is DiffSynth's, beside noise called latents."""

# Trainers' caches: latents_64x96 (kohya), latents_1x64x96_bf16 (musubi), and not latents_flipped_..
_SIZED_KEY: Final = re.compile(r"latents?(_\d+(x\d+){1,2})?(_[a-z]+\d+\w*)?")

_MORE_KEYS: Final = (
    *("latent", "latent_image", "video_latents", "image_latents", "latent_dist", "mean"),
    *("sample", "frames", "images", "videos", "video", "image", "x0"),
)
"""Further keys, the surer ones first: of trainers, of pipelines' outputs, and of VAEs' ones."""

# Weights of layers, which never are latents, whatever their shape.
_LAYER_KEY: Final = re.compile(r".*\.(weight|bias)")
_VIDEO_AXES: Final = 5
_PACKED_AXES: Final = 3
_MOST_LISTED_LETTERS: Final = 130
_MOST_KEY_LETTERS: Final = 40
_MOST_INFO_LETTERS: Final = 60


@dataclass(frozen=True)
class ArrayInfo:
    """A named array before it is read: the name of its dtype, and its shape.

    Where there is something else under the name, ``kind`` says what, and ``shape`` is None; whether
    that may hold latents somewhere is ``holds_latents``.
    """

    kind: str
    shape: tuple[int, ...] | None = None
    is_floating: bool = False
    holds_latents: bool = False

    def __str__(self) -> str:
        return self.kind if self.shape is None else f"{self.kind} {self.shape}"

    @property
    def may_be_latents(self) -> bool:
        if self.shape is None:
            return self.holds_latents
        return self.is_floating and 3 <= len(self.shape) <= 5

    @property
    def may_be_tokens(self) -> bool:
        """Whether it may be one picture that is packed, (tokens, features)."""
        return self.is_floating and self.shape is not None and len(self.shape) == 2


def choose_key(entries: Mapping[str, ArrayInfo], options: ReadOptions, name: str) -> str:
    """Find the one of several named arrays that holds the latents.

    That is the options' key where it is given; else one with a name that pipelines and trainers
    use, such as ``latents``; else the only floating-point array of 3 to 5 axes, or the only such
    that has as many channels as asked for; or, where there is none, the only one of 2 axes. What is
    taken among several is logged.

    >>> from taesd_stream.latents.read_options import ReadOptions
    >>> choose_key({"z": ArrayInfo("float32", (1, 4, 8, 8), True)}, ReadOptions(), "a.npz")
    'z'
    """
    key = options.key
    if key is not None:
        if key in entries:
            return key
        raise LatentsError(f"{name}: expected the key {short(key)}, found {listing(entries)}")
    fitting = {
        key: info
        for key, info in entries.items()
        if info.may_be_latents and not _LAYER_KEY.fullmatch(key)
    }
    likely = {key: info for key, info in fitting.items() if _is_likely(info, options)}
    ways = (_by_name(likely), only_fitting(likely, options), _by_name(fitting))
    chosen = None if _are_sizes_of_one(likely) else next(filter(None, ways), None)
    if chosen is not None:
        _say_what_is_left(chosen, fitting, name)
        return chosen
    # A thing of that name that cannot be latents: what opens it says why.
    chosen = next((usual for usual in _FIRST_KEYS if usual in entries and not fitting), None)
    if chosen is not None:
        return chosen
    tokens = [key for key, info in entries.items() if info.may_be_tokens]
    if not fitting and len(tokens) == 1 and not _LAYER_KEY.fullmatch(tokens[0]):
        return tokens[0]
    raise LatentsError(
        f"{name}: expected the key latents or a single floating-point array of 3 to 5 axes, found "
        f"{listing({**fitting, **entries})}: say which with --key (key= in Python)"
    )


def has_usual_key(keys: Iterable[str]) -> bool:
    """Tell whether one of several names is one that latents have."""
    return any(key in _FIRST_KEYS or _SIZED_KEY.fullmatch(key) for key in keys)


def only_fitting(entries: Mapping[str, ArrayInfo], options: ReadOptions) -> str | None:
    """The only one of what may be latents: by its channels, or a video's beside its sound's."""
    if len(entries) <= 1:
        return next(iter(entries), None)
    by_channels = [key for key, info in entries.items() if _has_channels(info, options)]
    packed = [key for key, info in entries.items() if _is_packed(info, options)]
    videos = [key for key, info in entries.items() if _is_video(info)]
    return next((keys[0] for keys in (by_channels, packed, videos) if len(keys) == 1), None)


def listing(entries: Mapping[str, object]) -> str:
    """What is there, by name, for errors: a few of it in full.

    >>> listing({"z": "float32 (4, 8)", "step": "int64 ()"})
    "'z': float32 (4, 8), 'step': int64 ()"
    """
    shown: list[str] = []
    for key, info in entries.items():
        if len(", ".join(shown)) > _MOST_LISTED_LETTERS:
            break
        shown.append(f"{short(key)}: {info!s:.{_MOST_INFO_LETTERS}}")
    more = f" and {len(entries) - len(shown)} more" if len(entries) > len(shown) else ""
    return ", ".join(shown) + more if shown else "no arrays"


def _by_name(fitting: Mapping[str, ArrayInfo]) -> str | None:
    first = next((usual for usual in _FIRST_KEYS if usual in fitting), None)
    if first is not None:
        return first
    sized = [key for key in fitting if _SIZED_KEY.fullmatch(key)]
    return next((usual for usual in (*sized, *_MORE_KEYS) if usual in fitting), None)


def _are_sizes_of_one(fitting: Mapping[str, ArrayInfo]) -> bool:
    """Whether a cache has several latents, of which none is meant more than another."""
    sized = [key for key in fitting if _SIZED_KEY.fullmatch(key)]
    return len(sized) > 1 and not any(key in fitting for key in _FIRST_KEYS)


def _has_channels(info: ArrayInfo, options: ReadOptions) -> bool:
    return bool(info.shape and possible_layouts(info.shape, options.possible_channels))


def _is_packed(info: ArrayInfo, options: ReadOptions) -> bool:
    if info.shape is None or len(info.shape) != _PACKED_AXES:
        return False
    return bool(packings_of(info.shape[-1], options.possible_channels - {4}))


def _is_likely(info: ArrayInfo, options: ReadOptions) -> bool:
    return info.shape is None or _has_channels(info, options) or _is_packed(info, options)


def _is_video(info: ArrayInfo) -> bool:
    return info.shape is not None and len(info.shape) == _VIDEO_AXES


def _say_what_is_left(chosen: str, fitting: Mapping[str, ArrayInfo], name: str) -> None:
    left = {key: info for key, info in fitting.items() if key != chosen}
    if left:
        _log.info(
            "%s: %r is read, and not %s; see --key (key= in Python)", name, chosen, listing(left)
        )


def short(key: str) -> str:
    """A key of a file as errors show it."""
    shown = repr(key)
    return shown if len(shown) <= _MOST_KEY_LETTERS else f"{shown[:_MOST_KEY_LETTERS]}...'"
