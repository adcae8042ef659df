"""Figures of lesson 01, one function each."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
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
    Picture,
    exact_line,
    figure,
    label_line,
    loglog_slope,
    trajectory,
)
from .euler_polygon import FIELDS, polygon

COLORS = (SKY, ORANGE, GREEN, PURPLE, BLUE)  # of depths


def fan(y: Tensor, t: Tensor) -> Picture:
    """Euler's corners y (N + 1,) at times t (N + 1,) for x' = -x, and what their errors become.

    Left: from each corner the exact path to the end (Lady Windermere's fan); each step's error is
    where it leaves the path before. Right: these errors, and what the exact paths make of them.
    """
    fig, (ax, bars) = figure(ncols=2, size=(8.8, 3.6), width_ratios=(1.75, 1))
    end = float(t[-1])
    for i, (t0, y0) in enumerate(zip(t.tolist(), y.tolist())):
        fine = np.linspace(t0, end, 100)
        if i == 0:
            exact_line(fine, y0 * np.exp(t0 - fine), ax=ax, label=None)
            continue
        t_before, y_before = float(t[i - 1]), float(y[i - 1])
        kept = y_before * math.exp(t_before - t0)
        ax.plot(fine, y0 * np.exp(t0 - fine), color="#B5B5B5", linewidth=1)
        ax.plot([t0, t0], [kept, y0], color=ORANGE, linewidth=3.5, clip_on=False)
        made = kept - y0
        bars.bar(i - 0.2, made, 0.36, color=ORANGE)
        bars.bar(i + 0.2, made * math.exp(t0 - end), 0.36, color=BLUE)
    (line,) = ax.plot(t, y, "o-", color=VERMILLION, clip_on=False)
    ax.set(xlim=(0, end), ylim=(0, 1.05), xlabel="t", ylabel="x")
    exact_end = (end, float(y[0]) * math.exp(-end))
    label_line(exact_end, "exact", ax=ax, color=EXACT)
    label_line(line, "Euler")
    ax.text(0.95, 0.72, "gray: exact, from Euler's corners", color=GRAY)
    ax.text(0.95, 0.63, "error of a step", color=ORANGE)
    bars.set(xlabel="step", xticks=range(1, len(y)), title="errors of the steps")
    bars.text(0.98, 0.9, "when made", color=ORANGE, transform=bars.transAxes, ha="right")
    carried = f"carried to t = {end:.0f}"
    bars.text(0.98, 0.79, carried, color=BLUE, transform=bars.transAxes, ha="right")
    return fig


def right_triangle(y: Tensor, h: float) -> Picture:
    """One Euler step of length h of the harmonic oscillator from a state y (2,), as a triangle."""
    fig, ax = figure(size=(5.4, 3.4))
    old = y.numpy()
    step = h * np.array([old[1], -old[0]])
    new = old + step
    radius = float(np.hypot(*old))
    turn = np.linspace(-0.9, 0.5, 100) + math.atan2(old[1], old[0])
    exact_line(radius * np.cos(turn), radius * np.sin(turn), ax=ax, label=None)
    ax.plot(*zip((0, 0), old), color=BLUE)
    ax.plot(*zip(old, new), color=VERMILLION)
    ax.plot(*zip((0, 0), new), color=GREEN)
    corner = np.array([old * 0.93, old * 0.93 + step * 0.18, old + step * 0.18])
    ax.plot(*corner.T, color=GRAY, linewidth=1)
    ax.plot(*zip((0, 0), old, new), "o", color=EXACT)
    style = {"fontsize": 10.5, "ha": "center", "va": "center"}
    across = np.array([-old[1], old[0]]) / radius
    ax.text(*(old / 2 + 0.09 * across), "|y|, the radius before", color=BLUE, **style)
    ax.text(*(old + step / 2 + 0.2 * old / radius), "h |f| = h |y|", color=VERMILLION, **style)
    ax.text(*(new / 2 - 0.16 * across), "the radius after", color=GREEN, **style)
    ax.set(aspect="equal", xlim=(-0.1, 1.45), ylim=(-0.62, 0.3), xlabel="y₁", ylabel="y₂")
    return fig


def circles(polygons: Mapping[int, Tensor]) -> Picture:
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


def slopes(errors: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> Picture:
    """Error over h, both logarithmic, for {name: (h, errors)}; slopes from the smallest steps."""
    fig, ax = figure(size=(7.6, 3.7))
    sizes = [size for h, _ in errors.values() for size in h]
    ax.set(xlim=(min(sizes) / 1.2, max(sizes) * 1.1))
    for color, (name, (h, error)) in zip((BLUE, VERMILLION, GREEN), errors.items()):
        loglog_slope(h, error, ax=ax, label=name, fit=slice(-4, None), color=color)
    ax.set_ylim(top=10)
    ax.set_ylabel("error at the end")
    return fig


def feature_paths(
    panels: Mapping[str, Mapping[int, Tensor]], curve: Tensor | None = None
) -> Picture:
    """One input's features, for {title: {depth: path (depth + 1, 2)}}, a panel for each title.

    `curve` (n, 2) is the ODE's path, drawn in the first panel. All panels have the same limits. The
    first one names the depths where the paths end; the others, whose paths cross, list them.
    """
    width = 4.4 * len(panels) if len(panels) > 1 else 6
    several = {"squeeze": False, "sharex": True, "sharey": True}
    fig, axes = figure(ncols=len(panels), size=(width, 3.8), **several)
    for ax, (title, paths) in zip(axes[0], panels.items()):
        colors = dict(zip(paths, COLORS))
        for depth, path in paths.items():
            ax.plot(*path.T, "o-", color=colors[depth], markersize=3, linewidth=1.3)
        if curve is not None and ax is axes[0, 0]:
            exact_line(*curve.T, ax=ax, label=None, zorder=5)
        ax.margins(0.12)
        ax.set(title=title, xlabel="feature 1")
        if ax is not axes[0, 0]:
            for i, depth in enumerate(paths):
                where = (0.03 + 0.17 * i + 0.13 * (i > 0), 0.93)
                name = "depth " * (i == 0) + str(depth)
                ax.text(*where, name, color=colors[depth], transform=ax.transAxes)
    axes[0, 0].set_ylabel("feature 2")
    axes[0, 0].autoscale_view()  # brings transData up to date
    paths = next(iter(panels.values()))
    colors = dict(zip(paths, COLORS))
    for depths in _ends(paths, axes[0, 0]):
        text = "depth " * (depths[0] == min(paths)) + ", ".join(map(str, depths))
        _label_end(axes[0, 0], paths[depths[-1]], text, colors[depths[-1]])
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


def _polygons() -> dict[int, Tensor]:
    field, turn, _ = FIELDS["harmonic oscillator"]
    start = torch.tensor([1.0, 0.0], dtype=torch.float64)
    return {N: polygon(field, start, turn, N) for N in (16, 32, 64, 128)}


def _paths() -> Picture:
    depths = (4, 8, 16, 32, 64)
    turns = {N: 0.9 * math.pi * torch.linspace(0, 1, N + 1) for N in depths}
    spirals = {
        N: torch.stack([(1 + 2 / N) * s.sin() * s, -s.cos()], dim=1) for N, s in turns.items()
    }
    return feature_paths({"smooth": spirals, "others": spirals}, spirals[64])


# A picture of each kind, for the test that all of them can be read.
_H = [2.0**-k for k in range(4, 12)]
EXAMPLES: dict[str, Callable[[], Picture]] = {
    "fan": lambda: fan(2.0 ** -torch.arange(5), torch.linspace(0, 2, 5)),
    "right_triangle": lambda: right_triangle(torch.tensor([1.0, 0.0]), 0.45),
    "circles": lambda: circles(_polygons()),
    "slopes": lambda: slopes({"one": (_H, _H), "two": (_H, [3 * h for h in _H])}),
    "feature_paths": _paths,
}
