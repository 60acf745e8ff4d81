"""The sound of the frames that are asked for: it begins with the first of them, exactly."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

import taesd_stream as ts
from taesd_stream.cli.main import main

SOUND_RATE = 48_000
CODECS = {"s.wav": "pcm_s16le", "s.m4a": "aac", "s.ogg": "libopus", "s.mp3": "libmp3lame"}
CLICKS = (Fraction(1, 2), Fraction(9, 10))
"""Seconds at which the sound is loud for five milliseconds; it hums softly all along."""


def make_sound(path: Path) -> Path:
    time = np.arange(2 * SOUND_RATE) / SOUND_RATE
    wave = 0.05 * np.sin(2 * np.pi * 200 * time)
    for click in CLICKS:
        heard = (time >= float(click)) & (time < float(click) + 0.005)
        wave[heard] = 0.8 * np.sin(2 * np.pi * 1000 * time[heard])
    samples = np.repeat((wave * 32767).astype(np.int16)[None, :, None], 2, 2).reshape(1, -1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(CODECS[path.name], rate=SOUND_RATE)
        stream.codec_context.layout = "stereo"
        frame = av.AudioFrame.from_ndarray(samples, "s16", "stereo")
        frame.sample_rate, frame.pts, frame.time_base = SOUND_RATE, 0, Fraction(1, SOUND_RATE)
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    return path


def heard(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Times in seconds, and the samples that are heard then, of the first channel."""
    times, samples = [], []
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            array = frame.to_ndarray().astype(float)
            channels = frame.layout.nb_channels
            array = array[0] if frame.format.is_planar else array.reshape(-1, channels)[:, 0]
            assert frame.pts is not None
            assert frame.time_base is not None
            times.append(float(frame.pts * frame.time_base) + np.arange(len(array)) / SOUND_RATE)
            samples.append(array / np.abs(np.iinfo(np.int16).min) if array.max() > 2 else array)
    return np.concatenate(times), np.concatenate(samples)


def click_times(path: Path) -> list[float]:
    """When each click begins."""
    times, samples = heard(path)
    loud = times[np.abs(samples) > 0.3]
    begins = np.flatnonzero(np.diff(loud, prepend=-1) > 0.05)
    return [float(loud[each]) for each in begins]


def latents_of(frames: int, path: Path) -> Path:
    torch.save(torch.zeros(frames, 4, 4, 4), path)
    return path


@pytest.mark.parametrize(
    ("source", "target", "resume"),
    [
        ("s.wav", "v.mp4", False),
        ("s.wav", "v.mp4", True),
        ("s.wav", "v.mov", False),
        ("s.wav", "v.mkv", False),
        ("s.wav", "v.webm", False),
        ("s.m4a", "v.mp4", False),
        ("s.m4a", "v.mov", True),
        ("s.m4a", "v.mkv", False),
        ("s.m4a", "v.mkv", True),
        ("s.mp3", "v.mp4", False),
        ("s.ogg", "v.webm", False),
        ("s.ogg", "v.webm", True),
        ("s.ogg", "v.mp4", False),
    ],
)
def test_sound_begins_with_the_first_frame(
    tmp_path: Path, source: str, target: str, resume: bool
) -> None:
    sound = make_sound(tmp_path / source)
    latents = latents_of(24, tmp_path / "z.pt")
    out = tmp_path / target
    options = ["--model", "nano", "--backend", "torch", "--audio", str(sound), "--fps", "24"]
    options += ["--frames", "7:23"] + ["--resume"] * resume
    assert main(["decode", str(latents), str(out), *options]) == 0
    begin = 7 / 24
    expected = [float(click) - begin for click in CLICKS]
    assert click_times(out) == pytest.approx(expected, abs=0.002)
    times, _ = heard(out)
    # Copied packets of AAC are 21 ms, those of Opus 20 ms; MP4 hides a part of one.
    is_cut = target.endswith(("mp4", "mov")) or source == "s.wav"
    assert times[0] == pytest.approx(0, abs=0.001 if is_cut else 0.025)
    is_plain = source == "s.wav" and target in ("v.mov", "v.mkv")
    assert times[-1] == pytest.approx(16 / 24, abs=0.001 if is_plain else 0.025)


def test_every_other_frame_of_a_video_is_as_long(tmp_path: Path) -> None:
    sound = make_sound(tmp_path / "s.wav")
    latents = {"latents": torch.zeros(24, 4, 4, 4), "frames_per_second": "24"}
    frames = slice(6, None, 2)
    ts.render(latents, tmp_path / "v.mkv", model="nano", audio=sound, frames=frames)
    expected = [float(click) - 6 / 24 for click in CLICKS]
    assert click_times(tmp_path / "v.mkv") == pytest.approx(expected, abs=0.002)
