"""The state of a page as Prometheus reads it (its text format, version 0.0.4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from taesd_stream.live.status import Status

__all__ = ["CONTENT_TYPE", "metrics_text"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def metrics_text(status: Status, sent: Mapping[str, int], dropped: Mapping[str, int]) -> str:
    """The metrics.

    Args:
        status: The page's state.
        sent, dropped: Frames so far, by kind of viewer.
    """
    return "".join(f"{line}\n" for line in _lines(status, sent, dropped))


def _lines(status: Status, sent: Mapping[str, int], dropped: Mapping[str, int]) -> Iterator[str]:
    watching = dict.fromkeys(sent, 0)
    for viewer in status.viewers:
        watching[viewer.kind] = watching.get(viewer.kind, 0) + 1
    yield from _one("frames_shown_total", "counter", "Frames shown.", status.shown)
    yield from _one("latents_pushed_total", "counter", "Latents pushed.", status.pushed)
    yield from _one("latents_dropped_total", "counter", "Latents not decoded.", status.dropped)
    yield from _one("frames_per_second", "gauge", "Frames shown per second.", status.fps)
    if status.latency_ms is not None:
        yield from _one(
            "latency_seconds", "gauge", "From latent to frame, median.", status.latency_ms / 1000
        )
    yield from _one("process_memory_bytes", "gauge", "Resident memory.", status.memory.process)
    if status.memory.device is not None:
        yield from _one(
            "device_memory_bytes", "gauge", "Memory held of the GPU.", status.memory.device
        )
    yield from _by_kind("viewers", "gauge", "Viewers now.", watching)
    yield from _by_kind("frames_sent_total", "counter", "Frames sent to viewers.", sent)
    yield from _by_kind("frames_dropped_total", "counter", "Frames viewers did not get.", dropped)


def _one(name: str, kind: str, said: str, value: float) -> Iterator[str]:
    yield from _head(name, kind, said)
    yield (
        f"taesd_live_{name} {value:g}" if isinstance(value, float) else f"taesd_live_{name} {value}"
    )


def _by_kind(name: str, kind: str, said: str, values: Mapping[str, int]) -> Iterator[str]:
    yield from _head(name, kind, said)
    for viewer, value in sorted(values.items()):
        yield f'taesd_live_{name}{{kind="{viewer}"}} {value}'


def _head(name: str, kind: str, said: str) -> Iterator[str]:
    yield f"# HELP taesd_live_{name} {said}"
    yield f"# TYPE taesd_live_{name} {kind}"
