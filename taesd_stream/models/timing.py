"""How latents and frames count along time: what each model makes, drops and pads.

A decoder makes ``growth`` raw frames of every latent, of which the first few may not be meant for
the video: the full VAEs it stands in for make their first frame of one latent alone.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DecodeTiming", "EncodeTiming"]


@dataclass(frozen=True, slots=True)
class DecodeTiming:
    """Which frames a decoder's latents become.

    Attributes:
        growth: Raw frames per latent.
        lead: Raw frames dropped at the beginning, or at the beginning of every chunk.
        only_if_odd: Whether they are dropped for an odd number of latents alone (taecvx).
        chunk: Latents per chunk; None if the whole video is one.
        rest: With chunks, as many latents make frames as are a multiple of ``chunk``, and ``rest``.

    >>> DecodeTiming(growth=4, lead=3).frames(16)
    61
    """

    growth: int = 1
    lead: int = 0
    only_if_odd: bool = False
    chunk: int | None = None
    rest: int = 0

    @property
    def least(self) -> int:
        """The fewest latents that make a frame."""
        return 1 if self.chunk is None else self.rest

    @property
    def needs_total(self) -> bool:
        """Whether no frame can be told from the next before it is known how many latents come."""
        return self.only_if_odd

    def usable(self, total: int) -> int:
        """How many of ``total`` latents make frames; the others, at the end, make none."""
        if self.chunk is None:
            return total
        return max(0, (total - self.rest) // self.chunk * self.chunk + self.rest)

    def ready(self, arrived: int, total: int | None) -> int:
        """How many of the first ``arrived`` latents are known to make frames, and which.

        Args:
            total: How many will have come in the end; None if nobody knows.

        >>> DecodeTiming(growth=4, lead=3, chunk=5, rest=2).ready(6, None)
        2
        """
        if total is not None:
            return min(arrived, self.usable(total))
        return 0 if self.needs_total else max(0, self.usable(arrived))

    def frames(self, total: int) -> int:
        """Frames of a video of ``total`` latents."""
        usable = self.usable(total)
        chunks = min(1, usable) if self.chunk is None else -(-usable // self.chunk)
        return usable * self.growth - chunks * self._lead(total)

    def raw(self, frame: int, total: int | None) -> int:
        """Which raw frame a frame of the video is.

        >>> DecodeTiming(growth=4, lead=3, chunk=5, rest=2).raw(17, None)
        23
        """
        lead = self._lead(total)
        if self.chunk is None:
            return frame + lead
        chunk, within = divmod(frame, self.chunk * self.growth - lead)
        return chunk * self.chunk * self.growth + lead + within

    def frame(self, raw: int, total: int | None) -> int | None:
        """Which frame of the video a raw frame is; None if it is dropped."""
        lead = self._lead(total)
        if self.chunk is None:
            return raw - lead if raw >= lead else None
        chunk, within = divmod(raw, self.chunk * self.growth)
        return chunk * (self.chunk * self.growth - lead) + within - lead if within >= lead else None

    def _lead(self, total: int | None) -> int:
        if self.only_if_odd and (total is None or total % 2 == 0):
            return 0
        return self.lead


@dataclass(frozen=True, slots=True)
class EncodeTiming:
    """Which latents an encoder's frames become.

    Where frames are too few to fill the last latent (or group), the last one is repeated.

    Attributes:
        shrink: Frames per latent.
        group: Frames per group, each encoded for itself; None if the whole video is one.
        zeros: Black frames put before every group.
        tail: Latents dropped at the end of the video.

    >>> EncodeTiming(shrink=4).latents(9)
    3
    >>> EncodeTiming(shrink=4, group=17, zeros=3, tail=3).latents(34)
    7
    """

    shrink: int = 1
    group: int | None = None
    zeros: int = 0
    tail: int = 0

    def latents(self, frames: int) -> int:
        """Latents of a video of ``frames`` frames."""
        if frames == 0:
            return 0
        if self.group is None:
            return -(-frames // self.shrink)
        per_group = (self.group + self.zeros) // self.shrink
        return -(-frames // self.group) * per_group - self.tail

    def missing(self, frames: int) -> int:
        """How often the last frame is repeated after ``frames`` frames."""
        return -frames % (self.shrink if self.group is None else self.group)

    def begins_group(self, frame: int) -> bool:
        """Whether nothing before frame number ``frame`` is remembered from there on."""
        return self.group is not None and frame % self.group == 0
