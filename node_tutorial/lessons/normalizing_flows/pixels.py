"""Lesson 14: what simple models say of the digits' pixels, counts from 0 to LEVELS - 1."""

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from ...data.digits import digits

LEVELS = 17  # of a pixel
SHRINKAGE = 0.01  # of covariances: the best on held-out images of 0, 0.01, 0.05, 0.1, 0.2


def counted_digits() -> tuple[Tensor, Tensor]:
    """The digits as counts (1347, 64) and (450, 64), to train and to test with."""
    split = digits(normalize=False)
    images, tests = (
        (16 * x.flatten(1)).round().to(torch.get_default_dtype())
        for x in (split.images, split.test_images)
    )
    return images, tests


def each_pixel_alone(counts: Tensor, tests: Tensor) -> float:
    """Mean negative log-likelihood of an image, if each pixel has its histogram (plus one)."""
    shares = torch.stack([(counts == k).sum(0) + 1.0 for k in range(LEVELS)])
    log_p = (shares / shares.sum(0)).log()
    return float(-log_p.gather(0, tests.long()).sum(1).mean())


def one_gaussian(y: Tensor, tests: Tensor) -> float:
    """Mean negative log-likelihood of tests (n, D), if one Gaussian is fitted to y (N, D)."""
    covariance = torch.cov(y.T)
    diagonal = torch.diag(covariance.diagonal())
    covariance = (1 - SHRINKAGE) * covariance + SHRINKAGE * diagonal
    normal = MultivariateNormal(y.mean(0), covariance + 1e-4 * torch.eye(y.shape[1]).to(y))
    return float(-normal.log_prob(tests).mean())


def as_counts(y: Tensor) -> Tensor:
    """The counts whose logits, as the lesson makes them, are y."""
    return ((torch.sigmoid(y) - 0.05) / 0.9 * LEVELS).floor().clamp(0, LEVELS - 1)
