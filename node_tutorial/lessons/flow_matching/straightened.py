"""Lesson 17: learned flows in the plane, with few steps, by the way their pairs were made."""

from copy import deepcopy
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...course.controls import choice, power_slider
from ...course.explorables import explorable
from ...data.densities import on_grid
from ...models import FlowMatching
from ...plotting import BLUE, EXACT, GRAY, GREEN, ORANGE, VERMILLION, draw_density, no_ticks
from .runs import KINDS, STEPS, result, stored_flow, table
from .trainings import DENSITIES, noise

DENSITY = "moons"
POINTS = 700
PATHS = 40
SIDE = 64
COLORS = dict(zip(KINDS, (VERMILLION, ORANGE, BLUE, GREEN)))


class Straightened(NamedTuple):
    """Points that a stored flow has moved by n Euler steps.

    paths (n + 1, PATHS, 2), ends (POINTS, 2); p (SIDE, SIDE) is the true density. distances (7,) by
    kind: the energy distance by STEPS, median of the seeds; null: that of two samples of the truth.
    """

    kind: str
    n: int
    paths: np.ndarray
    ends: np.ndarray
    p: np.ndarray
    distances: dict[str, np.ndarray]
    null: float
    straightness: float


def compute(kind: str, n: int) -> Straightened:
    """Move the noise, and look the rest up."""
    times = torch.linspace(0, 1, n + 1)
    model = single(kind)
    moved = model.move(noise(POINTS).float(), times, steps=n).x.numpy()
    return Straightened(
        kind=kind,
        n=n,
        paths=moved[:, :PATHS],
        ends=moved[-1],
        p=truth(),
        distances={name: distances(name) for name in KINDS},
        null=table()[f"null/{DENSITY}"]["most"],
        straightness=float(np.median(table()[result(DENSITY, kind)]["straightness"])),
    )


@lru_cache(maxsize=8)
def single(kind: str) -> FlowMatching:
    """The stored flow of the moons in float32."""
    return deepcopy(stored_flow(DENSITY, kind)).float()


@lru_cache(maxsize=1)
def truth() -> np.ndarray:
    """The density of the data (SIDE, SIDE)."""
    p = DENSITIES[DENSITY]()
    return on_grid(p.log_prob, p.bounds, SIDE).exp().numpy()


def detours(kind: str) -> list[float]:
    """By seed, the energy of the paths above what straight ones to the same ends would have, as a
    share of the latter.
    """
    row = table()[result(DENSITY, kind)]
    return [bend / own for bend, own in zip(row["straightness"], row["cost"])]


def first_steps(kind: str) -> list[float]:
    """By seed, the energy distance after one step; what is estimated below 0 counts as 0."""
    return [max(row[0], 0.0) for row in table()[result(DENSITY, kind)]["energy_distance"]]


def line(kind: str) -> str:
    """A line: one step, detours, gaps and evaluations of a kind, as ranges of the seeds."""
    row = table()[result(DENSITY, kind)]
    first = first_steps(kind)
    bends = detours(kind)
    return (
        f"{kind:11s}: one step {min(first):.3f} to {max(first):.3f} from the data; detour "
        f"{min(bends):.3f} to {max(bends):.3f} of the cost; KL {min(row['kl']):.2f} to "
        f"{max(row['kl']):.2f}; NFE at 1e-5 {min(row['nfe'])} to {max(row['nfe'])}; "
        f"{row['steps']} updates"
    )


def distances(kind: str) -> np.ndarray:
    """The energy distance by STEPS, the median of the seeds."""
    return np.median(table()[result(DENSITY, kind)]["energy_distance"], axis=0)


def draw(fig: Figure, data: Straightened) -> None:
    """Paths and ends on the density, and the distance to it by NFE."""
    left, right = fig.subplots(1, 2, width_ratios=[1, 1.25])
    _draw_plane(left, data)
    draw_distances(right, data.distances, data.null)
    place = STEPS.index(data.n)
    value = max(data.distances[data.kind][place], data.null)
    right.plot(data.n, value, "o", color=COLORS[data.kind], markersize=10)
    right.set_title(
        f"energy distance to the data,\nnow {data.distances[data.kind][place]:.3f}; "
        "gray: two samples of the data"
    )


def _draw_plane(ax: Axes, data: Straightened) -> None:
    bounds = DENSITIES[DENSITY]().bounds
    draw_density(data.p, bounds, ax=ax)
    ax.plot(*data.ends.T, ".", color=COLORS[data.kind], markersize=2.5)
    ax.plot(*data.paths.transpose(2, 0, 1), color=EXACT, linewidth=0.6, alpha=0.8)
    no_ticks(ax)
    ax.set_title(f"{data.kind}, NFE {data.n},\nstraightness {data.straightness:.3f}")


def draw_distances(ax: Axes, rows: dict[str, np.ndarray], null: float) -> None:
    """Energy distances by NFE, a line for each kind; up to `null` they cannot be told from 0."""
    ax.axhspan(1e-4, null, color=GRAY, alpha=0.2, linewidth=0)
    for kind, values in rows.items():
        ax.plot(STEPS, values.clip(min=null), "o-", color=COLORS[kind], markersize=3.5)
    ax.set(xscale="log", yscale="log", ylim=(0.6 * null, 3), xlabel="NFE (Euler)")
    ax.set_xticks(STEPS, [str(n) for n in STEPS])
    ax.minorticks_off()
    for i, kind in enumerate(rows):
        ax.text(
            0.98,
            0.95 - 0.075 * i,
            kind,
            color=COLORS[kind],
            transform=ax.transAxes,
            ha="right",
            va="top",
        )


def describe(data: Straightened) -> str:
    """How far the ends are from the data, and how straight the flow is."""
    place = STEPS.index(data.n)
    return (
        f"{data.kind}, NFE {data.n}: energy distance "
        f"{data.distances[data.kind][place]:.2f}, straightness {data.straightness:.2f}."
    )


straightened = explorable(
    compute,
    draw,
    describe,
    question="Predict first: which of the four flows can be solved in one step?",
    size=(8.8, 4.1),
    controls={
        "kind": choice("pairs", list(KINDS)),
        "n": power_slider("Euler steps", 1, 64, 1),
    },
)
