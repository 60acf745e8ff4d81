"""Who may import whom."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


PACKAGES = ("taesd_stream", "tiling", "video")


# A room, to what it may import besides itself and the standard library. A module belongs to the
# longest prefix that fits; a name allows everything below it. Rooms stand from the ground up: each
# may import only what stands above it here, which `test_rooms_import_only_what_is_below` checks.
MAY_IMPORT: Mapping[str, frozenset[str]] = {
    "tiling": frozenset({"numpy"}),
    "video": frozenset(
        {
            "PIL",
            "av",
            "cryptography",
            "cv2",
            "filelock",
            "numpy",
            "pillow_heif",
            "psutil",
            "zarr",
        }
    ),
    "taesd_stream.errors": frozenset({"video.errors"}),
    "taesd_stream.samples": frozenset(),
    "taesd_stream.models": frozenset(
        {
            "filelock",
            "huggingface_hub",
            "numpy",
            "platformdirs",
            "safetensors",
            "taesd_stream.errors",
            "tiling",
            "torch",
            "tqdm",
            "video.errors",
            "video.safe_files",
        }
    ),
    # The one room that knows of addresses; fsspec it loads by name.
    "taesd_stream.remote": frozenset(
        {
            "filelock",
            "taesd_stream.errors",
            "taesd_stream.models",
            "video.errors",
            "video.large",
            "video.safe_files",
        }
    ),
    "taesd_stream.latents": frozenset(
        {
            "einops",
            "numpy",
            "psutil",
            "safetensors",
            "taesd_stream.errors",
            "taesd_stream.models",
            "taesd_stream.remote",
            "tiling",
            "torch",
            "video",
            "zarr",
        }
    ),
    # It yields frames and bands and knows no files, but threads, scratch files and transparency.
    "taesd_stream.engine": frozenset(
        {
            "einops",
            "nncf",
            "numpy",
            "onnx",
            "onnxruntime",
            "openvino",
            "psutil",
            "safetensors",
            "taesd_stream.errors",
            "taesd_stream.latents",
            "taesd_stream.models",
            "taesd_stream.samples",
            "threadpoolctl",
            "tiling",
            "torch",
            "video.background",
            "video.safe_files",
            "video.transparency",
        }
    ),
    "taesd_stream.jobs": frozenset(
        {
            "einops",
            "filelock",
            "numpy",
            "ray",
            "taesd_stream.engine",
            "taesd_stream.errors",
            "taesd_stream.latents",
            "taesd_stream.models",
            "taesd_stream.remote",
            "taesd_stream.samples",
            "tiling",
            "torch",
            "tqdm",
            "video",
        }
    ),
    "taesd_stream.exporting": frozenset(
        {
            "numpy",
            "onnx",
            "onnxruntime",
            "taesd_stream.engine",
            "taesd_stream.errors",
            "taesd_stream.latents",
            "taesd_stream.models",
            "tiling",
            "torch",
            "video.safe_files",
        }
    ),
    "taesd_stream.sinks": frozenset(
        {
            "SpoutGL",
            "cyndilib",
            "numpy",
            "pyvirtualcam",
            "syphon",
            "taesd_stream.engine",
            "taesd_stream.errors",
            "taesd_stream.jobs",
            "taesd_stream.models",
            "tiling",
            "torch",
            "video",
        }
    ),
    "taesd_stream.diffusers": frozenset(
        {
            "IPython",
            "diffusers",
            "numpy",
            "taesd_stream.engine",
            "taesd_stream.errors",
            "taesd_stream.jobs",
            "taesd_stream.latents",
            "taesd_stream.models",
            "taesd_stream.sinks",
            "tiling",
            "torch",
            "video",
        }
    ),
    "taesd_stream.live": frozenset(
        {
            "aiortc",
            "av",
            "h11",
            "numpy",
            "psutil",
            "safetensors",
            "starlette",
            "taesd_stream.engine",
            "taesd_stream.errors",
            "taesd_stream.jobs",
            "taesd_stream.latents",
            "taesd_stream.models",
            "taesd_stream.sinks",
            "tiling",
            "torch",
            "uvicorn",
            "video",
            "websockets",
        }
    ),
    # It imports nothing of its host, of which old versions are in use.
    "taesd_stream.streamdiffusion": frozenset(
        {
            "taesd_stream.engine",
            "taesd_stream.errors",
            "taesd_stream.jobs",
            "taesd_stream.latents",
            "taesd_stream.models",
            "taesd_stream.sinks",
            "torch",
            "video",
        }
    ),
    "taesd_stream.comfyui": frozenset(
        {
            "comfy",
            "comfy_api",
            "einops",
            "folder_paths",
            "taesd_stream.engine",
            "taesd_stream.errors",
            "taesd_stream.jobs",
            "taesd_stream.models",
            "tiling",
            "torch",
            "video",
        }
    ),
    "taesd_stream.cli": frozenset(
        {
            "taesd_stream.comfyui",
            "taesd_stream.engine",
            "taesd_stream.errors",
            "taesd_stream.exporting",
            "taesd_stream.jobs",
            "taesd_stream.latents",
            "taesd_stream.live",
            "taesd_stream.models",
            "taesd_stream.remote",
            "taesd_stream.samples",
            "tiling",
            "video",
        }
    ),
    "taesd_stream": frozenset(
        {
            "taesd_stream.diffusers",
            "taesd_stream.engine",
            "taesd_stream.errors",
            "taesd_stream.exporting",
            "taesd_stream.jobs",
            "taesd_stream.latents",
            "taesd_stream.live",
            "taesd_stream.models",
            "taesd_stream.sinks",
            "taesd_stream.streamdiffusion",
            "tiling",
            "video.errors",
        }
    ),
    "taesd_stream.__main__": frozenset({"taesd_stream.cli"}),
}


@dataclass(frozen=True)
class Import:
    """One import statement's target, as far as it is a module.

    Attributes:
        when_loaded: Whether it runs when the importer is loaded.
        for_types: Whether it never runs, and is there for type checkers.
    """

    importer: str
    target: str
    line: int
    when_loaded: bool
    for_types: bool


def module_files(root: Path) -> dict[str, Path]:
    found = {}
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def is_type_checking(node: ast.AST) -> bool:
    if not isinstance(node, ast.If):
        return False
    test = node.test
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", None)
    return name == "TYPE_CHECKING"


def imports_in(module: str, path: Path, modules: Mapping[str, Path]) -> Iterator[Import]:
    """Every import of a file; those under TYPE_CHECKING or in a function do not run on loading."""

    def walk(node: ast.AST, when_loaded: bool, for_types: bool) -> Iterator[Import]:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            when_loaded = False
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(module, alias.name, node.lineno, when_loaded, for_types)
        elif isinstance(node, ast.ImportFrom):
            base = absolute(node)
            for alias in node.names:
                below = f"{base}.{alias.name}"
                target = below if below in modules else base
                yield Import(module, target, node.lineno, when_loaded, for_types)
        elif is_type_checking(node):
            for child in node.body:  # type: ignore[attr-defined]
                yield from walk(child, False, True)
            for child in node.orelse:  # type: ignore[attr-defined]
                yield from walk(child, when_loaded, for_types)
        else:
            for child in ast.iter_child_nodes(node):
                yield from walk(child, when_loaded, for_types)

    def absolute(node: ast.ImportFrom) -> str:
        if node.level == 0:
            return node.module or ""
        parts = module.split(".") + ([""] if path.name == "__init__.py" else [])
        return ".".join([*parts[: -node.level], *filter(None, [node.module])])

    yield from walk(ast.parse(path.read_text(encoding="utf-8")), True, False)


def below(module: str, prefix: str) -> bool:
    return module == prefix or module.startswith(f"{prefix}.")


def is_allowed(found: Import) -> bool:
    target = found.target
    if target.partition(".")[0] in sys.stdlib_module_names:
        return True
    homes = [prefix for prefix in MAY_IMPORT if below(found.importer, prefix)]
    home = max(homes, key=len)
    own = {home} if home != "taesd_stream" else {"taesd_stream.__init__"}
    return any(below(target, prefix) for prefix in own | MAY_IMPORT[home])


def complaints_about(root: Path) -> list[str]:
    """Every import that breaks a rule, and every circle of imports; empty when all is well."""
    modules = module_files(root)
    found = [each for name, path in modules.items() for each in imports_in(name, path, modules)]
    complaints = [
        f"{each.importer}:{each.line} must not import {each.target}"
        for each in found
        if not is_allowed(each)
    ]
    return [*complaints, *circles(found, modules)]


def circles(found: Iterable[Import], modules: Mapping[str, Path]) -> Iterator[str]:
    """A complaint for modules, and one for rooms, that import each other in a circle, even late.

    The face of a package may open late what imports it. A room and one inside it make no circle.
    """
    by_module: dict[str, set[str]] = {}
    by_room: dict[str, set[str]] = {}
    for each in found:
        is_face = modules[each.importer].name == "__init__.py"
        if each.target not in modules or each.for_types or (is_face and not each.when_loaded):
            continue
        by_module.setdefault(each.importer, set()).update({each.target} - {each.importer})
        here, there = (room_of(name, modules) for name in (each.importer, each.target))
        if not below(here, there) and not below(there, here):
            by_room.setdefault(here, set()).add(there)
    for graph in (by_module, by_room):
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            yield "imports run in a circle: " + " <- ".join(error.args[1])


def room_of(module: str, modules: Mapping[str, Path]) -> str:
    """The package that a module is in, or that it is the face of."""
    return module if modules[module].name == "__init__.py" else module.rpartition(".")[0]


def test_every_import_keeps_the_rules() -> None:
    assert complaints_about(ROOT) == []


def test_the_rules_are_about_modules_that_are_there() -> None:
    modules = module_files(ROOT)
    for prefix in MAY_IMPORT:
        assert prefix in modules


def test_rooms_import_only_what_is_below() -> None:
    floors = list(MAY_IMPORT)
    for number, (room, allowed) in enumerate(MAY_IMPORT.items()):
        ours = {each for each in allowed if each.partition(".")[0] in PACKAGES}
        above = {each for each in ours if not any(below(each, low) for low in floors[:number])}
        assert above == set(), f"{room} stands below these"


def test_the_root_holds_rooms_and_nothing_that_a_room_could_hold() -> None:
    loose = {path.stem for path in (ROOT / "taesd_stream").glob("*.py")}
    assert loose == {"__init__", "__main__", "errors"}


@pytest.mark.parametrize(
    ("path", "source", "complaint"),
    [
        ("tiling/a.py", "import torch", "tiling.a:1 must not import torch"),
        ("tiling/a.py", "def f():\n    import torch", "tiling.a:2 must not import torch"),
        ("tiling/a.py", "from taesd_stream.errors import X", "import taesd_stream.errors"),
        ("video/a.py", "import taesd_stream", "video.a:1 must not import taesd_stream"),
        ("video/a.py", "from tiling import Size", "video.a:1 must not import tiling"),
        ("taesd_stream/models/a.py", "from ..engine import b", "must not import taesd_stream.eng"),
        ("taesd_stream/models/a.py", "import taesd_stream.latents", "taesd_stream.latents"),
        (
            "taesd_stream/models/a.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import av",
            "taesd_stream.models.a:3 must not import av",
        ),
        ("taesd_stream/engine/a.py", "import video", "must not import video"),
        ("taesd_stream/engine/a.py", "import taesd_stream.jobs.a", "taesd_stream.jobs.a"),
        ("taesd_stream/engine/a.py", "from taesd_stream import cli", "taesd_stream.cli"),
        ("taesd_stream/jobs/a.py", "import taesd_stream.cli.main", "taesd_stream.cli.main"),
        ("taesd_stream/engine/a.py", "import taesd_stream.jobs", "taesd_stream.jobs"),
        ("taesd_stream/engine/a.py", "from video import VideoWriter", "must not import video"),
        ("taesd_stream/latents/a.py", "import taesd_stream.engine", "taesd_stream.engine"),
        ("taesd_stream/errors.py", "import torch", "taesd_stream.errors:1 must not import torch"),
    ],
)
def test_the_rules_can_be_broken(path: str, source: str, complaint: str, tmp_path: Path) -> None:
    for package in (*PACKAGES, "taesd_stream/cli", "taesd_stream/jobs", "taesd_stream/engine"):
        (tmp_path / package).mkdir(parents=True, exist_ok=True)
        (tmp_path / package / "__init__.py").touch()
    assert complaints_about(tmp_path) == []
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_text(source)
    (found,) = complaints_about(tmp_path)
    assert complaint in found


def test_a_circle_is_found_and_imports_for_types_are_none(tmp_path: Path) -> None:
    package = tmp_path / "tiling"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "a.py").write_text("from tiling import b")
    (package / "b.py").write_text("from tiling.c import X")
    (package / "c.py").write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from tiling.a import Y"
    )
    assert complaints_about(tmp_path) == []
    for source in ("from .a import Y", "def late():\n    from .a import Y"):
        (package / "c.py").write_text(source)
        (found,) = complaints_about(tmp_path)
        assert found.startswith("imports run in a circle: ")
        assert all(name in found for name in ("tiling.a", "tiling.b", "tiling.c"))


def test_a_circle_of_rooms_is_found_where_no_module_is_in_one(tmp_path: Path) -> None:
    for room in ("a", "b"):
        (tmp_path / "tiling" / room).mkdir(parents=True)
        (tmp_path / "tiling" / room / "__init__.py").touch()
    (tmp_path / "tiling" / "__init__.py").write_text("from tiling.a import one")
    (tmp_path / "tiling" / "a" / "one.py").write_text("import tiling.b.one")
    (tmp_path / "tiling" / "b" / "one.py").touch()
    (tmp_path / "tiling" / "a" / "two.py").touch()
    assert complaints_about(tmp_path) == []
    (tmp_path / "tiling" / "b" / "two.py").write_text("def late():\n    import tiling.a.two")
    (found,) = complaints_about(tmp_path)
    assert found in (
        "imports run in a circle: tiling.a <- tiling.b <- tiling.a",
        "imports run in a circle: tiling.b <- tiling.a <- tiling.b",
    )


def test_a_lazy_face_is_no_circle(tmp_path: Path) -> None:
    package = tmp_path / "tiling"
    package.mkdir()
    (package / "a.py").write_text("import tiling")
    (package / "__init__.py").write_text("def late():\n    from tiling import a")
    assert complaints_about(tmp_path) == []
    (package / "__init__.py").write_text("from tiling import a")
    (found,) = complaints_about(tmp_path)
    assert found.startswith("imports run in a circle: ")
