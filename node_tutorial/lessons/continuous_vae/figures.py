"""Lesson 11: figures."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...data import exact_oscillation, oscillations
from ...plotting import (
    BLUE,
    GRAY,
    GREEN,
    ORANGE,
    SKY,
    VERMILLION,
    Picture,
    exact_line,
    figure,
    label_line,
    room_for_labels,
)
from .misfits import ALIAS, FREQUENCIES, GAP
from .physics import END, TRUE
from .runs import NOISE, Trace

FINE = torch.linspace(0, 20, 401)

Series = tuple[Tensor, Tensor]  # times and values


class Forecast(NamedTuple):
    """What was seen of a series until `end`, and what was not; the model's curve through both."""

    seen: Series
    unseen: Series
    curve: Series
    end: float


def series_figure(
    series: Sequence[Series],
    starts: Tensor,
    curves: Mapping[str, Series] = {},
    bands: tuple[Tensor, Tensor, Tensor] | None = None,
    damping: float = 0.0,
    truth: bool = True,
) -> Picture:
    """Three oscillations, one above the other: observations (dots) and, in dashes, the truth from
    their starts (B, 2), unless it is to be guessed.

    curves: name -> (times (S,), values (3, S)). bands: (times, low (3, S), high (3, S)).
    """
    fig, axes = figure(nrows=3, size=(8.6, 4.6), sharex=True)
    exact = exact_oscillation(FINE, starts[:3], TRUE, damping)[..., 0]
    colors = (BLUE, VERMILLION, GREEN)
    for i, ax in enumerate(axes):
        ax.axvspan(0, END, color="#ECECEC", zorder=0)
        if truth:
            exact_line(FINE, exact[i], ax=ax, label=None)
        ax.plot(*series[i], "o", color=ORANGE, markersize=4)
        ax.set(xlim=(-0.2, 20), ylim=(-3, 3), ylabel="x")
        if bands is not None:
            times, low, high = bands
            ax.fill_between(times, low[i], high[i], color=SKY, alpha=0.35, linewidth=0)
        for (times, values), color in zip(curves.values(), colors):
            ax.plot(times, values[i], color=color, linewidth=1.4)
    top = axes[0]
    for k, (name, color) in enumerate(zip(curves, colors)):
        place = 0.01 + 0.33 * k
        top.text(place, 1.06, name, color=color, transform=top.transAxes, fontsize=10)
    dashed = "; dashed: the truth" if truth else ""
    axes[-1].set_xlabel(f"t (observed in the gray part{dashed})")
    return fig


def training_figure(traces: Mapping[str, Trace]) -> Picture:
    """The frequency, with 5 % about the truth, and the noise over the steps of trainings by name;
    dashed: the truth.
    """
    fig, (left, right) = figure(ncols=2, size=(9.2, 3.3), width_ratios=(5, 2.4))
    longest = max(len(trace.omega) for trace in traces.values()) - 1
    for ax, true in ((left, TRUE), (right, NOISE)):
        exact_line([0, longest], [true, true], ax=ax, label=None)
        ax.set(xlim=(0, longest), xlabel="step")
    left.set_xticks([tick for tick in left.get_xticks() if tick <= longest])
    left.fill_between([0, longest], 0.95 * TRUE, 1.05 * TRUE, color="#DEDEDE", linewidth=0)
    left.set(ylim=(0, 3.6), ylabel="ω of the model")
    right.set(ylim=(0, 0.7), ylabel="noise of the model")
    room_for_labels(left, 0.4)
    for (name, trace), color in zip(traces.items(), (VERMILLION, BLUE, GREEN)):
        label_line(left.plot(trace.omega, color=color)[0], name)
        right.plot(trace.noise, color=color)
    return fig


def alias_figure(misfits: Mapping[float, np.ndarray]) -> Picture:
    """The true frequency and its alias through the same points, GAP apart; the misfit over
    FREQUENCIES for several disorders of the times.

    misfits: disorder -> the misfit (605,).
    """
    fig, (left, right) = figure(ncols=2, size=(9.2, 3.4))
    t = np.linspace(0, 6, 600)
    dots = np.arange(0, 6.01, GAP)
    left.plot(t, np.cos(TRUE * t), color=BLUE)
    left.plot(t, np.cos(ALIAS * t), color=VERMILLION, linewidth=1.0)
    left.plot(dots, np.cos(TRUE * dots), "o", color=ORANGE, markersize=7)
    left.set(xlim=(-0.1, 6.1), ylim=(-1.25, 1.25), xlabel="t", ylabel="x")
    left.set_title(f"ω = {TRUE:.2f} and {ALIAS:.2f}, points every {GAP:g}")
    right.set(xlim=(0, FREQUENCIES[-1]), xlabel="frequency ω")
    right.set(ylim=(-0.03, 0.75), ylabel="mean squared misfit")
    right.set_title("by the disorder d of the times")
    room_for_labels(right, 0.28)
    right.set_xticks(range(0, 8))
    place = int(np.abs(FREQUENCIES - ALIAS).argmin())
    for (disorder, misfit), color in zip(misfits.items(), (VERMILLION, ORANGE, GREEN, BLUE)):
        right.plot(FREQUENCIES, misfit, color=color, linewidth=1.2)
        end = (FREQUENCIES[-1], misfit[place])
        label_line(end, f"d = {disorder:g}", ax=right, color=color)
    return fig


def forecast_figure(forecasts: Mapping[str, Forecast]) -> Picture:
    """Forecasts of at least two series, by name, one above the other."""
    rows = len(forecasts)
    fig, axes = figure(nrows=rows, size=(8.8, 2.4 * rows))
    for ax, (name, forecast) in zip(axes, forecasts.items()):
        times = forecast.curve[0]
        low = float(times[0])
        high = float(times[-1])
        ax.axvspan(low, forecast.end, color="#ECECEC", zorder=0)
        ax.plot(*forecast.seen, ".", color=ORANGE, markersize=3)
        ax.plot(*forecast.unseen, ".", color=GRAY, markersize=3)
        ax.plot(*forecast.curve, color=BLUE, linewidth=1.2)
        ax.set(xlim=(low, high), ylabel=name)
    for x, name, color in ((0, "seen", ORANGE), (0.1, "not seen", GRAY), (0.24, "model", BLUE)):
        axes[0].text(x, 1.03, name, color=color, transform=axes[0].transAxes)
    axes[-1].set_xlabel("year (gray part: what the model has seen of the series)")
    return fig


def _series(curves: int, truth: bool = True) -> Picture:
    series, starts = oscillations(3, 12)
    t = torch.linspace(0, 20, 101)
    flat = torch.zeros(3, 101)
    if not curves:
        return series_figure(series, starts, truth=truth)
    names = ("one", "another", "a third")[:curves]
    lines = {name: (t, flat + 0.2 * i) for i, name in enumerate(names)}
    return series_figure(series, starts, lines, (t, flat, flat + 1))


def _forecast() -> Picture:
    line = (torch.linspace(1960, 2000, 50), torch.zeros(50))
    panel = Forecast(line, line, line, 1980.0)
    return forecast_figure({"CO₂ (σ)": panel, "sunspots (σ)": panel})


# A picture of each kind, for the test that all of them can be read.
EXAMPLES: dict[str, Callable[[], Picture]] = {
    "series_figure": lambda: _series(0),
    "series_figure, truth hidden": lambda: _series(0, truth=False),
    "series_figure, three curves": lambda: _series(3),
    "training_figure": lambda: training_figure(
        {
            "from 3, all data": Trace([3.0, 2.9], [0.2, 0.5]),
            "from 3, growing": Trace([3.0, 1.7], [0.2, 0.11]),
            "from 0.5, growing": Trace([0.5, 1.7], [0.2, 0.12]),
        }
    ),
    "alias_figure": lambda: alias_figure(
        {disorder: 0 * FREQUENCIES + disorder / 2 for disorder in (0.0, 0.1, 0.3, 1.0)}
    ),
    "forecast_figure": _forecast,
}
