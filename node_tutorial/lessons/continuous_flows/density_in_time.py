"""Lesson 15: a trained flow in between: its density at every time, and particles on their way."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...course.controls import choice, play
from ...course.explorables import explorable
from ...data.densities import grid
from ...models import CNF
from ...plotting import GRAY, ON_DARK, PALETTE, draw_density, draw_samples, no_ticks
from .runs import DENSITIES, stored_field

TIMES = torch.linspace(0, 1, 21)
WAYS = {"noise, forward": True, "data, backward": False}
POINTS = 250
COLORS = PALETTE[1:6]  # of the first points, whose log-density is shown
SIDE = 48  # points a side of the picture of the density
LOWEST, HIGHEST = -9.0, 1.5  # log-densities that are shown, in nats


class Frame(NamedTuple):
    """A density p (SIDE, SIDE) at one time, the evaluations that it took, and its mass."""

    p: np.ndarray
    nfe: int
    mass: float


class Paths(NamedTuple):
    """Points (21, POINTS, 2) at TIMES, log p_t along the paths of the first (21, 5), NFE."""

    points: np.ndarray
    log_p: np.ndarray
    nfe: int


class DensityInTime(NamedTuple):
    """A density at the time t, one of TIMES, and points on their way.

    frame is the number of the time; p, nfe, mass are those of `Frame`; points (POINTS, 2) are at
    that time, log_p (21, 5) at all, own are the evaluations of their `Paths`; half is half a side
    of the square that is shown.
    """

    density: str
    forward: bool
    frame: int
    t: float
    p: np.ndarray
    nfe: int
    mass: float
    points: np.ndarray
    log_p: np.ndarray
    own: int
    half: float


def compute(density: str, forward: bool, frame: int) -> DensityInTime:
    """The density by a solve back to the noise, and points moved from the noise or the data."""
    shown = density_at(density, frame)
    moved = paths(density, forward)
    return DensityInTime(
        density=density,
        forward=forward,
        frame=frame,
        t=float(TIMES[frame]),
        p=shown.p,
        nfe=shown.nfe,
        mass=shown.mass,
        points=moved.points[frame],
        log_p=moved.log_p,
        own=moved.nfe,
        half=reach(density),
    )


def reach(density: str) -> float:
    """Half the side of a square that holds the noise and the density."""
    return max(3.4, *map(abs, DENSITIES[density]().bounds))


@lru_cache(maxsize=4)
def stored_flow(density: str) -> CNF:
    """The stored CNF of a density, in float32, which is enough for pictures."""
    return CNF(stored_field(density).float(), rtol=1e-4, atol=1e-4)


@lru_cache(maxsize=96)
@torch.no_grad()
def density_at(density: str, frame: int) -> Frame:
    """The density at one of TIMES."""
    half = reach(density)
    flow = stored_flow(density)
    x, area = grid((-half, half, -half, half), SIDE)
    p = flow.log_prob(x.float(), time=float(TIMES[frame])).exp()
    nfe = flow.stats.nfe if frame else 0
    return Frame(p.reshape(SIDE, SIDE).numpy(), nfe, float(p.sum() * area))


@lru_cache(maxsize=8)
@torch.no_grad()
def paths(density: str, forward: bool) -> Paths:
    """Points that were noise at t = 0 (forward), or data at t = 1, by one solve for all TIMES."""
    flow = stored_flow(density)
    chance = torch.Generator().manual_seed(3)
    if forward:
        start = torch.randn(POINTS, 2, generator=chance)
        y, log_p = flow.push(start, TIMES)
    else:
        start = DENSITIES[density]().sample(POINTS, chance)
        y, log_det = flow.path(start, TIMES.flip(0))
        y = y.flip(0)
        log_p = (flow.log_prob(start) - log_det).flip(0)
    shown = log_p[:, : len(COLORS)].numpy().clip(LOWEST, HIGHEST)
    return Paths(y.numpy(), shown, flow.stats.nfe)


def draw(fig: Figure, data: DensityInTime) -> None:
    """The density with the points on it, and the log-density along the paths of five."""
    left, right = fig.subplots(1, 2, width_ratios=[1, 1.15])
    _draw_plane(left, data)
    _draw_paths(right, data)


def _draw_plane(ax: Axes, data: DensityInTime) -> None:
    half = data.half
    first, others = np.split(data.points, [len(COLORS)])
    draw_density(data.p, (-half, half, -half, half), ax=ax, shades=ON_DARK)
    draw_samples(others, ax=ax, size=3, alpha=0.75)
    across, up = first.T
    ax.scatter(across, up, s=42, c=COLORS, edgecolors="white", linewidths=1, zorder=3)
    ax.set_title(f"t = {data.t:.2f}: mass {data.mass:.3f},\nNFE of this density {data.nfe}")
    no_ticks(ax)


def _draw_paths(ax: Axes, data: DensityInTime) -> None:
    for log_p, color in zip(data.log_p.T, COLORS):
        ax.plot(TIMES, log_p, color=color, linewidth=1.6)
        ax.plot(data.t, log_p[data.frame], "o", color=color, markersize=7)
    ax.axvline(data.t, color=GRAY, linewidth=0.8)
    ax.set(xlim=(-0.02, 1.02), ylim=(LOWEST, HIGHEST), xlabel="t")
    ax.set_ylabel("log pₜ along the path, in nats")
    way = "noise at t = 0" if data.forward else "data at t = 1"
    ax.set_title(f"five of {POINTS} points that were {way},\nNFE of all their paths {data.own}")


def describe(data: DensityInTime) -> str:
    """What the density took, its mass, and how far the points are spread."""
    where = "noise, moved forward" if data.forward else "data, moved backward"
    across, up = data.points.std(0)
    return (
        f"{data.density}, t = {data.t:.2f}: the density takes {data.nfe} evaluations and has mass "
        f"{data.mass:.2f}; the points ({where}) spread by {across:.1f} and {up:.1f}."
    )


density_in_time = explorable(
    compute,
    draw,
    describe,
    question=(
        "Predict first: where does the gap between the moons come from? Is it torn, or squeezed "
        "empty?"
    ),
    size=(8.4, 4.3),
    controls={
        "density": choice("density", list(DENSITIES)),
        "forward": choice("points", WAYS),
        "frame": play("t in twentieths", len(TIMES), value=10, milliseconds=350),
    },
)
