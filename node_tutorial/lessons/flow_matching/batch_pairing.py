"""Lesson 17: pairs that are matched within batches, and what the matching of a batch costs."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...course.controls import choice, power_slider
from ...course.explorables import explorable
from ...data.densities import gaussians
from ...models.couplings import cost, optimal, paired_cost
from ...plotting import BLUE, EXACT, GRAY, ORANGE, VERMILLION, no_ticks

SHOWN = 64  # pairs of the picture
BATCHES = (1, 2, 4, 8, 16, 32, 64)
SIZES = (1, 2, 8, 64)
DRAWN = 2048  # pairs from which a cost is estimated


class BatchPairing(NamedTuple):
    """Noise x0 and data x1 (SHOWN, 2), matched in batches, and costs by size of a batch.

    length: the mean squared length of the lines, their cost. measured (7,): of noise with noise in
    so many dimensions, as a share of what independent pairs cost; exact (7,): in one dimension.
    """

    batch: int
    size: int
    x0: np.ndarray
    x1: np.ndarray
    length: float
    measured: np.ndarray
    exact: np.ndarray


def compute(batch: int, size: int) -> BatchPairing:
    """Match the pairs, and look up the costs."""
    x0, x1 = _points()
    groups = zip(x0.split(batch), x1.split(batch))
    x0 = torch.cat([a[optimal(a, b)] for a, b in groups])
    return BatchPairing(
        batch=batch,
        size=size,
        x0=x0.numpy(),
        x1=x1.numpy(),
        length=float(cost(x0, x1)),
        measured=measured(size),
        exact=exact(),
    )


def _points() -> tuple[torch.Tensor, torch.Tensor]:
    chance = torch.Generator().manual_seed(4)
    return torch.randn(SHOWN, 2, generator=chance), gaussians().sample(SHOWN, chance)


@lru_cache(maxsize=8)
def measured(size: int) -> np.ndarray:
    """The mean of |x1 - x0|^2 over that of the same draws unpaired, by BATCHES; both N(0, I)."""
    chance = torch.Generator().manual_seed(size)
    x0, x1 = torch.randn(2, DRAWN, size, generator=chance)
    rows = []
    for batch in BATCHES:
        pairs = [(a[optimal(a, b)], b) for a, b in zip(x0.split(batch), x1.split(batch))]
        rows.append(np.mean([float(cost(a, b)) for a, b in pairs]))
    return np.array(rows) / rows[0]


@lru_cache(maxsize=1)
def exact() -> np.ndarray:
    """The same in one dimension, by the formula."""
    return np.array([paired_cost(batch) / 2 for batch in BATCHES])


def draw(fig: Figure, data: BatchPairing) -> None:
    """The pairs, and the price of matching a batch where nothing should move."""
    left, right = fig.subplots(1, 2, width_ratios=[1, 1.25])
    _draw_pairs(left, data)
    _draw_costs(right, data)


def _draw_pairs(ax: Axes, data: BatchPairing) -> None:
    x, y = np.stack([data.x0, data.x1]).transpose(2, 0, 1)
    first = slice(0, data.batch)
    ax.plot(x, y, color=ORANGE, linewidth=0.7, alpha=0.6)
    ax.plot(x[:, first], y[:, first], color=VERMILLION, linewidth=1.6)
    ax.plot(*data.x0.T, "o", color=GRAY, markersize=3)
    ax.plot(*data.x1.T, "o", color=BLUE, markersize=3)
    no_ticks(ax).set(xlim=(-4, 4), ylim=(-4.6, 4), aspect="equal")
    ax.text(0, -4.5, "noise", color=GRAY, ha="right")
    ax.text(0.3, -4.5, "data", color=BLUE)
    ax.set_title(
        f"in the plane: {SHOWN} pairs, one batch\nof {data.batch} in red; cost {data.length:.2f}"
    )


def _draw_costs(ax: Axes, data: BatchPairing) -> None:
    ax.plot(BATCHES, data.exact, color=EXACT, linewidth=1.2)
    ax.plot(BATCHES, data.measured, "o-", color=BLUE)
    place = BATCHES.index(data.batch)
    ax.plot(data.batch, data.measured[place], "o", color=ORANGE, markersize=9)
    ax.set(xscale="log", yscale="log", ylim=(0.03, 1.4), xlabel="batch", ylabel="share of cost")
    ax.set_xticks(BATCHES, [str(batch) for batch in BATCHES])
    ax.set_yticks([0.05, 0.1, 0.2, 0.5, 1], ["0.05", "0.1", "0.2", "0.5", "1"])
    ax.minorticks_off()
    ax.text(1.1, 0.042, "black: the formula for one dimension", color=GRAY, fontsize=9.5)
    ax.set_title(
        f"noise to noise, {_dimensions(data.size)}: of the cost\n"
        f"of independent pairs {data.measured[place]:.2f} is left (best: 0)"
    )


def describe(data: BatchPairing) -> str:
    """Length of the lines, and the costs."""
    place = BATCHES.index(data.batch)
    return (
        f"Batches of {data.batch}: in the plane a cost of {data.length:.1f}; where noise is "
        f"matched with noise in {_dimensions(data.size)}, {data.measured[place]:.2f} of what "
        f"independent pairs cost, in one dimension by the formula {data.exact[place]:.3f}."
    )


def _dimensions(size: int) -> str:
    return f"{size} dimension{'s' * (size > 1)}"


batch_pairing = explorable(
    compute,
    draw,
    describe,
    question=(
        "Predict first: noise is matched with noise, so nothing need move. What is left of the "
        "cost with batches of 64, in one dimension, and in 64?"
    ),
    size=(8.8, 4.1),
    controls={
        "batch": power_slider("batch", 1, 64, 8),
        "size": choice("dimensions", list(SIZES)),
    },
)
