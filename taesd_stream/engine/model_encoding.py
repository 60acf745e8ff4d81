"""The methods of a loaded model that make latents of pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from torch import Tensor

from taesd_stream.engine.coder import Coder
from taesd_stream.engine.loaded_model import LoadedModel, coder_of
from taesd_stream.engine.options import Crop, Overlap, Tile, TileOptions, Wrap
from taesd_stream.engine.pixels import with_alpha
from taesd_stream.engine.plain_module import PlainModule
from taesd_stream.engine.run import OnTile
from taesd_stream.engine.running.planes import PixelPlane, ReadPixels
from taesd_stream.engine.shapes import as_pictures, check_range
from taesd_stream.engine.streams.decode_stream import Frame
from taesd_stream.engine.streams.encode_stream import EncodeStream
from taesd_stream.engine.streams.picture_run import PictureRun
from taesd_stream.engine.tensors import TensorRun
from taesd_stream.latents import check_finite
from taesd_stream.models.latent_spaces import Convention
from taesd_stream.models.stream_state import StreamState
from tiling import Size

__all__ = ["EncodingModel", "encoded"]


class EncodingModel(LoadedModel):
    """The encoding half of ``AutoEncoder``, which explains the keywords of tiles."""

    def encode(
        self,
        x: Tensor,
        *,
        tile: Tile = "auto",
        overlap: Overlap = "exact",
        memory: int | str = "auto",
        crop: Crop = None,
        wrap: Wrap = None,
        threads: int | None = None,
        seed: int | None = None,
        convention: Convention | None = None,
        on_tile: OnTile | None = None,
    ) -> Tensor:
        """Latents from pictures.

        Args:
            x: (N, 3, H, W), or (N, T, 3, H, W) for video, in [0, 1], give or take 0.05, as resizing
                overshoots; any float dtype. Where a side is no multiple of
                ``spec.spatial_scale``, the last latent stands for fewer pixels. A model of four
                ``spec.image_channels`` takes these, too, with straight alpha; three are opaque.
            convention: The scale of the latents that are wanted: as of ``decode``.
            on_tile: Told after each tile how many latents are done, and of how many.

        Returns:
            (N, C, h, w) or (N, T, C, h, w), in the computing dtype, on the device of ``x``.

        Raises:
            InputError: Shape, dtype, range, tile, overlap or memory is wrong.
            NonFiniteError: A picture holds NaN or infinity.
            OutOfMemoryError: Not even the smallest tile fits.
        """
        encoder = coder_of(self, "encode", seed)
        channels = encoder.network.channels
        checked = as_pictures(with_alpha(x, channels), "images", channels, self.spec.name)
        for index, image in enumerate(checked.flatten(0, -4)):
            check_finite(image, index, "image")
            check_range(image, index)
        options = TileOptions(tile, overlap, memory, crop, wrap, threads, seed=seed)
        return encoded(encoder, checked, options, convention, on_tile)

    def encoder_module(self) -> PlainModule:
        """The encoder as a plain module with parameters, to be trained: see ``PlainModule``.

        Its parameters are copies in float32 (or float64), on this model's device.

        Raises:
            InputError: The encoder was not loaded.
        """
        return PlainModule(coder_of(self, "encode"))

    def encode_stream(
        self,
        frames: Iterable[Frame],
        *,
        tile: Tile = "auto",
        overlap: Overlap = "exact",
        memory: int | str = "auto",
        crop: Crop = None,
        wrap: Wrap = None,
        threads: int | None = None,
        seed: int | None = None,
        convention: Convention | None = None,
        on_tile: OnTile | None = None,
    ) -> Iterator[Tensor]:
        """Latents from the frames of one video, one by one, each as soon as it is known.

        Args:
            frames: (H, W, 3) RGB bytes; nothing is read ahead.
            convention: As of ``encode``.
            on_tile: As of ``encode``.

        Returns:
            An iterator of (C, h, w) tensors on the CPU, in the computing dtype. It raises what
            ``encode`` raises.
        """
        options = TileOptions(tile, overlap, memory, crop, wrap, threads, seed=seed)
        return EncodeStream(
            coder_of(self, "encode", seed), options, convention=convention, on_tile=on_tile
        ).encode(frames)

    def open_encode_stream(
        self,
        *,
        state: StreamState | None = None,
        tile: Tile = "auto",
        overlap: Overlap = "exact",
        memory: int | str = "auto",
        crop: Crop = None,
        wrap: Wrap = None,
        threads: int | None = None,
        seed: int | None = None,
        convention: Convention | None = None,
        on_tile: OnTile | None = None,
    ) -> EncodeStream:
        """A video to be encoded by ``push``, for callers without an iterator.

        Args:
            state: What another stream of this model saved; this one goes on from there.
            convention: As of ``encode``.
            on_tile: As of ``encode``.

        Raises:
            InputError: The state is another model's.
        """
        encoder = coder_of(self, "encode", seed)
        options = TileOptions(tile, overlap, memory, crop, wrap, threads, seed=seed)
        opened = EncodeStream(encoder, options, convention=convention, on_tile=on_tile)
        if state is not None:
            opened.go_on(state)
        return opened

    def open_encode_picture(
        self,
        size: Size,
        read: ReadPixels,
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
        """A picture larger than memory, to be encoded in bands.

        Args:
            size: Height and width in pixels.
            read: Is given rows and columns, two slices, and returns (h, w, 3) RGB bytes of them.
            convention: As of ``encode``.

        Raises:
            InputError: This model encodes videos, an option is wrong, or nothing fits the budget.
        """
        encoder, options = (
            coder_of(self, "encode", seed),
            TileOptions(tile, overlap, memory, crop, wrap, threads, seed=seed),
        )
        pixels = PixelPlane(size, read, encoder.network.channels)
        return PictureRun(encoder, pixels, options, encoder.scale(convention))


def encoded(
    encoder: Coder,
    images: Tensor,
    options: TileOptions,
    convention: Convention | None = None,
    on_tile: OnTile | None = None,
) -> Tensor:
    """Latents of pictures whose numbers nobody looks at: pipelines add noise to some.

    Args:
        encoder: Of a model.
        images: (N, C, H, W) or (N, T, C, H, W), as many channels as it takes.
        options: How they are cut into tiles.
        convention: The scale of the latents, (N, C, h, w) or (N, T, C, h, w).
        on_tile: As of ``encode``.
    """
    scale = encoder.scale(convention)
    return scale.from_network(TensorRun(encoder, options, on_tile).encode(images))
