"""Lesson 24: geometric Brownian motion by three schemes, at any step, on the same noise."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ...course.controls import choice, power_slider, slider
from ...course.explorables import explorable
from ...data.stochastic import gbm, gbm_mean
from ...plotting import BLUE, EXACT, GRAY, GREEN, VERMILLION
from ...plotting.convergence import fitted_slope
from ...solvers.brownian import BrownianPath
from ...solvers.sdeint import SDE_METHODS, sdeint

MU = 0.5
PATHS = 40_000
MOST = 128
STEPS = (4, 8, 16, 32, 64)
COLORS = {"euler_maruyama": VERMILLION, "milstein": BLUE, "heun": GREEN}
NAMES = {"Euler-Maruyama": "euler_maruyama", "Milstein": "milstein", "Heun": "heun"}


class NoisySteps(NamedTuple):
    """One path, and both errors at T = 1, over the numbers of steps.

    t, x: the scheme's first path. fine, exact: the solution on that noise.
    strong: mean |error| of all paths, for each of STEPS. weak: |mean error| of all paths, for each;
    unsure: its standard error.
    biases: |mean of the scheme - mean of the solution|, by formula.
    orders: the slopes of `strong` and `biases`.
    """

    method: str
    sigma: float
    steps: int
    t: np.ndarray
    x: np.ndarray
    fine: np.ndarray
    exact: np.ndarray
    strong: np.ndarray
    weak: np.ndarray
    unsure: np.ndarray
    biases: np.ndarray
    orders: tuple[float, float]


@lru_cache(maxsize=1)
def noise() -> BrownianPath:
    """The noise of all pictures, PATHS paths."""
    return BrownianPath(0.0, 1.0, (PATHS,), seed=24)


@lru_cache(maxsize=1)
def _fine() -> Tensor:
    return noise()(torch.linspace(0, 1, MOST + 1, dtype=torch.float64))


def walk(method: str, sigma: float, steps: int) -> Tensor:
    """The scheme's paths (steps + 1, PATHS) of dX = MU X dt + sigma X dW, from 1."""
    w = _fine()[:: MOST // steps]
    return sdeint(
        lambda t, x: MU * x,
        lambda t, x: sigma * x,
        torch.ones(PATHS, dtype=torch.float64),
        torch.linspace(0, 1, steps + 1, dtype=torch.float64),
        lambda t: w,
        method=method,
    ).detach()


@lru_cache(maxsize=64)
def errors(method: str, sigma: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(strong, weak, standard error of weak) at T = 1 for each of STEPS."""
    one = torch.ones(1, dtype=torch.float64)
    truth = gbm(one, _fine()[-1:], MU, sigma, SDE_METHODS[method].reading)[0]
    off = [walk(method, sigma, steps)[-1] - truth for steps in STEPS]
    strong = np.array([float(error.abs().mean()) for error in off])
    weak = np.array([abs(float(error.mean())) for error in off])
    unsure = np.array([float(error.std()) for error in off]) / PATHS**0.5
    return strong, weak, unsure


def bias(method: str, sigma: float, steps: int) -> float:
    """The scheme's mean minus that of the solution at T = 1: each step multiplies the mean."""
    h = 1 / steps
    growth = 1 + MU * h
    if method == "heun":  # a step multiplies X by 1 + a + a^2 / 2, a = MU h + sigma dW
        growth += ((MU * h) ** 2 + sigma**2 * h) / 2
    return growth**steps - gbm_mean(1.0, MU, sigma, SDE_METHODS[method].reading)


def compute(method: str, steps: int, sigma: float) -> NoisySteps:
    strong, weak, unsure = errors(method, sigma)
    biases = np.array([abs(bias(method, sigma, n)) for n in STEPS])
    t = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    fine = torch.linspace(0, 1, MOST + 1, dtype=torch.float64)
    reading = SDE_METHODS[method].reading
    return NoisySteps(
        method,
        sigma,
        steps,
        t.numpy(),
        walk(method, sigma, steps)[:, 0].numpy(),
        fine.numpy(),
        gbm(fine, _fine()[:, 0], MU, sigma, reading).numpy(),
        strong,
        weak,
        unsure,
        biases,
        (-fitted_slope(STEPS, strong), -fitted_slope(STEPS, biases)),
    )


def draw(fig: Figure, data: NoisySteps) -> None:
    """Left one path, right the errors."""
    left, right = fig.subplots(1, 2, width_ratios=[1.1, 1])
    color = COLORS[data.method]
    left.plot(data.fine, data.exact, color=EXACT, linewidth=1.2)
    left.plot(data.t, data.x, ".-", color=color)
    low = min(float(data.exact.min()), float(data.x.min()))
    high = max(float(data.exact.max()), float(data.x.max()))
    pad = 0.08 * (high - low)
    left.set(xlim=(0, 1.02), ylim=(low - pad, high + pad), xlabel="t", ylabel="X")
    off = abs(data.x[-1] - data.exact[-1])
    left.set_title(
        f"{_named(data.method)}, {data.steps} steps, off by {off:.3f} at T\nblack: exact"
    )
    _draw_errors(right, data)


def _draw_errors(ax: Axes, data: NoisySteps) -> None:
    color = COLORS[data.method]
    ax.loglog(STEPS, data.strong, "o-", color=color)
    ax.loglog(STEPS, data.biases, "--", color=color)
    bars = np.array([np.minimum(data.unsure, 0.9 * data.weak), data.unsure])
    ax.errorbar(STEPS, data.weak, bars, fmt="s", color=color, mfc="white", capsize=3, linewidth=1.2)
    ax.axvline(data.steps, color=GRAY, linewidth=1)
    ax.set(xlim=(3, 90), ylim=(3e-4, 1), xlabel="steps", ylabel="error at T = 1")
    ax.set_xticks(STEPS, [str(steps) for steps in STEPS])
    ax.minorticks_off()
    ax.set_title(
        f"solid: strong, order {data.orders[0]:.2f}\n"
        f"squares: weak; formula: order {data.orders[1]:.2f}"
    )


def _named(method: str) -> str:
    return {value: name for name, value in NAMES.items()}[method]


def describe(data: NoisySteps) -> str:
    """Both errors at these steps."""
    at = STEPS.index(data.steps)
    return (
        f"{_named(data.method)}, {data.steps} steps, sigma = {data.sigma:.1f}: strong error "
        f"{data.strong[at]:.4f}, weak error {data.weak[at]:.4f}; orders {data.orders[0]:.1f} and "
        f"{data.orders[1]:.1f}."
    )


noisy_steps = explorable(
    compute,
    draw,
    describe,
    question=(
        "Predict first: from 16 to 64 steps, by what factor falls the error of a path, and by what "
        "that of the mean?"
    ),
    controls={
        "method": choice("scheme", NAMES, "euler_maruyama"),
        "steps": power_slider("steps", 4, 64, 16),
        "sigma": slider("noise σ", 0.2, 1.0, value=0.8, step=0.2, format=".1f"),
    },
    size=(8.6, 3.8),
)
