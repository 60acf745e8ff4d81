"""What the page's modules compute, by Node.js's own tests beside this file."""

from pathlib import Path

from tests.node_tests import run_node_tests


def test_the_pages_modules() -> None:
    run_node_tests(Path(__file__).parent)
