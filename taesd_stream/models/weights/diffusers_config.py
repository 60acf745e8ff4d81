"""The config.json that diffusers lays beside weights, and whether these are computed here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from taesd_stream.errors import CheckpointError

__all__ = ["DIFFUSERS_CONFIG", "read_config"]

DIFFUSERS_CONFIG: Final = "config.json"
"""Its name."""

_LIMIT_BYTES: Final = 2**20
_TINY: Final = "AutoencoderTiny"
# Full VAEs' weights are held against its configuration where their sizes are found.
_CLASSES: Final = (
    _TINY,
    "AutoencoderKL",
    "AutoencoderKLTemporalDecoder",
    "ConsistencyDecoderVAE",
)
# What diffusers' AutoencoderTiny can be told that the weights' shapes do not show.
_REQUIRED_OF_TINY: Final[Mapping[str, object]] = {
    "act_fn": "relu",
    "upsample_fn": "nearest",
    "upsampling_scaling_factor": 2,
}


def read_config(path: Path) -> dict[str, Any]:
    """Read a configuration, and refuse what diffusers would compute otherwise; {} without one.

    Raises:
        CheckpointError: It is no JSON object, of another class, or asks for what is not computed.
    """
    if not path.is_file():
        return {}
    if path.stat().st_size > _LIMIT_BYTES:
        raise CheckpointError(
            f"{path}: expected a configuration of at most {_LIMIT_BYTES} bytes, "
            f"found {path.stat().st_size}; fetch it again"
        )
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(config, dict):
            raise ValueError(f"a {type(config).__name__}")
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path}: expected a JSON object, found something else ({error}); fetch it again"
        ) from error
    name = config.get("_class_name", _TINY)
    if name not in _CLASSES:
        raise CheckpointError(
            f"{path}: expected _class_name to be {' or '.join(_CLASSES)}, found {name!r:.60}; give"
            " the folder of one of these"
        )
    for key, required in _REQUIRED_OF_TINY.items() if name == _TINY else ():
        if config.get(key, required) != required:
            raise CheckpointError(
                f"{path}: expected {key} to be {required!r}, found {config[key]!r:.60}; "
                "only diffusers' AutoencoderTiny with the official layers is supported"
            )
    return config
