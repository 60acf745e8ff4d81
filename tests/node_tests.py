"""Node.js's own tests, run as one of ours."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

__all__ = ["run_node_tests"]


def run_node_tests(folder: Path) -> None:
    """Run the tests of pages' modules that are in a folder; skips where there is no Node.js."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no Node.js: it runs the tests of the page's modules")
    tests = sorted(folder.glob("*.test.mjs"))
    assert tests
    done = subprocess.run([node, "--test", *tests], capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stdout
