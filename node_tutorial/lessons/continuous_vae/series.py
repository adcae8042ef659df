"""Lesson 11: the real series as the lesson uses them."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from ...data import co2, collate, sunspots, thin
from ...models import ContinuousVAE

YEARS = 154  # of the 309 of the sunspot numbers: so many are kept
STEP = 8.0  # years from the begin of one forecast to that of the next


class Ahead(NamedTuple):
    """What comes after the piece that a model has seen: times, decoded and true values, (S,)."""

    times: Tensor
    decoded: Tensor
    true: Tensor


def windows(
    t: Tensor, x: Tensor, width: float, step: float, unit: float = 1.0
) -> list[tuple[Tensor, Tensor]]:
    """Pieces of a series t (T,), x (T,), each `width` long and beginning `step` after the one
    before, for `collate`.

    Their times count from the beginning of the piece, in units of `unit`. float32.
    """
    pieces = []
    begin = float(t[0])
    while begin + width <= float(t[-1]) + 1e-9 + float(t.diff().max()):
        inside = (t >= begin) & (t < begin + width)
        pieces.append((((t[inside] - begin) / unit).float(), x[inside].float()))
        begin += step
    return pieces


def co2_season(until: float = 1985.0) -> tuple[Tensor, Tensor]:
    """Weekly CO2 less a parabola through the values before `until`, in units of their standard
    deviation: t in years, x (T,).
    """
    t, x = co2()
    known = ~x.isnan()
    t = t[known]
    x = x[known]
    powers = torch.stack([((t - 1980) / 20) ** k for k in range(3)], 1)
    early = t < until
    x = x - powers @ torch.linalg.lstsq(powers[early], x[early]).solution
    return t, x / x[early].std()


def thinned_sunspots() -> tuple[Tensor, Tensor]:
    """Sunspot numbers of YEARS of the 309 years, less their mean, in units of their standard
    deviation: t in years, x (T,).
    """
    t, x = sunspots()
    scaled = (x - x.mean()) / x.std()
    [(t, x)] = thin(t, scaled[None, :, None], YEARS)
    return t, x[:, 0]


def forecast(
    model: ContinuousVAE, t: Tensor, x: Tensor, begin: float, width: float, unit: float
) -> tuple[tuple[Tensor, Tensor], Ahead]:
    """What a model makes of a series t (T,), x (T,) after it has seen the piece from `begin` to
    `begin + width`; its unit of time is `unit` years.

    Returns 400 times from `begin` to the end of the series with the decoded values there, and the
    part of the series that comes after the piece.
    """
    inside = (t >= begin) & (t < begin + width)
    after = t >= begin + width
    batch = collate([(((t[inside] - begin) / unit).float(), x[inside].float())])
    fine = torch.linspace(begin, float(t[-1]), 400, dtype=torch.float64)
    with torch.no_grad():
        smooth, later = (
            model(*batch, ((times - begin) / unit).float())[0, :, 0] for times in (fine, t[after])
        )
    return (fine, smooth), Ahead(t[after], later.double(), x[after])


def correlation(a: Tensor, b: Tensor) -> float:
    """The correlation coefficient of two series (T,)."""
    return float(torch.corrcoef(torch.stack([a, b]))[0, 1])


def correlations_ahead(
    model: ContinuousVAE, t: Tensor, x: Tensor, width: float, unit: float, leads: Sequence[float]
) -> list[float]:
    """The correlation of forecast and truth by how far ahead, for all pieces of a series together.

    leads: edges of the intervals of time after the end of a piece. Returns one number per interval.
    """
    parts = []
    begin = float(t[0])
    while begin + width + leads[-1] <= float(t[-1]) + 1:
        _, (times, decoded, true) = forecast(model, t, x, begin, width, unit)
        parts.append((times - begin - width, decoded, true))
        begin += STEP
    ahead, decoded, true = (torch.cat(column) for column in zip(*parts))
    chosen = [(ahead >= low) & (ahead < high) for low, high in pairwise(leads)]
    return [correlation(decoded[some], true[some]) for some in chosen]
