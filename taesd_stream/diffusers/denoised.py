"""The clean latents (x0) that a scheduler's step stands for, of any kind of scheduler.

A step is given a noisy sample x_t = alpha * x0 + sigma * noise, and what the network made of it,
from which x0 follows: some schedulers return it, of others alpha and sigma are known.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, get_args

from torch import Tensor

__all__ = ["GivenStep", "denoised"]

_NAMES = ("denoised", "pred_original_sample")


@dataclass(frozen=True, slots=True)
class GivenStep:
    """A step that a scheduler has made.

    Attributes:
        scheduler: It, after the step.
        step: Its method, as it was called.
        arguments: What it was called with, by name.
        outcome: What it returned: an object, or a tuple.
    """

    scheduler: Any
    step: Callable[..., Any]
    arguments: Mapping[str, Any]
    outcome: Any

    @property
    def model_output(self) -> Tensor:
        """What the network made, guidance included."""
        made: Tensor = self.arguments["model_output"]
        return made.float()

    @property
    def sample(self) -> Tensor:
        """x_t, which it was made of."""
        sample: Tensor = self.arguments["sample"]
        return sample.float()


def denoised(given: GivenStep) -> Tensor | None:
    """x0 of a step, of the shape of its sample; None where the scheduler does not let it be known.

    A GPU is not waited for.
    """
    told = _told(given)
    return told if told is not None else _worked_out(given)


def _told(given: GivenStep) -> Tensor | None:
    """x0 as the scheduler itself has returned it."""
    outcome = given.outcome
    if not isinstance(outcome, tuple):
        found = (getattr(outcome, name, None) for name in _NAMES)
        return next((each for each in found if isinstance(each, Tensor)), None)
    # A tuple's second element is x0 for some and something else for others: the class that is
    # returned where no tuple is asked for has the names.
    for kind in get_args(inspect.signature(given.step).return_annotation):
        names = [field.name for field in fields(kind)] if is_dataclass(kind) else []
        for name in set(names).intersection(_NAMES):
            if len(names) == len(outcome) and isinstance(outcome[names.index(name)], Tensor):
                return outcome[names.index(name)]  # type: ignore[no-any-return]
    return None


def _worked_out(given: GivenStep) -> Tensor | None:
    """x0 from the scheduler's sigmas and the network's output."""
    scheduler, sigma = given.scheduler, _sigma(given)
    if sigma is None:
        return None if hasattr(scheduler, "sigmas") else _by_timestep(given)
    if hasattr(scheduler, "precondition_outputs"):  # EDM's
        made: Tensor = scheduler.precondition_outputs(given.sample, given.model_output, sigma)
        return made
    if hasattr(scheduler, "convert_model_output"):  # solvers of x_t = alpha * (x0 + sigma * noise)
        if scheduler.config.get("use_flow_sigmas"):
            return _unmixed(given, 1 - sigma, sigma)
        alpha = 1 / (sigma**2 + 1) ** 0.5
        return _unmixed(given, alpha, sigma * alpha)
    if hasattr(scheduler, "scale_noise"):  # flow matching
        return given.sample - sigma * given.model_output
    return None


def _sigma(given: GivenStep) -> Tensor | None:
    """The sigma of the step's sample, or of its tokens, (N, tokens, 1)."""
    scheduler = given.scheduler
    by_token = given.arguments.get("per_token_timesteps")
    if isinstance(by_token, Tensor):
        return by_token[..., None].div(scheduler.config.num_train_timesteps)
    sigmas, index = getattr(scheduler, "sigmas", None), getattr(scheduler, "step_index", None)
    if not isinstance(sigmas, Tensor) or not index:
        return None
    return sigmas[index - 1].float()  # the step has counted itself


def _by_timestep(given: GivenStep) -> Tensor | None:
    """x0 of schedulers that know their noise by the timestep, such as PNDM."""
    known, timestep = getattr(given.scheduler, "alphas_cumprod", None), given.arguments["timestep"]
    if not isinstance(known, Tensor):
        return None
    share = known[timestep].float()
    return _unmixed(given, share**0.5, (1 - share) ** 0.5)


def _unmixed(given: GivenStep, alpha: Tensor, sigma: Tensor) -> Tensor | None:
    """x0 of x_t = alpha * x0 + sigma * noise, by what the network predicts."""
    kind = given.scheduler.config.get("prediction_type")
    if kind == "epsilon":
        return (given.sample - sigma * given.model_output) / alpha
    if kind == "v_prediction":
        return alpha * given.sample - sigma * given.model_output
    if kind == "flow_prediction":
        return given.sample - sigma * given.model_output
    return given.model_output if kind == "sample" else None
