"""Facts about a model that a file keeps beside the graph."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version

from taesd_stream.exporting.ports import frames_per_step
from taesd_stream.models import ModelSpec, Network

__all__ = ["facts_of"]


def facts_of(spec: ModelSpec, network: Network, dtype: str) -> Mapping[str, str]:
    """The metadata of a graph, by name, as docs/onnx.md lists it.

    Args:
        spec: The model in figures.
        network: Its encoder or its decoder.
        dtype: In which the graph computes: "float32", "float16" or "int8".
    """
    facts: dict[str, object] = {
        "model": spec.name,
        "half": "decoder" if network.decodes else "encoder",
        "convention": spec.convention,
        "halo": "unbounded" if network.halo is None else network.halo,
        "scale": spec.spatial_scale,
        "channels": spec.latent_channels,
        "image_channels": spec.image_channels,
        "dtype": dtype,
        "taesd_stream": version("taesd-stream"),
    }
    if network.stateful:
        facts |= _of_video(spec, network)
    return {name: str(value) for name, value in facts.items()}


def _of_video(spec: ModelSpec, network: Network) -> dict[str, object]:
    facts: dict[str, object] = {
        "memories": len(network.stateful),
        "frames_per_step": frames_per_step(network),
    }
    if network.decodes:
        timing = spec.timing
        facts |= {"frames_to_drop": timing.lead}
        if timing.only_if_odd:
            facts |= {"frames_to_drop_if": "the number of latents is odd"}
        if timing.chunk is not None:
            facts |= {"latents_per_chunk": timing.chunk, "latents_after_chunks": timing.rest}
        return facts
    timing_of_frames = spec.encode_timing
    if timing_of_frames.group is not None:
        facts |= {
            "frames_per_group": timing_of_frames.group,
            "black_frames_before_group": timing_of_frames.zeros,
            "latents_to_drop_at_end": timing_of_frames.tail,
        }
    return facts
