"""Lesson 16: a mixture on a line whose noised densities and scores are known, and how far samples
are from it.
"""

import torch
from torch import Tensor

from ...data import GaussianMixture, gaussian_mixture
from ...models import exact_denoiser
from ...models.gaussian_paths import constant

BETA = 5.0
PATH = constant(BETA)
MIXTURE = gaussian_mixture([0.3, 0.7], [-1.0, 1.5], [0.2, 0.4])
EXACT = exact_denoiser(MIXTURE, PATH)  # the denoiser with no error of learning


def density(t: float) -> GaussianMixture:
    """p_t, the mixture with the noise of time t."""
    at = PATH.at(torch.tensor(t, dtype=torch.float64))
    return MIXTURE.noised(at.alpha, at.sigma)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(n: int, seed: int = 0) -> Tensor:
    """n draws (n, 1) of p_1, the density that samplers have to start from."""
    return density(1.0).sample(n, seeded(seed)).double()


def quantiles(mixture: GaussianMixture, n: int) -> Tensor:
    """The points (n,) below which (k + 1/2) / n of a mixture lies, k = 0, ..., n - 1."""
    x = torch.linspace(-6, 6, 12_001, dtype=torch.float64)
    below = mixture.cdf(x[:, None])
    shares = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    right = torch.searchsorted(below, shares)
    left = right - 1
    part = (shares - below[left]) / (below[right] - below[left])
    return x[left] + part * (x[right] - x[left])


def distance(x: Tensor) -> float:
    """How far samples (n, 1) have to be moved, on average, to lie like the mixture.

    That is the Wasserstein distance W1: on a line the smallest sample goes to the smallest
    quantile, and so on.
    """
    return float((x[:, 0].double().sort().values - quantiles(MIXTURE, len(x))).abs().mean())


def floor(n: int, draws: int = 20) -> float:
    """The mean distance of n draws from the mixture itself: below it nothing can be told."""
    distances = [distance(MIXTURE.sample(n, seeded(100 + k))) for k in range(draws)]
    return sum(distances) / draws
