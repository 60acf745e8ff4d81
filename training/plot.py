"""A run's figures over its steps, as a picture."""

from __future__ import annotations

import json
from pathlib import Path

__all__ = ["plot"]

_SETS = (("samples", "#d55e00", "scikit-image's photographs"), ("held_out", "#0072b2", "held out"))
_FIGURES = {"psnr": "PSNR, dB", "ssim": "SSIM", "snr": "signal to noise of latents, dB"}


def plot(run: Path, target: Path) -> None:
    """Draw what was measured on both sets of pictures: PSNR and SSIM of a decoder.

    Raises:
        ValueError: Nothing was.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    history = run / "history.jsonl"
    lines = history.read_text(encoding="utf-8").splitlines() if history.exists() else []
    # A run that was cut short and gone on with has some steps twice; the last is what counts.
    rows = list({row["step"]: row for row in map(json.loads, lines)}.values())
    if not rows:
        raise ValueError(f"{run}: expected a run with figures, found none; `train` makes it")
    drawn = [name for name in _FIGURES if f"held_out_{name}" in rows[0]]
    figure, panels = pyplot.subplots(
        1, len(drawn), figsize=(5 * len(drawn), 3.6), layout="constrained", squeeze=False
    )
    for axes, name in zip(panels[0], drawn, strict=True):
        for pictures, colour, words in _SETS:
            values = [row[f"{pictures}_{name}"] for row in rows]
            axes.plot([row["step"] for row in rows], values, color=colour, label=words)
        axes.set_xlabel("steps")
        axes.set_ylabel(_FIGURES[name])
        axes.grid(alpha=0.3)
    panels[0][0].legend()
    figure.savefig(target, dpi=120)
    pyplot.close(figure)
