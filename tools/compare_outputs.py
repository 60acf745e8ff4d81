"""Compare what two checkouts make of the same latents, byte for byte.

    python tools/compare_outputs.py BEFORE AFTER [--only WORD] [--keep FOLDER]

Both are folders of this project. Each case is one `taesd-video` command that both carry out, one
after the other, on seeded latents and stand-in weights; what it writes, a folder included, must be
the same, and so must the tiles of the plan that `--json` prints. Cases that cannot be compared with
each other (a file that holds the version, say) are not among them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.synthetic_weights import synthetic_latents, synthetic_state_dict  # noqa: E402


@dataclass(frozen=True)
class Case:
    """One command: what it reads, what it writes, and its other words."""

    name: str
    source: str
    out: str
    words: str = ""
    command: str = "decode"


_CASES = (
    Case("video, nano", "sd.pt", "out.mp4", "--model nano --dtype bfloat16"),
    Case("video, taesd in tiles", "sd.pt", "out.mkv", "--model taesd.safetensors --tile 7"),
    Case("video with sound and a codec", "sd.pt", "out.mkv", "--model nano --codec ffv1 --fps 25"),
    Case("frames as .npy", "sd.pt", "out.npy", "--model nano --frames 1:4"),
    Case("frames as .safetensors", "sd.pt", "out.safetensors", "--model nano --crop 8,16,56,40"),
    Case("one still", "sd.pt", "out.png", "--model taesd.safetensors --frames 3"),
    Case("numbered pictures", "sd.pt", "out_%03d.png", "--model latent2rgb"),
    Case("animation", "sd.pt", "out.webp", "--model nano --lossless"),
    Case("GIF", "sd.pt", "out.gif", "--model nano --fps 10"),
    Case("blended tiles", "sd.pt", "out.npy", "--model taesd.safetensors --tile 6 --overlap 3"),
    Case("BigTIFF", "large.npy", "out.tif", "--model nano --memory 96MiB"),
    Case("OME-Zarr, a crop", "large.npy", "out.ome.zarr", "--model nano --crop 100,40,900,700"),
    Case("Deep Zoom, goes around", "large.npy", "out.dzi", "--model nano --wrap x"),
    Case("large PNG in bands", "large.npy", "out.png", "--model nano --memory 12MiB"),
    Case("large .npy, resumable", "large.npy", "out.npy", "--model nano --tile 32 --resume"),
    Case("taef2", "flux2.safetensors", "out.png", "--model taef2.safetensors --memory 64MiB"),
    Case("taef2 in bands", "flux2.safetensors", "out.tif", "--model taef2.safetensors --tile 5"),
    Case("taesdv", "sd.pt", "out.mp4", "--model taesdv.safetensors --memory 64MiB"),
    Case("taehv, a window", "wan.pt", "out.npy", "--model taehv.safetensors --variant taew2_1"
         " --frames 3:9"),
    Case("taehv, resumable", "wan.pt", "out.mp4", "--model taehv.safetensors --variant taew2_1"
         " --resume"),
    Case("taehv, a preview", "wan.pt", "out.mp4", "--model taehv.safetensors --variant taew2_1"
         " --no-time-upscale --no-space-upscale"),
    Case("encoded pictures", "pictures", "out.safetensors", "--model nano", "encode"),
    Case("encoded with taehv", "pictures", "out.npy", "--model taehv.safetensors --variant taehv",
         "encode"),
    Case("encoded from .npy in bands", "picture.npy", "out.npy", "--model nano --tile 8",
         "encode"),
)  # fmt: skip


def prepare(folder: Path) -> None:
    """Write latents, pictures and weights that all cases read."""
    manifest = json.loads((ROOT / "tests/data/goldens/manifest.json").read_text(encoding="utf-8"))
    for model in ("taesd", "taesdv", "taehv", "taef2"):
        save_file(synthetic_state_dict(manifest[model]), folder / f"{model}.safetensors")
    torch.save(torch.from_numpy(synthetic_latents((6, 4, 11, 13))), folder / "sd.pt")
    np.save(folder / "large.npy", synthetic_latents((1, 4, 101, 130)))
    torch.save(torch.from_numpy(synthetic_latents((4, 16, 9, 10))), folder / "wan.pt")
    save_file({"latents": synthetic_latents((1, 32, 17, 12))}, folder / "flux2.safetensors")
    pixels = np.random.default_rng(0).integers(0, 256, (8, 48, 64, 3), np.uint8)
    np.save(folder / "picture.npy", pixels[:1])
    (folder / "pictures").mkdir()
    from cv2 import imwrite

    for number, picture in enumerate(pixels):
        imwrite(str(folder / "pictures" / f"{number:03d}.png"), picture)


def carry_out(case: Case, checkout: Path, prepared: Path, out: Path) -> tuple[str, object]:
    """A digest of what a checkout makes of a case, and the tiles of its plan."""
    out.mkdir(parents=True)
    words = [
        str(prepared / word) if (prepared / word).is_file() else word for word in case.words.split()
    ]
    done = subprocess.run(
        [sys.executable, "-m", "taesd_stream", case.command, str(prepared / case.source),
         str(out / case.out), "--json", "--device", "cpu", "--backend", "torch", *words],
        cwd=out, env=os.environ | {"PYTHONPATH": str(checkout)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        return f"status {done.returncode}: {done.stderr.strip()[-300:]}", None
    plan = json.loads(done.stdout)["plan"]
    stable = {name: value for name, value in plan.items() if name != "budget_bytes"}
    return digest(out), stable


def digest(folder: Path) -> str:
    """Of all files below a folder, their names included."""
    found = hashlib.blake2b(digest_size=16)
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        found.update(str(file.relative_to(folder)).encode())
        found.update(file.read_bytes())
    return found.hexdigest()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--only", default="", help="cases whose names hold this")
    parser.add_argument("--keep", type=Path, help="where outputs stay; default: nowhere")
    arguments = parser.parse_args()
    differing = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        prepared = folder / "prepared"
        prepared.mkdir(parents=True)
        prepare(prepared)
        for number, case in enumerate(_CASES):
            if arguments.only not in case.name:
                continue
            before, after = (
                carry_out(case, checkout.resolve(), prepared, folder / side / str(number))
                for side, checkout in (("before", arguments.before), ("after", arguments.after))
            )
            if before == after and not before[0].startswith("status"):
                print(f"same      {case.name}: {before[0]}", flush=True)
                continue
            differing += 1
            which = "differs  " if before[0] != after[0] else "plan     "
            print(f"{which} {case.name}:\n  {before}\n  {after}", flush=True)
    print(f"{differing} differ" if differing else "all the same")
    return min(differing, 1)


if __name__ == "__main__":
    sys.exit(main())
