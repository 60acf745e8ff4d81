"""The arguments of every command."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn

from taesd_stream.cli.values import crop, fps, frames, overlap, tile

__all__ = ["make_parser"]


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message}; see {self.prog} --help", file=sys.stderr)
        sys.exit(2)


def make_parser() -> argparse.ArgumentParser:
    """The parser of `taesd-video`; what it calls ``command`` is a function's name in `commands`."""
    parser = _Parser(
        prog="taesd-video",
        description=(
            "Decode the latents of Stable Diffusion, FLUX, Sana, Wan, Hunyuan Video, CogVideoX, LTX"
            " and others into pictures and videos: exactly, tile by tile, in bounded memory."
        ),
        epilog=(
            "See `taesd-video COMMAND --help` for the options of a command. Exit status: 0 done;"
            " 2 the arguments or the input are wrong; 1 anything else; 130 interrupted."
        ),
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {_version()}")
    made = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)
    _decode(made.add_parser("decode", help="latents to a video, pictures, or an array"))
    _encode(made.add_parser("encode", help="a video or pictures to latents"))
    _plan(made.add_parser("plan", help="what decode would do: tiles, recompute, memory"))
    _info(made.add_parser("info", help="what a file of latents or a checkpoint is"))
    _models(made.add_parser("models", help="the models, and which are cached"))
    _demo(made.add_parser("demo", help="decode the sample inside the package; needs no network"))
    return parser


def _decode(parser: argparse.ArgumentParser) -> None:
    parser.description = "Decode latents into a video, pictures, or an array."
    _latents_in(parser)
    parser.add_argument(
        "output",
        metavar="OUT",
        help=".mp4 .mov .mkv .webm .gif .webp; .png .jpg (one still, or numbered pictures where the"
        " name holds %%d or is a folder); .npy .safetensors; one picture of any size as .tif,"
        " .ome.zarr, .dzi, .png or .npy; - for Matroska on standard output",
    )
    _model_options(parser)
    _reduced_options(parser)
    _frames_option(parser)
    _engine_options(parser)
    parser.add_argument(
        "--calibration",
        metavar="FILE",
        help="for int8: latents to find its ranges on; default: IN, or the sample where IN is a"
        " stream",
    )
    _view_options(parser)
    _file_options(parser)
    _picture_options(parser)
    _output_options(parser)
    parser.set_defaults(command="decode")


def _encode(parser: argparse.ArgumentParser) -> None:
    parser.description = "Encode a video, a picture, or numbered pictures into latents."
    parser.add_argument(
        "input",
        metavar="IN",
        help="a video, a picture, a folder of them, or frames_%%05d.png; a .tif, .zarr or .npy of"
        " any size",
    )
    parser.add_argument(
        "output",
        metavar="OUT",
        help=".safetensors or .npy; .png for 8-bit latents of four channels",
    )
    _model_options(parser, default="taesd")
    _frames_option(parser)
    _wrap_option(parser)
    _engine_options(parser)
    _output_options(parser)
    parser.set_defaults(command="encode")


def _plan(parser: argparse.ArgumentParser) -> None:
    parser.description = "Say what decode would do, without doing it; no weights are needed."
    _latents_in(parser)
    parser.add_argument(
        "output",
        metavar="OUT",
        nargs="?",
        help="what decode would write: one large picture, such as a .tif, is planned in bands;"
        " default: a video",
    )
    _model_options(parser)
    _reduced_options(parser)
    _frames_option(parser)
    _engine_options(parser)
    _view_options(parser)
    _json_option(parser)
    parser.set_defaults(command="plan")


def _info(parser: argparse.ArgumentParser) -> None:
    parser.description = "Say what a file of latents or a checkpoint is."
    parser.add_argument("input", metavar="FILE", help="latents, or weights, or a folder of either")
    _json_option(parser)
    parser.set_defaults(command="info")


def _models(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "List the models by name. Columns: scale is pixels along a side of a latent; frames, what a"
        " latent becomes; back, how many earlier latents a frame depends on; first, how many the"
        " first frame needs; weights that are online are downloaded when first used."
    )
    _json_option(parser)
    parser.set_defaults(command="models")


def _demo(parser: argparse.ArgumentParser) -> None:
    parser.description = "Decode the sample inside the package with nano; needs no network."
    parser.add_argument("output", metavar="OUT", nargs="?", default="taesd-demo.mp4")
    parser.add_argument("--model", default="nano", help="default: %(default)s")
    _file_options(parser)
    _engine_options(parser)
    _output_options(parser)
    parser.set_defaults(command="demo", variant=None)


def _latents_in(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "input",
        metavar="IN",
        help=".pt .pth .safetensors .npy .npz, 8-bit .png, a folder of these, a Zarr array, a"
        " mosaic such as 'tiles/{row}_{column}.npy', or - for standard input",
    )
    parser.add_argument(
        "--layout", metavar="AXES", help="the stored axes, such as NCTHW, where they cannot be told"
    )
    parser.add_argument("--key", metavar="NAME", help="which array of a file with several")


def _model_options(
    parser: argparse.ArgumentParser, default: str = "the official one for the latents' channels"
) -> None:
    parser.add_argument(
        "--model",
        metavar="NAME|PATH",
        help="a name out of `taesd-video models`, a file or folder of weights, or owner/name on the"
        f" Hugging Face hub; default: {default}",
    )
    parser.add_argument(
        "--variant",
        metavar="V",
        help="the model's name, where a checkpoint's shapes fit several; without --model, the"
        " official model of that name",
    )


def _reduced_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--no-time-upscale",
        dest="time_upscale",
        action="store_false",
        help="a cheap preview: one frame per latent (TAEHV and its kin)",
    )
    parser.add_argument(
        "--no-space-upscale",
        dest="space_upscale",
        action="store_false",
        help="a cheaper one: small frames, a pixel or a few per latent (TAEHV and its kin)",
    )


def _frames_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--frames",
        metavar="A:B",
        type=frames,
        help="frames from A up to, not including, B; default: all",
    )


def _engine_options(parser: argparse.ArgumentParser) -> None:
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
    group.add_argument("--device", metavar="D", default="auto", help="cpu, cuda, cuda:1, mps, auto")
    group.add_argument(
        "--dtype",
        metavar="T",
        default="auto",
        help="float32, float16, bfloat16, int8 (with openvino); default: float32 on a CPU, float16"
        " on a GPU",
    )
    group.add_argument(
        "--backend",
        metavar="B",
        default="auto",
        help="torch, openvino, or auto (openvino on a CPU, where it is installed and can compute"
        " this); default: auto",
    )


def _view_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("which part, and its borders")
    group.add_argument(
        "--crop",
        metavar="X,Y,W,H",
        type=crop,
        help="only this part of every picture: left, top, width and height in pixels",
    )
    _wrap_option(group)


def _wrap_option(group: argparse._ActionsContainer) -> None:
    group.add_argument(
        "--wrap",
        metavar="AXES",
        choices=("x", "y", "xy"),
        help="x, y or xy: the picture goes around along these axes, as 360-degree panoramas (x) and"
        " seamless textures (xy) do",
    )


def _picture_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("one large picture")
    group.add_argument(
        "--compression",
        metavar="C",
        help="deflate, jpeg or none in .tif; zstd or none in .ome.zarr; jpeg or png in .dzi;"
        " default: the first of these",
    )
    group.add_argument("--quality", metavar="N", type=int, help="of jpeg, 1 to 100; default: 90")
    group.add_argument(
        "--preview",
        metavar="FILE",
        help="a small .png, .jpg or .webp of what is done, written again every two seconds",
    )
    group.add_argument(
        "--resume",
        action="store_true",
        help="keep what is finished in OUT.resume until all of it is; after a crash, a power"
        " failure or ctrl-C the same command goes on from there",
    )


def _file_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the video")
    group.add_argument(
        "--fps",
        metavar="R",
        type=fps,
        default="24",
        help="such as 24, 23.976, 24000/1001; default: 24",
    )
    group.add_argument(
        "--codec",
        metavar="C",
        help="h264 h265 vp9 av1 prores ffv1 gif webp, an encoder's own name such as h264_nvenc, or"
        " h264_hw for whichever hardware there is; default: by OUT's suffix",
    )
    group.add_argument(
        "--crf", metavar="N", type=int, help="quality: 0 is best; default: the codec's"
    )
    group.add_argument("--lossless", action="store_true", help="keep every RGB byte")
    group.add_argument("--audio", metavar="FILE", help="a file whose sound goes along")


def _output_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--overwrite", "-y", action="store_true", help="replace OUT if it exists")
    _json_option(parser)


def _json_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _version() -> str:
    from importlib.metadata import version

    return version("taesd-stream")
