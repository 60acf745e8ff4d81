"""The engine inside StreamDiffusion: smooth video, and every frame tapped."""

from taesd_stream.streamdiffusion.attaching import Attached, attach

__all__ = ["Attached", "attach"]
