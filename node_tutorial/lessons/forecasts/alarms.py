"""Lesson 23: three detectors, anomalies of four kinds, and what a threshold promises.

A detector turns a series, cut into past and future (`data.cut`), into a score at each time, large
where the value is unusual. A score uses values up to its own time only, and constants of the past
only. NaN is no score: a value was missing.
"""

import math
from collections.abc import Callable
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...data import Cut, cut, el_nino, nile
from ...data.alarms import (
    average_precision,
    cusum,
    cusum_threshold,
    quantile_threshold,
    tail_threshold,
    threshold_for,
)
from .tasks import Forecast

f64 = torch.float64
MONTHS = 12  # of a year, the season
WINDOW = 24  # months that the latent is made from
FIRST_HALF = 1980.5  # El Nino's past ends here: 366 of 732 months

# -- detectors -------------------------------------------------------------------------------------


def level(series: Cut) -> Tensor:
    """The distance to the season, in standard deviations of the past."""
    return series.x.abs()


def persistence(series: Cut) -> float:
    """phi of x_t = phi x_(t-1) + noise, by least squares from the past."""
    x = series.x[: series.past]
    pair = ~(x[1:].isnan() | x[:-1].isnan())
    before = x[:-1][pair]
    return float((x[1:][pair] * before).sum() / before.square().sum())


def damped_forecast(series: Cut, horizon: int = 1) -> Forecast:
    """Of each value (T,), by the last one observed at least `horizon` steps before.

    x_t = phi x_(t-1) + noise, so that after h steps the mean is phi^h x and the variance
    1 - phi^(2 h): that of the season in the limit. Behind a gap the band is wider by itself.
    """
    phi = persistence(series)
    index = torch.arange(len(series.x))
    seen = torch.where(series.x.isnan(), -1, index).cummax(0).values
    last = torch.cat([seen.new_full((horizon,), -1), seen[:-horizon]])
    steps = (index - last).to(series.x)
    nothing = last < 0
    mean = torch.where(nothing, math.nan, phi**steps * series.x[last.clamp(min=0)])
    std = torch.where(nothing, math.nan, (1 - phi ** (2 * steps)).sqrt())
    return Forecast(mean, std)


def surprise(series: Cut, horizon: int = 1) -> Tensor:
    """The error of the damped forecast, in standard deviations; one step ahead: the innovation."""
    forecast = damped_forecast(series, horizon)
    return ((series.x - forecast.mean) / forecast.std).abs()


def latent(series: Cut, window: int = WINDOW) -> Tensor:
    """(T, 3): level and oscillation of the last `window` values, NaN where half are missing.

    The model is a latent ODE that is linear, and solved by hand: z' = A z with the eigenvalues 0
    and +- 2 pi i (a level, and an oscillator with the period of a year), x = (1, sqrt 2, 0) z. The
    encoder is least squares. In coordinates that turn with the year, z stands still as long as
    nothing happens, and is 0, since the season is subtracted.
    """
    month = torch.arange(len(series.x), dtype=f64)
    angle = 2 * math.pi / MONTHS * month
    basis = torch.stack([torch.ones_like(angle), 2**0.5 * angle.cos(), 2**0.5 * angle.sin()], 1)
    there = (~series.x.isnan()).to(f64)
    basis = basis * there[:, None]
    products = _last_sums(basis[:, :, None] * basis[:, None, :], window)
    right = _last_sums(basis * series.x.nan_to_num()[:, None], window)
    enough = _last_sums(there, window) > window / 2
    enough[: window - 1] = False
    z = torch.full((len(month), 3), math.nan, dtype=f64)
    z[enough] = torch.linalg.solve(products[enough], right[enough])
    return z


def latent_distance(series: Cut, window: int = WINDOW) -> Tensor:
    """How far the latent is from those of the past, by their covariance (Mahalanobis)."""
    z = latent(series, window)
    known = z[: series.past][~z[: series.past].isnan().any(1)]
    away = z - known.mean(0)
    return (away * torch.linalg.solve(known.T.cov(correction=0), away.T).T).sum(1).sqrt()


def _last_sums(x: Tensor, window: int) -> Tensor:
    """Of the last `window` entries up to each one, fewer at the start."""
    sums = x.cumsum(0)
    sums[window:] = sums[window:] - sums[:-window].clone()
    return sums


DETECTORS: dict[str, Callable[[Cut], Tensor]] = {
    "level": level,
    "surprise": surprise,
    "latent distance": latent_distance,
}


@lru_cache(maxsize=1)
def el_nino_series() -> Cut:
    """El Nino less its season, by the first half, 1950 to June 1980."""
    return cut(*el_nino(), at=FIRST_HALF, period=MONTHS)


# -- planted anomalies -----------------------------------------------------------------------------

KINDS = ("spike", "shift", "frequency", "flat")
SIZES = (1, 2, 3)
PHI = 0.9
PAST = 360  # months without an anomaly
TOTAL = 840
CLEAN = 200  # series without an anomaly, for `clean_alarms`
WINDOWS = 9  # clean stretches beside each anomaly
FIRST_WINDOW = PAST + 100
LONGEST = 36  # months of an anomaly


class Planted(NamedTuple):
    """A season with noise, the same with an anomaly from `first` to `last`, and where it is."""

    clean: Tensor
    x: Tensor
    first: int
    last: int


def months(n: int = TOTAL) -> Tensor:
    """Times in years."""
    return torch.arange(n, dtype=f64) / MONTHS


def correlated(count: int, n: int, seed: int) -> Tensor:
    """Series (count, n) with x_t = PHI x_(t-1) + noise, and variance 1 at each time."""
    from scipy.signal import lfilter

    drawn = np.random.default_rng(seed).standard_normal((count, n))
    drawn[:, 1:] *= math.sqrt(1 - PHI**2)
    return torch.from_numpy(lfilter([1.0], [1.0, -PHI], drawn))


def plant(kind: str, size: int, place: int, seed: int) -> Planted:
    """A season of amplitude 1, noise with standard deviation 1, and an anomaly at `place`.

    spike: one month is higher by `size` standard deviations.
    shift: within a year the level rises by `size`; a year later it falls, again within a year.
    frequency: for 36 months the season turns faster, by `size` more cycles than 3.
    flat: for `size` years the last value is repeated, as by a sensor that is stuck.
    """
    t = torch.arange(TOTAL, dtype=f64)
    turn = 2 * math.pi / MONTHS
    base = correlated(1, TOTAL, seed)[0]
    clean = base + (turn * t).cos()
    x = clean.clone()
    since = t - place
    length = LONGEST
    if kind == "spike":
        length = 1
        x[place] += size
    elif kind == "shift":
        x += size * torch.minimum((since + 1) / 12, (LONGEST - since) / 12).clamp(0, 1)
    elif kind == "frequency":
        more = 2 * math.pi * size * since.clamp(0, LONGEST) / LONGEST
        x = base + (turn * t + more).cos()
    elif kind == "flat":
        length = 12 * size
        x[place : place + length] = x[place - 1]
    else:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    return Planted(clean, x, place, place + length - 1)


def simulated(x: Tensor) -> Cut:
    """A simulated series, cut after its clean past."""
    return cut(months(), x, at=PAST / MONTHS - 0.5 / MONTHS, period=MONTHS)


def planted_precision(
    kind: str, size: int, seeds: range, detector: Callable[[Cut], Tensor]
) -> float:
    """The average precision of a detector; chance is `chance_precision(S, 10 S)` for S seeds.

    Of each seed there are one stretch with the anomaly and nine clean ones of the same length. The
    score of a stretch is the largest in it.
    """
    highest = []
    for seed in seeds:
        made = plant(kind, size, PAST + 60 + seed % 12, seed)
        length = made.last + 1 - made.first
        highest.append(detector(simulated(made.x))[made.first : made.last + 1].max())
        for k in range(WINDOWS):
            start = FIRST_WINDOW + k * LONGEST
            highest.append(_clean_scores(detector, seed)[start : start + length].max())
    truth = torch.tensor([True] + [False] * WINDOWS).repeat(len(seeds))
    return average_precision(torch.stack(highest), truth)


@lru_cache(maxsize=1024)
def _clean_scores(detector: Callable[[Cut], Tensor], seed: int) -> Tensor:
    return detector(simulated(plant("spike", 0, PAST, seed).clean))


def planted_table(
    groups: int = 4, seeds: int = 25
) -> dict[tuple[str, int], dict[str, list[float]]]:
    """(kind, size) -> detector -> average precisions, one for each group of seeds."""
    parts = _groups(groups, seeds)
    return {
        (kind, size): {
            name: [planted_precision(kind, size, part, detector) for part in parts]
            for name, detector in DETECTORS.items()
        }
        for kind in KINDS
        for size in SIZES
    }


def latent_precision(kind: str, size: int, window: int) -> float:
    """The average precision of the latent distance with another window, the mean of four groups of
    seeds as in `planted_table`.
    """
    detector = partial(latent_distance, window=window)
    parts = _groups()
    return sum(planted_precision(kind, size, part, detector) for part in parts) / len(parts)


def _groups(groups: int = 4, seeds: int = 25) -> list[range]:
    """Of seeds: what differs between them is chance."""
    return [range(group * seeds, (group + 1) * seeds) for group in range(groups)]


def clean_alarms() -> dict[str, Tensor]:
    """False alarms in ten years, by detector, one number for each of CLEAN series without anomaly.

    The threshold is the quantile of the 30 years before them that promises one.
    """
    promise = 1 / (10 * MONTHS)
    come: dict[str, list[Tensor]] = {name: [] for name in DETECTORS}
    for name, detector in DETECTORS.items():
        for seed in range(CLEAN):
            scores = _clean_scores(detector, seed)
            known = scores[:PAST][~scores[:PAST].isnan()]
            over = scores[PAST:] > quantile_threshold(known, promise)
            come[name].append(over.to(f64).mean() / promise)
    return {name: torch.stack(values) for name, values in come.items()}


# -- what a threshold promises ---------------------------------------------------------------------

WEEKS = 52
YEARS = 10  # of past scores
SERIES = ("independent", "correlated", "heavy tails")
RULES = ("normal", "tail", "quantile")


def past_values(kind: str) -> Tensor:
    """400 pasts of 520 weeks with mean 0 and variance 1, of one of SERIES.

    Normal and independent; normal with x_t = 0.9 x_(t-1) + noise; Student's t with 3 degrees.
    """
    shape = (400, WEEKS * YEARS)
    if kind == "correlated":
        return correlated(*shape, seed=0)
    chance = np.random.default_rng(0)
    if kind == "heavy tails":
        return torch.from_numpy(chance.standard_t(3, size=shape) / 3**0.5)
    return torch.from_numpy(chance.standard_normal(shape))


def attained(kind: str, rule: str, rate: float) -> Tensor:
    """The rates (400,) of false alarms that are attained, each by a threshold from its own past.

    The scores are distances to the mean of the past in its standard deviations. The rate is exact,
    by the distribution that the values are drawn from.
    """
    from scipy.stats import norm, t

    x = past_values(kind)
    mean = x.mean(1, keepdim=True)
    std = x.std(1, keepdim=True, correction=0)
    scores = ((x - mean) / std).abs()
    threshold = {
        "normal": lambda: torch.full((len(x),), threshold_for(rate, 1), dtype=f64),
        "quantile": lambda: quantile_threshold(scores, rate),
        "tail": lambda: tail_threshold(scores, rate),
    }[rule]()
    low = (mean - threshold[:, None] * std)[:, 0].numpy()
    high = (mean + threshold[:, None] * std)[:, 0].numpy()
    if kind == "heavy tails":
        return torch.from_numpy(t.cdf(low * 3**0.5, 3) + t.sf(high * 3**0.5, 3))
    return torch.from_numpy(norm.cdf(low) + norm.sf(high))


def promises() -> dict[tuple[str, str], dict[str, Tensor]]:
    """(promise, series) -> rule -> the false alarms that come for each one promised (400,).

    Of one in 20 years the quantile rule makes no promise.
    """
    rare = 1 / (20 * WEEKS)
    promised = {"1 a year": (1 / WEEKS, RULES), "1 in 20 years": (rare, RULES[:2])}
    return {
        (often, kind): {rule: attained(kind, rule, rate) / rate for rule in rules}
        for often, (rate, rules) in promised.items()
        for kind in SERIES
    }


# -- the known events ------------------------------------------------------------------------------

EVENTS = (1982, 1997)  # the great El Ninos begin in these years, and end in the next; to judge only
NILE_PAST = 20  # years


class Found(NamedTuple):
    """What a detector makes of El Nino with a threshold of one alarm in so many years of the past.

    begins: the first alarm of each event, such as "1997-05", or "none".
    months: in alarm in each event.
    false: alarms after the past and outside of the events; `promised` would be their number.
    """

    detector: str
    years: int
    begins: tuple[str, ...]
    months: tuple[int, ...]
    false: int
    promised: float


def found_events() -> list[Found]:
    """Each detector, for one alarm in five and in ten years of the past."""
    series = el_nino_series()
    t = series.t
    events = [(t >= year) & (t < year + 2) for year in EVENTS]
    found = []
    for name, detector in DETECTORS.items():
        scores = detector(series)
        known = scores[: series.past][~scores[: series.past].isnan()]
        for years in (5, 10):
            flags = scores > quantile_threshold(known, 1 / (MONTHS * years))
            begins = tuple(_month(t[flags & event]) for event in events)
            inside = tuple(int((flags & event).sum()) for event in events)
            quiet = ~events[0] & ~events[1]
            quiet[: series.past] = False  # there the number of alarms is what was asked for
            false = int((flags & quiet).sum())
            promised = int(quiet.sum()) / (MONTHS * years)
            found.append(Found(name, years, begins, inside, false, promised))
    return found


def _month(t: Tensor) -> str:
    """The first of some times, as year and month."""
    if not len(t):
        return "none"
    first = float(t[0])
    return f"{int(first)}-{int(first % 1 * MONTHS) + 1:02d}"


def nile_scores(past: int = NILE_PAST) -> Tensor:
    """The Nile (100,) less the mean of its first years, over their standard deviation."""
    y = nile()[1]
    return (y - y[:past].mean()) / y[:past].std()


def quiet_series_that_ring(past: int, years: int = 80, interval: float = 500) -> float:
    """The share of series without a shift in which CUSUM has an alarm within so many years.

    Mean and standard deviation are estimated from the past, as the Nile's are; the threshold is
    that of one false alarm in `interval` years, had they been exact.
    """
    drawn = torch.from_numpy(np.random.default_rng(0).standard_normal((300, past + years)))
    limit = cusum_threshold(interval)
    known = drawn[:, :past]
    z = (drawn[:, past:] - known.mean(1, keepdim=True)) / known.std(1, keepdim=True)
    return sum(bool((cusum(row) > limit).any()) for row in z) / len(z)
