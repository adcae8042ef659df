"""Lesson 11: the real series as the lesson uses them."""

from itertools import pairwise

import torch

from ...data import co2, collate, sunspots, thin


def windows(t, x, width, step, unit=1.0):
    """Pieces of a series t (T,), x (T,), each `width` long and beginning `step` after the one
    before, for `collate`.

    Their times count from the beginning of the piece, in units of `unit`. float32.
    """
    pieces, begin = [], float(t[0])
    while begin + width <= float(t[-1]) + 1e-9 + float(t.diff().max()):
        inside = (t >= begin) & (t < begin + width)
        pieces.append((((t[inside] - begin) / unit).float(), x[inside].float()))
        begin += step
    return pieces


def co2_season(until=1985.0):
    """Weekly CO2 less a parabola through the values before `until`, in units of their standard
    deviation: t, x (T,).
    """
    t, x = co2()
    t, x = t[~x.isnan()], x[~x.isnan()]
    powers = torch.stack([((t - 1980) / 20) ** k for k in range(3)], 1)
    early = t < until
    x = x - powers @ torch.linalg.lstsq(powers[early], x[early]).solution
    return t, x / x[early].std()


def thinned_sunspots(keep=154, seed=0):
    """Sunspot numbers of `keep` of the 309 years, less their mean, in units of their standard
    deviation: t, x (T,).
    """
    t, x = sunspots()
    [(t, x)] = thin(t, ((x - x.mean()) / x.std())[None, :, None], keep, seed)
    return t, x[:, 0]


def forecast(model, t, x, begin, width, unit=1.0):
    """What a model makes of a series after it has seen the piece from `begin` to `begin + width`.

    Returns: times and values from `begin` to the end of the series, 400 of each (t, x), and the
    decoded values at those times of the series that come after the piece, with the true ones:
    (times, decoded, true).
    """
    inside, after = (t >= begin) & (t < begin + width), t >= begin + width
    batch = collate([(((t[inside] - begin) / unit).float(), x[inside].float())])
    fine = torch.linspace(begin, float(t[-1]), 400, dtype=torch.float64)
    with torch.no_grad():
        smooth, later = (
            model(*batch, ((times - begin) / unit).float())[0, :, 0] for times in (fine, t[after])
        )
    return (fine, smooth), (t[after], later.double(), x[after])


def correlation(a, b):
    """The correlation coefficient of two series (T,)."""
    return float(torch.corrcoef(torch.stack([a, b]))[0, 1])


def correlations_ahead(model, t, x, width, unit, leads, step=8.0):
    """The correlation of forecast and truth by how far ahead, for all pieces of a series together.

    leads: edges of the intervals of time after the end of a piece. Returns one number per interval.
    """
    parts, begin = [], float(t[0])
    while begin + width + leads[-1] <= float(t[-1]) + 1:
        _, (times, decoded, true) = forecast(model, t, x, begin, width, unit)
        parts.append((times - begin - width, decoded, true))
        begin += step
    ahead, decoded, true = (torch.cat(column) for column in zip(*parts))
    chosen = [(ahead >= low) & (ahead < high) for low, high in pairwise(leads)]
    return [correlation(decoded[some], true[some]) for some in chosen]
