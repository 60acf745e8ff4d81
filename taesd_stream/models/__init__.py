"""Networks, and where their weights come from."""

from taesd_stream.models.network import Network
from taesd_stream.models.spec import ModelSpec, spec_of
from taesd_stream.models.variant import Variant
from taesd_stream.models.variant_names import find_variant, unknown_model, variant_named
from taesd_stream.models.variants import VARIANTS, variants_for
from taesd_stream.models.weights.checkpoint import Checkpoint, read_checkpoint
from taesd_stream.models.weights.hub import fetch_from_hub, is_hub_name
from taesd_stream.models.weights.official import cached, fetch, official_names
from taesd_stream.models.weights.outlines import empty_network
from taesd_stream.models.weights.packaged import packaged_weights
from taesd_stream.models.weights.variant_detection import build, detect, fitting_variants

__all__ = [
    "VARIANTS",
    "Checkpoint",
    "ModelSpec",
    "Network",
    "Variant",
    "build",
    "cached",
    "detect",
    "empty_network",
    "fetch",
    "fetch_from_hub",
    "find_variant",
    "fitting_variants",
    "is_hub_name",
    "official_names",
    "packaged_weights",
    "read_checkpoint",
    "spec_of",
    "unknown_model",
    "variant_named",
    "variants_for",
]
