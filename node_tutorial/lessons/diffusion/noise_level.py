"""Lesson 16: a mixture on a line with more and more noise: density, score, and what lies behind a
noisy point.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...course.controls import play, slider
from ...course.explorables import explorable
from ...plotting import BLUE, EXACT, GRAY, ORANGE, VERMILLION
from .line import DENOISE, MIXTURE, PATH, density, seeded

FRAMES = 21
X = torch.linspace(-3.2, 3.2, 257, dtype=torch.float64)
ARROWS = torch.linspace(-2.8, 2.8, 15, dtype=torch.float64)
POINTS = 60
TOP = 0.95  # of the axis of densities


class NoiseLevel(NamedTuple):
    """The noised mixture at a time, and what is known of x_0 behind x_t = x.

    p: p_t at X. points: POINTS draws on their way. score: at ARROWS. posterior: p(x_0 | x_t = x) at
    X. guess: its mean.
    """

    t: float
    x: float
    alpha: float
    sigma: float
    p: np.ndarray
    points: np.ndarray
    score: np.ndarray
    posterior: np.ndarray
    guess: float
    eps: float


def compute(frame: int, x: float) -> NoiseLevel:
    t = frame / (FRAMES - 1)
    at = PATH.at(torch.tensor(t, dtype=torch.float64))
    noised = density(t)
    x0, eps = _start()
    here = torch.tensor([[x]], dtype=torch.float64)
    parts = DENOISE(torch.tensor(t, dtype=torch.float64), here)
    # Bayes: p(x_0 | x) is proportional to p(x_0) N(x; alpha x_0, sigma^2).
    width = at.sigma.clamp(min=0.02)  # at t = 0 it is a spike
    log_posterior = MIXTURE.log_prob(X[:, None]) - ((x - at.alpha * X) / width).square() / 2
    posterior = (log_posterior - log_posterior.max()).exp()
    return NoiseLevel(
        t=t,
        x=x,
        alpha=float(at.alpha),
        sigma=float(at.sigma),
        p=noised.log_prob(X[:, None]).exp().numpy(),
        points=(at.alpha * x0 + at.sigma * eps).numpy()[:, 0],
        score=noised.score(ARROWS[:, None]).numpy()[:, 0],
        posterior=(posterior / (posterior.sum() * (X[1] - X[0]))).numpy(),
        guess=float(parts.x0),
        eps=float(parts.eps),
    )


@lru_cache(maxsize=1)
def _start() -> tuple[torch.Tensor, torch.Tensor]:
    chance = seeded(1)
    x0 = MIXTURE.sample(POINTS, chance).double()
    return x0, torch.randn(POINTS, 1, generator=chance, dtype=torch.float64)


def draw(fig: Figure, data: NoiseLevel) -> None:
    """Left p_t with points and arrows of the score, right what may be behind x."""
    left, right = fig.subplots(1, 2, width_ratios=[1.15, 1])
    _draw_noised(left, data)
    _draw_behind(right, data)


def _draw_noised(ax: Axes, data: NoiseLevel) -> None:
    ax.fill_between(X, data.p, color=BLUE, alpha=0.25, linewidth=0)
    ax.plot(X, data.p, color=BLUE)
    ax.plot(data.points, np.full(POINTS, -0.05), "|", color=BLUE, markersize=9, alpha=0.7)
    # The longest score at t = 0 is over 60: the arrows show a bounded function of it.
    pull = 0.34 * np.tanh(data.score / 2.5)
    ax.quiver(
        ARROWS,
        np.full(len(ARROWS), -0.16),
        pull,
        np.zeros(len(ARROWS)),
        angles="xy",
        scale_units="xy",
        scale=1,
        width=0.006,
        color=VERMILLION,
    )
    ax.axvline(data.x, color=ORANGE, linewidth=1.4)
    ax.set(xlim=(-3.2, 3.2), ylim=(-0.24, TOP), xlabel="x", yticks=[0, 0.25, 0.5, 0.75])
    ax.set_title(
        f"t = {data.t:.2f}: α = {data.alpha:.2f}, σ = {data.sigma:.2f}\n"
        "density of x, points, arrows of the score"
    )


def _draw_behind(ax: Axes, data: NoiseLevel) -> None:
    p0 = MIXTURE.log_prob(X[:, None]).exp().numpy()
    top = max(1.0, 1.1 * float(data.posterior.max()))
    ax.fill_between(X, p0 / p0.max() * 0.9 * top, color=GRAY, alpha=0.15, linewidth=0)
    ax.fill_between(X, data.posterior, color=ORANGE, alpha=0.4, linewidth=0)
    ax.axvline(data.guess, color=EXACT, linewidth=1.4, linestyle=(0, (5, 3)))
    ax.set(xlim=(-3.2, 3.2), ylim=(0, top), xlabel="x₀", yticks=[])
    ax.set_title(
        f"what x = {data.x:.1f} may have been: on average\nE[x₀ | x] = {data.guess:.2f}, "
        f"E[ε | x] = {data.eps:.2f}"
    )


def describe(data: NoiseLevel) -> str:
    """The guess, and how it lies to the two humps."""
    return (
        f"t = {data.t:.2f}, alpha {data.alpha:.2f}, sigma {data.sigma:.2f}: behind x = "
        f"{data.x:.1f} lies {data.guess:.2f} on average, and noise {data.eps:.2f}."
    )


noise_level = explorable(
    compute,
    draw,
    describe,
    question=(
        "Predict first: x = 0.2 lies between the humps. Which x₀ is the best guess behind it, "
        "with little noise, and with much?"
    ),
    size=(8.6, 3.7),
    controls={
        "frame": play("t in twentieths", FRAMES, value=6, milliseconds=300),
        "x": slider("x", -2.5, 2.5, value=0.2, step=0.1, format=".1f"),
    },
)
