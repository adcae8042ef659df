"""Lesson 18: a discriminator between two Gaussians, and what its loss says of their distance."""

from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from ...course.controls import slider
from ...course.explorables import explorable
from ...data import GaussianMixture, gaussian_mixture, jensen_shannon, wasserstein_1
from ...plotting import BLUE, EXACT, GRAY, GREEN, VERMILLION

ENDS = (-12.0, 20.0)
X = torch.linspace(-4, 12, 401, dtype=torch.float64)
SHIFTS = np.linspace(0, 8, 41)
STEP = 0.01  # of the differences that stand for slopes
POINTS = 4001  # of the quadratures


class Curves(NamedTuple):
    """Over SHIFTS, for one width: JS, W1, and their slopes."""

    js: np.ndarray
    w1: np.ndarray
    js_slope: np.ndarray


class TwoGaussians(NamedTuple):
    """p = N(0, 1), q = N(mu, std^2) at X, the best discriminator D there, and the distances."""

    mu: float
    std: float
    p: Tensor
    q: Tensor
    best: Tensor
    js: float
    w1: float
    js_slope: float
    curves: Curves


def normal(mean: float, std: float) -> GaussianMixture:
    """N(mean, std^2)."""
    return gaussian_mixture([1.0], torch.tensor([mean]), std)


def distances(mu: float, std: float) -> tuple[float, float, float]:
    """JS and W1 of N(0, 1) and N(mu, std^2), and the slope of JS over mu."""
    p = normal(0.0, 1.0)
    left, q, right = (normal(mu + e, std) for e in (-STEP, 0.0, STEP))
    js, less, more = (
        jensen_shannon(p.log_prob, one.log_prob, ENDS, POINTS) for one in (q, left, right)
    )
    return js, wasserstein_1(p.cdf, q.cdf, ENDS, POINTS), (more - less) / (2 * STEP)


@cache
def curves(std: float) -> Curves:
    """The distances over all shifts."""
    return Curves(*np.array([distances(float(mu), std) for mu in SHIFTS]).T)


def compute(mu: float, std: float) -> TwoGaussians:
    """The discriminator and the distances, exact."""
    x = X[:, None]
    log_p = normal(0.0, 1.0).log_prob(x)
    log_q = normal(mu, std).log_prob(x)
    js, w1, slope = distances(mu, std)
    return TwoGaussians(
        mu=mu,
        std=std,
        p=log_p.exp(),
        q=log_q.exp(),
        best=torch.sigmoid(log_p - log_q),
        js=js,
        w1=w1,
        js_slope=slope,
        curves=curves(std),
    )


def draw(fig: Figure, data: TwoGaussians) -> None:
    """Densities and discriminator; JS and W1 over the shift."""
    left, right = fig.subplots(1, 2)
    for density, color in ((data.p, EXACT), (data.q, VERMILLION)):
        left.fill_between(X, density, color=color, alpha=0.25, linewidth=0)
    left.plot(X, data.best, color=BLUE)
    left.text(0.02, 0.93, "p", color=EXACT, transform=left.transAxes)
    left.text(0.07, 0.93, "q", color=VERMILLION, transform=left.transAxes)
    left.text(0.12, 0.93, "D, the best", color=BLUE, transform=left.transAxes)
    left.set(xlim=(-4, 12), ylim=(0, 1.15), xlabel="x")
    left.set_title(f"q = N({data.mu:.1f}, {data.std:.2f}²): loss of D {_loss(data):.4f}")
    right.axhline(np.log(2), color=GRAY, linewidth=1)
    right.text(8, np.log(2) + 0.04, "log 2", color=GRAY, ha="right", va="bottom", fontsize=9.5)
    right.plot(SHIFTS, data.curves.js, color=BLUE)
    right.plot(SHIFTS, data.curves.w1, color=GREEN)
    right.plot(data.mu, data.js, "o", color=BLUE)
    if data.w1 <= 2:
        right.plot(data.mu, data.w1, "o", color=GREEN)
    right.text(7.9, 0.42, "JS", color=BLUE, ha="right")
    right.text(1.05, 1.5, "W1", color=GREEN, ha="right")
    right.set(xlim=(0, 8), ylim=(0, 2), xlabel="shift of q")
    right.set_title(f"JS {data.js:.4f}, its slope {data.js_slope:.1e}; W1 {data.w1:.2f}")


def _loss(data: TwoGaussians) -> float:
    """Of the best discriminator: log 4 - 2 JS."""
    return float(np.log(4) - 2 * data.js)


def describe(data: TwoGaussians) -> str:
    """The loss of the best discriminator, and both distances with the slope of JS."""
    return (
        f"q = N({data.mu:.1f}, {data.std:.2f}²): the best discriminator's loss is "
        f"{_loss(data):.4f}, JS {data.js:.4f} with the slope {data.js_slope:.1e}; W1 is "
        f"{data.w1:.2f}."
    )


two_gaussians = explorable(
    compute,
    draw,
    describe,
    question=(
        "Predict first: a generator far away should be pulled hardest. Where is the slope of JS "
        "largest?"
    ),
    size=(8.4, 3.7),
    controls={
        "mu": slider("shift of q", 0.0, 8.0, value=2.0, step=0.2, format=".1f"),
        "std": slider("width of q", 0.25, 2.0, value=1.0, step=0.25),
    },
)
