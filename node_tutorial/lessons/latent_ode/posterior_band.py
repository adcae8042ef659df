"""Lesson 12: observations of a spiral, the truth, and the posterior of a latent ODE with one of
three encoders, in the plane and over time, while q is refined.
"""

from typing import NamedTuple

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ...course.controls import choice, play
from ...course.explorables import explorable
from ...models import LatentODE
from ...plotting import BLUE, GRAY, ORANGE, exact_line
from . import runs
from .bands import (
    FRAMES,
    GAPS,
    NINE_OF_TEN,
    NUMBERS,
    POINTS,
    SERIES,
    STRIDE,
    band,
    kept,
    shown,
)
from .figures import REACH, plane

PATHS = 12  # of the band that are drawn


class Band(NamedTuple):
    """Observations x (n, 2) at t (n,), and what the model says at times (S,).

    steps: of refinement; clean: the truth (S, 2); paths: (12, S, 2); low, middle, high: (S, 2), of
    the band; width: its mean half width where observations may be; held, held_beyond: the share of
    the truth that it holds there, and after that; within, beyond: root mean square error of the
    middle.
    """

    encoder: str
    steps: int
    t: Tensor
    x: Tensor
    times: Tensor
    clean: Tensor
    paths: Tensor
    low: Tensor
    middle: Tensor
    high: Tensor
    width: float
    held: float
    held_beyond: float
    within: float
    beyond: float


def compute(number: int, gap: int, encoder: str, frame: int) -> Band:
    """Draw paths from the posterior of a stored model, given some of the points."""
    spirals = shown()
    places = kept(number, gap)
    times = torch.cat([spirals.t, spirals.later])
    clean = spirals.clean[SERIES]
    model = runs.stored(encoder)
    assert isinstance(model, LatentODE)
    paths = band(model, runs.stored_q(encoder, number, gap, frame), times)[:, 0]
    low, high = paths.quantile(torch.tensor(NINE_OF_TEN), dim=0)
    middle = paths.mean(0)
    square = (middle - clean).square().mean(1)
    inside = ((low < clean) & (clean < high)).double()
    return Band(
        encoder,
        frame * STRIDE,
        spirals.t[places],
        spirals.x[SERIES, places],
        times,
        clean,
        paths[:PATHS],
        low,
        middle,
        high,
        width=float((high - low)[:POINTS].mean() / 2),
        held=float(inside[:POINTS].mean()),
        held_beyond=float(inside[POINTS:].mean()),
        within=float(square[:POINTS].mean().sqrt()),
        beyond=float(square[POINTS:].mean().sqrt()),
    )


def draw(fig: Figure, data: Band) -> None:
    """The paths in the plane, and the band over time."""
    left, right = fig.subplots(1, 2, width_ratios=(1, 1.5))
    _draw_plane(left, data)
    _draw_band(right, data)


def _draw_plane(ax: Axes, data: Band) -> None:
    plane(ax)
    for path in data.paths:
        ax.plot(*path.T.clamp(-REACH, REACH), color=BLUE, linewidth=0.8, alpha=0.5)
    exact_line(*data.clean.T, ax=ax, label=None)
    ax.plot(*data.x.T, ".", color=ORANGE, markersize=7)
    ax.set(xlabel="x₁", ylabel="x₂")
    ax.set_title(f"{len(data.t)} points, {data.steps} steps of refinement")


def _draw_band(ax: Axes, data: Band) -> None:
    ax.fill_between(
        data.times, data.low[:, 0], data.high[:, 0], color=BLUE, alpha=0.22, linewidth=0
    )
    ax.plot(data.times, data.middle[:, 0], color=BLUE, linewidth=1.5)
    exact_line(data.times, data.clean[:, 0], ax=ax, label=None)
    ax.plot(data.t, data.x[:, 0], ".", color=ORANGE, markersize=7)
    ax.axvline(float(data.times[POINTS - 1]), color=GRAY, linewidth=0.8)
    ax.set(xlabel="t", ylabel="x₁", xlim=(0, 3.8), ylim=(-REACH, REACH))
    ax.set_title(
        f"holds {100 * data.held:.0f} % (beyond {100 * data.held_beyond:.0f} %), "
        f"off by {data.within:.2f} ({data.beyond:.2f})"
    )


def describe(data: Band) -> str:
    """How far off the middle is, and whether the band is wider than the noise."""
    wide = "narrower" if data.width < runs.NOISE else "wider"
    refined = f" after {data.steps} steps of refinement" if data.steps else ""
    return (
        f"{data.encoder}, from {len(data.t)} points{refined}: off by {_bound(data.within)} where "
        f"they were taken, and by {_bound(data.beyond)} beyond; the 90 % band is on average {wide} "
        "than the noise of a point."
    )


def _bound(value: float) -> str:
    limit = next((limit for limit in (0.25, 0.5, 1.0, 2.0, 4.0) if value < limit), None)
    return f"less than {limit:g}" if limit else "more than 4"


posterior_band = explorable(
    compute,
    draw,
    describe,
    question=(
        "Predict first: with 3 points instead of 20, where does the band become wide: at the "
        "start, or late?"
    ),
    size=(9.0, 3.7),
    controls={
        "number": choice("points", list(NUMBERS), value=20),
        "gap": choice("gap (of 100)", list(GAPS)),
        "encoder": choice("encoder", list(runs.ENCODERS)),
        "frame": play(f"refinement, {STRIDE} steps each", FRAMES, milliseconds=400),
    },
)
