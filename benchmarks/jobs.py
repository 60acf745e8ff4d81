"""The kinds of jobs that a worker can have, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from benchmarks import decode_job, gpu_jobs, video_jobs
from benchmarks.task import Kind

__all__ = ["KINDS"]

KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "decode": decode_job.DECODE,
        "video-decode": video_jobs.DECODE,
        "video-encode": video_jobs.ENCODE,
        "video-render": video_jobs.RENDER,
        "gpu-decode": gpu_jobs.DECODE,
        "gpu-video": gpu_jobs.VIDEO,
        "gpu-matmul": gpu_jobs.MATMUL,
        "gpu-largest": gpu_jobs.LARGEST,
    }
)
