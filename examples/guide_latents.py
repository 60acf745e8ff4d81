"""Find the latents whose picture comes nearest to a given one, by a loss on pixels.

An encoder's latents are a good beginning; gradients through the decoder make them better. Memory
stays within a budget, whatever the size:

    python examples/guide_latents.py photo.jpg nearer.png --size 2048 --memory 1GiB
"""

from __future__ import annotations

import argparse

import cv2
import torch
from torch import Tensor
from tqdm import tqdm

import taesd_stream as ts


def main(arguments: list[str] | None = None) -> None:
    """Read a picture, optimise its latents, and write what they decode to."""
    options = parser().parse_args(arguments)
    ae = ts.load(options.model)
    target = read(options.picture, options.size)
    z = ae.encode(target[None], memory=options.memory).float().requires_grad_()
    before = decibels(ae, z, target, options.memory)
    optimiser = torch.optim.Adam([z], lr=options.rate)
    for _ in tqdm(range(options.steps), unit="step"):
        x, y, width, height = crop = part_of(target, options.crop)
        made = ae.decode(z, memory=options.memory, crop=crop)
        loss = (made - target[None, :, y : y + height, x : x + width]).square().mean()
        (z.grad,) = torch.autograd.grad(loss, z)
        optimiser.step()
    print(f"{before:.2f} dB before, {decibels(ae, z, target, options.memory):.2f} dB after")
    ts.render(z.detach(), options.out, model=ae, overwrite=True, memory=options.memory)


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    made = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    made.add_argument("picture", help="what the latents shall decode to")
    made.add_argument("out", help="the picture that they decode to")
    made.add_argument("--model", default="nano")
    made.add_argument("--size", type=int, default=512, help="pixels along a side")
    made.add_argument("--steps", type=int, default=20)
    made.add_argument("--rate", type=float, default=0.02)
    made.add_argument("--memory", default="1GiB")
    made.add_argument("--crop", type=int, help="pixels along a side of what a step looks at")
    return made


def read(path: str, size: int) -> Tensor:
    """The middle of a picture, (3, size, size) in [0, 1]."""
    picture = cv2.imread(path)
    if picture is None:
        raise SystemExit(f"{path}: expected a picture that OpenCV reads")
    side = min(picture.shape[:2])
    top, left = (picture.shape[0] - side) // 2, (picture.shape[1] - side) // 2
    square = cv2.resize(
        picture[top : top + side, left : left + side], (size, size), interpolation=cv2.INTER_AREA
    )
    return torch.from_numpy(cv2.cvtColor(square, cv2.COLOR_BGR2RGB)).movedim(2, 0) / 255


def part_of(picture: Tensor, side: int | None) -> tuple[int, int, int, int]:
    """The whole of a picture, or a random square: x, y, width and height."""
    height, width = picture.shape[1:]
    if side is None:
        return 0, 0, width, height
    side = min(side, height, width)
    x, y = (int(torch.randint(0, whole - side + 1, ())) for whole in (width, height))
    return x, y, side, side


def decibels(ae: ts.AutoEncoder, z: Tensor, target: Tensor, memory: str) -> float:
    """How near the picture of latents comes to another."""
    with torch.no_grad():
        error = (ae.decode(z, memory=memory)[0] - target).square().mean()
    return float(-10 * error.log10())


if __name__ == "__main__":
    main()
