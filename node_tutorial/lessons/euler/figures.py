"""Figures of lesson 01, one function each."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ...plotting import (
    BLUE,
    EXACT,
    GRAY,
    GREEN,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    exact_line,
    figure,
    label_line,
    loglog_slope,
    room_for_labels,
    trajectory,
)


def hops(y: Tensor, t: Tensor) -> Figure:
    """Euler's corners y (N + 1,) at t (N + 1,) for x' = -x, with the exact path through each."""
    fig, ax = figure()
    fine = np.linspace(0, float(t[-1]), 200)
    for t0, y0 in zip(t[1:].tolist(), y[1:].tolist()):
        ax.plot(fine, y0 * np.exp(t0 - fine), color="#B5B5B5", linewidth=1)
    exact_line(fine, float(y[0]) * np.exp(-fine), ax=ax, label=None)
    (line,) = ax.plot(t, y, "o-", color=VERMILLION)
    ax.set(xlim=(0, float(t[-1])), ylim=(0, 1.05), xlabel="t", ylabel="x")
    room_for_labels(ax, 0.3)
    end = (fine[-1], float(y[0]) * np.exp(-fine[-1]))
    label_line(end, "exact, from x(0) = 1", ax=ax, color=EXACT)
    label_line(line, "Euler")
    ax.text(0.85, 0.8, "gray: the exact paths through Euler's corners", color=GRAY)
    return fig


def circles(polygons: Mapping[int, Tensor]) -> Figure:
    """One turn of the oscillator in N steps, for each {N: corners (N + 1, 2)}."""
    fig, axes = figure(ncols=len(polygons), size=(9.2, 2.75), sharey=True)
    angle = np.linspace(0, 2 * math.pi, 200)
    for ax, (steps, y) in zip(axes, polygons.items()):
        exact_line(np.cos(angle), np.sin(angle), ax=ax, label=None)
        trajectory(y, ax=ax, color=VERMILLION, marker="o", markersize=3 if steps < 64 else 0)
        ax.set(xlim=(-3.4, 3.4), ylim=(-3.4, 3.4), aspect="equal", xlabel="y₁")
        ax.set_title(f"N = {steps}, radius {float(y[-1].norm()):.2f}")
    axes[0].set_ylabel("y₂")
    return fig


def slopes(errors: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> Figure:
    """Error over h, both logarithmic, for {name: (h, errors)}; slopes from the smallest steps."""
    fig, ax = figure(size=(7.6, 3.7))
    for color, (name, (h, error)) in zip((BLUE, VERMILLION, GREEN), errors.items()):
        loglog_slope(h, error, ax=ax, label=name, fit=slice(-4, None), color=color)
    room_for_labels(ax, 0.33)
    ax.set_ylim(top=10)
    ax.set_ylabel("error at the end")
    return fig


def feature_paths(
    panels: Mapping[str, Mapping[int, Tensor]], curve: Tensor | None = None
) -> Figure:
    """One input's features, for {title: {depth: path (depth + 1, 2)}}, a panel for each title.

    `curve` (n, 2) is the ODE's path, drawn in the first panel.
    """
    width = 4.4 * len(panels) if len(panels) > 1 else 6
    fig, axes = figure(ncols=len(panels), size=(width, 3.8), squeeze=False)
    for ax, (title, paths) in zip(axes[0], panels.items()):
        colors = dict(zip(paths, (SKY, ORANGE, GREEN, PURPLE, BLUE)))
        for depth, path in paths.items():
            ax.plot(*path.T, "o-", color=colors[depth], markersize=3, linewidth=1.3)
        if curve is not None and ax is axes[0, 0]:
            exact_line(*curve.T, ax=ax, label=None, zorder=5)
        ax.margins(0.12)
        ax.autoscale_view()  # brings transData up to date
        for depths in _ends(paths, ax):
            text = "depth " * (depths[0] == min(paths)) + ", ".join(map(str, depths))
            _label_end(ax, paths[depths[-1]], text, colors[depths[-1]])
        ax.set(title=title, xlabel="feature 1", ylabel="feature 2")
    return fig


def _label_end(ax: Axes, path: Tensor, text: str, color: str) -> None:
    """Write `text` beyond the end of a path, in the direction from its start to its end."""
    start, end = ax.transData.transform(path[[0, -1]])
    away = (end - start) / max(np.linalg.norm(end - start), 1e-9) * (9 + 2 * len(text), 11)
    ax.annotate(
        text,
        tuple(path[-1].tolist()),
        away,
        textcoords="offset points",
        annotation_clip=False,
        ha="center",
        va="center",
        fontsize=10,
        color=color,
        bbox={
            "boxstyle": "square,pad=0.1",
            "facecolor": "white",
            "edgecolor": "none",
            "alpha": 0.7,
        },
        zorder=6,
    )


def _ends(paths: Mapping[int, Tensor], ax: Axes) -> list[list[int]]:
    """Consecutive depths in groups whose paths end so close together that labels would overlap."""
    groups: list[list[int]] = []
    last = None
    for depth, path in paths.items():
        end = ax.transData.transform(path[-1])
        if last is not None and abs(end - last).max() < 20:  # pixels
            groups[-1].append(depth)
        else:
            groups.append([depth])
        last = end
    return groups
