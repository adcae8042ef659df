"""scikit-learn's digits for models of a density: whole numbers made continuous, and back.

A pixel counts dark dots, 0 to 16: 17 levels. A density over real numbers could be infinite at them,
and its likelihood with it. So noise u, uniform on [0, 1), is added (`spread`), and what a model
makes is rounded down again (`counted`). With P(n) the integral of p over [n, n + 1) for each pixel,
Jensen's inequality gives

    E_u[log p(n + u)] <= log P(n)

so the mean of log p(n + u) bounds the log-likelihood of the whole numbers (Theis, van den Oord,
Bethge 2016, "A note on the evaluation of generative models", arXiv 1511.01844, section 3.1). After
`spread` two levels are 1 / STD apart: models.diffusion.bits_per_dimension has the units.
"""

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from .digits import Split, digits
from .drawing import drawn_on_cpu
from .two_samples import compare, nearest

LEVELS = 17
MEAN = 5.4  # of n + u over all training pixels, rounded
STD = 6.0
SIDE = 8


class Judged(NamedTuple):
    """What `judge` measures; see `two_samples`. "nearest" is the median distance to a training
    image.
    """

    energy: float
    neighbors: float
    precision: float
    recall: float
    coverage: float
    nearest: float


def counts(fold: int = 0) -> Split:
    """The digits as dark dots from 0 to 16, whole numbers in float32; `fold` as for `digits`.

    >>> split = counts()
    >>> split.images.shape, split.images.max()
    (torch.Size([1347, 1, 8, 8]), tensor(16.))
    """
    split = digits(fold, normalize=False)
    return split._replace(
        images=(16 * split.images).round(), test_images=(16 * split.test_images).round()
    )


@drawn_on_cpu
def spread(n: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """(n + u - 5.4) / 6 for dark dots n of any shape, u uniform on [0, 1): of about mean 0 and
    standard deviation 1.
    """
    u = torch.rand(n.shape, generator=generator, dtype=n.dtype)
    return (n.cpu() + u - MEAN) / STD


def counted(x: Tensor) -> Tensor:
    """The dark dots that x, as `spread` makes it, stands for: whole numbers, clipped to 0 to 16."""
    return (STD * x + MEAN).floor().clamp(0, LEVELS - 1)


def judge(made: Tensor) -> Judged:
    """Images made by a model, (450, 1, 8, 8) of dark dots, against the test images of fold 0.

    Raises:
        ValueError: unless they are as many as the test images, and whole numbers from 0 to 16.
    """
    split = _counts()
    if made.shape != split.test_images.shape or not _whole(made):
        raise ValueError(
            f"images must be {tuple(split.test_images.shape)}, dark dots 0 to 16, as counted(x) "
            f"makes them, got {made.dtype} of shape {tuple(made.shape)}"
        )
    away = float(nearest(made, split.images).median())
    return Judged(*compare(split.test_images, made), nearest=away)


def nearest_labels(made: Tensor) -> Tensor:
    """The label (N,) of the training image that is nearest to each of made (N, 1, 8, 8): right for
    99 of 100 test images.
    """
    split = _counts()
    apart = torch.cdist(made.flatten(1).double(), split.images.flatten(1).double())
    return split.labels[apart.argmin(1)]


@lru_cache(maxsize=1)
@drawn_on_cpu
def _counts() -> Split:
    return counts()


def _whole(x: Tensor) -> bool:
    return bool(((x == x.floor()) & (x >= 0) & (x < LEVELS)).all())
