"""Which variant a checkpoint is: its names and shapes decide, never its path."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import lru_cache

from torch import Tensor

from taesd_stream.errors import CheckpointError
from taesd_stream.models.network import Network
from taesd_stream.models.variant import Variant
from taesd_stream.models.variant_names import variant_named
from taesd_stream.models.variants import VARIANTS
from taesd_stream.models.weights.checkpoint import Checkpoint
from taesd_stream.models.weights.consistency_detection import consistency_of, is_consistency
from taesd_stream.models.weights.kl_detection import hinted_variant, is_kl, kl_variants
from taesd_stream.models.weights.outlines import difference, empty_network

__all__ = ["build", "detect", "fitting_variants"]

_log = logging.getLogger("taesd_stream")

_TINY_WITH_WEIGHTS = tuple(each for each in VARIANTS if each.weights != "none" and not each.is_fine)


def detect(checkpoint: Checkpoint, variant: str | None = None) -> Variant:
    """The variant that a checkpoint's shapes are those of.

    Several variants can share every shape and differ in nothing but the latents their weights were
    trained for (taesd and taesdxl; taesd3 and taef1). Then ``variant`` names it, or else the stem
    of the file is taken for a hint, or else it is the first of them. Where they also differ in the
    frames they make (taecvx and taehv), it must be named; where they differ in the scale of latents
    that they take (taew2_2 and lighttaew2_2), what was assumed is a warning.

    Raises:
        CheckpointError: No variant has these shapes, or not the one that was named, or several
            that differ in more than their weights.
        ModelNotFoundError: No variant goes by that name.
    """
    if variant is not None:
        return _named(variant, checkpoint)
    fitting = fitting_variants(checkpoint)
    if is_consistency(checkpoint):
        return fitting[0]
    if is_kl(checkpoint):
        return _of_full_vaes(checkpoint, fitting)
    hint = (checkpoint.stem_hint or "").lower()
    hinted = [each for each in fitting if each.name in hint]
    if checkpoint.decoder is not None and len({each.timing for each in fitting}) > 1:
        raise _undecided(checkpoint, fitting, hinted)
    chosen = max(hinted, key=lambda each: len(each.name), default=fitting[0])
    if len(fitting) > 1:
        _tell(checkpoint, fitting, chosen, bool(hinted))
    return chosen


def _of_full_vaes(checkpoint: Checkpoint, fitting: list[Variant]) -> Variant:
    """The one that is hinted at, else the first; what was assumed is a warning."""
    hinted = hinted_variant(checkpoint, fitting)
    chosen, why = hinted or (fitting[0], "the first of them")
    if len(fitting) > 1:
        names = " and ".join(each.name for each in fitting)
        said = (
            f"{checkpoint.origin}: the shapes are those of {names}; taken for {chosen.name}, {why}"
        )
        others = " or ".join(each.name for each in fitting if each is not chosen)
        advice = f"; if it is {others}, say so with --variant (variant= in Python)"
        _log.log(
            logging.INFO if hinted else logging.WARNING, "%s", said if hinted else said + advice
        )
    return chosen


def _named(variant: str, checkpoint: Checkpoint) -> Variant:
    named = variant_named(variant)
    if is_consistency(checkpoint):
        found = consistency_of(checkpoint)
        if found.name == named.name:
            return found
        raise CheckpointError(
            f"{checkpoint.origin}: expected {named.name}, found a ConsistencyDecoderVAE; leave the"
            f" variant out, or call it {found.name}"
        )
    if is_kl(checkpoint):
        return _named_full_vae(named, checkpoint)
    needs_none = named.weights == "none"
    problem = "it needs no checkpoint" if needs_none else _misfit(named, checkpoint)
    if problem is None:
        return named
    others = ", ".join(each.name for each in fitting_variants(checkpoint))
    raise CheckpointError(
        f"{checkpoint.origin}: expected {named.name}, but {problem}; the shapes fit {others}"
    )


def _named_full_vae(named: Variant, checkpoint: Checkpoint) -> Variant:
    fitting = kl_variants(checkpoint, by_figures=False)
    found = next((each for each in fitting if each.name == named.name), None)
    if found is None:
        wanted, made = (
            f"{each.latent_channels} channels and {each.spatial_scale} pixels per latent"
            f"{', of frames that are made in chunks' if each.in_chunks else ''}"
            for each in (named, fitting[0])
        )
        raise CheckpointError(
            f"{checkpoint.origin}: expected {named.name}, which has {wanted}, found an"
            f" AutoencoderKL with {made}; the shapes fit {', '.join(e.name for e in fitting)}"
        )
    return found


def _tell(checkpoint: Checkpoint, fitting: list[Variant], chosen: Variant, hinted: bool) -> None:
    """Log which variant was chosen of several, and why."""
    names = " and ".join(each.name for each in fitting)
    why = f"because of its name {checkpoint.stem_hint!r}" if hinted else "the first of them"
    said = f"{checkpoint.origin}: the shapes are those of {names}; taken for {chosen.name}, {why}"
    scales = {each.convention for each in fitting if each.space == chosen.space}
    if len(scales) == 1 or hinted:
        _log.info("%s", said)
        return
    others = " or ".join(each.name for each in fitting if each.convention != chosen.convention)
    _log.warning(
        "%s; if it is %s, which takes another scale, say so with --variant (variant= in Python)",
        *(said, others),
    )


def fitting_variants(checkpoint: Checkpoint) -> list[Variant]:
    """The variants that have a checkpoint's shapes.

    Raises:
        CheckpointError: There is none.
    """
    if is_consistency(checkpoint):
        return [consistency_of(checkpoint)]
    if is_kl(checkpoint):
        return kl_variants(checkpoint)
    misfits = {each: _misfit(each, checkpoint) for each in _TINY_WITH_WEIGHTS}
    fitting = [each for each, misfit in misfits.items() if misfit is None]
    if not fitting:
        raise _unknown(checkpoint, misfits)
    return fitting


def build(variant: Variant, checkpoint: Checkpoint) -> tuple[Network | None, Network | None]:
    """Encoder and decoder with the checkpoint's weights; None for a half that it lacks."""
    encoder = _loaded(variant.encoder, checkpoint.encoder)
    return encoder, _loaded(variant.decoder, checkpoint.decoder)


def _loaded(
    make: Callable[[], Network] | None, state: Mapping[str, Tensor] | None
) -> Network | None:
    if make is None or state is None:
        return None
    network = empty_network(make)
    network.load_state_dict(network.fit(state), assign=True)
    return network


@lru_cache(maxsize=2 * len(VARIANTS))
def _outline(make: Callable[[], Network]) -> Network:
    """An empty network that is only looked at: every checkpoint is held against all of them."""
    return empty_network(make)


@lru_cache(maxsize=2 * len(VARIANTS))
def _shapes(make: Callable[[], Network]) -> Mapping[str, tuple[int, ...]]:
    return _outline(make).shapes()


def _misfit(variant: Variant, checkpoint: Checkpoint) -> str | None:
    """The first difference between a variant's shapes and the checkpoint's; None if none."""
    for role, make, state in (
        ("decoder", variant.decoder, checkpoint.decoder),
        ("encoder", variant.encoder, checkpoint.encoder),
    ):
        if state is not None and make is not None:
            found = difference(_shapes(make), _outline(make).fit(state))
            if found is not None:
                return f"its {role}'s {found}"
    lacks_both = checkpoint.decoder is None and variant.encoder is None
    return "it has no encoder" if lacks_both else None


def _undecided(
    checkpoint: Checkpoint, fitting: list[Variant], hinted: list[Variant]
) -> CheckpointError:
    choices = ", ".join(f"{each.name} ({each.latents_of.partition(',')[0]})" for each in fitting)
    best = max((each.name for each in hinted), key=len, default=None)
    hint = f"; the name suggests {best}" if best else ""
    return CheckpointError(
        f"{checkpoint.origin}: the shapes are those of {choices}, which do not make the same"
        f" frames{hint}; say which it is with --variant (variant= in Python)"
    ).with_details(*(f"{each.name}: {each.latents_of}" for each in fitting))


def _unknown(checkpoint: Checkpoint, misfits: Mapping[Variant, str | None]) -> CheckpointError:
    """The error about weights of no known shapes, with the variant that comes nearest."""
    state = checkpoint.decoder or checkpoint.encoder or {}
    nearest = max(misfits, key=lambda each: _alike(each, checkpoint))
    name, shape = next(((n, tuple(t.shape)) for n, t in state.items()), ("nothing", ()))
    halves = (("encoder", checkpoint.encoder), ("decoder", checkpoint.decoder))
    tensors = (f"{r}.{n}: {list(t.shape)}" for r, half in halves for n, t in (half or {}).items())
    return CheckpointError(
        f"{checkpoint.origin}: expected the weights of a known model, found {len(state)} tensors,"
        f" the first being {name[:60]} {shape}; nearest is {nearest.name}, but {misfits[nearest]}"
    ).with_details(*(f"not {each.name}: {misfit}" for each, misfit in misfits.items()), *tensors)


def _alike(variant: Variant, checkpoint: Checkpoint) -> int:
    """How many of a checkpoint's tensors have a variant's names and shapes."""
    count = 0
    for make, state in (
        (variant.decoder, checkpoint.decoder),
        (variant.encoder, checkpoint.encoder),
    ):
        if make is not None and state is not None:
            shapes = _outline(make).shapes()
            count += sum(shapes.get(name) == tuple(each.shape) for name, each in state.items())
    return count
