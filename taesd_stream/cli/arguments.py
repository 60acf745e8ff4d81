"""Groups of arguments that several commands share."""

from __future__ import annotations

import argparse

from taesd_stream.cli.cheaper import add_reduced, add_shortcuts
from taesd_stream.cli.values import crop, fps, frames, overlap, size, tile
from taesd_stream.jobs.output_kinds import compressions, suffixes_that_take

__all__ = [
    "add_background",
    "add_convention",
    "add_decoding",
    "add_engine",
    "add_file",
    "add_frames",
    "add_json",
    "add_latents",
    "add_model",
    "add_overwrite",
    "add_picture",
    "add_seed",
    "add_variant",
    "add_verbose",
    "add_view",
    "add_wrap",
]


def add_latents(parser: argparse.ArgumentParser, *, is_optional: bool = False) -> None:
    """Add the latents, and how they are stored."""
    parser.add_argument(
        "input",
        metavar="IN",
        nargs="?" if is_optional else None,
        help=".pt .pth .pkl .safetensors .npy .npz, 8-bit .png, a folder of these, a Zarr array, a"
        " mosaic such as 'tiles/{row}_{column}.npy', or - for standard input;"
        " any but a mosaic at s3:// or gs://, a file or a Zarr array at https:// (extra remote)",
    )
    parser.add_argument(
        "--layout",
        metavar="AXES",
        help="the stored axes, such as NCTHW, or packed, where they cannot be told; NCHW is"
        " pictures that are no video",
    )
    parser.add_argument("--key", metavar="NAME", help="which array of a file with several")
    parser.add_argument(
        "--size",
        metavar="WIDTHxHEIGHT",
        type=size,
        help="of the picture in pixels, where latents are packed into tokens and their number does"
        " not tell",
    )
    parser.add_argument(
        "--skip-latents",
        metavar="N",
        type=int,
        default=0,
        help="leave out the first N of each video: CogVideoX 1.5 pads there",
    )
    add_convention(parser, "what the file says, or model")


def add_convention(parser: argparse.ArgumentParser, default: str) -> None:
    """Add the scale of the latents."""
    parser.add_argument(
        "--convention",
        choices=("model", "vae"),
        help="the scale of the latents: model, as the diffusion model sees them, or vae, as the"
        " full VAE's decode takes them (ComfyUI's samples, kohya's caches of SD and SDXL);"
        f" default: {default}",
    )
    parser.add_argument(
        "--vae",
        metavar="PATH",
        help="for vae, where the table of models has no figures: the full VAE as a diffusers"
        " folder, its config.json, or its weights as .safetensors",
    )


def add_model(
    parser: argparse.ArgumentParser, default: str = "the official one for the latents' channels"
) -> None:
    """Add the model and its variant."""
    parser.add_argument(
        "--model",
        metavar="NAME|PATH",
        help="a name out of `taesd-video models`, a file or folder of weights, or owner/name on the"
        f" Hugging Face hub; default: {default}",
    )
    add_variant(parser, "; without --model, the official model of that name")


def add_variant(parser: argparse.ArgumentParser, otherwise: str = "") -> None:
    """Add the variant of a model."""
    parser.add_argument(
        "--variant",
        metavar="V",
        help=f"the model's name, where a checkpoint's shapes fit several{otherwise}",
    )


def add_decoding(parser: argparse.ArgumentParser) -> None:
    """Add the model, the frames that are wanted, and how they are computed."""
    add_model(parser)
    add_reduced(parser)
    add_shortcuts(parser)
    add_frames(parser)
    together = "frames that svd-vae makes together, counted from the video's first; default: 14"
    parser.add_argument("--chunk", metavar="N", type=int, help=together)
    add_seed(parser, "of the noise that consistency makes pictures of; default: 0")
    add_engine(parser)


def add_seed(parser: argparse.ArgumentParser, said: str) -> None:
    """Add the seed of noise."""
    parser.add_argument("--seed", metavar="N", type=int, help=said)


def add_frames(parser: argparse.ArgumentParser) -> None:
    """Add the range of frames."""
    parser.add_argument(
        "--frames",
        metavar="A:B",
        type=frames,
        help="frames from A up to, not including, B; default: all",
    )


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Add tiles, memory, and what computes."""
    group = parser.add_argument_group("tiles and memory")
    group.add_argument(
        "--tile",
        metavar="T",
        type=tile,
        default="auto",
        help="latents per side of a tile: N, WIDTHxHEIGHT, none (undivided) or auto (the quickest"
        " that fits the memory); default: auto",
    )
    group.add_argument(
        "--overlap",
        metavar="N",
        type=overlap,
        default="exact",
        help="exact, or latents over which tiles are blended; default: exact",
    )
    group.add_argument(
        "--memory",
        metavar="SIZE",
        default="auto",
        help="such as 2GiB; default: half of what is free",
    )
    group.add_argument(
        "--threads",
        metavar="N",
        type=int,
        help="the cores of a CPU to compute on, with torch; default: all that may be used",
    )
    group.add_argument("--device", metavar="D", default="auto", help="cpu, cuda, cuda:1, mps, auto")
    group.add_argument(
        "--dtype",
        metavar="T",
        default="auto",
        help="float32, float16, bfloat16, float64, int8 (with openvino); default: float32 on a CPU,"
        " float16 on a GPU",
    )
    group.add_argument(
        "--backend",
        metavar="B",
        default="auto",
        help="torch, openvino, onnxruntime (or onnxruntime:cuda and other providers), or auto"
        " (openvino on a CPU, where it is installed and can compute this); default: auto",
    )


def add_view(parser: argparse.ArgumentParser) -> None:
    """Add the part of the picture that is wanted, and its borders."""
    group = parser.add_argument_group("which part, and its borders")
    group.add_argument(
        "--crop",
        metavar="X,Y,W,H",
        type=crop,
        help="only this part of every picture: left, top, width and height in pixels; default: all"
        " of the size that the latents say",
    )
    add_wrap(group)


def add_wrap(group: argparse._ActionsContainer) -> None:
    """Add the axes along which pictures go around."""
    group.add_argument(
        "--wrap",
        metavar="AXES",
        choices=("x", "y", "xy"),
        help="x, y or xy: the picture goes around along these axes, as 360-degree panoramas (x) and"
        " seamless textures (xy) do",
    )


def add_picture(parser: argparse.ArgumentParser) -> None:
    """Add the options of one large picture, as the table of outputs has them."""
    group = parser.add_argument_group("one large picture")
    group.add_argument(
        "--compression",
        metavar="C",
        help=f"{_compressions()}; default: the first of these",
    )
    group.add_argument(
        "--quality", metavar="N", type=int, help=f"of jpeg, 1 to 100{_in('quality')}; default: 90"
    )
    group.add_argument(
        "--preview",
        metavar="FILE",
        help="a small .png, .jpg or .webp of what is done, written again every two seconds",
    )
    group.add_argument(
        "--resume",
        action="store_true",
        help="keep what is finished in OUT.resume until all of it is; after a crash, a power"
        f" failure or ctrl-C the same command goes on from there{_in('resume')}",
    )


def add_file(parser: argparse.ArgumentParser) -> None:
    """Add the options of a video, as the table of outputs has them."""
    group = parser.add_argument_group("the video")
    group.add_argument(
        "--fps",
        metavar="R",
        type=fps,
        help="such as 24, 23.976, 24000/1001; default: what the latents say, or 24",
    )
    group.add_argument(
        "--codec",
        metavar="C",
        help="h264 h265 vp9 av1 prores prores4444 ffv1 gif webp, an encoder's own name such as"
        " h264_nvenc, or h264_hw for whichever hardware there is"
        f"{_in('codec')}; default: by OUT's suffix",
    )
    group.add_argument(
        "--crf",
        metavar="N",
        type=int,
        help=f"quality: 0 is best{_in('crf')}; default: the codec's",
    )
    group.add_argument(
        "--lossless", action="store_true", help=f"keep every RGB byte{_in('lossless')}"
    )
    group.add_argument(
        "--audio",
        metavar="FILE",
        help=f"a file whose sound goes along, that of the same frames{_in('audio')}",
    )


def add_background(parser: argparse.ArgumentParser, default: str) -> None:
    """Add the colour that what is transparent is laid over."""
    parser.add_argument(
        "--background",
        metavar="COLOUR",
        help="what is transparent is laid over it: a name such as white, or #rrggbb; default:"
        f" {default}",
    )


def add_overwrite(parser: argparse.ArgumentParser) -> None:
    """Add whether the output may be replaced."""
    parser.add_argument("--overwrite", "-y", action="store_true", help="replace OUT if it exists")


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the choice of one JSON object in place of words."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def add_verbose(parser: argparse.ArgumentParser) -> None:
    """Add the choice of more words."""
    parser.add_argument(
        "--verbose", "-v", action="store_true", help="say more: details of errors, and what is done"
    )


def _in(option: str) -> str:
    """The kinds of files that take an option, for its help."""
    return f"; in {' '.join(suffixes_that_take(option))}"


def _compressions() -> str:
    listed = (f"{' or '.join(names)} in {suffix}" for suffix, names in compressions().items())
    return "; ".join(listed)
