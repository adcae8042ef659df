"""Lesson 10: the bound where all of it is a Gaussian, so that log p(x) and the best guess are
known.
"""

import math
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...course.controls import slider
from ...course.explorables import explorable
from ...plotting import BLUE, EXACT, GRAY, VERMILLION, exact_line

X = 1.5  # the observed number
MEANS = np.linspace(-1.5, 3.0, 181)
Z = np.linspace(-3.5, 4.0, 301)


class Bound(NamedTuple):
    """The terms for one guess, in nats, and the mean and std of the posterior."""

    reconstruction: float
    kl: float
    elbo: float
    log_px: float
    gap: float
    mean: float
    std: float


class Guess(NamedTuple):
    """A guess q = N(mean, std^2), the bound that it gives, and the ELBO (181,) of q at MEANS."""

    mean: float
    std: float
    noise: float
    bound: Bound
    elbo: np.ndarray


def gaussian_bound(mean: float, std: float, noise: float) -> Bound:
    """The bound for z ~ N(0, 1), X ~ N(z, noise^2), and the guess q = N(mean, std^2), in closed
    form.

    p(x) = N(x; 0, 1 + noise^2), p(z | x) = N(x / (1 + noise^2), noise^2 / (1 + noise^2)), and the
    gap is the KL of q from that, computed from its own formula.
    """
    spread = (X - mean) ** 2 + std**2
    reconstruction = -spread / (2 * noise**2) - math.log(noise) - math.log(2 * math.pi) / 2
    kl = (mean**2 + std**2 - 1) / 2 - math.log(std)
    variance = 1 + noise**2
    log_px = -(X**2) / (2 * variance) - math.log(2 * math.pi * variance) / 2
    best = X / variance
    best_std = noise / math.sqrt(variance)
    off = (mean - best) / best_std
    gap = (off**2 + (std / best_std) ** 2 - 1) / 2 - math.log(std / best_std)
    return Bound(reconstruction, kl, reconstruction - kl, log_px, gap, best, best_std)


def normal(z: np.ndarray, mean: float, std: float) -> np.ndarray:
    """The density of N(mean, std^2)."""
    return np.exp(-(((z - mean) / std) ** 2) / 2) / (std * math.sqrt(2 * math.pi))


def compute(mean: float, std: float, noise: float) -> Guess:
    """The bound of one guess, and of all others with its std."""
    elbo = np.array([gaussian_bound(m, std, noise).elbo for m in MEANS])
    return Guess(mean, std, noise, gaussian_bound(mean, std, noise), elbo)


def draw(fig: Figure, data: Guess) -> None:
    """The guess and the posterior that it should be; the ELBO over the mean, and the gap."""
    left, right = fig.subplots(1, 2)
    _draw_densities(left, data)
    _draw_bound(right, data)


def _draw_densities(ax: Axes, data: Guess) -> None:
    bound = data.bound
    q = normal(Z, data.mean, data.std)
    ax.plot(Z, normal(Z, 0, 1), color=GRAY)
    exact_line(Z, normal(Z, bound.mean, bound.std), ax=ax, label=None)
    ax.fill_between(Z, q, color=BLUE, alpha=0.25, linewidth=0)
    ax.plot(Z, q, color=BLUE)
    ax.set(xlim=(Z[0], Z[-1]), ylim=(0, 2.6), xlabel="z")
    names = {"prior p(z)": GRAY, "posterior p(z | x)": EXACT, "guess q": BLUE}
    for place, (name, color) in enumerate(names.items()):
        ax.text(0.02, 0.95 - 0.085 * place, name, color=color, transform=ax.transAxes, va="top")
    ax.set_title(
        f"q = N({data.mean:.2f}, {data.std:.2f}²)\nposterior N({bound.mean:.2f}, {bound.std:.2f}²)"
    )


def _draw_bound(ax: Axes, data: Guess) -> None:
    bound = data.bound
    ax.plot(MEANS, data.elbo, color=BLUE)
    exact_line([MEANS[0], MEANS[-1]], [bound.log_px] * 2, ax=ax, label=None)
    ax.plot([data.mean] * 2, [bound.elbo, bound.log_px], color=VERMILLION, linewidth=2.2)
    ax.plot(data.mean, bound.elbo, "o", color=BLUE, markersize=7)
    ax.plot(bound.mean, bound.log_px, "x", color=EXACT, markersize=8, markeredgewidth=2)
    ax.text(0.02, 0.97, "dashed: log p(x)", color=EXACT, transform=ax.transAxes, va="top")
    ax.text(0.02, 0.89, "orange: the gap", color=VERMILLION, transform=ax.transAxes, va="top")
    ax.set(xlim=(MEANS[0], MEANS[-1]), ylim=(-9, 0.5), xlabel="mean of q", ylabel="ELBO (nats)")
    ax.set_title(
        f"ELBO = {bound.reconstruction:.2f} - {bound.kl:.2f} = {bound.elbo:.2f}\n"
        f"log p(x) = {bound.log_px:.2f}, gap {bound.gap:.2f}"
    )


def describe(data: Guess) -> str:
    """The terms of the bound, and what is missing to log p(x)."""
    bound = data.bound
    return (
        f"q = N({data.mean:.2f}, {data.std:.2f}²), noise {data.noise:.1f}: reconstruction "
        f"{bound.reconstruction:.2f}, KL {bound.kl:.2f}, ELBO {bound.elbo:.2f}; log p(x) is "
        f"{bound.log_px:.2f}, the gap {bound.gap:.2f} nats."
    )


elbo_bound = explorable(
    compute,
    draw,
    describe,
    question=("Predict first: which mean and std make the ELBO largest, and how large is it then?"),
    size=(8.4, 3.7),
    controls={
        "mean": slider("mean of q", -1.5, 3.0, value=0.0, step=0.05),
        "std": slider("std of q", 0.2, 1.5, value=1.0, step=0.05),
        "noise": slider("noise of x", 0.4, 1.5, value=0.7, step=0.1, format=".1f"),
    },
)
