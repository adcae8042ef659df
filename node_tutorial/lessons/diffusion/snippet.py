"""Lesson 16: a diffusion snippet as it is found in articles, in words of our own, and its symptoms.

def noised(x, steps):                         # "adds noise step by step"
    for t in torch.linspace(0, 1, steps):
        noise = torch.randn_like(x) * (1 - torch.exp(-2 * t)).sqrt()
        x = x + noise * torch.exp(-2 * t).sqrt()
    return x, noise

x, noise = noised(x0, steps)
loss = mse(model(x), noise)                   # model returns a denoised image
"""

import math

import torch
from torch import Tensor

from .line import MIXTURE, seeded

N = 20_000  # points
STD_AT_ONE = math.sqrt(1 - math.exp(-2))  # of the `noise` that is returned: that of the last step
SNR_AT_ONE = math.exp(-2) / (1 - math.exp(-2))  # alpha^2 / sigma^2 at t = 1, alpha = e^-t


def noised(x: Tensor, steps: int, generator: torch.Generator) -> Tensor:
    """The snippet's loop: x is never shrunk, and the noise of all steps adds up."""
    for t in torch.linspace(0, 1, steps, dtype=x.dtype):
        noise = torch.randn(x.shape, generator=generator, dtype=x.dtype)
        noise = noise * (1 - torch.exp(-2 * t)).sqrt()
        x = x + noise * torch.exp(-2 * t).sqrt()
    return x


def variance_of_noise(steps: int) -> float:
    """What the loop adds to the variance: about 0.187 for each step, however many there are."""
    x = torch.zeros(N, 1, dtype=torch.float64)
    return float(noised(x, steps, seeded(0)).var())


def kept(steps: int) -> float:
    """The slope of x_t on x_0; alpha = e^-1 = 0.37 is what the end of the path should have."""
    x0 = MIXTURE.sample(N, seeded(1)).double()
    x = noised(x0, steps, seeded(0))
    away = x0 - x0.mean()
    return float((away * x).mean() / (away * away).mean())


def loss_of_a_perfect_model() -> float:
    """The snippet's loss, image against noise, for a model that returns x_0 without any error:
    E (x_0 - noise)^2, where the two are independent, and the noise has mean 0.
    """
    square = MIXTURE.weights @ (MIXTURE.means[:, 0] ** 2 + MIXTURE.variances[:, 0])
    return float(square) + loss_of_a_useless_model()


def loss_of_a_useless_model() -> float:
    """The same loss, for a model that returns 0 whatever it is shown: the noise's variance."""
    return STD_AT_ONE**2


def mean_at_one() -> float:
    """The mean at t = 1 with alpha = e^-t; a sampler would start from N(0, 1), whose mean is 0."""
    return math.exp(-1) * float(MIXTURE.weights @ MIXTURE.means[:, 0])
