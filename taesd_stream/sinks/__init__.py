"""Frames and latents of a program that runs, into files, folders, callables and cameras."""

from taesd_stream.sinks.counts import SinkCounts, TargetCounts
from taesd_stream.sinks.sink import Sink, Target, as_sink
from taesd_stream.sinks.video_sink import VideoSink

__all__ = ["Sink", "SinkCounts", "Target", "TargetCounts", "VideoSink", "as_sink"]
