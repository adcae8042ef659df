"""Lesson 11: its figures."""

import numpy as np
import torch

from ...data import exact_oscillation
from ...plotting import (
    BLUE,
    EXACT,
    GRAY,
    GREEN,
    ORANGE,
    SKY,
    VERMILLION,
    exact_line,
    figure,
    label_line,
    room_for_labels,
)
from .physics import TRUE

_FINE = torch.linspace(0, 20, 401)


def series_figure(series, starts, curves=None, bands=None, end=10.0, damping=0.0):
    """Three oscillations, one above the other: observations (dots) and, in dashes, the truth from
    their starts.

    curves: name -> (times (S,), values (3, S)). bands: (times, low (3, S), high (3, S)).
    Observations end at `end`.
    """
    fig, axes = figure(nrows=3, size=(8.6, 4.6), sharex=True)
    exact = exact_oscillation(_FINE, starts[:3], TRUE, damping)[..., 0]
    for i, ax in enumerate(axes):
        ax.axvspan(0, end, color="#ECECEC", zorder=0)
        exact_line(_FINE, exact[i], ax=ax, label=None)
        ax.plot(series[i][0], series[i][1], "o", color=ORANGE, markersize=4)
        ax.set(xlim=(-0.2, 20), ylim=(-3, 3), ylabel="x")
        if bands is not None:
            ax.fill_between(bands[0], bands[1][i], bands[2][i], color=SKY, alpha=0.35, linewidth=0)
        lines = [
            ax.plot(t, values[i], color=color, linewidth=1.4)[0]
            for (t, values), color in zip((curves or {}).values(), (BLUE, VERMILLION, GREEN))
        ]
        if i == 0 and lines:
            for k, (line, name) in enumerate(zip(lines, curves)):
                ax.text(
                    0.01 + 0.33 * k,
                    1.06,
                    name,
                    color=line.get_color(),
                    transform=ax.transAxes,
                    fontsize=10,
                )
    axes[-1].set_xlabel("t (observed in the gray part; dashed: the truth)")
    return fig


def omega_figure(histories):
    """The frequency over the steps of several trainings: name -> list of omega; the truth and 5 %
    about it.
    """
    fig, ax = figure(size=(7.6, 3.2))
    longest = max(len(values) for values in histories.values())
    ax.fill_between([0, longest], 0.95 * TRUE, 1.05 * TRUE, color="#DEDEDE", linewidth=0)
    ax.plot([0, longest], [TRUE, TRUE], color=EXACT, linewidth=1.2, linestyle=(0, (5, 3)))
    ax.set(xlim=(0, longest), ylim=(0, 3.6), xlabel="step", ylabel="ω of the model")
    room_for_labels(ax, 0.32)
    for (name, values), color in zip(histories.items(), (VERMILLION, BLUE, GREEN, GRAY)):
        label_line(ax.plot(values, color=color)[0], name)
    return fig


def alias_figure(dt, omega, alias, grid, misfits):
    """Two frequencies through the same equally spaced points; the misfit over frequencies for two
    kinds of times.

    misfits: name -> misfit for each frequency of grid.
    """
    fig, (left, right) = figure(ncols=2, size=(8.8, 3.4))
    t, dots = np.linspace(0, 6, 600), np.arange(0, 6.01, dt)
    left.plot(t, np.cos(omega * t), color=BLUE)
    left.plot(t, np.cos(alias * t), color=VERMILLION, linewidth=1.0)
    left.plot(dots, np.cos(omega * dots), "o", color=ORANGE, markersize=7)
    left.set(xlim=(-0.1, 6.1), ylim=(-1.25, 1.25), xlabel="t", ylabel="x")
    left.set_title(f"ω = {omega:.2f} and {alias:.2f}, points every {dt:g}")
    right.set(
        xlim=(0, grid[-1]), ylim=(-0.03, 1.0), xlabel="frequency ω", ylabel="mean squared misfit"
    )
    room_for_labels(right, 0.3)
    for (name, misfit), color in zip(misfits.items(), (VERMILLION, BLUE)):
        label_line(right.plot(grid, misfit, color=color, linewidth=1.4)[0], name)
    return fig


def forecast_figure(panels):
    """Series above each other: name -> dict(seen (t, x), unseen (t, x), curve (t, x), end)."""
    fig, axes = figure(nrows=len(panels), size=(8.8, 2.4 * len(panels)))
    for ax, (name, p) in zip(np.atleast_1d(axes), panels.items()):
        low, high = float(p["curve"][0][0]), float(p["curve"][0][-1])
        ax.axvspan(low, p["end"], color="#ECECEC", zorder=0)
        ax.plot(*p["seen"], ".", color=ORANGE, markersize=3)
        ax.plot(*p["unseen"], ".", color=GRAY, markersize=3)
        ax.plot(*p["curve"], color=BLUE, linewidth=1.2)
        ax.set(xlim=(low, high), ylabel=name)
    np.atleast_1d(axes)[-1].set_xlabel("year (gray part: what the model has seen of the series)")
    return fig
