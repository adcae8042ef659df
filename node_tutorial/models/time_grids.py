"""Times of a sampler: from the noise, at `path.last`, down to the data.

A grid is a function of a path and a number of steps. With N steps it has N + 1 times, float64,
that decrease. Those of GRIDS end at `path.first`: `uniform` and `quadratic` look at the time only,
`geometric` and `karras` at the ratio r = sigma / alpha, which is what samplers go down. A sampler
whose last step is the guess x0 goes on to time 0, where r = 0:

    to_data(karras(path, 15))     sixteen steps, the last one from path.first to 0
    even(path, 16)                sixteen steps, equally long in t

to_data(uniform(path, 15)) is no good grid: its last step but one is many times as long in log r as
the one before. There `dpm_solver` fails, which goes on along the line through two guesses.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from .gaussian_paths import GaussianPath
from .sizes import check_sizes

Grid = Callable[[GaussianPath, int], Tensor]


def uniform(path: GaussianPath, steps: int) -> Tensor:
    """N + 1 times, equally far from each other, float64."""
    return _between(path.last, path.first, steps)


def quadratic(path: GaussianPath, steps: int) -> Tensor:
    """N + 1 times whose square roots are equally far from each other: denser near the data.

    Source: Song, Meng, Ermon 2021, "Denoising diffusion implicit models", arXiv 2010.02502,
    appendix D.2.
    """
    return _between(path.last**0.5, path.first**0.5, steps).square()


def geometric(path: GaussianPath, steps: int) -> Tensor:
    """N + 1 times between which sigma / alpha falls by one factor.

    Source: Lu et al. 2022, "DPM-Solver", arXiv 2206.00927, section 3.3: uniform in log(alpha /
    sigma).
    """
    most, least = _ratios(path)
    return time_of(path, _between(math.log(most), math.log(least), steps).exp())


def karras(path: GaussianPath, steps: int, rho: float = 7.0) -> Tensor:
    """N + 1 times at which (sigma / alpha)^(1 / rho) is equally far; rho = 1: sigma / alpha itself.

    Source: Karras et al. 2022, arXiv 2206.00364, equation 5.
    """
    most, least = _ratios(path)
    return time_of(path, _between(most ** (1 / rho), least ** (1 / rho), steps) ** rho)


GRIDS: dict[str, Grid] = {
    "uniform": uniform,
    "quadratic": quadratic,
    "geometric": geometric,
    "karras": karras,
}


def even(path: GaussianPath, steps: int) -> Tensor:
    """N + 1 times, equally far from each other, of which the last is 0, float64."""
    return _between(path.last, 0.0, steps)


def to_data(times: Tensor) -> Tensor:
    """The times with 0 behind them, for samplers whose last step is the guess x0."""
    return torch.cat([times, times.new_zeros(1)])


def time_of(path: GaussianPath, ratio: Tensor) -> Tensor:
    """The times in [0, 1] at which sigma / alpha has the values `ratio`, float64, by bisection."""
    ratio = ratio.double()
    low = torch.zeros_like(ratio)
    high = torch.ones_like(ratio)
    for _ in range(60):
        middle = (low + high) / 2
        at = path.at(middle)
        below = at.sigma < ratio * at.alpha
        low = torch.where(below, middle, low)
        high = torch.where(below, high, middle)
    return (low + high) / 2


def _between(start: float, end: float, steps: int) -> Tensor:
    check_sizes(steps=steps)
    return torch.linspace(start, end, steps + 1, dtype=torch.float64)


def _ratios(path: GaussianPath) -> tuple[float, float]:
    """sigma / alpha at the last and at the first time of a path."""
    at = path.at(torch.tensor([path.last, path.first], dtype=torch.float64))
    most, least = (at.sigma / at.alpha).tolist()
    return most, least
