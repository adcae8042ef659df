"""Lesson 16: data N(0, 0.3^2), where every sampler with the exact score multiplies the spread."""

from collections.abc import Callable

import torch
from torch import Tensor

from ...data import gaussian_mixture
from ...models import exact_denoiser
from ...models.samplers import (
    Samples,
    ancestral,
    ddim,
    geometric,
    probability_flow,
    reverse_sde,
    to_data,
)
from .line import PATH, seeded

STD = 0.3
DENOISE = exact_denoiser(gaussian_mixture([1.0], [0.0], STD), PATH)
STEPS = (10, 20, 100)
N = 20_000  # points, for samplers that draw noise
NEARLY_DATA = 1e-12  # a time at which the probability flow can still be evaluated


def end_stds(name: str) -> dict[int, float]:
    """Steps -> the spread at the end, from N(0, 1) with that many even steps; exact is 0.301."""
    return {n: end_std(name, n) for n in STEPS}


def end_std(name: str, steps: int) -> float:
    times = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
    one = torch.ones(1, 1, dtype=torch.float64)
    if name == "DDIM":  # linear: what becomes of 1 is the spread
        return float(ddim(DENOISE, PATH, one, times).x)
    if name in METHODS:
        times[-1] = NEARLY_DATA
        return float(probability_flow(DENOISE, PATH, one, times, method=METHODS[name]).x)
    sampler: Callable[..., Samples] = ancestral if name == "ancestral" else reverse_sde
    return float(sampler(DENOISE, PATH, _noise(), times, generator=seeded(1)).x.std())


METHODS = {"Euler, flow": "euler", "Heun, flow": "heun2"}
SAMPLERS = ("reverse SDE", "Euler, flow", "Heun, flow", "DDIM", "ancestral")


def wrong_start(spread: float) -> tuple[float, float]:
    """The spreads at the end of the flow and of the SDE, from a start with the wrong one."""
    one = torch.full((1, 1), spread, dtype=torch.float64)
    way = torch.tensor([1.0, NEARLY_DATA], dtype=torch.float64)
    flow = probability_flow(DENOISE, PATH, one, way, rtol=1e-8, atol=1e-10)
    times = to_data(geometric(PATH, 200))
    sde = reverse_sde(DENOISE, PATH, spread * _noise(), times, generator=seeded(1))
    return abs(float(flow.x)), float(sde.x.std())


def _noise() -> Tensor:
    return torch.randn(N, 1, dtype=torch.float64, generator=seeded(0))
