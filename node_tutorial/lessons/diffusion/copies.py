"""Lesson 16: the exact denoiser of the training images, the least possible loss, and its images."""

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from ...data import digits, gaussian_mixture
from ...data.two_samples import nearest
from ...models import exact_denoiser
from ...models.gaussian_paths import cosine
from ...models.samplers import Denoiser, ddim, forward_sde
from ...models.time_grids import even
from .line import seeded

PATH = cosine()
FILM = 8  # images of a row
ROWS = 3
SEEN = 450  # training images of the losses


class Images(NamedTuple):
    """Pixels from -1 to 1, (N, 64), to train with and to test with."""

    train: Tensor
    test: Tensor


class Film(NamedTuple):
    """Digits that dissolve, and digits that come of noise, (FILM, ROWS, 64), at times (FILM,)."""

    times: Tensor
    dissolving: Tensor
    coming: Tensor


class Copies(NamedTuple):
    """Distances of samples, of the film's last images, and of test images, to the nearest training
    image.
    """

    samples: Tensor
    film: Tensor
    test: Tensor


@lru_cache(maxsize=1)
def images() -> Images:
    split = digits(normalize=False)
    return Images(2 * split.images.flatten(1) - 1, 2 * split.test_images.flatten(1) - 1)


@lru_cache(maxsize=1)
def denoise() -> Denoiser:
    """The exact denoiser of the training images."""
    train = images().train
    return exact_denoiser(gaussian_mixture(torch.ones(len(train)), train, 0.0), PATH)


@lru_cache(maxsize=1)
def film() -> Film:
    """Three training images under the forward SDE; three pieces of noise under the flow."""
    times = torch.linspace(0, PATH.last, FILM, dtype=torch.float64)
    dissolving = forward_sde(PATH, images().train[:ROWS], times, generator=seeded(2))
    z = torch.randn(ROWS, 64, generator=seeded(0))
    fine = torch.linspace(PATH.last, 0, 10 * (FILM - 1) + 1, dtype=torch.float64)
    found = ddim(denoise(), PATH, z, fine, keep=True)
    assert found.states is not None
    return Film(times, dissolving, found.states[::10])


@lru_cache(maxsize=1)
def samples() -> Tensor:
    """Fifty images (50, 64), by DDIM with the exact denoiser of the training images."""
    z = torch.randn(50, 64, generator=seeded(4))
    return ddim(denoise(), PATH, z, even(PATH, 40)).x


def copies() -> Copies:
    train = images().train
    return Copies(*(nearest(x, train) for x in (samples(), film().coming[-1], images().test)))


def losses(t: float) -> tuple[float, float]:
    """The exact denoiser's loss, mean of (eps guess - eps)^2, on training and on test images."""
    found = []
    for data in (images().train[:SEEN], images().test):
        eps = torch.randn(data.shape, generator=seeded(0))
        x = PATH.noised(data, t, eps)
        guess = denoise()(torch.tensor(t), x).eps
        found.append(float((guess - eps).square().mean()))
    return found[0], found[1]
