"""Lesson 12: what a trained latent ODE says of a spiral from a few of its points, as a band of
paths; and how q changes when it is refined.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ...data import Batch, two_spirals
from ...data.two_spirals import Spirals
from ...models import LatentODE
from ...models.vae import Posterior
from .refinement import refine, refinement
from .spirals import NOISE, with_places

DRAWS = 200  # paths from the posterior
POINTS = 100  # of a spiral that may be observed; as many come after them
NINE_OF_TEN = (0.05, 0.95)  # the quantiles between which the band lies

SERIES = 5  # which of eight spirals the explorable shows
NUMBERS = (2, 3, 5, 10, 20, 40)  # of its points that may be chosen there
GAPS = (0, 30, 60)
STRIDE = 10  # steps of refinement from one frame to the next
FRAMES = 16


class Parts(NamedTuple):
    """One number per number of observations: in the time of the observed points, and beyond."""

    between: list[float]
    beyond: list[float]


def shown() -> Spirals:
    """Eight spirals, of which the explorable shows one."""
    return two_spirals(8, noise=NOISE, inward=True, seed=20_000)


def kept(number: int, gap: int) -> Tensor:
    """Which of the POINTS are observed, (number,), in order: of those outside a gap of `gap` points
    about the middle.

    A larger number adds points, and takes none away.
    """
    order = torch.randperm(POINTS, generator=torch.Generator().manual_seed(5))
    return order[(order - (POINTS - 1) / 2).abs() > gap / 2][:number].sort().values


def refined_frames(model: LatentODE) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of q (FRAMES, settings, L), for each of NUMBERS and GAPS."""
    spirals = shown()
    places = [kept(number, gap) for number in NUMBERS for gap in GAPS]
    series = [(spirals.t[kept], spirals.x[SERIES, kept]) for kept in places]
    data = with_places(spirals, series)
    steps = STRIDE * (FRAMES - 1)
    trace = list(refinement(model, (*data.batch, data.places), spirals.t, steps))[::STRIDE]
    return torch.stack([q.mean for q in trace]), torch.stack([q.std for q in trace])


@torch.no_grad()
def band(model: LatentODE, q: Posterior, times: Tensor) -> Tensor:
    """Paths (DRAWS, B, S, 2) at times (S,) for z(0) from q; the same draws each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return model.paths_from(q, times, DRAWS)


@torch.no_grad()
def by_number(
    model: LatentODE, counts: Sequence[int], rows: int = 100, steps: int = 0
) -> tuple[Parts, Parts]:
    """Half widths of the 90 % band, and the share of the truth in it, for numbers of random points
    of `rows` spirals.

    steps: of refinement of q for each series; none: q is what the encoder says.
    """
    spirals = two_spirals(rows, noise=NOISE, inward=True, seed=30_000)
    times = torch.cat([spirals.t, spirals.later])
    width = Parts([], [])
    covered = Parts([], [])
    for number in counts:
        places = kept(number, 0)
        seen = torch.ones(rows, number, 2, dtype=torch.bool)
        batch = Batch(spirals.t[places].expand(rows, -1), spirals.x[:, places], seen)
        q = refine(model, (*batch, places.expand(rows, -1)), spirals.t, steps)
        low, high = band(model, q, times).quantile(torch.tensor(NINE_OF_TEN), dim=0)
        inside = ((low < spirals.clean) & (spirals.clean < high)).double()
        for k, part in enumerate((slice(POINTS), slice(POINTS, None))):
            width[k].append(float((high - low)[:, part].mean() / 2))
            covered[k].append(float(inside[:, part].mean()))
    return width, covered
