"""Weights out of what they are wrapped in: nested mappings, prefixes, and a trainer's rest.

Trainers save a model beside its optimizer and an averaged copy of it, and programs put the place
that it had in their own model before every name. The autoencoder is wherever names are those of its
layers; what else there is, is left out and logged.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from torch import Tensor

from taesd_stream.errors import CheckpointError
from taesd_stream.models.weights.foreign_files import LATENTS_INSTEAD

__all__ = [
    "ROLES",
    "Place",
    "Role",
    "chosen",
    "log_left_out",
    "tables",
    "unknown_name",
    "unwrapped",
]

Role: TypeAlias = Literal["encoder", "decoder"]

# The last four are ComfyUI's and its users'.
ROLES: Final[Mapping[str, Role]] = {
    "encoder": "encoder",
    "decoder": "decoder",
    "taesd_encoder": "encoder",
    "taesd_decoder": "decoder",
    "taehv_encoder": "encoder",
    "taehv_decoder": "decoder",
}
"""The names that the halves go by, in front of their layers' names."""

_LOGGER: Final = logging.getLogger("taesd_stream")
_LATENT_KEYS: Final = frozenset({"latents", "latent", "samples", "latent_tensor"})
# Written by ComfyUI into files of float8 weights.
_MARKERS: Final = frozenset({"scaled_fp8"})
_LAYER: Final = re.compile(r"(?:layers\.)?[0-9]{1,4}(?:\.\w+)*\.(?:weight|bias)")
_AVERAGED: Final = re.compile(r"(?:^|[_.])ema(?:$|[_.])")
_DEEPEST: Final = 5
_LISTED: Final = 5


@dataclass(frozen=True, eq=False)
class Place:
    """Where weights may be: in a mapping, under the names that begin with a root.

    Attributes:
        entries: What the mapping holds, mappings inside it aside.
        path: The keys that lead to the mapping, each with a dot behind it.
        root: What its layers' names begin with, up to and with a dot; often nothing.
        has_roles: Whether "encoder" or "decoder" follows, or the number of a layer at once.
    """

    entries: Mapping[object, object]
    path: str
    root: str
    has_roles: bool

    @property
    def name(self) -> str:
        return self.path + self.root


def unwrapped(raw: Mapping[str, object], origin: str) -> dict[str, object]:
    """The entries of an autoencoder, under names like "decoder.1.weight" or "1.weight".

    Args:
        raw: What a file holds: names to tensors, or mappings of these, with anything beside.
        origin: What to call the source in the log.

    Raises:
        CheckpointError: No names of layers are there, or those of several models; or names beside
            them that a full VAE has.

    >>> import torch
    >>> weight = torch.zeros(64, 4, 3, 3)
    >>> list(unwrapped({"epoch": 3, "params_ema": {"vae.decoder.1.weight": weight}}, "example"))
    ['decoder.1.weight']
    """
    known = list(tables(raw))
    places = [place for path, entries in known for place in _places(path, entries)]
    if not places:
        raise _nothing_known([entries for _, entries in known])
    place = chosen(places, origin)
    found: dict[str, object] = {}
    others = ((path, each) for path, each in known if each is not place.entries)
    left_out = {f"{path}{key}".partition(".")[0] for path, each in others for key in each}
    for key, value in place.entries.items():
        if not isinstance(key, str):
            raise CheckpointError(
                f"expected tensors named by strings, found the name {key!r}; "
                "save the model's state_dict()"
            )
        inner = key.removeprefix(place.root)
        if key.startswith(place.root) and _is_part(inner):
            found[inner] = value
        elif _may_be_left_out(key, value):
            left_out.add(key.partition(".")[0])
        else:
            raise unknown_name(key)
    log_left_out(left_out - {"", *place.path.split(".")}, origin)
    return found


def log_left_out(names: set[str], origin: str) -> None:
    """Log what was beside an autoencoder, if anything was."""
    if names:
        listed = ", ".join(sorted(names)[:_LISTED]) + (", ..." if len(names) > _LISTED else "")
        _LOGGER.info("%s: left out what is beside the autoencoder (%s)", origin, listed)


def unknown_name(key: str) -> CheckpointError:
    """The error about a tensor whose name is not one of a tiny autoencoder's."""
    advice = (
        "this looks like a full VAE; of those only AutoencoderKL, for pictures, can be loaded"
        if _is_of_full_vae(key)
        else "give a checkpoint of AutoencoderKL or of the TAESD family"
    )
    return CheckpointError(
        "expected layers named like 'decoder.1.weight' or '3.conv.0.weight', "
        f"found {key[:80]!r}; {advice}"
    )


def tables(
    mapping: Mapping[object, object] | Mapping[str, object], path: str = "", depth: int = 0
) -> Iterator[tuple[str, dict[object, object]]]:
    """Every mapping that ``mapping`` holds, itself included, without those inside it."""
    own: dict[object, object] = {}
    for key, value in mapping.items():
        if not isinstance(value, Mapping):
            own[key] = value
        elif key in ROLES:
            own |= {f"{key}.{inner}": each for inner, each in value.items()}
        elif depth < _DEEPEST:
            yield from tables(value, f"{path}{key}.", depth + 1)
    yield path, own


def _places(path: str, entries: Mapping[object, object]) -> list[Place]:
    """Where in a mapping names of layers begin."""
    found: dict[tuple[str, bool], Place] = {}
    for key, value in entries.items():
        if isinstance(key, str) and isinstance(value, Tensor):
            parts = key.split(".")
            at, has_role = _first_known(parts)
            if at is None or not _LAYER.fullmatch(".".join(parts[at + has_role :])):
                continue
            root = "".join(f"{part}." for part in parts[:at])
            found.setdefault((root, has_role), Place(entries, path, root, has_role))
    return list(found.values())


def _first_known(parts: list[str]) -> tuple[int | None, bool]:
    """The place in a name of a role or, without one, of a layer's number; and whether it is one."""
    for at, part in enumerate(parts):
        if part in ROLES:
            return at, True
    for at, part in enumerate(parts):
        if part.isdecimal():
            return at - (at > 0 and parts[at - 1] == "layers"), False
    return None, False


def chosen(places: list[Place], origin: str) -> Place:
    """The one place that the weights are taken from."""
    fitting = [each for each in places if each.has_roles] or places
    averaged = [each for each in fitting if _AVERAGED.search(each.name)]
    if len(fitting) > 1 and len(averaged) == 1:
        names = ", ".join(repr(each.name) for each in fitting if each not in averaged)
        _LOGGER.info("%s: took the averaged weights, %r, not %s", origin, averaged[0].name, names)
        return averaged[0]
    if len(fitting) > 1:
        names = ", ".join(repr(each.name) for each in fitting[:_LISTED])
        raise CheckpointError(
            f"expected one model, found the names of {len(fitting)}, beginning with {names}; save"
            " the one that is wanted alone"
        )
    return fitting[0]


def _is_part(name: str) -> bool:
    """Whether a name, without its root, belongs to a half or to a layer."""
    first = name.partition(".")[0]
    return first in ROLES or first.isdecimal() or first == "layers"


def _may_be_left_out(key: str, value: object) -> bool:
    """Whether an entry beside the layers can be none of the network's."""
    if not isinstance(value, Tensor) or key in _MARKERS:
        return True
    if value.ndim == 0 or value.shape == (1,):
        return True
    return "." in key and not _is_of_full_vae(key)


def _is_of_full_vae(key: str) -> bool:
    return any(part in key for part in ("conv_in", "conv_out", "_blocks.", "quant_conv"))


def _nothing_known(known: list[dict[object, object]]) -> CheckpointError:
    keys = [key for entries in known for key in entries]
    if not keys:
        return CheckpointError("expected named tensors, found none; fetch it again")
    for key in keys:
        if not isinstance(key, str):
            return CheckpointError(
                f"expected tensors named by strings, found the name {key!r}; "
                "save the model's state_dict()"
            )
        if key in _LATENT_KEYS:
            return CheckpointError(
                f"expected a checkpoint's weights, found the entry {key!r}, {LATENTS_INSTEAD}"
            )
    named = [key for entries in known for key, value in entries.items() if _is_tensor(value)]
    return unknown_name(str((named or keys)[0]))


def _is_tensor(value: object) -> bool:
    return isinstance(value, Tensor)
