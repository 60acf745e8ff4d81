from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = ("torch", "numpy", "av", "cv2", "einops", "safetensors", "tqdm", "psutil")


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["decode", "--help"], ["decode"]])
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    program = f"""
import json, sys
from taesd_stream.cli.main import main
try:
    main({words!r})
except SystemExit:
    print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout.splitlines()[-1]) == []


def test_version_is_the_installed_one(command) -> None:
    from importlib.metadata import version

    outcome = command("--version")
    assert (outcome.status, outcome.out) == (0, f"taesd-video {version('taesd-stream')}\n")


@pytest.mark.parametrize("name", ["decode", "encode", "plan", "info", "models", "demo", "comfyui"])
def test_every_command_explains_itself(command, name: str) -> None:
    assert name in command("--help").out
    outcome = command(name, "--help")
    assert outcome.status == 0
    assert "--json" in outcome.out
    assert outcome.err == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "COMMAND"),
        (["decide"], "'decide'"),
        (["decode"], "IN, OUT"),
        (["decode", "a.pt"], "OUT"),
        (["decode", "a.pt", "b.mp4", "c.mp4"], "c.mp4"),
        (["decode", "a.pt", "b.mp4", "--fps", "fast"], "'fast'"),
        (["decode", "a.pt", "b.mp4", "--frames", "9:3"], "'9:3'"),
        (["decode", "a.pt", "b.mp4", "--tile", "0"], "'0'"),
        (["decode", "a.pt", "b.mp4", "--overlap", "-1"], "'-1'"),
        (["decode", "a.pt", "b.mp4", "--crf", "good"], "'good'"),
        (["decode", "a.pt", "b.mp4", "--frames", "9" * 5000], "--frames"),
        (["info"], "FILE"),
        (["plan", "a.pt", "--overwrite"], "--overwrite"),
    ],
)
def test_wrong_arguments_are_one_line_and_status_2(command, words: list[str], said: str) -> None:
    outcome = command(*words)
    assert outcome.status == 2
    assert said in outcome.complaint
    assert "--help" in outcome.complaint
    assert outcome.err.count("\n") == 1


def test_the_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "taesd_stream", "--version"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.startswith("taesd-video ")
    wrong = subprocess.run(
        [sys.executable, "-m", "taesd_stream", "decode"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (wrong.returncode, wrong.stdout, wrong.stderr.count("\n")) == (2, "", 1)
