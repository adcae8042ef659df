"""Lesson 12: the spirals, and what is observed of them.

The protocol is that of Chen et al. 2018, section 5.1, as far as they state it (see
`data.two_spirals`): 1000 spirals of 100 points; 30, 50 or all 100 of them observed, with noise;
judged by the error on the 100 points beyond, without noise. Here they are those of 200 other
spirals.

They run inward. Outward, one spiral in seven ends at radii that no training series has visited;
all three models were several times worse there, and training depended on luck.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ...data import Batch, collate, thin, two_spirals
from ...data.two_spirals import Spirals

NOISE = 0.3
RADIUS_PER_STEP = 0.3 * 2 * math.pi * 3 / 999  # of `two_spirals`: r = 0.3 theta, three turns
FEWEST = 2  # observations of a series in `sparse`
MOST = 40


class Data(NamedTuple):
    """Spirals, and what is observed of them: `batch`, whose times are `spirals.t[places]` (where
    the mask is True).
    """

    spirals: Spirals
    batch: Batch
    places: Tensor


def with_places(spirals: Spirals, series: list[tuple[Tensor, Tensor]]) -> Data:
    """Series of times and points, and where their times are in the spirals' grid."""
    batch = collate(series)
    places = torch.searchsorted(spirals.t, batch.t.contiguous())
    return Data(spirals, batch, places.clamp(max=len(spirals.t) - 1))


def thinned(n: int, keep: int, seed: int, inward: bool = True) -> Data:
    """n spirals with `keep` of their 100 points observed."""
    spirals = two_spirals(n, noise=NOISE, inward=inward, seed=seed)
    return with_places(spirals, thin(spirals.t, spirals.x, keep, seed=seed))


def sparse(n: int, seed: int, versions: int = 1) -> Data:
    """n spirals, each with 2 to 40 observations, and with a gap of up to half of the time;
    `versions` of each.
    """
    spirals = two_spirals(n, noise=NOISE, inward=True, seed=seed)
    chance = torch.Generator().manual_seed(seed)
    points = len(spirals.t)
    series = []
    for x in spirals.x.repeat(versions, 1, 1):
        number = int(torch.randint(FEWEST, MOST + 1, (1,), generator=chance))
        width, begin = (
            (torch.rand(2, generator=chance) * torch.tensor([points / 2, points])).long().tolist()
        )
        order = torch.randperm(points, generator=chance)
        kept = order[(order < begin) | (order >= begin + width)][:number].sort().values
        series.append((spirals.t[kept], x[kept]))
    return with_places(spirals, series)


def on_grid(data: Data) -> tuple[Tensor, Tensor]:
    """Values and mask (B, T + S, 2) of the same observations among all times, those beyond, too."""
    t, x, mask = data.batch
    times = len(data.spirals.t) + len(data.spirals.later)
    values = torch.zeros(len(x), times, 2)
    known = torch.zeros(len(x), times, 2, dtype=torch.bool)
    series = torch.arange(len(x))[:, None].expand(t.shape)[mask[..., 0]]
    places = data.places[mask[..., 0]]
    values[series, places] = x[mask[..., 0]]
    known[series, places] = True
    return values, known
