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
from ...models import FlowMatching, way
from ...plotting import (
    BLUE,
    GRAY,
    GREEN,
    ON_DARK,
    ORANGE,
    VERMILLION,
    draw_density,
    draw_samples,
    no_ticks,
)
from .runs import KINDS, STEPS, result, stored_flow, table
from .trainings import DENSITIES, MOVED, noise

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
    detour: float


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
        detour=float(np.median(table()[result(DENSITY, kind)]["detour"])),
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


def energies(kind: str) -> list[float]:
    """By seed, the energy of the paths."""
    row = table()[result(DENSITY, kind)]
    return [own + detour for own, detour in zip(row["cost"], row["detour"])]


def first_steps(kind: str) -> list[float]:
    """By seed, the energy distance after one step; what is estimated below 0 counts as 0."""
    return [max(row[0], 0.0) for row in table()[result(DENSITY, kind)]["energy_distance"]]


def line(kind: str) -> str:
    """A line: energy distance of one step, detour, gap, NFE, as ranges of the seeds; updates."""
    row = table()[result(DENSITY, kind)]
    first = first_steps(kind)
    return (
        f"{kind:11s}: one step, energy distance {min(first):.3f} to {max(first):.3f}; detour "
        f"{min(row['detour']):.3f} to {max(row['detour']):.3f}; KL {min(row['kl']):.3f} to "
        f"{max(row['kl']):.3f}; NFE at 1e-5 {min(row['nfe'])} to {max(row['nfe'])}; "
        f"{row['steps']} updates"
    )


def few_updates_line() -> str:
    """A line: the gaps of independent pairs with as many updates as optimal ones had."""
    row = table()[f"fewer/{DENSITY}"]
    kl = row["kl"]
    return f"independent, {row['steps']} updates: KL {min(kl):.3f} to {max(kl):.3f}"


def above_best(kind: str) -> list[float]:
    """By seed, how far the energy is above the cost of the best pairs, as a share of the latter. Of
    an exact flow it is not negative.
    """
    best = float(np.mean(table()[f"best/{DENSITY}"]["cost"]))
    return [energy / best - 1 for energy in energies(kind)]


@torch.no_grad()
def energy_error(kind: str) -> float:
    """The standard error of an energy, a mean over MOVED noises, of one stored flow."""
    energy = way(single(kind).field, noise(MOVED).float(), rtol=1e-3, atol=1e-3).energy
    return float(energy.std()) / len(energy) ** 0.5


def best_line() -> str:
    """A line: the cost of the best pairs, and how far the energies are from it, with the errors."""
    costs = table()[f"best/{DENSITY}"]["cost"]
    error = np.std(costs, ddof=1) / len(costs) ** 0.5
    shares = {kind: above_best(kind) for kind in KINDS}
    ranges = ", ".join(f"{kind} {min(row):.2f} to {max(row):.2f}" for kind, row in shares.items())
    errors = [energy_error(kind) for kind in KINDS]
    return (
        f"cost of the best pairs: {np.mean(costs):.2f}, with an error of {error:.2f}; the "
        f"energies, of one sample of {MOVED} noises, have errors of {min(errors):.2f} to "
        f"{max(errors):.2f}, and are above it by this share: {ranges}"
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
    draw_density(data.p, bounds, ax=ax, shades=ON_DARK)
    ax.plot(*data.paths.transpose(2, 0, 1), color=ORANGE, linewidth=0.7, alpha=0.9)
    draw_samples(torch.from_numpy(data.ends), ax=ax, size=2.5)
    no_ticks(ax)
    ax.set_title(f"{data.kind}, NFE {data.n},\ndetour {data.detour:.3f}")


def draw_distances(ax: Axes, rows: dict[str, np.ndarray], null: float) -> None:
    """Energy distances by NFE, a line for each kind; up to `null` they cannot be told from 0."""
    ax.axhspan(1e-4, null, color=GRAY, alpha=0.2, linewidth=0)
    for kind, values in rows.items():
        width = 6 if kind == "reflow 1" else 1.6  # "reflow 2" lies on it
        shown = values.clip(min=null)
        ax.plot(STEPS, shown, "o-", color=COLORS[kind], markersize=3.5, linewidth=width)
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
    """How far the ends are from the data, and the detour of the paths."""
    place = STEPS.index(data.n)
    return (
        f"{data.kind}, NFE {data.n}: energy distance "
        f"{data.distances[data.kind][place]:.2f}, detour {data.detour:.2f}."
    )


straightened = explorable(
    compute,
    draw,
    describe,
    question="Predict first: which of the four flows keeps the density best, and which needs the "
    "fewest evaluations?",
    size=(8.8, 4.1),
    controls={
        "kind": choice("pairs", list(KINDS)),
        "n": power_slider("Euler steps", 1, 64, 1),
    },
)
