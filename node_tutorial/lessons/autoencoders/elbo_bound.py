"""Lesson 10: the bound where all of it is a Gaussian, so that log p(x) and the best guess are
known.
"""

import math
from typing import NamedTuple

import numpy as np

from ...course.controls import slider
from ...course.explorables import Explorable, explorable
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


def gaussian_bound(mean, std, noise, x=X):
    """The bound for z ~ N(0, 1), x ~ N(z, noise^2), and the guess q = N(mean, std^2), in closed
    form. -> Bound

    p(x) = N(x; 0, 1 + noise^2), p(z | x) = N(x / (1 + noise^2), noise^2 / (1 + noise^2)), and the
    gap is the KL of q from that, computed from its own formula.
    """
    reconstruction = (
        -((x - mean) ** 2 + std**2) / (2 * noise**2) - math.log(noise) - math.log(2 * math.pi) / 2
    )
    kl = (mean**2 + std**2 - 1) / 2 - math.log(std)
    variance = 1 + noise**2
    log_px = -(x**2) / (2 * variance) - math.log(2 * math.pi * variance) / 2
    best, best_std = x / variance, noise / math.sqrt(variance)
    gap = (((mean - best) / best_std) ** 2 + (std / best_std) ** 2 - 1) / 2 - math.log(
        std / best_std
    )
    return Bound(reconstruction, kl, reconstruction - kl, log_px, gap, best, best_std)


def normal(z, mean, std):
    """The density of N(mean, std^2)."""
    return np.exp(-(((z - mean) / std) ** 2) / 2) / (std * math.sqrt(2 * math.pi))


@explorable("10", "elbo_bound")
def elbo_bound():
    """A guess q = N(mean, std^2), the posterior that it should be, and the bound that it gives."""

    def compute(mean, std, noise):
        elbo = np.array([gaussian_bound(m, std, noise).elbo for m in MEANS])
        return {
            "mean": mean,
            "std": std,
            "noise": noise,
            "bound": gaussian_bound(mean, std, noise),
            "elbo": elbo,
        }

    def draw(fig, data):
        left, right = fig.subplots(1, 2)
        bound, mean, std = data["bound"], data["mean"], data["std"]
        left.plot(Z, normal(Z, 0, 1), color=GRAY)
        exact_line(Z, normal(Z, bound.mean, bound.std), ax=left, label=None)
        left.fill_between(Z, normal(Z, mean, std), color=BLUE, alpha=0.25, linewidth=0)
        left.plot(Z, normal(Z, mean, std), color=BLUE)
        left.set(xlim=(Z[0], Z[-1]), ylim=(0, 2.6), xlabel="z")
        for place, (name, color) in enumerate(
            (("prior p(z)", GRAY), ("posterior p(z | x)", EXACT), ("guess q", BLUE))
        ):
            left.text(
                0.02, 0.95 - 0.085 * place, name, color=color, transform=left.transAxes, va="top"
            )
        left.set_title(
            f"q = N({mean:.2f}, {std:.2f}²)\nposterior N({bound.mean:.2f}, {bound.std:.2f}²)"
        )
        right.plot(MEANS, data["elbo"], color=BLUE)
        exact_line([MEANS[0], MEANS[-1]], [bound.log_px] * 2, ax=right, label=None)
        right.plot([mean, mean], [bound.elbo, bound.log_px], color=VERMILLION, linewidth=2.2)
        right.plot(mean, bound.elbo, "o", color=BLUE, markersize=7)
        right.plot(bound.mean, bound.log_px, "x", color=EXACT, markersize=8, markeredgewidth=2)
        right.text(0.02, 0.97, "dashed: log p(x)", color=EXACT, transform=right.transAxes, va="top")
        right.text(
            0.02, 0.89, "orange: the gap", color=VERMILLION, transform=right.transAxes, va="top"
        )
        right.set(
            xlim=(MEANS[0], MEANS[-1]), ylim=(-9, 0.5), xlabel="mean of q", ylabel="ELBO (nats)"
        )
        right.set_title(
            f"ELBO = {bound.reconstruction:.2f} - {bound.kl:.2f} = {bound.elbo:.2f}\n"
            f"log p(x) = {bound.log_px:.2f}, gap {bound.gap:.2f}"
        )

    def describe(data):
        bound = data["bound"]
        return (
            f"q = N({data['mean']:.2f}, {data['std']:.2f}²), noise {data['noise']:.1f}: "
            "reconstruction "
            f"{bound.reconstruction:.2f}, KL {bound.kl:.2f}, ELBO {bound.elbo:.2f}; log p(x) is "
            f"{bound.log_px:.2f}, "
            f"the gap {bound.gap:.2f} nats."
        )

    return Explorable(
        compute,
        draw,
        describe,
        size=(8.4, 3.7),
        question="Predict first: which mean and std make the ELBO largest, and how large is it then?",
        controls={
            "mean": slider("mean of q", -1.5, 3.0, value=0.0, step=0.05),
            "std": slider("std of q", 0.2, 1.5, value=1.0, step=0.05),
            "noise": slider("noise of x", 0.4, 1.5, value=0.7, step=0.1, format=".1f"),
        },
    )
