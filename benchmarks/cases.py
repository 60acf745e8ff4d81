"""The contenders: what each one is, by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from typing import Literal

__all__ = ["OURS", "PRECISIONS", "Case", "UnknownCaseError", "all_cases", "case_named", "select"]

Family = Literal[
    "ours",
    "ours-eager",
    "ours-stand-in",
    "plain",
    "naive-tiles",
    "compile",
    "diffusers",
    "diffusers-tiled",
    "openvino",
]
OURS = ("ours", "ours-eager", "ours-stand-in")
"""Families of taesd-stream: as it comes, without CUDA graphs, with a stand-in for them."""
PRECISIONS = {"float32": 4, "bfloat16": 2, "float16": 2, "int8": 1}
"""Bytes of an activation."""
_UNDIVIDED_PLANES = 4
"""Full-size activations of 64 channels that an undivided decode holds at once, at most."""


class UnknownCaseError(ValueError):
    """No case has this name."""


@dataclass(frozen=True, slots=True)
class Case:
    """One way to decode.

    Attributes:
        name: What it is called on the command line and in the table.
        family: Whose decoder.
        precision: "float32", "bfloat16", "float16" or "int8".
        backend: Ours alone: "torch" or "openvino".
        undivided: Whether the whole picture goes through the network at once.
        memory: Ours alone: the budget, as ``decode`` takes it.
        by_default: Whether it takes part unless asked for by name.
        model: "taesd" with the fixed weights, or, ours alone, "nano" with its own.
        what: In words.
    """

    name: str
    family: Family
    precision: str
    what: str
    backend: str = "torch"
    undivided: bool = True
    memory: str = "auto"
    by_default: bool = True
    model: str = "taesd"

    def needs_bytes(self, pixels: int) -> int:
        """A rough estimate of what an undivided decode of a square takes; 0 for tiled ones."""
        if not self.undivided:
            return 0
        return _UNDIVIDED_PLANES * 64 * pixels**2 * PRECISIONS[self.precision]


def all_cases(budgets: Sequence[str] = ()) -> tuple[Case, ...]:
    """Every case, those of ours once more for each memory budget."""
    return (*_ours(budgets), *_peers())


def case_named(name: str, budgets: Sequence[str] = ()) -> Case:
    """The case of that name.

    Raises:
        UnknownCaseError: There is none.
    """
    for case in all_cases(budgets):
        if case.name == name:
            return case
    raise UnknownCaseError(f"expected the name of a case, found {name!r}; --list tells them")


def select(globs: str | None, budgets: Sequence[str] = ()) -> tuple[Case, ...]:
    """The cases that any of the comma-separated globs names; by default, those by default.

    Raises:
        UnknownCaseError: A glob names none.

    >>> [case.name for case in select("plain-*")]
    ['plain-float32', 'plain-bfloat16']
    """
    known = all_cases(budgets)
    if globs is None:
        return tuple(case for case in known if case.by_default)
    wanted = [glob.strip() for glob in globs.split(",")]
    for glob in wanted:
        if not any(fnmatch(case.name, glob) for case in known):
            raise UnknownCaseError(
                f"--cases: expected names or globs of cases, found {glob!r}; see --list"
            )
    return tuple(case for case in known if any(fnmatch(case.name, glob) for glob in wanted))


def _ours(budgets: Sequence[str]) -> list[Case]:
    found = []
    kinds = [("torch", "float32"), ("torch", "bfloat16")]
    kinds += [("openvino", each) for each in ("float32", "bfloat16", "int8")]
    for backend, precision in kinds:
        name = f"ours-{backend}-{precision}"
        what = f"taesd-stream, {backend} {precision}"
        found.append(
            Case(name, "ours", precision, f"{what}, planned tiles", backend, undivided=False)
        )
        for budget in budgets:
            named = f"{name}-{budget}"
            words = f"{what}, planned tiles within {budget}"
            found.append(Case(named, "ours", precision, words, backend, False, budget))
        found.append(Case(f"{name}-undivided", "ours", precision, f"{what}, undivided", backend))
        words = f"{what}, planned tiles, nano"
        small = Case(f"nano-{backend}-{precision}", "ours", precision, words, backend, False)
        found.append(replace(small, by_default=False, model="nano"))
    return found


def _peers() -> list[Case]:
    found = []
    for each in ("float32", "bfloat16"):
        found += [
            Case(f"diffusers-{each}", "diffusers", each, f"diffusers AutoencoderTiny, {each}"),
            Case(
                f"diffusers-tiled-{each}", "diffusers-tiled", each,
                f"diffusers AutoencoderTiny, {each}, enable_tiling(): seams", undivided=False,
            ),
            Case(f"plain-{each}", "plain", each, f"plain PyTorch, channels_last {each}"),
            Case(
                f"naive-tiles-{each}", "naive-tiles", each,
                f"plain PyTorch {each}, tiles of 64 latents with the whole overlap of 19",
                undivided=False,
            ),
            Case(
                f"compile-{each}", "compile", each, f"torch.compile of plain PyTorch, {each}",
                by_default=False,
            ),
        ]  # fmt: skip
    for each in ("float32", "bfloat16"):
        found.append(Case(f"openvino-{each}", "openvino", each, f"plain OpenVINO, {each}"))
    found.append(Case("openvino-int8", "openvino", "int8", "plain OpenVINO, NNCF int8"))
    return sorted(found, key=lambda case: case.family)
