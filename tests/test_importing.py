"""What the package shows to the world, and what importing it loads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import taesd_stream as ts


def test_the_public_names_are_these_and_all_resolve() -> None:
    assert sorted(ts.__all__) == [
        "AutoEncoder",
        "CheckpointError",
        "DecodeStream",
        "DownloadError",
        "EncodeStream",
        "Encoded",
        "Exported",
        "InputError",
        "Interrupted",
        "LatentSource",
        "LatentsError",
        "LayoutError",
        "LiveClient",
        "LivePage",
        "MissingExtraError",
        "ModelNotFoundError",
        "ModelSpec",
        "NonFiniteError",
        "OutOfMemoryError",
        "OutputError",
        "OutputExistsError",
        "PictureRun",
        "Rendered",
        "StreamState",
        "TaesdStreamError",
        "TilePlan",
        "VideoRun",
        "VideoSink",
        "encode_file",
        "export",
        "load",
        "open_latents",
        "render",
    ]
    for name in ts.__all__:
        assert getattr(ts, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        ts.nothing  # noqa: B018


def test_errors_form_one_tree() -> None:
    errors = [getattr(ts, name) for name in ts.__all__ if name.endswith("Error")]
    assert all(issubclass(error, ts.TaesdStreamError) for error in errors)
    assert issubclass(ts.InputError, ValueError)
    assert issubclass(ts.OutOfMemoryError, MemoryError)
    assert issubclass(ts.OutputError, OSError)
    assert issubclass(ts.MissingExtraError, ImportError)
    wrong_input = {error.__name__ for error in errors if issubclass(error, ts.InputError)}
    assert wrong_input == {
        "CheckpointError",
        "InputError",
        "LatentsError",
        "LayoutError",
        "ModelNotFoundError",
        "NonFiniteError",
        "OutputExistsError",
    }


@pytest.mark.parametrize("package", ["taesd_stream", "tiling", "video"])
def test_importing_a_package_does_not_import_torch(package: str) -> None:
    script = f"import sys, {package}; raise SystemExit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize("words", [["--help"], ["decode", "--help"], ["--version"]])
def test_help_comes_without_torch_and_what_else_is_heavy(words: list[str]) -> None:
    script = f"""
import sys
from taesd_stream.cli.main import main
try:
    main({words})
except SystemExit:
    pass
print(*sorted({{"torch", "numpy", "av", "cv2"}} & sys.modules.keys()), file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stderr.split() == []


@pytest.mark.parametrize("name", ["tiling.py", "video.py", "video/__init__.py"])
def test_a_module_of_the_users_that_hides_ours_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine = 1")
    (tmp_path / "script.py").write_text("import taesd_stream")
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ImportError: taesd_stream: expected its own package")
    assert last.endswith(f"found {tmp_path / name}, which hides it; rename that file or folder")


def test_no_collection_looks_at_what_a_command_has_loaded() -> None:
    script = """
import gc, sys
from taesd_stream.cli.main import main
sys.argv = ["taesd-video", "models"]
assert main() == 0
assert gc.isenabled()
raise SystemExit(gc.get_freeze_count() < 100_000)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
