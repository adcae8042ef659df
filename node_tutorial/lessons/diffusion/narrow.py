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
    probability_flow,
    reverse_sde,
)
from .line import PATH, seeded

STD = 0.3
DENOISE = exact_denoiser(gaussian_mixture([1.0], [0.0], STD), PATH)
STEPS = (10, 20, 100)
N = 20_000  # points, for samplers that draw noise
NEARLY_DATA = 1e-12  # a time at which the probability flow can still be evaluated


def end_stds(name: str) -> dict[int, float]:
    """Steps -> the spread at the end, from N(0, 1) with that many even steps.

    Negative, if a sampler that draws nothing has turned all points over. Exact is 0.301 for the
    flow, which keeps that p_1 is a little narrower than N(0, 1), and 0.300 for the reverse SDE.
    """
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


METHODS = {"Euler in t": "euler", "Heun in t": "heun2"}
SAMPLERS = ("reverse SDE", "Euler in t", "Heun in t", "DDIM", "ancestral")


def _noise() -> Tensor:
    return torch.randn(N, 1, dtype=torch.float64, generator=seeded(0))
