"""Lesson 11: what observations say about the latent start, exactly, for a known frequency, and the
paths that they leave possible.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...course.controls import int_slider, slider
from ...course.explorables import explorable
from ...plotting import BLUE, ORANGE, SKY, VERMILLION, exact_line
from .physics import TRUE, position_weights, start_posterior

START = np.array([0.9, 1.4])  # the true one, (q, v)
END = 10.0
FINE = np.linspace(0, END, 300)
ANGLE = np.linspace(0, 2 * np.pi, 120)
CIRCLE = np.stack([np.cos(ANGLE), np.sin(ANGLE)], axis=1)
MOST = 20  # observations
STARTS = 400  # drawn from the posterior
SHOWN = 30  # of their paths


class Chance(NamedTuple):
    """Standard normal numbers, the same for each setting: for the noise (20,), for starts
    (400, 2).
    """

    errors: np.ndarray
    starts: np.ndarray


class Known(NamedTuple):
    """Observations (t, x), (N,) each, and the posterior of the start given them.

    std: (2,), of q and v; ellipses: (120, 2) each, of 1 and 2 standard deviations; paths: (300, 30)
    at the times FINE; band: (2, 300), which holds nine of ten; wrong_way: the share of starts with
    v < 0.
    """

    noise: float
    t: np.ndarray
    x: np.ndarray
    std: np.ndarray
    ellipses: list[np.ndarray]
    paths: np.ndarray
    band: np.ndarray
    wrong_way: float


@lru_cache(maxsize=1)
def chance() -> Chance:
    """The numbers, from a generator of their own."""
    generator = np.random.default_rng(4)
    return Chance(generator.standard_normal(MOST), generator.standard_normal((STARTS, 2)))


def draws(mean: np.ndarray, covariance: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Points (N, 2) of a Gaussian with mean (2,), covariance (2, 2), from standard normal ones."""
    return mean + normals @ np.linalg.cholesky(covariance).T


def compute(points: int, window: float, noise: float) -> Known:
    """Observe the position from time 0 to window, and draw starts from their posterior."""
    t = np.linspace(0, window, points) if points > 1 else np.zeros(1)
    x = position_weights(t, TRUE) @ START + noise * chance().errors[:points]
    mean, covariance = start_posterior(t, x, TRUE, noise)
    starts = draws(mean, covariance, chance().starts)
    paths = position_weights(FINE, TRUE) @ starts.T
    return Known(
        noise,
        t,
        x,
        std=np.sqrt(np.diag(covariance)),
        ellipses=[draws(mean, covariance, radius * CIRCLE) for radius in (1, 2)],
        paths=paths[:, :SHOWN],
        band=np.quantile(paths, (0.05, 0.95), axis=1),
        wrong_way=float((starts[:, 1] < 0).mean()),
    )


def draw(fig: Figure, data: Known) -> None:
    """The posterior in the latent plane, and the paths from it over time."""
    left, right = fig.subplots(1, 2, width_ratios=[1, 1.5])
    _draw_posterior(left, data)
    _draw_paths(right, data)


def _draw_posterior(ax: Axes, data: Known) -> None:
    for radius, ellipse in zip((1, 2), data.ellipses):
        ax.plot(*(radius * CIRCLE).T, color="#CFCFCF", linewidth=1.0)
        ax.plot(*ellipse.T, color=BLUE, linewidth=1.6)
    ax.plot(*START, "*", color=VERMILLION, markersize=11)
    ax.set(xlim=(-3.2, 3.2), ylim=(-3.2, 3.2), xlabel="q at t = 0", ylabel="v at t = 0")
    ax.set_aspect("equal")
    q, v = data.std
    ax.set_title(f"q known to ± {q:.2f}, v to ± {v:.2f}\ngray: before, N(0, I)")


def _draw_paths(ax: Axes, data: Known) -> None:
    ax.fill_between(FINE, *data.band, color=SKY, alpha=0.25, linewidth=0)
    ax.plot(FINE, data.paths, color=BLUE, linewidth=0.5, alpha=0.35)
    exact_line(FINE, position_weights(FINE, TRUE) @ START, ax=ax, label=None)
    ax.plot(data.t, data.x, "o", color=ORANGE, markersize=6)
    ax.set(xlim=(-0.2, END), ylim=(-3.2, 3.2), xlabel="t", ylabel="q")
    share = f"{100 * data.wrong_way:.0f} %"
    ax.set_title(f"{_setting(data)}\n{share} of the paths start with v < 0 (truth: v > 0)")


def describe(data: Known) -> str:
    """How well the start is known, and how many paths begin the wrong way."""
    q, v = data.std
    return (
        f"{_setting(data)}: q at t = 0 is known to ± {q:.2f}, v to ± {v:.2f}; "
        f"{100 * data.wrong_way:.0f} % of the possible paths start the wrong way."
    )


def _setting(data: Known) -> str:
    points = len(data.t)
    plural = "s" if points > 1 else ""
    return f"{points} point{plural} up to t = {data.t[-1]:.2f}, noise {data.noise:.2f}"


what_is_known = explorable(
    compute,
    draw,
    describe,
    question=(
        "Predict first: a second observation comes in. At which time would it teach nothing about "
        "v?"
    ),
    size=(8.8, 3.9),
    controls={
        "points": int_slider("points", 1, MOST, value=1),
        "window": slider("time of the last", 0.05, 8.0, value=1.85, step=0.05),
        "noise": slider("noise", 0.05, 1.0, value=0.2, step=0.05),
    },
)
