"""The axes of latents: the layouts they are stored in, and the one order they are read in.

A layout names the stored axes in order, the last one running fastest, by five letters with spaces
between, as einops writes them; users may leave the spaces out and write small letters.

    letter  axis
    N       clip: one of several videos of equal length
    T       latent in time
    C       channel
    H       row of a latent
    W       column of a latent

    layout     stored by                                            example of a shape
    C H W      a single latent                                      (4, 60, 104)
    T C H W    a video, or a batch of pictures                      (81, 4, 60, 104)
    C T H W    a video whose channels come first                    (16, 21, 60, 104)
    N C T H W  diffusers and AnimateLCM                             (1, 4, 81, 60, 104)
    N T C H W  TAEHV                                                (1, 21, 16, 60, 104)
    N C H W    pictures, each of which is a clip of its own         (81, 4, 60, 104)
    N T H W C  Kandinsky 5 (and T H W C, H W C)                     (1, 31, 64, 96, 16)
    packed     diffusers' FLUX.1, FLUX.2, Qwen-Image, LTX and kin   (1, 4096, 64)

N C H W and H W C are taken only where they are asked for: models that make pictures take T C H W
for the former, and three axes may be packed. Of four and five, channels are taken to be the last
where no other axis can be, or where the numbers say so, and where they, rows and columns are more
than the four of a picture.
What is packed is unpacked as N C T H W: see ``packing``. However they are stored, a source hands
out latents one by one in the order of time, each (C, h, w), or several as (T, C, h, w). Shapes are
written with commas; small ``h`` and ``w`` count latents, where ``H`` and ``W`` of a picture's shape
count pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from taesd_stream.errors import LatentsError, LayoutError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

__all__ = [
    "KNOWN_CHANNELS",
    "PICTURES",
    "channels_last",
    "infer_layout",
    "parse_layout",
    "possible_layouts",
]

KNOWN_CHANNELS: Final = frozenset({4, 12, 16, 24, 32, 48, 64, 128})
"""The latent channel counts of the models there are."""

_SELDOM: Final = frozenset({64})
"""Channel counts that frames, rows and columns often have: meant only where nothing else fits."""

_INFERRED: Final = {
    3: ("C H W",),
    4: ("T C H W", "C T H W"),
    5: ("N C T H W", "N T C H W"),
}
_RGBA: Final = 4
PICTURES: Final = "N C H W"
"""The layout of pictures that are no video, to models that make one."""

_CHANNELS_LAST: Final = {4: "T H W C", 5: "N T H W C"}
_ON_REQUEST: Final = {3: ("H W C",), 4: (PICTURES, "T H W C"), 5: ("N T H W C",)}


def possible_layouts(shape: Sequence[int], channels: Collection[int]) -> tuple[str, ...]:
    """Every layout that ``shape`` can have when ``C`` is one of ``channels``; likeliest first.

    >>> possible_layouts((1, 4, 16, 60, 64), {4, 16})
    ('N C T H W', 'N T C H W')
    >>> possible_layouts((1, 4, 16, 60, 64), {4})
    ('N C T H W',)
    >>> possible_layouts((1, 31, 64, 96, 16), {16})
    ('N T H W C',)
    >>> possible_layouts((4, 64, 60, 104), {4, 64})
    ('C T H W',)
    """
    usual = frozenset(channels) - _SELDOM
    return _layouts_of(shape, usual) or _layouts_of(shape, channels)


def _layouts_of(shape: Sequence[int], channels: Collection[int]) -> tuple[str, ...]:
    found = tuple(
        layout
        for layout in _INFERRED.get(len(shape), ())
        if shape[layout.split().index("C")] in channels
    )
    last = channels_last(shape, channels)
    return found or (() if last is None else (last,))


def channels_last(shape: Sequence[int], channels: Collection[int]) -> str | None:
    """The layout of ``shape`` whose last axis is one of ``channels``, whatever else fits, or None.

    >>> channels_last((1, 16, 64, 96, 16), {16})
    'N T H W C'
    """
    # Pictures, (N, 3, H, W), may be as wide as latents have channels, but latents are not so low.
    fits = len(shape) in _CHANNELS_LAST and shape[-1] in channels and min(shape[-3:]) > _RGBA
    return _CHANNELS_LAST[len(shape)] if fits else None


def infer_layout(shape: Sequence[int], channels: Collection[int]) -> str:
    """The layout of ``shape``, told by the axis whose size is one of ``channels``.

    Four axes mean ``T C H W`` wherever that fits: a batch of latents is stored so by everybody,
    and four latents of four channels are no riddle. ``C T H W`` is taken where only it fits. Five
    axes are in use both ways, so they must be told apart by the channel count, or else by their
    numbers or by the user.

    Raises:
        LatentsError: no axis has a size in ``channels``.
        LayoutError: two readings are equally likely; the message lists them.

    >>> infer_layout((81, 4, 60, 104), {4, 16})
    'T C H W'
    >>> infer_layout((16, 5, 60, 104), {16})
    'C T H W'
    """
    readings = possible_layouts(shape, channels)
    if not readings:
        raise LatentsError(_no_reading(shape, channels))
    if len(readings) > 1 and len(shape) == 5:
        either = " or ".join(f"{layout} ({_in_words(shape, layout)})" for layout in readings)
        names = " or ".join(layout.replace(" ", "") for layout in readings)
        raise LayoutError(
            f"latents of shape {tuple(shape)} can be read as {either}: "
            f"say which with --layout (layout= in Python) {names}{_by_channels(shape, readings)}",
            readings=readings,
        )
    return readings[0]


def parse_layout(text: str, shape: Sequence[int]) -> str:
    """The canonical spelling of a layout given by a user, which must fit the axes of ``shape``.

    Raises:
        LatentsError: no such layout, or one with another number of axes.

    >>> parse_layout("ncthw", (1, 16, 16, 40, 64))
    'N C T H W'
    """
    known = [*_INFERRED.get(len(shape), ()), *_ON_REQUEST.get(len(shape), ())]
    wanted = " ".join("".join(text.split()).upper())
    if wanted not in known:
        choice = ", ".join([*(layout.replace(" ", "") for layout in known), "packed"])
        raise LatentsError(
            f"layout {text!r} does not fit latents of shape {tuple(shape)}: use one of {choice}"
        )
    return wanted


def _no_reading(shape: Sequence[int], channels: Collection[int]) -> str:
    counts = ", ".join(str(count) for count in sorted(channels))
    layouts = _INFERRED.get(len(shape))
    if layouts is None:
        return (
            f"expected latents of 3 to 5 axes, such as T C H W, found shape {tuple(shape)}: "
            "reshape them"
        )
    return (
        f"expected latents stored {' or '.join(layouts)} with {counts} channels, "
        f"found shape {tuple(shape)}: use a model of that many channels, "
        "or say what the axes are with --layout (layout= in Python)"
    )


def _by_channels(shape: Sequence[int], readings: Sequence[str]) -> str:
    counts = sorted({shape[layout.split().index("C")] for layout in readings})
    return f", or name a model of {' or '.join(map(str, counts))} channels" * (len(counts) > 1)


def _in_words(shape: Sequence[int], layout: str) -> str:
    size = dict(zip(layout.split(), shape, strict=True))
    return f"{size['N']} x {size['T']} latents of {size['C']} channels"
