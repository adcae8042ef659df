"""Lesson 19: sets of 450 images that were made without a model of the field: a ruler for measures.

Each is made from the training images, whole numbers of dots (but for one), by a rule that says what
is wrong with it.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from ...data.pixels import LEVELS, SIDE, counts

N = 450
RIDGE = 1e-2  # on the covariances, in dots squared


def _chance(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _some(images: Tensor, seed: int, n: int = N) -> Tensor:
    return images[torch.randperm(len(images), generator=_chance(seed))[:n]]


def training(seed: int) -> Tensor:
    """Other real images."""
    return _some(counts().images, seed)


def copies(seed: int) -> Tensor:
    """Training images, drawn with replacement."""
    images = counts().images
    return images[torch.randint(len(images), (N,), generator=_chance(seed))]


def no_eights(seed: int) -> Tensor:
    """Training images of nine classes."""
    split = counts()
    return _some(split.images[split.labels != 8], seed)


def only_threes(seed: int) -> Tensor:
    """Training images of one class, drawn with replacement."""
    split = counts()
    threes = split.images[split.labels == 3]
    return threes[torch.randint(len(threes), (N,), generator=_chance(seed))]


def mean_of_two(seed: int) -> Tensor:
    """The mean of two images of a class, rounded."""
    split = counts()
    chance = _chance(seed)
    first = torch.randint(len(split.images), (N,), generator=chance)
    found = []
    for i in first:
        alike = (split.labels == split.labels[i]).nonzero()[:, 0]
        other = alike[torch.randint(len(alike), (1,), generator=chance)]
        found.append((split.images[i] + split.images[other][0]) / 2)
    return whole(torch.stack(found))


def class_gaussians(seed: int) -> Tensor:
    """A Gaussian for each class, with its mean and covariance; rounded."""
    split = counts()
    chance = _chance(seed)
    labels = split.labels[torch.randint(len(split.labels), (N,), generator=chance)]
    found = torch.empty(N, 1, SIDE, SIDE)
    for label in range(10):
        rows = labels == label
        found[rows] = gaussian(split.images[split.labels == label], int(rows.sum()), chance)
    return whole(found)


def one_gaussian(seed: int) -> Tensor:
    """One Gaussian with the mean and the covariance of all images; not rounded."""
    return gaussian(counts().images, N, _chance(seed))


def one_gaussian_rounded(seed: int) -> Tensor:
    """The same, rounded."""
    return whole(one_gaussian(seed))


def histograms(seed: int) -> Tensor:
    """Each pixel by itself: that of some training image."""
    images = counts().images.flatten(1)
    rows = torch.randint(len(images), (N, images.shape[1]), generator=_chance(seed))
    return images.gather(0, rows).reshape(N, 1, SIDE, SIDE)


def gaussian(images: Tensor, n: int, chance: torch.Generator) -> Tensor:
    """n draws from the Gaussian with mean and covariance of images, (n, 1, 8, 8)."""
    x = images.flatten(1).double()
    covariance = x.T.cov() + RIDGE * torch.eye(x.shape[1], dtype=torch.float64)
    noise = torch.randn(n, x.shape[1], generator=chance, dtype=torch.float64)
    return (x.mean(0) + noise @ torch.linalg.cholesky(covariance).T).float().reshape(n, 1, SIDE, -1)


def whole(x: Tensor) -> Tensor:
    """Rounded to whole dots, 0 to 16."""
    return x.round().clamp(0, LEVELS - 1)


RULERS: dict[str, Callable[[int], Tensor]] = {
    "training images": training,
    "copies": copies,
    "no eights": no_eights,
    "only threes": only_threes,
    "mean of two": mean_of_two,
    "class Gaussians": class_gaussians,
    "one Gaussian, not rounded": one_gaussian,
    "one Gaussian": one_gaussian_rounded,
    "64 histograms": histograms,
}
