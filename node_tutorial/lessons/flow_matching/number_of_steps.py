"""Lesson 17: how many steps a flow takes, by the way its pairs were made."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ... import odeint
from ...course.controls import choice, power_slider
from ...course.explorables import explorable
from ...plotting import BLUE, EXACT, GRAY, VERMILLION
from ...solvers.statistics import Stats
from .on_a_line import TARGETS, best_pairs, density, straight_velocity, target, tensor, velocity

METHODS = {"Euler": "euler", "midpoint": "midpoint", "Heun": "heun2"}
PAIRS = {"independent": False, "the best": True}
POINTS = 1000  # of the histogram, at the quantiles of the noise
SHOWN = 15  # paths
REACH = {"two islands": (-3.2, 3.4), "one Gaussian": (-3.2, 5.4)}
BARS = 56


class NumberOfSteps(NamedTuple):
    """Noise that is carried to the data in n steps, with no error of learning.

    paths (n + 1, SHOWN), exact (33, SHOWN), ends (POINTS,); std and error are the standard
    deviation of the ends and their distance (rms) to where the exact flow leads.
    """

    target: str
    best: bool
    method: str
    n: int
    nfe: int
    paths: np.ndarray
    exact: np.ndarray
    ends: np.ndarray
    std: float
    true_std: float
    error: float


def compute(target: str, best: bool, method: str, n: int) -> NumberOfSteps:
    """The steps of one of METHODS along the exact field."""
    z = quantiles(POINTS)
    shown = quantiles(SHOWN)
    stats = Stats()
    paths = _solved(target, best, method, n, np.concatenate([z, shown]), stats)
    ends = paths[-1, :POINTS]
    right = np.interp(z, *best_pairs(target))
    return NumberOfSteps(
        target=target,
        best=best,
        method=method,
        n=n,
        nfe=stats.nfe,
        paths=paths[:, POINTS:],
        exact=exact_paths(target, best),
        ends=ends,
        std=float(ends.std()),
        true_std=true_std(target),
        error=float(np.sqrt(np.mean((ends - right) ** 2))),
    )


def quantiles(n: int) -> np.ndarray:
    """n points that are spread as N(0, 1) is."""
    return torch.special.ndtri((torch.arange(n, dtype=torch.float64) + 0.5) / n).numpy()


def true_std(name: str) -> float:
    """The standard deviation of the data."""
    p = target(name)
    mean = p.weights @ p.means
    return float((p.weights @ (p.variances + (p.means - mean) ** 2)).sqrt())


def _solved(name: str, best: bool, method: str, n: int, z: np.ndarray, stats: Stats) -> np.ndarray:
    """States (n + 1, N) of n equal steps."""

    def field(t: Tensor, x: Tensor) -> Tensor:
        if best:
            return tensor(straight_velocity(name, float(t), x[:, 0].numpy()))
        return velocity(name)(t, x)

    times = torch.linspace(0, 1, n + 1, dtype=torch.float64)
    options = {"step_size": 1 / n}
    return odeint(field, tensor(z), times, method=METHODS[method], options=options, stats=stats)[
        ..., 0
    ].numpy()


@lru_cache(maxsize=8)
def exact_paths(name: str, best: bool) -> np.ndarray:
    """States (33, SHOWN) of the exact flow."""
    z = quantiles(SHOWN)
    times = np.linspace(0, 1, 33)[:, None]
    if best:
        return (1 - times) * z + times * np.interp(z, *best_pairs(name))
    t = torch.from_numpy(times[:, 0])
    return odeint(velocity(name), tensor(z), t, rtol=1e-6, atol=1e-6)[..., 0].numpy()


def draw(fig: Figure, data: NumberOfSteps) -> None:
    """The paths, and where they end beside the density of the data."""
    left, right = fig.subplots(1, 2, sharey=True, width_ratios=[1.7, 1])
    _draw_paths(left, data)
    _draw_ends(right, data)
    left.set(ylim=REACH[data.target], ylabel="x")


def _draw_paths(ax: Axes, data: NumberOfSteps) -> None:
    ax.plot(np.linspace(0, 1, len(data.exact)), data.exact, color=EXACT, linewidth=0.7, alpha=0.5)
    times = np.linspace(0, 1, data.n + 1)
    marker = "o-" if data.n <= 16 else "-"
    ax.plot(times, data.paths, marker, color=BLUE, linewidth=1.1, markersize=2.5)
    ax.set(xlim=(-0.02, 1.02), xlabel="t")
    ax.text(0.98, 0.04, "gray: exact", color=GRAY, transform=ax.transAxes, ha="right")
    ax.set_title(
        f"{data.method}, n = {data.n}, NFE {data.nfe}:\nerror of the ends (rms) {data.error:.3f}"
    )


def _draw_ends(ax: Axes, data: NumberOfSteps) -> None:
    low, high = REACH[data.target]
    x = np.linspace(low, high, 400)
    p = density(data.target, 1.0, x)
    edges = np.linspace(low, high, BARS + 1)
    shares = np.histogram(data.ends.clip(low, high), edges, density=True)[0]
    top = 1.6 * p.max()
    ax.stairs(shares.clip(max=top), edges, orientation="horizontal", fill=True, color=VERMILLION)
    ax.plot(p, x, color=EXACT, linewidth=1.4)
    if shares.max() > top:
        place = edges[shares.argmax()] + 0.35
        ax.text(0.97 * top, place, "cut off here", color=VERMILLION, ha="right", fontsize=9.5)
    ax.set(xlim=(0, top), xticks=[], xlabel="density of the ends (line: data)")
    ax.set_title(f"standard deviation {data.std:.3f},\nof the data {data.true_std:.3f}")


def describe(data: NumberOfSteps) -> str:
    """Cost, spread and error."""
    pairs = "the best pairs" if data.best else "independent pairs"
    return (
        f"{data.target}, {pairs}, {data.method} with n = {data.n}: NFE {data.nfe}, standard "
        f"deviation of the ends {data.std:.3f} (data {data.true_std:.3f}), error {data.error:.2f}."
    )


number_of_steps = explorable(
    compute,
    draw,
    describe,
    question="Predict first: where does one Euler step put all the noise?",
    size=(8.6, 3.9),
    controls={
        "target": choice("data", list(TARGETS), "one Gaussian"),
        "best": choice("pairs", PAIRS, False),
        "method": choice("method", list(METHODS)),
        "n": power_slider("steps", 1, 64, 4),
    },
)
