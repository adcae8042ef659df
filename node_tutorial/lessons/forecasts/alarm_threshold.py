"""Lesson 23: alarms of El Nino against the mean, the season, or a forecast, at any threshold."""

from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ...course.controls import choice, play, slider
from ...course.explorables import explorable
from ...data import el_nino
from ...data.alarms import expected_alarms, runs
from ...plotting import BLUE, GRAY, REJECTED, SKY
from .alarms import FIRST_HALF, damped_forecast, el_nino_series

AGAINST = {
    "the mean of all months": "mean",
    "the season": "season",
    "a forecast": "forecast",
}
LONGEST = 24  # months ahead


class AlarmThreshold(NamedTuple):
    """Values x (T,) in degrees, the middle and the half width of the band, scores, and alarms.

    alarmed and scores leave out the first months, which have no forecast yet; so do all series.
    """

    against: str
    k: float
    horizon: int
    t: Tensor
    x: Tensor
    middle: Tensor
    half: Tensor
    scores: Tensor
    alarmed: Tensor
    alarms: int
    runs: int
    expected: float


def compute(against: str, k: float, horizon: int) -> AlarmThreshold:
    """The alarms; `horizon` is a number of months - 1, as the play button counts from 0."""
    series = el_nino_series()
    months = horizon + 1
    x = series.x * series.scale
    middle = torch.zeros_like(x)
    std = torch.full_like(x, series.scale)
    if against == "mean":
        x = el_nino()[1]
        middle = x[: series.past].mean().expand_as(x)
        std = x[: series.past].std(correction=0).expand_as(x)
    if against == "forecast":
        forecast = damped_forecast(series, months)
        middle = forecast.mean * series.scale
        std = forecast.std * series.scale
    known = ~middle.isnan()
    scores = ((x - middle) / std).abs()[known]
    alarmed = scores > k
    return AlarmThreshold(
        against=against,
        k=k,
        horizon=months,
        t=series.t[known],
        x=x[known],
        middle=middle[known],
        half=k * std[known],
        scores=scores,
        alarmed=alarmed,
        alarms=int(alarmed.sum()),
        runs=len(runs(alarmed)),
        expected=expected_alarms(k, len(scores)),
    )


def _against(data: AlarmThreshold) -> str:
    if data.against == "forecast":
        return f"a forecast {data.horizon} month{'s' * (data.horizon > 1)} ahead"
    return {"mean": "the mean of all months", "season": "the season"}[data.against]


def draw(fig: Figure, data: AlarmThreshold) -> None:
    """The series in its band, and the scores below their threshold; alarms in red."""
    top, bottom = fig.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    on = data.alarmed
    band = (data.middle - data.half, data.middle + data.half)
    top.fill_between(data.t, *band, color=SKY, alpha=0.35, linewidth=0)
    top.plot(data.t, data.x, color=BLUE, linewidth=0.9)
    top.plot(data.t[on], data.x[on], "o", color=REJECTED, markersize=4)
    raw = data.against == "mean"
    top.set(ylim=(15, 33) if raw else (-6, 6), xlim=(1949.5, 2011.5))
    top.set_ylabel("degrees" if raw else "degrees\nabove the season")
    top.set_title(
        f"against {_against(data)}, k = {data.k:.1f}: {data.alarms} alarms in {data.runs} runs, "
        f"expected {data.expected:.1f}"
    )
    bottom.vlines(data.t, 0, data.scores, color=GRAY, linewidth=0.6)
    bottom.vlines(data.t[on], 0, data.scores[on], color=REJECTED, linewidth=1.2)
    bottom.axhline(data.k, color=REJECTED, linewidth=1)
    bottom.axvline(FIRST_HALF, color="#444444", linewidth=0.9, linestyle=(0, (4, 3)))
    bottom.text(FIRST_HALF - 0.5, 6.1, "the past, which sets the bands", ha="right", va="center")
    bottom.text(FIRST_HALF + 0.5, 6.1, "after it", va="center")
    bottom.set(ylim=(0, 6.8), ylabel="score")


def describe(data: AlarmThreshold) -> str:
    """How many alarms there are, in how many runs, and how many normal scores would give."""
    return (
        f"Against {_against(data)}, k = {data.k:.1f}: {data.alarms} alarms in {data.runs} runs; "
        f"normal scores would give {data.expected:.1f}."
    )


alarm_threshold = explorable(
    compute,
    draw,
    describe,
    question=(
        "Predict first: from a forecast one month ahead to one two years ahead, do the alarms "
        "stay where they are?"
    ),
    size=(8.4, 4.5),
    controls={
        "against": choice("against", AGAINST, value="forecast"),
        "k": slider("threshold k", 1.5, 4.5, value=3.0, step=0.1, format=".1f"),
        "horizon": play("months ahead, less 1", LONGEST, value=0, milliseconds=400),
    },
)
