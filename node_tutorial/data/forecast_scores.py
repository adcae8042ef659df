"""How good a forecast is: its error on a scale, its whole distribution, its bands by horizon.

A forecast is made at an origin n, from the entries before n, for the entries n, n + 1, ..: the
horizons h = 1, 2, .., H. With a rolling origin there are many, (O, H). A mean over origins leaves
out what was not observed, where y is NaN. A forecast that is NaN is refused: whoever is silent
where it is hard would score better.

    MASE   mean |error| over the mean |x_t - x_(t-1)| of the past: below 1, the forecast beats the
           naive forecast of the past, one step ahead, in any unit
    CRPS   E|X - y| - E|X - X'| / 2 for X, X' from the forecast: the absolute error, where the
           forecast is one number; proper: on average least for the true distribution

Sources: Hyndman, Koehler 2006, "Another look at measures of forecast accuracy" (MASE); Gneiting,
Raftery 2007, "Strictly proper scoring rules, prediction, and estimation", section 4.2 (CRPS).
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def ahead(x: Tensor, origins: Sequence[int] | Tensor, horizon: int) -> Tensor:
    """What comes after each origin, (O, H): the entries n, .., n + horizon - 1 of x (T,).

    Raises:
        ValueError: for no origins or no horizon, origins before 0, or a horizon beyond the data.

        >>> ahead(torch.arange(6.0), [2, 3], 3).tolist()
        [[2.0, 3.0, 4.0], [3.0, 4.0, 5.0]]
    """
    begin = torch.as_tensor(origins)
    if begin.numel() == 0 or horizon < 1 or begin.min() < 0:
        raise ValueError(
            f"origins must be one or more places from 0, and horizon 1 or more, got {origins!r} "
            f"and {horizon!r}"
        )
    if begin.max() + horizon > len(x):
        raise ValueError(
            f"origin {int(begin.max())} with horizon {horizon} asks for entries beyond the data, "
            f"which has {len(x)}; let origins end at {len(x) - horizon}"
        )
    return x[begin[:, None] + torch.arange(horizon)]


def mase(y: Tensor, mean: Tensor, past: Tensor) -> Tensor:
    """The mean absolute scaled error over the first dimension: (H,) for y and mean (O, H).

    Args:
        y: what came, (O, ..), NaN where nothing was observed.
        mean: the forecasts of it, of the same shape.
        past: (T,), the series before the first origin; NaN where nothing was observed.

    Raises:
        ValueError: for a past that is no series of two entries or more; for one whose naive errors
            are all zero (a constant series) or not observed, so that there is no scale; for a mean
            that is NaN.

        >>> y, mean = torch.tensor([[1.0, 4.0], [3.0, 4.0]]), torch.zeros(2, 2)
        >>> mase(y, mean, past=torch.tensor([0.0, 2.0, 0.0])).tolist()
        [1.0, 2.0]
    """
    if past.dim() != 1 or len(past) < 2:
        raise ValueError(
            f"past must be a series (T,) of two entries or more, got shape {tuple(past.shape)}"
        )
    scale = past.diff().abs().nanmean()
    if not scale > 0:
        raise ValueError(
            "the naive errors of past are all zero or not observed (is it constant?), so MASE has "
            "no scale; report the error in the units of the data"
        )
    _refuse_nan(mean=mean)
    return (y - mean).abs().nanmean(0) / scale


def crps_gaussian(y: Tensor, mean: Tensor | float = 0.0, std: Tensor | float = 1.0) -> Tensor:
    """The CRPS of N(mean, std^2) at y, element by element; |y - mean| where std is 0:

        std (z (2 Phi(z) - 1) + 2 phi(z) - 1 / sqrt(pi)),     z = (y - mean) / std

    Under the truth its mean is std / sqrt(pi).

    Raises:
        ValueError: for a mean or a std that is NaN, or a negative std.

    Source: Gneiting, Raftery 2007, equation 21.

        >>> crps_gaussian(torch.tensor([0.0, 1.0], dtype=torch.float64))
        tensor([0.2337, 0.6024], dtype=torch.float64)
    """
    y = torch.as_tensor(y)
    std = torch.as_tensor(std, dtype=y.dtype)
    _refuse_nan(mean=mean, std=std)
    if (std < 0).any():
        raise ValueError(f"std must not be negative, got {float(std.min()):g}")
    away = y - mean
    z = away / torch.where(std > 0, std, 1.0)
    density = torch.exp(-z.square() / 2) / math.sqrt(2 * math.pi)
    smooth = std * (z * torch.erf(z / math.sqrt(2)) + 2 * density - 1 / math.sqrt(math.pi))
    return torch.where(std > 0, smooth, away.abs())


def interval_coverage(y: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """The share of y (O, ..) from low to high, over the first dimension: by horizon.

    Raises:
        ValueError: where low or high is NaN, or low is above high.

        >>> y = torch.tensor([[0.0, 0.0], [1.0, 3.0], [float("nan"), 1.0]])
        >>> interval_coverage(y, torch.tensor(-1.0), torch.tensor(2.0))
        tensor([1.0000, 0.6667])
    """
    _refuse_nan(low=low, high=high)
    if (low > high).any():
        raise ValueError("low must not be above high")
    return _share((low <= y) & (y <= high), y)


def calibration(y: Tensor, mean: Tensor, std: Tensor, levels: Tensor) -> Tensor:
    """The share of y (O, ..) below the Gaussian forecast's quantile of each level, (levels, ..).

    A calibrated forecast has shares equal to the levels. (Others call the share below a quantile
    the distribution function of the PIT.)

    Raises:
        ValueError: for levels that are not between 0 and 1, a mean or a std that is NaN, or a std
            that is not positive.

        >>> y = torch.tensor([-1.0, 0.5, 2.0])
        >>> calibration(y, torch.zeros(3), torch.ones(3), torch.tensor([0.5]))
        tensor([0.3333])
    """
    if not ((levels > 0) & (levels < 1)).all():
        raise ValueError(f"levels must be between 0 and 1, got {levels.tolist()}")
    _refuse_nan(mean=mean, std=std)
    if not (std > 0).all():
        raise ValueError(f"std must be positive, got {float(std.min()):g}")
    quantiles = [mean + std * torch.special.ndtri(level) for level in levels]
    return torch.stack([_share(y < quantile, y) for quantile in quantiles])


def ar1_variance(phi: float, h: int | Tensor, innovation: float = 1.0) -> Tensor:
    """The variance of x_(n+h) given x_n, where x_n = phi x_(n-1) + an innovation of this variance:

        innovation (1 + phi^2 + .. + phi^(2 (h - 1))) = innovation (1 - phi^(2 h)) / (1 - phi^2)

    Raises:
        ValueError: unless -1 < phi < 1, and neither h nor the innovation is negative.

    Source: Box, Jenkins, Time series analysis, section 5.

        >>> ar1_variance(0.9, torch.tensor([1, 5, 20])).tolist()
        [1.0, 3.428..., 5.185...]
    """
    h = torch.as_tensor(h, dtype=torch.float64)
    if not -1 < phi < 1 or (h < 0).any():
        raise ValueError(f"phi must be between -1 and 1, and h not negative, got {phi} and {h}")
    if not innovation >= 0:
        raise ValueError(f"innovation must be a variance, 0 or more, got {innovation}")
    return innovation * (1 - phi ** (2 * h)) / (1 - phi**2)


def _refuse_nan(**parts: Tensor | float) -> None:
    for name, values in parts.items():
        missing = int(torch.as_tensor(values).isnan().sum())
        if missing:
            raise ValueError(
                f"{name} must not be NaN, got {missing}: a forecaster owes a forecast at each "
                "origin; only y may be NaN, where nothing was observed"
            )


def _share(inside: Tensor, y: Tensor) -> Tensor:
    """The share of True among what was observed of y, over the first dimension."""
    return torch.where(y.isnan(), torch.nan, inside.to(y.dtype)).nanmean(0)
