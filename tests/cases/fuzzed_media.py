"""The kinds of pictures, videos and sound that are damaged, each with what reads it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms
from safetensors.numpy import save_file

from tests.cases.fuzzing import MOST_LETTERS, Kind, register
from video import VideoOptions, open_reader, open_writer
from video.large.reading import open_regions
from video.opening import open_writer_with
from video.primaries import profile_of_primaries

WIDTH: Final = 62
HEIGHT: Final = 34
"""Pixels of all that is made here; x265 in HEIC writes past its buffers from 36 to 48 pixels."""

_COUNT: Final = 3
_MOST_READ: Final = 64
_MOST_FRAMES: Final = 500

Write = Callable[[Path], Any]


def _pictures() -> NDArray[np.uint8]:
    """(T, H, W, 4): a ramp that moves, under a shape that is transparent."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    ramps = [np.stack([x * 5, y * 7, x + y + 20 * t, 255 - x], axis=2) for t in range(_COUNT)]
    return np.array(ramps).astype(np.uint8)


_RGBA: Final = _pictures()
_RGB: Final = _RGBA[..., :3]
_NOISE: Final = np.random.default_rng(0).integers(0, 256, _RGB.shape, np.uint8)


def watch(path: Path) -> None:
    """Read all frames, as ``encode`` does."""
    with open_reader(path) as reader:
        for index, _ in enumerate(reader):
            assert index < _MOST_FRAMES
        for note in reader.notes:
            assert note.isprintable()
            assert len(note) < MOST_LETTERS


def read_regions(path: Path) -> None:
    """Read the first and the last rows, as ``encode`` reads large pictures."""
    with open_regions(path) as reader:
        columns = slice(0, min(reader.width, 2 * _MOST_READ))
        reader.read(slice(0, min(reader.height, _MOST_READ)), columns)
        reader.read(slice(max(0, reader.height - _MOST_READ), reader.height), columns)


def _listen(suffix: str) -> Callable[[Path], None]:
    """Take the sound of a file along into a video of this suffix."""

    def listen(path: Path) -> None:
        with tempfile.TemporaryDirectory() as folder:
            options = VideoOptions(Fraction(24), audio=path, threads=1)
            with open_writer_with(
                Path(folder) / f"a{suffix}", width=WIDTH, height=HEIGHT, options=options
            ) as writer:
                for frame in _RGB:
                    writer.write(frame)

    return listen


def media(name: str, write: Write, read: Callable[[Path], None] = watch) -> Kind:
    """The kind of one file that is called ``name``."""

    def make(folder: Path) -> Path:
        write(folder / name)
        return folder / name

    return Kind(make, read)


def _by_pillow(pixels: NDArray[np.uint8] = _RGB[0], **options: object) -> Write:
    return lambda path: Image.fromarray(pixels).save(path, **options)


def _of_mode(mode: str, **options: object) -> Write:
    return lambda path: Image.fromarray(_RGBA[0]).convert(mode).save(path, **options)


def _animated(**options: Any) -> Write:
    first, *others = (Image.fromarray(each) for each in _RGBA)
    return lambda path: first.save(path, save_all=True, append_images=others, **options)


def _by_opencv(pixels: NDArray[Any]) -> Write:
    return lambda path: cv2.imwrite(str(path), pixels)


def _turning() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def _with_profile(**options: object) -> Write:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return _by_pillow(icc_profile=profile, **options)


def _animated_with_all(path: Path) -> None:
    """With a profile of wide colours, and with EXIF."""
    _animated(duration=40, icc_profile=profile_of_primaries(12), exif=_turning())(path)


def _words(path: Path) -> None:
    rows = "\n".join(" ".join(map(str, row)) for row in _RGB[0, ..., 0])
    path.write_text(f"P2\n{WIDTH} {HEIGHT}\n255\n{rows}\n")


def _heic(path: Path) -> None:
    import pillow_heif

    pillow_heif.register_heif_opener()
    Image.fromarray(_RGBA[0]).save(path)


def _tiff(**options: object) -> Write:
    def write(path: Path) -> None:
        import tifffile

        tifffile.imwrite(path, _RGB[0], photometric="rgb", **options)

    return write


def _zarr(version: int, damaged: str, **options: Any) -> Kind:
    def make(folder: Path) -> Path:
        import zarr

        zarr.create_array(
            str(folder / "a.zarr"),
            data=_RGB[0],
            chunks=(HEIGHT, WIDTH, 3),
            zarr_format=version,
            **options,
        )
        return folder / "a.zarr" / damaged

    def read(path: Path) -> None:
        root = next(parent for parent in path.parents if parent.name == "a.zarr")
        read_regions(root)

    return Kind(make, read)


def _ours(**options: Any) -> Write:
    """By our own writer."""

    def write(path: Path) -> None:
        with open_writer(
            path, width=WIDTH, height=HEIGHT, threads=1, overwrite=True, **options
        ) as writer:
            for frame in _RGB:
                writer.write(frame)

    return write


def _ours_with_sound(path: Path) -> None:
    _sound("aac")(path.with_suffix(".m4a"))
    _ours(audio=path.with_suffix(".m4a"))(path)
    path.with_suffix(".m4a").unlink()


def _coded(
    codec: str,
    pixel_format: str = "yuv420p",
    form: str | None = None,
    *,
    pictures: NDArray[np.uint8] = _RGB,
) -> Write:
    """By one of FFmpeg's encoders."""

    def write(path: Path) -> None:
        with av.open(str(path), "w", format=form) as container:
            stream = container.add_stream(codec, rate=24)
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pixel_format
            for pixels in pictures:
                order = "rgba" if pixels.shape[2] == 4 else "rgb24"
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), order)
                for packet in stream.encode(frame.reformat(format=pixel_format)):
                    container.mux(packet)
            for packet in stream.encode(None):
                container.mux(packet)

    return write


def coded_grey(codec: str, width: int, height: int, **options: str) -> Write:
    """A frame of grey, by one of FFmpeg's encoders, of a size of its own."""

    def write(path: Path) -> None:
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=24, options=options)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            frame = av.VideoFrame(width, height, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes([128]) * plane.buffer_size)
            for packet in (*stream.encode(frame), *stream.encode(None)):
                container.mux(packet)

    return write


def _sound(codec: str) -> Write:
    """A tone of a tenth of a second."""

    def write(path: Path) -> None:
        tone = np.sin(np.arange(4800) / 20).astype(np.float32) / 2
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=48_000)
            stream.layout = "mono"
            resampler = av.AudioResampler(stream.format, "mono", 48_000, stream.frame_size or None)
            frame = av.AudioFrame.from_ndarray(tone[None], "fltp", "mono")
            frame.sample_rate = 48_000
            for part in (*resampler.resample(frame), *resampler.resample(None), None):
                for packet in stream.encode(part):
                    container.mux(packet)

    return write


def _frames_of_safetensors(path: Path) -> None:
    frames = np.ascontiguousarray(_RGB.transpose(0, 3, 1, 2))
    save_file({"images": frames}, path, {"frames_per_second": "30"})


STILLS: Final[dict[str, tuple[str, Write]]] = {
    "png": (".png", _by_pillow()),
    "png of palette": (".png", _of_mode("P", transparency=3)),
    "png with alpha": (".png", _by_pillow(_RGBA[0])),
    "png of 16 bits": (".png", _by_opencv(_RGB[0].astype(np.uint16) * 257)),
    "apng": (".png", _animated(duration=40)),
    "jpeg": (".jpg", _by_pillow()),
    "jpeg progressive": (".jpg", _by_pillow(progressive=True)),
    "jpeg turned": (".jpg", _by_pillow(exif=_turning())),
    "jpeg cmyk": (".jpg", lambda path: Image.fromarray(_RGB[0]).convert("CMYK").save(path)),
    "webp": (".webp", _by_pillow()),
    "webp with alpha": (".webp", _by_pillow(_RGBA[0])),
    "webp lossless": (".webp", _by_pillow(lossless=True)),
    "webp animated": (".webp", _animated(duration=[40, 80, 40])),
    "gif": (".gif", _by_pillow()),
    "gif animated": (".gif", _animated(duration=40)),
    "bmp": (".bmp", _by_pillow()),
    "bmp of palette": (".bmp", _of_mode("P")),
    "avif": (".avif", _by_pillow(_RGBA[0])),
    "heic": (".heic", _heic),
    "tiff": (".tif", _by_pillow()),
    "tiff deflate": (".tif", _by_pillow(compression="tiff_adobe_deflate")),
    "tiff lzw with alpha": (".tif", _by_pillow(_RGBA[0], compression="tiff_lzw")),
    "tiff group 4": (".tif", _of_mode("1", compression="group4")),
    "tiff cmyk": (".tif", _of_mode("CMYK")),
    "apng with all": (".png", _animated_with_all),
    "webp animated with all": (".webp", _animated_with_all),
    "avif animated with profile": (
        ".avif",
        _animated(duration=40, icc_profile=profile_of_primaries(12)),
    ),
    "avif animated": (".avif", _animated(duration=40)),
    "jpeg with profile": (".jpg", _with_profile()),
    "png with profile": (".png", _with_profile()),
    "jpeg 2000": (".jp2", _by_pillow()),
    "qoi": (".qoi", _by_pillow()),
    "ppm": (".ppm", _by_pillow()),
    "pgm in words": (".pgm", _words),
    "tga": (".tga", _of_mode("P", compression="tga_rle")),
}
"""Stills and animations: their suffix, and what writes one."""

LARGE: Final[dict[str, tuple[str, Write]]] = {
    "large tiff": (".tif", _tiff()),
    "large tiff in tiles": (".tif", _tiff(tile=(16, 32), compression="deflate", predictor=True)),
    "large tiff in strips": (".tif", _tiff(rowsperstrip=8, compression="lzw")),
    "large tiff of jpeg": (".tif", _tiff(tile=(32, 32), compression="jpeg")),
    "large tiff of zstd": (".tif", _tiff(rowsperstrip=8, compression="zstd")),
    "large bigtiff": (".tif", _tiff(bigtiff=True, byteorder=">", compression="packbits")),
    "large tiff turned": (".tif", _tiff(extratags=[(274, 3, 1, 6)])),
    "large npy": (".npy", lambda path: np.save(path, _RGB[0])),
}
"""Pictures of which regions are read."""

VIDEOS: Final[dict[str, tuple[str, Write]]] = {
    "mp4 h264": (".mp4", _ours()),
    "mp4 with sound": (".mp4", _ours_with_sound),
    "mp4 hevc": (".mp4", _ours(codec="h265")),
    "mp4 av1": (".mp4", _ours(codec="av1")),
    "mov prores": (".mov", _ours(codec="prores")),
    "mkv h264": (".mkv", _ours()),
    "mkv ffv1": (".mkv", _ours(codec="ffv1")),
    "webm vp9": (".webm", _ours()),
    "webm vp8": (".webm", _coded("libvpx")),
    "avi mjpeg": (".avi", _coded("mjpeg", "yuvj420p")),
    "avi raw": (".avi", _coded("rawvideo", "rgb24")),
    "mpeg ts": (".ts", _coded("mpeg2video", pictures=_NOISE)),
    "mpeg": (".mpg", _coded("mpeg1video")),
    "mp4 mpeg4": (".mp4", _coded("mpeg4")),
    "h264 bare": (".h264", _coded("libx264", form="h264")),
    "ivf": (".ivf", _coded("libvpx")),
    "mov prores with alpha": (".mov", _coded("prores_ks", "yuva444p10le", pictures=_RGBA)),
    "webm vp9 with alpha": (".webm", _coded("libvpx-vp9", "yuva420p", pictures=_RGBA)),
    "flv": (".flv", _coded("flv", form="flv")),
    "wmv": (".wmv", _coded("wmv2", form="asf")),
    "mxf": (".mxf", _coded("mpeg2video", pictures=_NOISE)),
    "y4m": (".y4m", _coded("wrapped_avframe", "yuv420p", "yuv4mpegpipe")),
    "frames npy": (".npy", lambda path: np.save(path, _RGB)),
    "frames safetensors": (".safetensors", _frames_of_safetensors),
}
"""Videos, and arrays of frames."""

SOUNDS: Final[dict[str, tuple[str, Write, str]]] = {
    "wav": (".wav", _sound("pcm_s16le"), ".mp4"),
    "wav copied": (".wav", _sound("pcm_s16le"), ".mkv"),
    "flac": (".flac", _sound("flac"), ".mp4"),
    "mp3": (".mp3", _sound("libmp3lame"), ".mp4"),
    "m4a": (".m4a", _sound("aac"), ".mov"),
    "aac": (".aac", _sound("aac"), ".mp4"),
    "opus": (".ogg", _sound("libopus"), ".webm"),
}
"""Sound: its suffix, what writes it, and the suffix of the video that it goes into."""

_HUGE: Final[dict[str, tuple[str, Write]]] = {
    "huge h264": (".mp4", coded_grey("libx264", 8192, 8192, preset="ultrafast")),
    "huge vp9": (".webm", coded_grey("libvpx-vp9", 8192, 8192, deadline="realtime")),
    "huge av1": (".mp4", coded_grey("libsvtav1", 8192, 8192, preset="12")),
}
"""Videos whose frames take hundreds of megabytes."""

for _name, (_suffix, _write) in (*STILLS.items(), *VIDEOS.items()):
    register(_name, media(f"a{_suffix}", _write))
for _name, (_suffix, _write) in _HUGE.items():
    register(_name, replace(media(f"a{_suffix}", _write), is_slow=True))
for _name, (_suffix, _write) in LARGE.items():
    register(_name, media(f"a{_suffix}", _write, read_regions))
for _name, (_suffix, _write, _into) in SOUNDS.items():
    register(f"sound {_name}", media(f"a{_suffix}", _write, _listen(_into)))
register("large zarr 2", _zarr(2, ".zarray"))
register("large zarr 3", _zarr(3, "zarr.json"))
register("large zarr 3 chunk", _zarr(3, "c/0/0/0"))
