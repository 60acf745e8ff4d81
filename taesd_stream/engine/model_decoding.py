"""The methods of a loaded model that make pictures of latents."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from torch import Tensor

from taesd_stream.engine.device_copies import asked_whether_finite
from taesd_stream.engine.latent_axes import as_batch, in_time
from taesd_stream.engine.loaded_model import LoadedModel, coder_of
from taesd_stream.engine.options import Crop, Overlap, Tile, TileOptions, Wrap
from taesd_stream.engine.pixels import to_array
from taesd_stream.engine.plain_module import PlainModule
from taesd_stream.engine.run import OnTile
from taesd_stream.engine.running.planes import LatentPlane
from taesd_stream.engine.shapes import as_pictures, checked_length
from taesd_stream.engine.streams.decode_stream import DecodeStream, Frame
from taesd_stream.engine.streams.frame_windows import Window
from taesd_stream.engine.streams.picture_run import PictureRun
from taesd_stream.engine.streams.video_run import VideoRun
from taesd_stream.engine.tensors import TensorRun
from taesd_stream.latents import LatentSource, check_finite
from taesd_stream.models.latent_spaces import Convention
from taesd_stream.models.stream_state import StreamState
from tiling import Size, TilePlan

__all__ = ["DecodingModel"]


class DecodingModel(LoadedModel):
    """The decoding half of ``AutoEncoder``, which explains the keywords of tiles."""

    def decode(
        self,
        z: Tensor,
        *,
        tile: Tile = "auto",
        overlap: Overlap = "exact",
        memory: int | str = "auto",
        crop: Crop = None,
        wrap: Wrap = None,
        threads: int | None = None,
        chunk: int | None = None,
        seed: int | None = None,
        convention: Convention | None = None,
        size: tuple[int, int] | None = None,
        on_tile: OnTile | None = None,
    ) -> Tensor:
        """Pictures from latents.

        Args:
            z: (N, C, h, w), or (N, T, C, h, w) for video; any float dtype, on any device. One video
                as (C, T, h, w) is known by its numbers where T is C, and decoded as (1, T, C, h, w)
                is. By a model that makes frames in chunks, four axes are one video, (T, C, h, w).
                Packed latents, (N, tokens, features), are unpacked.
            convention: The scale of ``z``: "model", as the diffusion model sees latents, or "vae",
                as the full VAE's decode takes them. None is what ``load`` was told, or "model".
            size: Height and width in pixels of what is packed, where it is no square.
            on_tile: Told after each tile how many pixels are done, and of how many.

        Returns:
            (N, 3, H, W) or (N, T, 3, H, W) in [0, 1], on the device of ``z``, in the computing
            dtype (in float32 where the backend is not torch); of one video without its N,
            (T, 3, H, W). Where ``spec.image_channels`` is 4, so many channels: the last is straight
            alpha.

        Raises:
            InputError: Shape, dtype, tile, overlap or memory is wrong.
            NonFiniteError: A latent holds NaN or infinity.
            OutOfMemoryError: Not even the smallest tile fits.
        """
        batch = as_batch(z, self.spec.latent_channels, size)
        checked = as_pictures(batch.latents, "latents", self.spec.latent_channels, self.spec.name)
        decoder = coder_of(self, "decode")
        is_finite = asked_whether_finite(checked)
        is_late = checked.device.type == "cuda"
        if not is_late:
            _refuse_unless(is_finite, checked)
        options = TileOptions(tile, overlap, memory, crop, wrap, threads, chunk, seed)
        taken = decoder.scale(convention).to_network(checked)
        made = TensorRun(decoder, options, on_tile).decode(taken)
        if is_late:
            _refuse_unless(is_finite, checked)
        return made[0] if batch.is_one_video else made

    def decoder_module(self) -> PlainModule:
        """The decoder as a plain module with parameters, to be trained: see ``PlainModule``.

        Its parameters are copies in float32 (or float64), on this model's device.

        Raises:
            InputError: The decoder was not loaded.

        >>> import torch
        >>> import taesd_stream as ts
        >>> module = ts.load("nano", device="cpu").decoder_module()
        >>> module(torch.zeros(1, 4, 8, 8)).shape, ts.load(module).spec.name
        (torch.Size([1, 3, 64, 64]), 'nano')
        """
        return PlainModule(coder_of(self, "decode"))

    def stream(
        self,
        latents: Iterable[Tensor],
        *,
        frames: slice | None = None,
        ahead: int = 1,
        tile: Tile = "auto",
        overlap: Overlap = "exact",
        memory: int | str = "auto",
        crop: Crop = None,
        wrap: Wrap = None,
        threads: int | None = None,
        chunk: int | None = None,
        seed: int | None = None,
        convention: Convention | None = None,
        on_tile: OnTile | None = None,
    ) -> Iterator[Frame]:
        """Frames from the latents of one video, one by one, each as soon as it is known.

        Args:
            latents: (C, h, w) tensors, all of one size. A tensor, a list, or what ``open_latents``
                returned is read where it is needed; an iterator is read to the end of ``frames``.
            frames: Which frames, such as ``slice(100, 110)``; None is all. Decoding begins only as
                far back as the model remembers.
            ahead: The most latents read before the frames of the first of them go out. More than 1
                is for files: it lets a GPU compute several at a time, and cores one each.
            convention: As of ``decode``; a file may say it, too.
            on_tile: Told after each tile how many pixels of the frames that are made together are
                done, and of how many.

        Returns:
            An iterator of (H, W, 3) RGB bytes. It raises what ``decode`` raises, and InputError for
            a latent whose size differs from the first one's.
        """
        options = TileOptions(tile, overlap, memory, crop, wrap, threads, chunk, seed)
        run = VideoRun(
            coder_of(self, "decode"),
            in_time(latents, self.spec.latent_channels),
            options,
            frames=frames,
            ahead=ahead,
            convention=convention,
        )
        return map(to_array, run.tensors(on_tile=on_tile))

    def open_video(
        self,
        latents: Iterable[Tensor],
        *,
        frames: slice | None = None,
        ahead: int = 1,
        tile: Tile = "auto",
        overlap: Overlap = "exact",
        memory: int | str = "auto",
        crop: Crop = None,
        wrap: Wrap = None,
        threads: int | None = None,
        chunk: int | None = None,
        seed: int | None = None,
        convention: Convention | None = None,
    ) -> VideoRun:
        """A video to be decoded under a plan that can be looked at first: see ``VideoRun``.

        Args:
            latents: As ``stream`` takes them.
            frames: Which frames; None is all.
            ahead: As of ``stream``.
            convention: As of ``decode``; a file may say it, too.

        Raises:
            InputError: There are none of these frames, an option is wrong, or nothing fits the
                budget.

        >>> import torch
        >>> import taesd_stream as ts
        >>> run = ts.load("latent2rgb", device="cpu").open_video(torch.zeros(5, 4, 2, 3))
        >>> run.plan.frames, [frame.shape for frame in run][4]
        (5, (16, 24, 3))
        """
        options = TileOptions(tile, overlap, memory, crop, wrap, threads, chunk, seed)
        return VideoRun(
            coder_of(self, "decode"),
            in_time(latents, self.spec.latent_channels),
            options,
            frames=frames,
            ahead=ahead,
            convention=convention,
        )

    def open_stream(
        self,
        *,
        length: int | None = None,
        state: StreamState | None = None,
        tile: Tile = "auto",
        overlap: Overlap = "exact",
        memory: int | str = "auto",
        crop: Crop = None,
        wrap: Wrap = None,
        threads: int | None = None,
        chunk: int | None = None,
        seed: int | None = None,
        convention: Convention | None = None,
        on_tile: OnTile | None = None,
    ) -> DecodeStream:
        """A video to be decoded by ``push``, for callers without an iterator.

        Args:
            length: How many latents will come in all, where that is known.
            state: What another stream of this model saved; this one goes on from there.
            convention: As of ``decode``.
            on_tile: As of ``stream``.

        Raises:
            InputError: The state is another model's, or of a video of another length.

        >>> import torch
        >>> import taesd_stream as ts
        >>> with ts.load("latent2rgb", device="cpu").open_stream() as live:
        ...     [frame.shape for frame in live.push(torch.zeros(4, 2, 3))], live.flush()
        ([(16, 24, 3)], [])
        """
        decoder, options = (
            coder_of(self, "decode"),
            TileOptions(tile, overlap, memory, crop, wrap, threads, chunk, seed),
        )
        total = checked_length(length, state)
        window = Window.whole(total, None if total is None else self.spec.timing.frames(total))

        def plan_for(plane: Size) -> TilePlan:
            return decoder.plan(plane, window.workload(ahead=1), options)

        scale = decoder.scale(convention)
        opened = DecodeStream(decoder, window, plan_for, scale=scale, on_tile=on_tile)
        if state is not None:
            opened.go_on(state)
        return opened

    def open_picture(
        self,
        latents: LatentSource,
        index: int = 0,
        *,
        tile: Tile = "auto",
        overlap: Overlap = "exact",
        memory: int | str = "auto",
        crop: Crop = None,
        wrap: Wrap = None,
        threads: int | None = None,
        seed: int | None = None,
        convention: Convention | None = None,
    ) -> PictureRun:
        """A picture larger than memory, to be decoded in bands: see ``PictureRun.tiles``.

        Args:
            latents: What ``open_latents`` returned for anything but an iterator.
            index: Which of them.
            convention: As of ``decode``; a file may say it, too.

        Raises:
            InputError: It is none for this model, an option is wrong, or nothing fits the budget.

        >>> import torch
        >>> import taesd_stream as ts
        >>> latents = ts.open_latents(torch.zeros(4, 20, 30))
        >>> picture = ts.load("latent2rgb", device="cpu").open_picture(latents, tile=(10, 30))
        >>> [(region.y, tile.shape) for region, tile in picture.tiles()][1]
        (Interval(start=80, stop=160), torch.Size([3, 80, 240]))
        """
        decoder, options = (
            coder_of(self, "decode"),
            TileOptions(tile, overlap, memory, crop, wrap, threads, seed=seed),
        )
        plane = LatentPlane(latents, index, decoder.scale(convention, latents))
        return PictureRun(decoder, plane, options)


def _refuse_unless(is_finite: Callable[[], bool], latents: Tensor) -> None:
    if not is_finite():
        for index, latent in enumerate(latents.flatten(0, -4)):
            check_finite(latent, index)
