"""Lesson 11: figures."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...data import exact_oscillation
from ...plotting import (
    BLUE,
    EXACT,
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
from .physics import END, TRUE

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
) -> Picture:
    """Three oscillations, one above the other: observations (dots) and, in dashes, the truth from
    their starts (B, 2).

    curves: name -> (times (S,), values (3, S)). bands: (times, low (3, S), high (3, S)).
    """
    fig, axes = figure(nrows=3, size=(8.6, 4.6), sharex=True)
    exact = exact_oscillation(FINE, starts[:3], TRUE, damping)[..., 0]
    colors = (BLUE, VERMILLION, GREEN)
    for i, ax in enumerate(axes):
        ax.axvspan(0, END, color="#ECECEC", zorder=0)
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
    axes[-1].set_xlabel("t (observed in the gray part; dashed: the truth)")
    return fig


def omega_figure(histories: Mapping[str, Sequence[float]]) -> Picture:
    """The frequency over the steps of trainings by name; the truth, and 5 % about it."""
    fig, ax = figure(size=(7.6, 3.2))
    longest = max(len(values) for values in histories.values())
    ax.fill_between([0, longest], 0.95 * TRUE, 1.05 * TRUE, color="#DEDEDE", linewidth=0)
    ax.plot([0, longest], [TRUE, TRUE], color=EXACT, linewidth=1.2, linestyle=(0, (5, 3)))
    ax.set(xlim=(0, longest), ylim=(0, 3.6), xlabel="step", ylabel="ω of the model")
    room_for_labels(ax, 0.32)
    for (name, values), color in zip(histories.items(), (VERMILLION, BLUE, GREEN, GRAY)):
        label_line(ax.plot(values, color=color)[0], name)
    return fig


def alias_figure(
    dt: float, omega: float, alias: float, grid: np.ndarray, misfits: Mapping[str, np.ndarray]
) -> Picture:
    """Two frequencies through the same points, dt apart; the misfit over frequencies for two kinds
    of times.

    misfits: name -> the misfit (W,) of each frequency of grid (W,).
    """
    fig, (left, right) = figure(ncols=2, size=(8.8, 3.4))
    t = np.linspace(0, 6, 600)
    dots = np.arange(0, 6.01, dt)
    left.plot(t, np.cos(omega * t), color=BLUE)
    left.plot(t, np.cos(alias * t), color=VERMILLION, linewidth=1.0)
    left.plot(dots, np.cos(omega * dots), "o", color=ORANGE, markersize=7)
    left.set(xlim=(-0.1, 6.1), ylim=(-1.25, 1.25), xlabel="t", ylabel="x")
    left.set_title(f"ω = {omega:.2f} and {alias:.2f}, points every {dt:g}")
    right.set(xlim=(0, grid[-1]), xlabel="frequency ω")
    right.set(ylim=(-0.03, 1.0), ylabel="mean squared misfit")
    room_for_labels(right, 0.3)
    for (name, misfit), color in zip(misfits.items(), (VERMILLION, BLUE)):
        label_line(right.plot(grid, misfit, color=color, linewidth=1.4)[0], name)
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
    axes[-1].set_xlabel("year (gray part: what the model has seen of the series)")
    return fig
