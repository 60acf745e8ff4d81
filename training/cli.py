"""The commands that make nano, in the order in which they are given."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import cv2
import torch

from training import figures, sources
from training.comparison import engine_decoder, sheet, table
from training.crops import Crops
from training.export import export
from training.halves import HALVES
from training.plot import plot
from training.teacher import Encoder, Preview
from training.trainer import Recipe, Trainer

__all__ = ["main"]

_SHOWN = ("astronaut", "chelsea", "coffee", "motorcycle_left")
_SHOWN_SIDE = 296


def main(arguments: Sequence[str]) -> int:
    """Run a command; its exit status."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    # Crops are cut while the processor trains.
    cv2.setNumThreads(1)
    parsed = _parser().parse_args(arguments)
    try:
        parsed.command(parsed)
    except ValueError as error:
        logging.error("error: %s", error)
        return 2
    except KeyboardInterrupt:
        logging.error("interrupted; the same command goes on from the last checkpoint")
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument(
        "--data", type=Path, default=Path("training-data"), help="pictures; default: %(default)s"
    )
    parser.add_argument(
        "--teacher",
        type=Path,
        default=Path("teacher"),
        help="the folder with VAEencoder.onnx and VAEpreview.onnx; default: %(default)s",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    pictures = commands.add_parser("pictures", help="fetch the pictures with apt and unpack them")
    pictures.set_defaults(command=_pictures)
    run = argparse.ArgumentParser(add_help=False)
    run.add_argument("--half", choices=tuple(HALVES), default="decoder")
    run.add_argument(
        "--run", type=Path, help="where a run is kept; default: training-run/ and its half"
    )
    train = commands.add_parser("train", parents=[run], help="train, or go on")
    train.add_argument("--steps", type=int, default=10000, help="default: %(default)s")
    train.add_argument(
        "--every", type=int, default=500, help="steps between checkpoints; default: %(default)s"
    )
    train.add_argument("--seed", type=int, default=Recipe().seed, help="default: %(default)s")
    train.set_defaults(command=_train)
    plotted = commands.add_parser("plot", parents=[run], help="a decoder's figures over its steps")
    plotted.add_argument("out", type=Path, metavar="OUT.png")
    plotted.set_defaults(command=_plot)
    exported = commands.add_parser("export", parents=[run], help="weights in half precision")
    exported.add_argument("out", type=Path, metavar="OUT.safetensors")
    exported.set_defaults(command=_export)
    compared = commands.add_parser("compare", help="PSNR and SSIM beside others, and pictures")
    compared.add_argument("--model", default="nano", help="a name or a file; default: %(default)s")
    compared.add_argument("--sheet", type=Path, metavar="OUT.jpg", help="pictures side by side")
    compared.set_defaults(command=_compare)
    return parser


def _pictures(arguments: argparse.Namespace) -> None:
    packages = arguments.data / "packages"
    sources.download(packages)
    count = sources.collect(packages, _folder(arguments))
    logging.info("%d pictures in %s", count, _folder(arguments))


def _train(arguments: argparse.Namespace) -> None:
    recipe = Recipe(seed=arguments.seed)
    half = HALVES[arguments.half]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    trainer = Trainer(half.network(), recipe, _run(arguments), device)
    encode = Encoder(arguments.teacher)
    sets = {
        "held_out": figures.held_out(_folder(arguments), encode),
        "samples": figures.samples(encode),
    }
    crops = Crops.open(_folder(arguments), recipe.size, recipe.seed)
    trainer.run(
        half.batches(crops, encode, recipe),
        arguments.steps,
        every=arguments.every,
        measure=partial(half.figures_of, sets=sets),
    )


def _plot(arguments: argparse.Namespace) -> None:
    plot(_run(arguments), arguments.out)


def _export(arguments: argparse.Namespace) -> None:
    count = export(_run(arguments), arguments.half, arguments.out)
    logging.info("%s: %d parameters", arguments.out, count)


def _compare(arguments: argparse.Namespace) -> None:
    encode = Encoder(arguments.teacher)
    sets = {
        "scikit-image": figures.samples(encode),
        "held out": figures.held_out(_folder(arguments), encode),
    }
    decoders: dict[str, figures.Coder] = {
        "nano": engine_decoder(arguments.model),
        "VAEpreview": Preview(arguments.teacher),
        "latent2rgb": engine_decoder("latent2rgb"),
    }
    print(table(sets, decoders))
    if arguments.sheet:
        examples = [each for each in sets["scikit-image"] if each.name in _SHOWN]
        cv2.imwrite(str(arguments.sheet), sheet(examples, decoders, _SHOWN_SIDE))


def _folder(arguments: argparse.Namespace) -> Path:
    return Path(arguments.data, "pictures")


def _run(arguments: argparse.Namespace) -> Path:
    return Path(arguments.run or Path("training-run", arguments.half))
