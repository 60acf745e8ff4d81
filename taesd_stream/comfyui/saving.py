"""Latents straight into ComfyUI's output folder, frame by frame."""

from __future__ import annotations

import logging
import wave
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from torch import Tensor

from taesd_stream.comfyui.host import Place, Progress, make_room, place_for
from taesd_stream.comfyui.tiny_vae import TinyVAE
from taesd_stream.errors import InputError
from taesd_stream.jobs.decoding import render
from tiling import Size
from video.safe_files.part_file import write_faults

__all__ = ["FORMATS", "save_frames", "save_video"]

_log = logging.getLogger("taesd_stream")

FORMATS = ("mp4", "webm", "mkv", "mov")
"""Suffixes of videos, without their dot."""

_NTCHW, _TCHW = "NTCHW", "TCHW"
_FULL_SCALE = 32767  # of 16-bit sound


@dataclass(frozen=True, slots=True)
class VideoFile:
    """A video that is to be written.

    Attributes:
        prefix: Of its name.
        suffix: Its kind, without a dot.
        fps: Frames per second.
        codec: As ``video.choose_codec`` has it; None is the suffix's.
        crf: 0 is best; None is the codec's.
        audio: ComfyUI's AUDIO that goes along, or None.
        metadata: What the file keeps: of ComfyUI, how it was made.
    """

    prefix: str
    suffix: str
    fps: float
    codec: str | None = None
    crf: int | None = None
    audio: Mapping[str, Any] | None = None
    metadata: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Saved:
    """Something in ComfyUI's output folder.

    Attributes:
        place: Where it is.
        path: The file, or the folder of pictures.
    """

    place: Place
    path: Path


def save_video(vae: TinyVAE, samples: Tensor, file: VideoFile, memory: int | str) -> Saved:
    """Decode samples into one video; a batch of clips is one after the other.

    Raises:
        InputError: Axes, channels or an option is wrong; no file is left.
        OutputError: The file could not be written; none is left.
    """
    latents = vae.form.to_engine(samples)
    place = _place(vae, latents, file.prefix)
    path = place.folder / f"{place.name}.{file.suffix}"
    with sound_in_a_file(file.audio) as audio:
        options = {"fps": file.fps, "codec": file.codec, "crf": file.crf, "audio": audio}
        _render(vae, latents, path, memory, metadata=file.metadata, **options)
    return Saved(place, path)


def save_frames(vae: TinyVAE, samples: Tensor, prefix: str, memory: int | str) -> Saved:
    """Decode samples into a new folder of numbered PNGs.

    Raises:
        InputError: Axes or channels are wrong.
        OutputError: A picture could not be written; those that were finished are kept.
    """
    latents = vae.form.to_engine(samples)
    place = _place(vae, latents, prefix)
    path = place.folder / place.name
    with write_faults(path, f"making '{path}'"):
        path.mkdir()
    try:
        _render(vae, latents, path, memory)
    except BaseException:
        with suppress(OSError):
            path.rmdir()  # if it is empty
        raise
    return Saved(place, path)


def _place(vae: TinyVAE, latents: Tensor, prefix: str) -> Place:
    scale = vae.ae.spec.spatial_scale
    return place_for(prefix, Size(latents.shape[-2] * scale, latents.shape[-1] * scale))


def _render(vae: TinyVAE, latents: Tensor, path: Path, memory: int | str, **options: Any) -> None:
    make_room(vae.device, memory)
    rendered = render(
        latents,
        path,
        model=vae.ae,
        layout=_NTCHW if latents.dim() == 5 else _TCHW,
        convention=vae.form.convention,
        memory=memory,
        on_plan=lambda plan: _log.info("%s", plan),
        on_progress=Progress(),
        **options,
    )
    for line in (str(rendered), *rendered.notes):
        _log.info("%s", line)


@contextmanager
def sound_in_a_file(audio: Mapping[str, Any] | None) -> Iterator[Path | None]:
    """ComfyUI's AUDIO, (B, channels, samples) in [-1, 1], as a file for the time of the block.

    Raises:
        InputError: It is no sound, or has more than two channels.
    """
    if audio is None:
        yield None
        return
    waveform = audio.get("waveform")
    if not isinstance(waveform, Tensor) or waveform.dim() != 3 or waveform.shape[1] not in (1, 2):
        found = tuple(waveform.shape) if isinstance(waveform, Tensor) else type(waveform).__name__
        raise InputError(
            f"audio: expected a waveform, (batch, 1 or 2 channels, samples), found {found}"
        )
    first = waveform[0].float().cpu().clamp(-1, 1)
    numbers = (first * _FULL_SCALE).round().short().T.contiguous().numpy()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "sound.wav"
        with wave.open(str(path), "wb") as file:
            file.setnchannels(first.shape[0])
            file.setsampwidth(2)
            file.setframerate(int(audio["sample_rate"]))
            file.writeframes(numbers.tobytes())
        yield path
