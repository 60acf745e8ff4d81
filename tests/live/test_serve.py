"""`taesd-video serve` in a process of its own: what it says, and how it ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import av
import pytest
import torch

import taesd_stream as ts
from taesd_stream.cli.main import main
from tests.live.asking import LONG_SECONDS, ask, until
from tests.live.served import serve


def test_it_says_where_it_is_and_ends_by_ctrl_c_with_its_recordings_finished(
    tmp_path: Path,
) -> None:
    with serve(tmp_path, "--model", "nano", "--title", "a & b") as served:
        assert served.told == {
            "url": f"http://127.0.0.1:{served.port}/",
            "port": served.port,
            "token": None,
        }
        with ts.LiveClient(served.told["url"], when_full="wait") as client:
            client.push(torch.zeros(4, 4, 6))
            until(lambda: ask(served.port, "/frame.png").status == 200)
            begun = ask(served.port, "/recording", b'{"action": "start"}')
            name = json.loads(begun.body)["name"]
            client.push(torch.ones(5, 4, 4, 6))
        until(lambda: json.loads(ask(served.port, "/status.json").body)["recording"]["frames"] == 6)
        assert json.loads(ask(served.port, "/status.json").body)["title"] == "a & b"
        assert served.interrupt() == 130
        assert served.complaints == (
            f"taesd-video: stopped; 6 frames were shown, recorded: {name}\n"
        )
    with av.open(str(tmp_path / name)) as video:
        assert sum(1 for _ in video.decode(video=0)) == 6


def test_it_plays_a_file_and_says_its_plan_and_the_token_of_others(tmp_path: Path) -> None:
    torch.save(torch.zeros(3, 4, 2, 2), tmp_path / "frames.pt")
    command = [sys.executable, "-m", "taesd_stream", "serve", str(tmp_path / "frames.pt")]
    command += ["--model", "nano", "--host", "0.0.0.0", "--port", "0"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said.startswith("open http://127.0.0.1:")
        url = said.split()[1]
        port, path = int(url.split(":")[2].partition("/")[0]), "/status.json?" + url.split("?")[1]
        until(lambda: json.loads(ask(port, path).body)["shown"] == 3)
        state = json.loads(ask(port, path).body)
        assert (state["title"], state["takes_latents"]) == ("frames.pt", False)
        assert ask(port, path.replace("status.json", "latents"), b"abc").status == 404
        process.send_signal(signal.SIGTERM)
        _, complaints = process.communicate(timeout=LONG_SECONDS)
    finally:
        process.kill()
        process.wait()
    lines = complaints.splitlines()
    assert lines[0].startswith("decode 3 frames of 16x16 pixels with nano")
    assert lines[-1] == "taesd-video: stopped; 3 frames were shown"
    assert process.returncode == 143


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--port", "70000"], "port: expected 0 to 65535"),
        (["--host", "192.0.2.1"], "host: expected one to listen on"),
        (["--certificate", "nowhere.pem"], "certificate: expected a PEM file"),
        (["--host", "0.0.0.0", "--token", "a b"], "token: expected letters"),
        (["--private-key", "key.pem"], "private_key: expected a certificate with it"),
        (["--crop", "0,0,8,8"], "crop: expected none without latents to play"),
        (["--layout", "NCHW"], "layout: expected none without IN"),
        (["--loop"], "loop: expected none without latents to play"),
    ],
)
def test_what_is_wrong_is_one_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--model", "nano", "--port", "0", *words]) == 2
    assert capsys.readouterr().err.startswith(f"taesd-video: {said}")


def test_a_port_that_is_taken_says_how_to_choose_another(
    page: ts.LivePage, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--model", "nano", "--port", str(page.port)]) == 2
    said = capsys.readouterr().err
    assert f"found {page.port} on 127.0.0.1 taken by another program" in said
    assert "choose another with --port" in said


@pytest.mark.parametrize("library", ["aiortc", "starlette", "uvicorn", "websockets"])
def test_a_library_that_is_missing_is_named_with_what_installs_it(
    library: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        "taesd_stream.live.extra.find_spec", lambda name: None if name == library else object()
    )
    assert main(["serve", "--model", "nano", "--port", "0"]) == 1
    assert capsys.readouterr().err == (
        f"taesd-video: live: {library} is not installed; pip install 'taesd-stream[live]'\n"
    )
    if library == "websockets":
        with pytest.raises(ts.MissingExtraError, match="pip install"):
            ts.LiveClient("http://127.0.0.1:9/")
    else:
        ts.LiveClient("http://127.0.0.1:9/").close()
