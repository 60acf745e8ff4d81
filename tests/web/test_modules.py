"""What the page's modules compute, by Node.js's own tests beside this file."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


def test_the_pages_modules() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("no Node.js: it runs the tests of the page's modules")
    tests = sorted(Path(__file__).parent.glob("*.test.mjs"))
    done = subprocess.run([node, "--test", *tests], capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stdout
