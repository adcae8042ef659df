"""Lesson 24: where in a step the noise is read, from Ito's reading to the end of the step."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from ...course.controls import slider
from ...course.explorables import explorable
from ...data.stochastic import gbm_mean, gbm_median
from ...plotting import BLUE, EXACT, GRAY, SKY, VERMILLION
from ...solvers.brownian import BrownianPath

MU = 0.5
PATHS = 20_000
STEPS = 128
SHOWN = 25


class ReadingDial(NamedTuple):
    """Paths of dX = MU X dt + sigma X dW, the noise read at the share `reading` of each step.

    x: (STEPS + 1, SHOWN). mean: of all PATHS, at every step. exact: the formula's, at 1. median:
    of all paths at 1, and the formula's.
    """

    reading: float
    sigma: float
    x: np.ndarray
    mean: np.ndarray
    exact: float
    median: float
    exact_median: float


T = torch.linspace(0, 1, STEPS + 1, dtype=torch.float64)


@lru_cache(maxsize=1)
def _noise() -> Tensor:
    return BrownianPath(0.0, 1.0, (PATHS,), seed=5)(T).diff(dim=0)


def steps_read_at(reading: float, sigma: float, dw: Tensor) -> Tensor:
    """Paths (N + 1, ...) from 1, dw (N, ...): Euler's step goes ahead, the noise is read at the
    given share of the way there.
    """
    h = 1 / len(dw)
    x = torch.ones_like(dw[0])
    states = [x]
    for kick in dw:
        ahead = x + MU * x * h + sigma * x * kick
        between = (1 - reading) * x + reading * ahead
        x = x + MU * x * h + sigma * between * kick
        states.append(x)
    return torch.stack(states)


def compute(reading: float, sigma: float) -> ReadingDial:
    x = steps_read_at(reading, sigma, _noise())
    return ReadingDial(
        reading,
        sigma,
        x[:, :SHOWN].numpy(),
        x.mean(1).numpy(),
        gbm_mean(1.0, MU, sigma, reading),
        float(x[-1].median()),
        gbm_median(1.0, MU, sigma, reading),
    )


def draw(fig: Figure, data: ReadingDial) -> None:
    """Paths, their mean and the formula for it."""
    ax = fig.subplots()
    ax.plot(T, data.x, color=SKY, linewidth=0.7, alpha=0.8)
    ax.plot(T, data.mean, color=BLUE, linewidth=2.4)
    growth = MU + data.reading * data.sigma**2
    ax.plot(T, torch.exp(growth * T), color=EXACT, linestyle=(0, (5, 3)), linewidth=1.4)
    ax.plot(T, torch.exp((growth - data.sigma**2 / 2) * T), color=VERMILLION, linewidth=1.4)
    ax.axhline(1, color=GRAY, linewidth=0.8)
    ax.set(xlim=(0, 1), ylim=(0, 6), xlabel="t", ylabel="X")
    ax.set_title(
        f"λ = {data.reading:.2f}, σ = {data.sigma:.1f}. Mean at 1: {data.mean[-1]:.2f}, exact "
        f"{data.exact:.2f} (dashed). Median {data.exact_median:.2f} (orange)"
    )


def describe(data: ReadingDial) -> str:
    """The mean and the median, and what the formula says."""
    return (
        f"Read at {data.reading:.2f} of a step, sigma = {data.sigma:.1f}: mean "
        f"{data.mean[-1]:.2f}, exact {data.exact:.2f}; median {data.median:.2f}, exact "
        f"{data.exact_median:.2f}."
    )


reading_dial = explorable(
    compute,
    draw,
    describe,
    question=(
        "Predict first: read at the end of the step instead of its beginning, does the mean grow, "
        "fall, or stay? And with what λ is the median exp(0.5), as without noise?"
    ),
    controls={
        "reading": slider("read at λ", 0.0, 1.0, value=0.0, step=0.125, format=".2f"),
        "sigma": slider("noise σ", 0.0, 1.0, value=0.8, step=0.2, format=".1f"),
    },
    size=(7.6, 3.6),
)
