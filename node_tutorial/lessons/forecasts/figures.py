"""Lesson 23: the figures of its forecasts. They are drawn from what the lesson computed, and return
it; `alarm_figures` has those of its alarms.
"""

from collections.abc import Mapping, Sequence

import torch
from matplotlib.axes import Axes
from torch import Tensor

from ...data.forecast_scores import crps_gaussian
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
    figure,
    label_line,
)
from . import runs
from .runs import LEVEL, LEVELS
from .tasks import TASKS, task

COLORS = {
    "climatology": GRAY,
    "seasonal naive": EXACT,
    "AR": ORANGE,
    "GRU": PURPLE,
    "ODE-RNN": GREEN,
    "oscillators": BLUE,
    "latent ODE": VERMILLION,
}
_LEAST = 0.12  # distance of two names in `horizon_figure`, in units of its y axis


def growing_figure(covered: Mapping[str, Tensor], std: Tensor) -> Picture:
    """Left: half widths of a growing band over the horizon, from std (H,), and of one that does not
    grow. Right: the shares that both cover, {name: (H,)}, the first name being the one that does
    not grow.
    """
    fig, (left, right) = figure(2, size=(8.6, 3.0))
    steps = torch.arange(1, len(std) + 1)
    half = runs.BETWEEN * std
    left.fill_between(steps, -half, half, color=BLUE, alpha=0.2, linewidth=0)
    left.plot(steps, half, color=BLUE)
    left.plot(steps, -half, color=BLUE)
    for sign in (-1, 1):
        left.plot(steps, sign * half[:1].expand_as(half), color=VERMILLION)
    left.set(xlabel="months ahead", ylabel="°C about the forecast", title="two bands")
    right.axhline(LEVEL, color=EXACT, linewidth=0.8, linestyle="--")
    for ax in (left, right):
        ax.set_xticks([1, 3, 6, 9, 12])
    right.set(ylim=(0, 1.03), xlim=(1, 1.45 * len(std)), xlabel="months ahead")
    right.set_title("share of the truth inside")
    for (name, share), color in zip(covered.items(), (VERMILLION, BLUE), strict=True):
        (line,) = right.plot(steps, share, ".-", color=color)
        label_line(line, name)
    return fig


def crps_figure(y: float, means: Sequence[tuple[float, float]]) -> Picture:
    """The CRPS of Gaussians (mean, std) at y, as the area between two curves, before squaring."""
    fig, axes = figure(len(means), size=(8.6, 2.7), sharey=True)
    grid = torch.linspace(-4, 5, 600, dtype=torch.float64)
    for ax, (mean, std) in zip(axes, means, strict=True):
        below = torch.special.ndtr((grid - mean) / std)
        step = (grid >= y).double()
        ax.fill_between(grid, below, step, color=SKY, alpha=0.35, linewidth=0)
        ax.plot(grid, below, color=BLUE)
        ax.plot(grid, step, color=EXACT, linewidth=1.2)
        score = float(crps_gaussian(torch.tensor(y, dtype=torch.float64), mean, std))
        ax.set(xlabel="value", title=f"N({mean:g}, {std:g}²): CRPS {score:.3f}")
    axes[0].set_ylabel("chance of less")
    return fig


def horizon_figure() -> Picture:
    """CRPS over that of damped persistence, by horizon; of nets a line at the median of the seeds,
    and an area over their range.
    """
    fig, axes = figure(2, 2, size=(9.0, 6.2))
    for ax, name in zip(axes.flat, TASKS, strict=True):
        _draw_skill(ax, name)
    return fig


def _draw_skill(ax: Axes, name: str) -> None:
    steps = torch.arange(1, task(name).horizon + 1)
    rival = runs.found(name, "damped persistence", "crps")
    ax.plot([1, len(steps)], [1, 1], color=EXACT, linewidth=0.8, linestyle="--")
    ax.set(title=name, ylim=(0.35, 2.05), xlim=(1, 1.55 * len(steps)))
    ax.set(xlabel=f"horizon h, {'months' if task(name).seasonal else 'years'}")
    ax.set_xticks([1, 3, 6, 9, len(steps)])
    ax.set_ylabel("CRPS / that of damped persistence")
    ends = {}
    for model in COLORS:
        rows = torch.atleast_2d(runs.found(name, model, "crps")) / rival
        middle = rows.median(0).values
        ends[model] = float(middle[-1])
        ax.plot(steps, middle, color=COLORS[model], linewidth=1.6)
        if len(rows) > 1:
            low, high = rows.min(0).values, rows.max(0).values
            ax.fill_between(steps, low, high, color=COLORS[model], alpha=0.2, linewidth=0)
    last = len(steps)
    for model, height in _spread(ends).items():
        ax.plot([last, last + 0.9], [ends[model], height], color=COLORS[model], linewidth=0.6)
        ax.text(last + 1, height, model, color=COLORS[model], va="center", fontsize=9)


def _spread(ends: Mapping[str, float]) -> dict[str, float]:
    """Heights for the names of lines that end at `ends`, in their order, none too near another."""
    names = sorted(ends, key=lambda name: ends[name])
    heights = [ends[name] for name in names]
    for _ in range(200):
        for i in range(1, len(names)):
            overlap = _LEAST - (heights[i] - heights[i - 1])
            if overlap > 0:
                heights[i - 1] -= overlap / 2
                heights[i] += overlap / 2
    return dict(zip(names, heights, strict=True))


def calibration_figure(name: str, models: Sequence[str], horizons: Sequence[int]) -> Picture:
    """Left: coverage of the 95 % band by horizon. The others: for each of some horizons, the share
    of the truth below each quantile of the forecast, over the quantile's level.
    """
    fig, axes = figure(1 + len(horizons), size=(9.4, 3.3), width_ratios=[1.3] + [1] * len(horizons))
    first = axes[0]
    steps = torch.arange(1, task(name).horizon + 1)
    first.axhline(LEVEL, color=EXACT, linewidth=0.8, linestyle="--")
    first.set(ylim=(0.6, 1.03), xlim=(1, 1.75 * len(steps)), xlabel="horizon h", title="coverage")
    first.set_xticks([1, 3, 6, 9, len(steps)])
    for model in models:
        color = COLORS.get(model, EXACT)
        share = torch.atleast_2d(runs.found(name, model, "coverage")).median(0).values
        (line,) = first.plot(steps, share, ".-", color=color)
        label_line(line, model, fontsize=9)
        for ax, h in zip(axes[1:], horizons, strict=True):
            ax.plot(LEVELS, runs.shares_below(name, model, h), ".-", color=color, linewidth=1.3)
    if "latent ODE" in models:
        own = runs.found(name, "latent ODE", "own coverage").median(0).values
        (line,) = first.plot(steps, own, ":", color=COLORS["latent ODE"])
        label_line(line, "latent ODE, its own", fontsize=9)
    for ax, h in zip(axes[1:], horizons, strict=True):
        ax.plot([0, 1], [0, 1], color=EXACT, linewidth=0.8, linestyle="--")
        ax.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel="level", title=f"h = {h}")
    axes[1].set_ylabel("share of the truth below")
    return fig


def line_of(name: str, model: str, what: str = "rmse", at: Sequence[int] = (1, 3, 6, -1)) -> str:
    """A stored score at some horizons, -1: the last; of nets the range of the seeds."""
    rows = torch.atleast_2d(runs.found(name, model, what))
    places = [h - 1 if h > 0 else h for h in at]
    low = rows.min(0).values[places].tolist()
    high = rows.max(0).values[places].tolist()
    digits = 1 if max(high) > 10 else 2
    return ", ".join(span(ends, digits) for ends in zip(low, high, strict=True))


def span(values: Sequence[float], digits: int = 2) -> str:
    """The least and the largest, or the only one: "1.04 to 1.10"."""
    ends = [f"{end(values):.{digits}f}" for end in (min, max)]
    return ends[0] if ends[0] == ends[1] else " to ".join(ends)


def skill_table() -> str:
    """For each forecaster and series the mean CRPS over that of damped persistence (of nets the
    mean of the seeds) with its interval; "=" where that contains 1, a tie.
    """
    lines = [f"{'':19}" + "".join(f"{name:20}" for name in TASKS)]
    for model in runs.MODELS:
        cells = []
        for name in TASKS:
            ratios = runs.skill(name, model)
            low, high = runs.interval(name, model)
            tie = " =" if low < 1 < high else ""
            cells.append(f"{sum(ratios) / len(ratios):.2f} [{low:.2f}, {high:.2f}]{tie}")
        lines.append(f"{model:19}" + "".join(f"{cell:20}" for cell in cells))
    return "\n".join(line.rstrip() for line in lines)


def chosen(name: str, model: str) -> str:
    """What a forecaster chose in the rehearsal."""
    row = runs.RUNS.numbers()[runs.Setting(name, model).name]
    return f"{model}: {runs.setting_of(name, model)}" + (
        f", {row['steps']} updates" if "steps" in row else ""
    )
