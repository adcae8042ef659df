"""Lesson 23: an origin that moves over the future of a series, the forecast that is made there, its
band, and how many bands have held so far.
"""

from calendar import month_abbr
from typing import NamedTuple

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ...course.controls import choice, int_slider, play
from ...course.explorables import explorable
from ...data.forecast_scores import interval_coverage
from ...plotting import BLUE, EXACT, GRAY, VERMILLION
from .runs import BETWEEN, LEVEL, MODELS, stored
from .tasks import TASKS, task

FRAMES = 71
PERIODS = 6  # of the series that are shown before the origin
BANDS = ("its own", "of one width")  # the second: that of one step ahead, for all horizons


class Rolling(NamedTuple):
    """A forecast from one origin, and the account of all origins until then.

    Attributes:
        name, model, band: as chosen.
        horizon: at which errors and bands are counted.
        origin: in years.
        t, seen: times and observed values, from PERIODS before the origin to the last horizon.
        later, truth, mean, low, high: (H,), of the forecast; all in the units of the data.
        held, judged: how many of the bands at the horizon held what came, of those whose truth was
            known by then or is the one ahead.
        rmse: of the forecasts of all origins, at the horizon.
        coverage: by horizon (H,), over all origins.
    """

    name: str
    model: str
    band: str
    horizon: int
    origin: float
    t: Tensor
    seen: Tensor
    later: Tensor
    truth: Tensor
    mean: Tensor
    low: Tensor
    high: Tensor
    held: int
    judged: int
    rmse: float
    coverage: Tensor
    unit: str


def compute(name: str, model: str, band: str, horizon: int, frame: int) -> Rolling:
    """Read the stored forecasts; a horizon beyond the task's is its last."""
    todo = task(name)
    horizon = min(horizon, todo.horizon)
    mean, std = stored(name, model)
    if band == "of one width":
        std = std[:, :1].expand_as(mean)
    place = frame * (len(todo.origins) // FRAMES)
    origin = int(todo.origins[place])
    scale = todo.seen.scale
    low = mean - BETWEEN * std
    high = mean + BETWEEN * std
    truth = todo.truth
    inside = ((low <= truth) & (truth <= high))[: place + 1, horizon - 1]
    shown = torch.arange(origin - PERIODS * todo.period, origin)
    shown = shown[~todo.seen.x[shown].isnan()]
    later = slice(origin, origin + todo.horizon)
    return Rolling(
        name,
        model,
        band,
        horizon,
        float(todo.t[origin]),
        todo.t[shown],
        scale * todo.seen.x[shown],
        todo.t[later],
        scale * truth[place],
        scale * mean[place],
        scale * low[place],
        scale * high[place],
        int(inside.sum()),
        place + 1,
        scale * float((truth - mean)[:, horizon - 1].square().mean().sqrt()),
        interval_coverage(truth, low, high),
        todo.unit,
    )


def draw(fig: Figure, data: Rolling) -> None:
    left, right = fig.subplots(1, 2, width_ratios=(2, 1))
    _draw_series(left, data)
    _draw_coverage(right, data)


def _draw_series(ax: Axes, data: Rolling) -> None:
    line = "." if "thinned" in data.name else ".-"  # none through what was not observed
    ax.plot(data.t, data.seen, line, color=GRAY, linewidth=0.8, markersize=3.5)
    ax.fill_between(data.later, data.low, data.high, color=BLUE, alpha=0.2, linewidth=0)
    ax.plot(data.later, data.mean, color=BLUE)
    ax.plot(data.later, data.truth, "o", color=EXACT, markersize=3)
    ahead = data.horizon - 1
    ax.plot(
        [data.later[ahead]] * 2, [data.low[ahead], data.high[ahead]], color=VERMILLION, linewidth=2
    )
    if data.unit == "°C":
        ax.set(ylim=(-5, 7), yticks=range(-4, 7, 2))
    else:
        ax.set(ylim=(-160, 240), yticks=(0, 100, 200))
    # No label of the axis, and short numbers: the axes stay in place when the series changes.
    ax.text(0.01, 0.97, f"{data.unit} above the mean", transform=ax.transAxes, va="top")
    ax.margins(x=0.01)
    error = float(data.truth[ahead] - data.mean[ahead])
    ax.set_title(
        f"{data.model}, {_date(data)}: error {error:+.1f} {data.unit} at h = {data.horizon}"
    )


def _date(data: Rolling) -> str:
    """Of the first value that is forecast."""
    year = int(data.origin + 1e-6)
    if data.unit != "°C":
        return str(year)
    return f"{month_abbr[int(12 * (data.origin - year)) + 1]} {year}"


def _draw_coverage(ax: Axes, data: Rolling) -> None:
    steps = torch.arange(1, len(data.coverage) + 1)
    ax.axhline(LEVEL, color=EXACT, linewidth=0.8, linestyle="--")
    ax.plot(steps, data.coverage, ".-", color=BLUE)
    ax.plot(data.horizon, data.coverage[data.horizon - 1], "o", color=VERMILLION, markersize=8)
    ax.set(ylim=(0, 1.04), xlabel="horizon h", ylabel="coverage, all origins")
    ax.set_xticks([1, 3, 6, 9, len(steps)])
    ax.set_title(f"{data.held} of {data.judged} held, promised {LEVEL * data.judged:.0f}")


def describe(data: Rolling) -> str:
    share = data.coverage[data.horizon - 1]
    return (
        f"{data.name}, {data.model}, band {data.band}, at horizon {data.horizon}: from all origins "
        f"the RMSE is {data.rmse:.1f} {data.unit}, and the 95 % band holds {100 * share:.0f} %."
    )


rolling_origin = explorable(
    compute,
    draw,
    describe,
    question=(
        "Predict first: a band as wide as the errors of one month ahead, for all horizons. What "
        "share of the truth does it hold a year ahead?"
    ),
    size=(9.6, 3.8),
    controls={
        "name": choice("series", list(TASKS)),
        "model": choice("forecaster", list(MODELS), value="damped persistence"),
        "band": choice("band", list(BANDS)),
        "horizon": int_slider("horizon h", 1, 12, value=12),
        "frame": play("origin", FRAMES, milliseconds=300),
    },
)
