"""Clean latents of every kind of scheduler: what comes out must be the x0 that went in.

A network that knows x0 is asked at every step of a run: it answers with the noise, the velocity or
the x0 that the sample holds, by alphas and sigmas that are worked out here, from the betas.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import diffusers
import pytest
import torch
from torch import Tensor

from taesd_stream.diffusers.step_watch import StepWatch

Mixed = Callable[[Any, int, Tensor], tuple[float, float, float]]

BETAS = torch.linspace(0.0001, 0.02, 1000, dtype=torch.float64)
KEPT = (1 - BETAS).cumprod(0)
# Of diffusers' own code with newer libraries.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

X0 = torch.linspace(-2, 2, 4 * 3 * 5).view(1, 4, 3, 5)


class Pipe:
    """What is watched: something with a scheduler."""

    def __init__(self, scheduler: Any) -> None:
        self.scheduler = scheduler


def knowing(kind: str, sample: Tensor, alpha: float, sigma: float) -> Tensor:
    """What a network that knows x0 predicts of ``sample = alpha * X0 + sigma * noise``."""
    noise = (sample.double() - alpha * X0) / sigma
    made = {
        "epsilon": noise,
        "v_prediction": alpha * noise - sigma * X0,
        "sample": X0.double(),
        "flow_prediction": noise - X0,
    }
    return made[kind].float()


def preserving(scheduler: Any, index: int, t: Tensor) -> tuple[float, float, float]:
    """The alpha and sigma of a sample whose variance stays, and the scale of the one given."""
    kept = float(KEPT[int(t)])
    return kept**0.5, (1 - kept) ** 0.5, 1.0


def exploding(scheduler: Any, index: int, t: Tensor) -> tuple[float, float, float]:
    """The same for x0 + sigma * noise, which its network sees divided."""
    alpha, sigma, _ = preserving(scheduler, index, t)
    return alpha, sigma, alpha


def flowing(scheduler: Any, index: int, t: Tensor) -> tuple[float, float, float]:
    sigma = float(t) / 1000
    return 1 - sigma, sigma, 1.0


def flowing_by_sigmas(scheduler: Any, index: int, t: Tensor) -> tuple[float, float, float]:
    """Where timesteps are rounded to whole numbers."""
    sigma = float(scheduler.sigmas[index])
    return 1 - sigma, sigma, 1.0


def made(name: str, kind: str, options: Mapping[str, object]) -> Any:
    """A scheduler of these betas, which leaves x0 as it is found."""
    scheduler = getattr(diffusers, name)
    betas = {"beta_start": 0.0001, "beta_end": 0.02, "beta_schedule": "linear"}
    wanted = {"prediction_type": kind, "clip_sample": False, **betas, **options}
    known = inspect.signature(scheduler).parameters
    return scheduler(**{key: value for key, value in wanted.items() if key in known})


WHOLE = {"timestep_spacing": "leading", "steps_offset": 1}  # numbers of betas
FLOW = {"use_flow_sigmas": True, "flow_shift": 3.0}
CASES = [
    *(
        (name, kind, preserving, options)
        for name, options in [
            ("DDIMScheduler", {}),
            ("LCMScheduler", {}),
            ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++"}),
            ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}),
            ("DPMSolverSinglestepScheduler", {}),
            ("UniPCMultistepScheduler", {}),
            ("DEISMultistepScheduler", {}),
            ("TCDScheduler", {}),
        ]
        for kind in ("epsilon", "v_prediction", "sample")
    ),
    *(
        (name, kind, mixed, options)
        for name, mixed, options in [
            ("EulerDiscreteScheduler", exploding, WHOLE),
            ("EulerAncestralDiscreteScheduler", exploding, WHOLE),
            ("PNDMScheduler", preserving, {"skip_prk_steps": True}),
        ]
        for kind in ("epsilon", "v_prediction")
    ),
    ("FlowMatchEulerDiscreteScheduler", "flow_prediction", flowing, {"shift": 3.0}),
    ("FlowMatchHeunDiscreteScheduler", "flow_prediction", flowing, {}),
    ("DPMSolverMultistepScheduler", "flow_prediction", flowing_by_sigmas, FLOW),
    ("UniPCMultistepScheduler", "flow_prediction", flowing_by_sigmas, FLOW),
]


@pytest.mark.parametrize("return_dict", [False, True], ids=["tuple", "object"])
@pytest.mark.parametrize(("name", "kind", "mixed", "options"), CASES)
def test_x0_is_found_at_every_step(
    name: str, kind: str, mixed: Mixed, options: Mapping[str, object], return_dict: bool
) -> None:
    scheduler = made(name, kind, options)
    scheduler.set_timesteps(6)
    generator = torch.Generator().manual_seed(0)
    sample = torch.randn(X0.shape, generator=generator) * getattr(scheduler, "init_noise_sigma", 1)
    watch = StepWatch(Pipe(scheduler))
    for index, t in enumerate(scheduler.timesteps):
        alpha, sigma, scale = mixed(scheduler, index, t)
        if hasattr(scheduler, "scale_model_input"):
            scheduler.scale_model_input(sample, t)
        output = knowing(kind, sample * scale, alpha, sigma)
        watch.begin()
        outcome = scheduler.step(output, t, sample, return_dict=return_dict)
        x0 = watch.end()
        assert x0 is not None
        torch.testing.assert_close(x0, X0, rtol=0, atol=5e-3)
        sample = outcome.prev_sample if return_dict else outcome[0]


def test_x0_of_tokens_that_have_a_time_each() -> None:
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler()
    scheduler.set_timesteps(4)
    clean, noise = torch.randn(2, 1, 6, 8, generator=torch.Generator().manual_seed(0)).unbind()
    times = torch.tensor([[0.0, 0.0, 1000.0, 1000.0, 500.0, 500.0]])
    share = times[..., None] / 1000
    sample = (1 - share) * clean + share * noise
    watch = StepWatch(Pipe(scheduler))
    watch.begin()
    scheduler.step(noise - clean, scheduler.timesteps[0], sample, per_token_timesteps=times)
    x0 = watch.end()
    assert x0 is not None
    torch.testing.assert_close(x0, clean, rtol=0, atol=1e-5)


def test_x0_of_edm() -> None:
    scheduler = diffusers.EDMDPMSolverMultistepScheduler(sigma_data=0.5)
    scheduler.set_timesteps(3)
    sigma = float(scheduler.sigmas[0])
    sample = X0 + sigma * torch.ones_like(X0)
    # Karras et al. 2022, table 1: D = c_skip x + c_out F.
    skip = 0.25 / (sigma**2 + 0.25)
    output = (X0 - skip * sample) / (sigma * 0.5 / (sigma**2 + 0.25) ** 0.5)
    watch = StepWatch(Pipe(scheduler))
    watch.begin()
    scheduler.step(output, scheduler.timesteps[0], sample)
    x0 = watch.end()
    assert x0 is not None
    torch.testing.assert_close(x0, X0, rtol=0, atol=1e-3)


def test_where_nobody_knows_x0_there_is_none() -> None:
    scheduler = diffusers.IPNDMScheduler()
    scheduler.set_timesteps(3)
    watch = StepWatch(Pipe(scheduler))
    watch.begin()
    scheduler.step(X0, scheduler.timesteps[0], X0)
    assert watch.end() is None


# --- what is wrapped is put back ---------------------------------------------------------------


@pytest.fixture
def scheduler() -> Any:
    scheduler = diffusers.DDIMScheduler(clip_sample=False)
    scheduler.set_timesteps(4)
    return scheduler


def one_step(scheduler: Any) -> Tensor:
    stepped: Tensor = scheduler.step(torch.ones_like(X0), scheduler.timesteps[0], X0)[0]
    return stepped


def test_a_step_puts_back_what_it_was_before_it_begins() -> None:
    seen = []

    class Curious(diffusers.DDIMScheduler):  # type: ignore[misc]
        def step(self, *args: object, **kwargs: object) -> Any:
            seen.append("step" in vars(self))
            raise RuntimeError("no step")

    scheduler = Curious()
    watch = StepWatch(Pipe(scheduler))
    watch.begin()
    with pytest.raises(RuntimeError, match="no step"):
        scheduler.step(X0, 1, X0)
    assert seen == [False]
    assert "step" not in vars(scheduler)
    assert watch.end() is None


def test_pipelines_see_the_same_signature_and_the_same_step(scheduler: Any) -> None:
    expected, before = one_step(scheduler), inspect.signature(scheduler.step)
    StepWatch(Pipe(scheduler)).begin()
    assert inspect.signature(scheduler.step) == before
    assert torch.equal(one_step(scheduler), expected)


def test_a_step_that_never_comes_is_put_back_at_the_end(scheduler: Any) -> None:
    watch = StepWatch(Pipe(scheduler))
    watch.begin()
    watch.begin()
    assert watch.end() is None
    assert "step" not in vars(scheduler)


def test_a_scheduler_that_is_replaced_is_put_back(scheduler: Any) -> None:
    pipe = Pipe(scheduler)
    watch = StepWatch(pipe)
    watch.begin()
    pipe.scheduler = diffusers.DDIMScheduler(clip_sample=False)
    pipe.scheduler.set_timesteps(4)
    watch.begin()
    assert "step" not in vars(scheduler)
    one_step(pipe.scheduler)
    assert watch.end() is not None
    assert "step" not in vars(pipe.scheduler)


@pytest.mark.parametrize("first", [0, 1])
def test_two_watch_one_scheduler(scheduler: Any, first: int) -> None:
    watches = [StepWatch(Pipe(scheduler)) for _ in range(2)]
    for watch in watches:
        watch.begin()
    one_step(scheduler)
    found = [watch.end() for watch in watches]
    assert found[0] is not None
    assert found[1] is not None
    for watch in watches:
        watch.begin()
    for watch in (watches[first], watches[1 - first]):
        watch.end()
    assert "step" not in vars(scheduler)


def test_somebody_elses_wrapper_stays(scheduler: Any) -> None:
    theirs = scheduler.step = lambda *args, **kwargs: type(scheduler).step(
        scheduler, *args, **kwargs
    )
    watch = StepWatch(Pipe(scheduler))
    watch.begin()
    one_step(scheduler)
    assert watch.end() is not None
    assert scheduler.step is theirs


def test_a_copy_of_a_watched_scheduler_has_its_own_step() -> None:
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler()
    scheduler.set_timesteps(4)
    StepWatch(Pipe(scheduler)).begin()
    other = copy.deepcopy(scheduler)
    other.step(X0, other.timesteps[0], X0)
    assert (other.step_index, scheduler.step_index) == (1, None)
