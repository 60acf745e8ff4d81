"""Build the page that decodes latents in a browser, with all that it needs beside it.

    python tools/make_web.py                  # into build/web
    python tools/make_web.py site/web         # into another folder
    python tools/make_web.py --serve          # and serve it on http://localhost:8000

It needs Node.js with npm, which fetches ONNX Runtime, and the extra ``onnx``. The page lies in
docs/web; any server of files can serve what is built. This one sends the headers by which a browser
allows threads, too.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

from filelock import FileLock

import taesd_stream as ts
from taesd_stream.latents import save_latents
from taesd_stream.samples import sample_path

__all__ = ["BuildError", "UnreachableError", "build", "main", "server"]

ROOT: Final = Path(__file__).resolve().parents[1]
PAGE: Final = ROOT / "docs" / "web"
PACKAGES: Final = ROOT / "build" / "npm"
MODEL: Final = "nano"

# ONNX Runtime for the processor, and for the GPU: a script, its loader, and the code.
_RUNTIME: Final = (
    "ort.wasm.min.mjs",
    "ort-wasm-simd-threaded.mjs",
    "ort-wasm-simd-threaded.wasm",
    "ort.webgpu.min.mjs",
    "ort-wasm-simd-threaded.asyncify.mjs",
    "ort-wasm-simd-threaded.asyncify.wasm",
)

_UNREACHABLE: Final = re.compile(
    "EAI_AGAIN|ECONNREFUSED|ECONNRESET|ENOTFOUND|ETIMEDOUT|E403|E50[0-9]"
)


class BuildError(Exception):
    """What the page is built of is not there; the message says what to do."""


class UnreachableError(BuildError):
    """npm's registry cannot be reached."""


def main() -> int:
    """Build, and serve where that is asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=ROOT / "build" / "web")
    parser.add_argument("--serve", type=int, nargs="?", const=8000, metavar="PORT")
    arguments = parser.parse_args()
    try:
        build(arguments.folder)
    except (BuildError, ts.TaesdStreamError) as error:
        print(f"make_web: {error}", file=sys.stderr)
        return 2
    print(f"built {arguments.folder}")
    return 0 if arguments.serve is None else _serve(arguments.folder, arguments.serve)


def _serve(folder: Path, port: int) -> int:
    """Serve a folder until ctrl-C; the exit status."""
    try:
        served = server(folder, port)
    except OSError as error:
        print(
            f"make_web: expected a free port, found {port} ({error}): give another", file=sys.stderr
        )
        return 2
    with served:
        print(f"open http://localhost:{served.server_port} (ctrl-C ends it)")
        try:
            served.serve_forever()
        except KeyboardInterrupt:
            return 130
    return 0


def build(folder: Path) -> None:
    """Write the page, ONNX Runtime, the decoder and a sample into ``folder``.

    Raises:
        BuildError: There is no npm, or it could not install what the page's lock file lists.
        MissingExtraError: The extra ``onnx`` is not installed.
    """
    runtime = _installed_packages() / "onnxruntime-web" / "dist"
    shutil.copytree(
        PAGE, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("package*.json")
    )
    (folder / "onnxruntime").mkdir(exist_ok=True)
    for name in _RUNTIME:
        shutil.copy(runtime / name, folder / "onnxruntime" / name)
    _write_decoder(folder)
    save_latents(folder / "sample.safetensors", ts.open_latents(sample_path()), overwrite=True)


def server(folder: Path, port: int, *, threads: bool = True) -> ThreadingHTTPServer:
    """A server of files for this machine alone, which is not started.

    Args:
        folder: To be served.
        port: 0 takes a free one.
        threads: Whether pages are isolated from other origins, without which browsers refuse
            memory that threads share.
    """
    handler = partial(_IsolatedFiles if threads else SimpleHTTPRequestHandler, directory=folder)
    return ThreadingHTTPServer(("127.0.0.1", port), handler)


class _IsolatedFiles(SimpleHTTPRequestHandler):
    """Files with the headers that isolate pages; those of an earlier build are not kept."""

    def end_headers(self) -> None:
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()


def _installed_packages() -> Path:
    """The folder of npm's packages, as the lock file has them; later builds take it, too."""
    npm = shutil.which("npm")
    if npm is None:
        raise BuildError("expected npm, found none: install Node.js, which has it")
    lock = PACKAGES / "package-lock.json"
    wanted = (PAGE / lock.name).read_bytes()
    installed = PACKAGES / "node_modules"
    PACKAGES.mkdir(parents=True, exist_ok=True)
    with FileLock(PACKAGES / "build.lock"):
        is_complete = (installed / ".package-lock.json").exists()  # which npm writes last
        if not (is_complete and lock.exists() and lock.read_bytes() == wanted):
            for name in ("package.json", lock.name):
                shutil.copy(PAGE / name, PACKAGES / name)
            _install(npm)
    return installed


def _install(npm: str) -> None:
    """Install what the lock file lists, and run no script of it."""
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=PACKAGES, capture_output=True, check=False, text=True)
    if done.returncode:
        kind = UnreachableError if _UNREACHABLE.search(done.stderr) else BuildError
        raise kind(f"expected npm to install the page's packages, found:\n{done.stderr.strip()}")


def _write_decoder(folder: Path) -> None:
    """The network, and the figures that the page needs of it."""
    ae = ts.load(MODEL, device="cpu", dtype="float32")
    ts.export(ae, folder / f"{MODEL}.onnx", half="decoder", overwrite=True)
    figures = {
        "file": f"{MODEL}.onnx",
        "channels": ae.spec.latent_channels,
        "halo": ae.spec.halo,
        "scale": ae.spec.spatial_scale,
        "mean": ae.spec.space.mean[0],
        "deviation": ae.spec.space.deviation[0],
    }
    (folder / "decoder.json").write_text(json.dumps(figures, indent=2), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
