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
DENOISE = exact_denoiser(MIXTURE, PATH)  # the denoiser with no error of learning


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


def distance(x: Tensor, mixture: GaussianMixture = MIXTURE) -> float:
    """How far samples (n, 1) have to be moved, on average, to lie like a mixture.

    That is the Wasserstein distance W1: on a line the smallest sample goes to the smallest
    quantile, and so on.
    """
    return float((x[:, 0].double().sort().values - quantiles(mixture, len(x))).abs().mean())


def floor(n: int, draws: int = 20) -> float:
    """The mean distance of n draws from the mixture itself: below it nothing can be told."""
    distances = [distance(MIXTURE.sample(n, seeded(100 + k))) for k in range(draws)]
    return sum(distances) / draws


def mean_noise(t: float, pairs: int = 1_000_000) -> tuple[Tensor, Tensor]:
    """The mean noise of all pairs (x_0, eps) whose x_t falls into the same bin of width 0.1.

    Returns:
        The middles of the bins between -2 and 2 that hold 5000 pairs or more, and the means.
    """
    x0 = MIXTURE.sample(pairs, seeded(0)).double()
    eps = torch.randn(pairs, 1, dtype=torch.float64, generator=seeded(9))
    x = PATH.noised(x0, t, eps)
    bins = ((x + 2) * 10).floor().long()[:, 0]
    inside = (bins >= 0) & (bins < 40)
    count = torch.bincount(bins[inside], minlength=40)
    mean = torch.bincount(bins[inside], eps[inside, 0], minlength=40) / count
    often = count >= 5000
    return (-1.95 + 0.1 * torch.arange(40, dtype=torch.float64))[often], mean[often]
