"""Lesson 00: a vector field carries 500 particles from noise into a shape."""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.path import Path
from matplotlib.textpath import TextPath
from torch import Tensor

from ... import solve
from ...course.controls import choice, log_slider, play
from ...course.explorables import explorable
from ...plotting import BLUE, EXACT, GRAY, REJECTED
from ...solvers.solution import Solution
from ...solvers.statistics import Attempt

FRAMES = 40
BLUR = 0.05  # standard deviation of the Gaussian that every point of the shape becomes


def toward(points: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the field f(t, y) whose flow carries N(0, I) at t = 0 into blurred `points` (K, 2) at
    t = 1.

    It is the mean velocity of all straight paths, from any z ~ N(0, I) to any point p_k blurred by
    s = BLUR, that pass through y at time t. With r(t) = 1 - (1 - s) t, the size of the cloud on its
    way to one point,

        f(t, y) = sum_k w_k (p_k - (1 - s) y) / r,   w_k = softmax_k(-|y - t p_k|^2 / (2 r^2))

    Source: Lipman et al. 2023, "Flow matching for generative modeling", Theorem 1 and Example II.
    """

    def f(t: Tensor, y: Tensor) -> Tensor:
        r = 1 - (1 - BLUR) * t
        distance = torch.cdist(y, t * points, compute_mode="donot_use_mm_for_euclid_dist")
        w = torch.softmax(-0.5 * (distance / r).square(), dim=1)
        return (w @ points - (1 - BLUR) * y) / r

    return f


def _moons() -> Tensor:
    a = torch.linspace(0, math.pi, 80, dtype=torch.float64)
    upper = torch.stack([a.cos(), a.sin()], dim=1)
    lower = torch.tensor([1.0, 0.5]) - upper
    return 1.7 * (torch.cat([upper, lower]) - torch.tensor([0.5, 0.25]))


def _spiral() -> Tensor:
    turns = torch.linspace(0.01, 1, 160, dtype=torch.float64).sqrt() * 2.2  # even along the arm
    angle = 2 * math.pi * turns
    return torch.stack([angle.cos(), angle.sin()], dim=1) * turns[:, None]


def _letters() -> Tensor:
    """Points inside the letters: inside an odd number of outlines, since the O has a hole."""
    outlines = TextPath((0, 0), "ODE", size=1).to_polygons()
    corners = np.concatenate(outlines)
    low, high = corners.min(axis=0), corners.max(axis=0)
    x, y = np.meshgrid(np.linspace(low[0], high[0], 42), np.linspace(low[1], high[1], 17))
    points = np.stack([x.ravel(), y.ravel()], axis=1)
    inside = sum(Path(outline).contains_points(points).astype(int) for outline in outlines) % 2 == 1
    return torch.tensor((points[inside] - (low + high) / 2) / (high - low) * [5.2, 2.6])


SHAPES = {"the letters ODE": _letters, "two moons": _moons, "a spiral": _spiral}


@lru_cache(maxsize=32)
def carried(shape: str, rtol: float, method: str = "dopri5") -> Solution:
    """The recorded solution of 500 particles at all frames: y (FRAMES + 1, 500, 2)."""
    random = torch.Generator().manual_seed(0)
    z = torch.randn(500, 2, generator=random, dtype=torch.float64)
    t = torch.linspace(0, 1, FRAMES + 1, dtype=torch.float64)
    return solve(toward(SHAPES[shape]()), z, t, rtol=rtol, atol=rtol, method=method, record=True)


class Flow(NamedTuple):
    """The particles up to time t, paths (frames, 500, 2), their mean error there, and what the
    whole way costs.
    """

    t: float
    rtol: float
    shape: str
    paths: Tensor
    error: float
    steps: list[Attempt]
    nfe: int
    rejected: int


def compute(frame: int, rtol: float, shape: str) -> Flow:
    solution = carried(shape, rtol)
    exact = carried(shape, 1e-8, "dopri8").y[frame]
    return Flow(
        t=frame / FRAMES,
        rtol=rtol,
        shape=shape,
        paths=solution.y[: frame + 1],
        error=float((solution.y[frame] - exact).norm(dim=1).mean()),
        steps=solution.steps or [],
        nfe=solution.stats.nfe,
        rejected=solution.stats.rejected,
    )


def draw(fig: Figure, data: Flow) -> None:
    left, right = fig.subplots(ncols=2, width_ratios=(1.25, 1))
    paths = data.paths.numpy()
    left.scatter(*paths[-1].T, c=paths[0, :, 0], cmap="viridis", s=8, vmin=-2, vmax=2)
    some = list(paths[:, :12].swapaxes(0, 1))
    left.add_collection(LineCollection(some, color=EXACT, linewidth=0.7, alpha=0.7))
    left.set(xlim=(-3.4, 3.4), ylim=(-2.6, 2.6), aspect="equal", xlabel="y₁", ylabel="y₂")
    left.set_title(f"t = {data.t:.2f}, mean error {_error_of(data)}")
    for accepted, color in ((True, BLUE), (False, REJECTED)):
        steps = [s for s in data.steps if s.accepted == accepted]
        ends = [s.t + s.h for s in steps]
        right.hlines([s.h for s in steps], [s.t for s in steps], ends, color=color)
    right.axvline(data.t, color=GRAY, linewidth=1)
    right.set(yscale="log", xlim=(0, 1), ylim=(8e-3, 2), xlabel="t", ylabel="step size h")
    right.minorticks_off()
    right.text(0.03, 0.13, "accepted", color=BLUE, transform=right.transAxes)
    right.text(0.03, 0.04, "rejected", color=REJECTED, transform=right.transAxes)
    right.set_title(f"rtol {data.rtol:.0e}, NFE {data.nfe}, {data.rejected} rejected")


def _error_of(data: Flow) -> str:
    return f"{data.error:.0e}" if data.t else "0"


def describe(data: Flow) -> str:
    return (
        f"With rtol {data.rtol:.0e} the solver evaluates the field {data.nfe} times on the way to "
        f"{data.shape}; at t = {data.t:.2f} the mean error is {_error_of(data)}."
    )


first_flow = explorable(
    compute,
    draw,
    describe,
    size=(8.6, 3.8),
    question="Predict first: what does a 1000 times smaller tolerance cost?",
    controls={
        "frame": play("time t × 40", FRAMES + 1, value=FRAMES),
        "rtol": log_slider("tolerance rtol", 1e-6, 1e-1, value=1e-3, per_decade=1),
        "shape": choice("shape", list(SHAPES)),
    },
)
