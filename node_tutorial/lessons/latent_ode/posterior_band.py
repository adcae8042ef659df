"""Lesson 12: observations of a spiral, the truth, and the posterior of a latent ODE with one of
three encoders, in the plane and over time.
"""

from functools import lru_cache
from typing import NamedTuple

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ...course.controls import choice, int_slider, slider
from ...course.explorables import explorable
from ...data import two_spirals
from ...models import LatentODE
from ...plotting import BLUE, GRAY, ORANGE, exact_line
from . import runs
from .bands import NINE_OF_TEN, POINTS, band, kept
from .figures import REACH, plane

SERIES = 3  # which of eight spirals is shown
SHOWN = 12  # paths of the band


class Spiral(NamedTuple):
    """Times (200,), of which the first POINTS may be observed; noisy points (100, 2) there; points
    (200, 2) without noise at all of them.
    """

    times: Tensor
    noisy: Tensor
    clean: Tensor


class Band(NamedTuple):
    """Observations x (n, 2) at t (n,), and what the model says at times (S,).

    clean: the truth (S, 2); paths: (12, S, 2); low, middle, high: (S, 2), of the band; width: its
    mean half width where observations may be; within, beyond: root mean square error of the middle
    there, and after it, None if no time is.
    """

    encoder: str
    t: Tensor
    x: Tensor
    times: Tensor
    clean: Tensor
    paths: Tensor
    low: Tensor
    middle: Tensor
    high: Tensor
    width: float
    within: float
    beyond: float | None


@lru_cache(maxsize=1)
def spiral() -> Spiral:
    """The spiral that is shown."""
    spirals = two_spirals(8, noise=runs.NOISE, seed=20_000)
    times = torch.cat([spirals.t, spirals.later])
    return Spiral(times, spirals.x[SERIES], spirals.clean[SERIES])


def compute(number: int, gap: int, encoder: str, horizon: float) -> Band:
    """Draw paths from the posterior of a stored model, given some of the points."""
    places = kept(number, gap)
    shown = round(POINTS * horizon)
    t = spiral().times[places]
    x = spiral().noisy[places]
    times = spiral().times[:shown]
    clean = spiral().clean[:shown]
    model = runs.stored(encoder)
    assert isinstance(model, LatentODE)
    paths = band(model, t, x, times)
    low, high = paths.quantile(torch.tensor(NINE_OF_TEN), dim=0)
    middle = paths.mean(0)
    square = (middle - clean).square().mean(1)
    return Band(
        encoder,
        t,
        x,
        times,
        clean,
        paths[:SHOWN],
        low,
        middle,
        high,
        width=float((high - low)[:POINTS].mean() / 2),
        within=float(square[:POINTS].mean().sqrt()),
        beyond=float(square[POINTS:].mean().sqrt()) if shown > POINTS else None,
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
    ax.set_title(f"{len(data.t)} points, {data.encoder}")


def _draw_band(ax: Axes, data: Band) -> None:
    ax.fill_between(
        data.times, data.low[:, 0], data.high[:, 0], color=BLUE, alpha=0.22, linewidth=0
    )
    ax.plot(data.times, data.middle[:, 0], color=BLUE, linewidth=1.5)
    exact_line(data.times, data.clean[:, 0], ax=ax, label=None)
    ax.plot(data.t, data.x[:, 0], ".", color=ORANGE, markersize=7)
    ax.axvline(float(spiral().times[POINTS - 1]), color=GRAY, linewidth=0.8)
    ax.set(xlabel="t", ylabel="x₁", xlim=(0, 3.8), ylim=(-REACH, REACH))
    beyond = "" if data.beyond is None else f", beyond {data.beyond:.2f}"
    ax.set_title(f"RMSE to the line {data.within:.2f}{beyond}; half width {data.width:.2f}")


def describe(data: Band) -> str:
    """How far off the middle is, and whether the band is wider than the noise."""
    after = "" if data.beyond is None else f", and by {_bound(data.beyond)} beyond"
    wide = "narrower" if data.width < runs.NOISE else "wider"
    return (
        f"{data.encoder}, from {len(data.t)} points: off by {_bound(data.within)} where they were "
        f"taken{after}; the 90 % band is on average {wide} than the noise of a point."
    )


def _bound(value: float) -> str:
    limit = next((limit for limit in (0.25, 0.5, 1.0, 2.0, 4.0) if value < limit), None)
    return f"less than {limit:g}" if limit else "more than 4"


posterior_band = explorable(
    compute,
    draw,
    describe,
    question=(
        "Predict first: with 3 points instead of 30, where does the band become wide: at the "
        "start, or late?"
    ),
    size=(9.0, 3.7),
    controls={
        "number": int_slider("points", 2, 40, value=20),
        "gap": int_slider("gap (of 100)", 0, 60, value=0, step=10),
        "encoder": choice("encoder", list(runs.ENCODERS)),
        "horizon": slider("horizon (times the observed)", 1.0, 2.0, value=2.0, step=0.25),
    },
)
