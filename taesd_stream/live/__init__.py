"""A page that shows a decode while it runs, and takes latents from other programs."""

from taesd_stream.live.live_client import LiveClient
from taesd_stream.live.live_page import LivePage

__all__ = ["LiveClient", "LivePage"]
