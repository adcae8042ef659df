"""Lesson 23: the series that are forecast, what is observed of them, and where forecasts begin.

Everybody fits on the past alone, half of the series; then stands at one origin after the other in
the future, knows all that was observed before it, and says what comes in the next H steps.

"thinned" leaves 40 of 100 entries, and takes out six gaps of a year and a half (of eleven years,
for the sunspots) besides, so that a third is left. Which entries is drawn: a mask. What is judged
is the same: all values that really came.
"""

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from ...data import Cut, cut, el_nino, sunspots, thin
from ...data.forecast_scores import ahead

KEEP = 0.4  # of the entries of a thinned series
GAPS = 6  # stretches of `period` entries, in the whole series, where nothing is observed


class Task(NamedTuple):
    """What is forecast.

    Attributes:
        t: times (T,), in years.
        seen: the series as observed, NaN elsewhere; in units of what was observed of the past.
        full: all values (T,), in the same units.
        period: of the seasonal naive forecast, in steps.
        seasonal: whether a season of that period was subtracted.
        horizon: H, in steps.
        unit: of the data.
    """

    name: str
    t: Tensor
    seen: Cut
    full: Tensor
    period: int
    seasonal: bool
    horizon: int
    unit: str

    @property
    def origins(self) -> Tensor:
        """Every place of the future that has H entries from it on, (O,)."""
        return torch.arange(self.seen.past, len(self.full) - self.horizon + 1)

    @property
    def truth(self) -> Tensor:
        """What came after each origin, (O, H)."""
        return ahead(self.full, self.origins, self.horizon)


class Forecast(NamedTuple):
    """Gaussian forecasts in units of scale: mean and std, of one shape; for each origin and horizon
    (O, H), or for each value of a series (T,), NaN before the first.
    """

    mean: Tensor
    std: Tensor


def _task(like: Task, t: Tensor, seen: Tensor, full: Tensor, at: float) -> Task:
    """Cut at a time; center and scale are those of what was observed before it."""
    season = like.period if like.seasonal else 1
    part = cut(t, seen, at, season)
    return like._replace(t=t, seen=part, full=(full - part.center) / part.scale)


def rehearsal(task: Task) -> Task:
    """The past alone, whose last quarter plays the future: where a forecaster chooses its settings.

    What was not observed is not known there either: its truth is NaN.
    """
    past = task.seen.past
    seen = (task.seen.x * task.seen.scale + task.seen.center)[:past]
    t = task.t[:past]
    return _task(task, t, seen, seen, float(t[past - past // 4]))


def _some(x: Tensor, gap: int, mask: int) -> Tensor:
    """The values x (T,), most of them NaN: KEEP of them are left, and GAPS gaps taken out."""
    place = torch.arange(len(x), dtype=torch.float64)
    [(kept, _)] = thin(place, x[None, :, None], round(KEEP * len(x)), seed=mask)
    seen = torch.full_like(x, torch.nan)
    seen[kept.long()] = x[kept.long()]
    for k in range(GAPS):
        begin = (2 * k + 1) * len(x) // (2 * GAPS) - gap // 2
        seen[begin : begin + gap] = torch.nan
    return seen


MASKS = (23, 1, 2, 3, 4, 5)  # seeds of thinnings; the first is the one that is shown
TASKS = ("El Nino", "El Nino, thinned", "sunspots", "sunspots, thinned")


@lru_cache
def task(name: str, mask: int = MASKS[0]) -> Task:
    """One of TASKS; `mask` is the seed of a thinning."""
    if name.startswith("El Nino"):
        t, x = el_nino()
        like = Task(name, t, Cut(t, x, 0, x, 1.0), x, 12, True, 12, "°C")
        return _task(like, t, _some(x, 18, mask) if "thinned" in name else x, x, 1980.5)
    t, x = sunspots()
    like = Task(name, t, Cut(t, x, 0, x, 1.0), x, 11, False, 11, "spots")
    return _task(like, t, _some(x, 11, mask) if "thinned" in name else x, x, 1854.0)
