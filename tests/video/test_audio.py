from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from video import InputError, VideoReader, VideoWriter

RATE = 48_000


def make_sound(
    path: Path, codec: str, seconds: float, *, rate: int = RATE, layout: str = "stereo"
) -> Path:
    """A 440 Hz tone."""
    time = np.arange(int(seconds * rate)) / rate
    tone = (np.sin(2 * np.pi * 440 * time) * 12_000).astype(np.int16)
    samples = np.repeat(tone[None, :, None], 1 if layout == "mono" else 2, axis=2).reshape(1, -1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.codec_context.layout = layout
        frame = av.AudioFrame.from_ndarray(samples, "s16", layout)
        frame.sample_rate = rate
        frame.pts = 0
        frame.time_base = Fraction(1, rate)
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    return path


def write_video(path: Path, audio: Path, *, frames: int = 24, codec: str | None = None) -> None:
    with VideoWriter(path, width=32, height=32, rate=24, audio=audio, codec=codec) as writer:
        for level in range(frames):
            writer.write(np.full((32, 32, 3), 5 * level % 256, np.uint8))


def heard(path: Path) -> tuple[str, np.ndarray, Fraction]:
    """Codec, samples of the first channel in [-1, 1], and when the first is heard."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        frames = list(container.decode(stream))
        resampler = av.AudioResampler("fltp", stream.codec_context.layout, RATE)
        parts = [part for frame in (*frames, None) for part in resampler.resample(frame) if part]
        samples = np.concatenate([part.to_ndarray()[0] for part in parts])
        return stream.codec_context.name, samples, frames[0].pts * frames[0].time_base


CODECS = {"s.wav": "pcm_s16le", "s.m4a": "aac", "s.ogg": "libopus", "s.flac": "flac"}


@pytest.mark.parametrize(
    ("source", "target", "expected", "seconds"),
    [
        ("s.wav", "v.mp4", "aac", 0.4),
        ("s.wav", "v.mp4", "aac", 1.0),
        ("s.wav", "v.mp4", "aac", 3.0),
        ("s.wav", "v.mov", "pcm_s16le", 3.0),
        ("s.wav", "v.mkv", "pcm_s16le", 0.4),
        ("s.wav", "v.mkv", "pcm_s16le", 1.0),
        ("s.wav", "v.mkv", "pcm_s16le", 3.0),
        ("s.wav", "v.webm", "opus", 3.0),
        ("s.m4a", "v.mp4", "aac", 0.4),
        ("s.m4a", "v.mp4", "aac", 1.0),
        ("s.m4a", "v.mp4", "aac", 3.0),
        ("s.m4a", "v.mkv", "aac", 3.0),
        ("s.m4a", "v.webm", "opus", 0.4),
        ("s.ogg", "v.webm", "opus", 3.0),
        ("s.ogg", "v.mkv", "opus", 0.4),
        ("s.ogg", "v.mkv", "opus", 3.0),
        ("s.flac", "v.mkv", "flac", 0.4),
        ("s.flac", "v.mkv", "flac", 3.0),
        ("s.flac", "v.mp4", "aac", 3.0),
    ],
)
def test_sound_goes_along_and_ends_with_the_pictures(
    tmp_path: Path, source: str, target: str, expected: str, seconds: float
) -> None:
    sound = make_sound(tmp_path / source, CODECS[source], seconds)
    write_video(tmp_path / target, sound)
    found, samples, start = heard(tmp_path / target)
    assert found == expected
    length = start + Fraction(len(samples), RATE)
    assert abs(length - min(Fraction(seconds), 1)) < Fraction(1, 10)
    assert abs(start) < Fraction(1, 20)
    middle = samples[4800:9600]
    spectrum = np.abs(np.fft.rfft(middle))
    assert spectrum.argmax() == 44, "the tone is 440 Hz"
    assert 0.3 < np.abs(middle).max() < 0.45
    with VideoReader(tmp_path / target) as reader:
        times = [frame.pts_seconds for frame in reader]
    assert len(times) == 24
    assert all(abs(time - Fraction(i, 24)) <= Fraction(1, 2000) for i, time in enumerate(times))


def test_reencoded_sound_ends_within_a_millisecond(tmp_path: Path) -> None:
    sound = make_sound(tmp_path / "s.wav", "pcm_s16le", 2.0, rate=44_100, layout="mono")
    write_video(tmp_path / "v.mp4", sound, frames=7)
    with av.open(str(tmp_path / "v.mp4")) as container:
        stream = container.streams.audio[0]
        assert stream.codec_context.layout.nb_channels == 1
        end = (stream.start_time + stream.duration) * stream.time_base
        assert abs(end - Fraction(7, 24)) <= Fraction(1, 1000)


def test_sound_and_pictures_are_interleaved(tmp_path: Path) -> None:
    sound = make_sound(tmp_path / "s.m4a", "aac", 8.0)
    write_video(tmp_path / "v.mkv", sound, frames=192, codec="ffv1")
    with av.open(str(tmp_path / "v.mkv")) as container:
        heads: dict[str, Fraction] = {"video": Fraction(0), "audio": Fraction(0)}
        for packet in container.demux():
            if packet.pts is None:
                continue
            heads[packet.stream.type] = packet.pts * packet.time_base
            assert abs(heads["video"] - heads["audio"]) < Fraction(1, 5)


def test_sound_of_a_video_stays_in_step(tmp_path: Path) -> None:
    sound = make_sound(tmp_path / "s.m4a", "aac", 1.0)
    write_video(tmp_path / "first.mp4", sound)
    write_video(tmp_path / "second.mp4", tmp_path / "first.mp4")
    _, first, first_start = heard(tmp_path / "first.mp4")
    _, second, second_start = heard(tmp_path / "second.mp4")
    assert first_start == second_start
    assert abs(len(first) - len(second)) <= 2048


@pytest.mark.parametrize("name", ["v.gif", "v.webp"])
def test_what_holds_no_sound_refuses_it(tmp_path: Path, name: str) -> None:
    sound = make_sound(tmp_path / "s.wav", "pcm_s16le", 0.1)
    with pytest.raises(InputError, match=r"holds no sound.*write \.mp4"):
        VideoWriter(tmp_path / name, width=32, height=32, rate=24, audio=sound)
    assert [entry.name for entry in tmp_path.iterdir()] == ["s.wav"]


def test_a_file_without_sound_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    silent = tmp_path / "silent.mp4"
    with VideoWriter(silent, width=32, height=32, rate=24) as writer:
        writer.write(np.zeros((32, 32, 3), np.uint8))
    with pytest.raises(InputError, match="expected a file with sound; found none in"):
        VideoWriter(tmp_path / "v.mp4", width=32, height=32, rate=24, audio=silent)
    with pytest.raises(InputError, match="no such file"):
        VideoWriter(tmp_path / "v.mp4", width=32, height=32, rate=24, audio=tmp_path / "no.wav")
    assert [entry.name for entry in tmp_path.iterdir()] == ["silent.mp4"]
