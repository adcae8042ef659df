"""Lesson 12: what a trained latent ODE says of a spiral from a few of its points, as a band of
paths.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ...data import Batch, two_spirals
from ...models import LatentODE
from . import runs

DRAWS = 200  # paths from the posterior
POINTS = 100  # of a spiral that may be observed; as many come after them
NINE_OF_TEN = (0.05, 0.95)  # the quantiles between which the band lies


class Parts(NamedTuple):
    """One number per number of observations: in the time of the observed points, and beyond."""

    between: list[float]
    beyond: list[float]


def kept(number: int, gap: int) -> Tensor:
    """Which of the POINTS are observed, (number,), in order: of those outside a gap of `gap` points
    about the middle.

    A larger number adds points, and takes none away.
    """
    order = torch.randperm(POINTS, generator=torch.Generator().manual_seed(5))
    return order[(order - (POINTS - 1) / 2).abs() > gap / 2][:number].sort().values


@torch.no_grad()
def band(model: LatentODE, t: Tensor, x: Tensor, times: Tensor) -> Tensor:
    """Paths (DRAWS, S, 2) at times (S,) from the points x (n, 2) at t (n,); the same draws each
    time.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return model.paths(t[None], x[None], None, times, DRAWS)[:, 0]


@torch.no_grad()
def by_number(model: LatentODE, counts: Sequence[int], rows: int = 100) -> tuple[Parts, Parts]:
    """Half widths of the 90 % band, and the share of the truth in it, for numbers of random points
    of `rows` spirals.
    """
    spirals = two_spirals(rows, noise=runs.NOISE, seed=30_000)
    times = torch.cat([spirals.t, spirals.later])
    width = Parts([], [])
    covered = Parts([], [])
    for number in counts:
        places = kept(number, 0)
        seen = torch.ones(rows, number, 2, dtype=torch.bool)
        batch = Batch(spirals.t[places], spirals.x[:, places], seen)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            low, high = model.paths(*batch, times, DRAWS).quantile(torch.tensor(NINE_OF_TEN), dim=0)
        inside = ((low < spirals.clean) & (spirals.clean < high)).double()
        for k, part in enumerate((slice(POINTS), slice(POINTS, None))):
            width[k].append(float((high - low)[:, part].mean() / 2))
            covered[k].append(float(inside[:, part].mean()))
    return width, covered
