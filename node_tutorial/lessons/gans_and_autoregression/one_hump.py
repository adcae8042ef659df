"""Lesson 18: one Gaussian fitted to two humps, by JS and by KL: which covers, which picks one?"""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import minimize

from ...data import GaussianMixture, gaussian_mixture, jensen_shannon
from .two_gaussians import normal

ENDS = (-16.0, 16.0)
POINTS = 2801


class Fitted(NamedTuple):
    """The best that a search from one start finds, by each of the two measures; and of JS the
    standard deviation.
    """

    js: float
    reverse_kl: float
    std: float


@lru_cache(maxsize=8)
def humps(a: float) -> GaussianMixture:
    """N(-a, 0.5^2) and N(a, 0.5^2), half each."""
    return gaussian_mixture([0.5, 0.5], torch.tensor([-a, a]), 0.5)


def js(a: float, mean: float, std: float) -> float:
    """Of N(mean, std^2) and the humps."""
    return jensen_shannon(normal(mean, std).log_prob, humps(a).log_prob, ENDS, POINTS)


def reverse_kl(a: float, mean: float, std: float) -> float:
    """KL(q || p) of q = N(mean, std^2) and the humps p."""
    x = torch.linspace(*ENDS, POINTS, dtype=torch.float64)[:, None]
    log_q = normal(mean, std).log_prob(x)
    return float(torch.trapezoid(log_q.exp() * (log_q - humps(a).log_prob(x)), x[:, 0]))


def _least(measure: Callable[[float, float], float], start: tuple[float, float]) -> np.ndarray:
    """The least value and its standard deviation; from mean 0 the mean stays there."""
    mean, std = start

    def of(values: np.ndarray) -> float:
        center = values[1] if mean else 0.0
        return measure(float(center), float(np.exp(values[0])))

    first = [np.log(std), mean] if mean else [np.log(std)]
    found = minimize(of, first, method="Nelder-Mead", options={"xatol": 1e-5, "fatol": 1e-9})
    return np.array([found.fun, np.exp(found.x[0])])


@lru_cache(maxsize=8)
def compare(a: float) -> dict[str, Fitted]:
    """Both measures, for humps at -a and a, from two starts: between them, and on one."""
    result = {}
    for name, start in {"covering": (0.0, a), "one hump": (a, 0.5)}.items():
        least, std = _least(partial(js, a), start)
        other = _least(partial(reverse_kl, a), start)[0]
        result[name] = Fitted(float(least), float(other), float(std))
    return result
