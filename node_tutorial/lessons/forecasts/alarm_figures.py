"""Lesson 23: figures of the alarms."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from torch import Tensor

from ...data import Cut, nile
from ...data.alarms import best_split, chance_precision, cusum, point_adjust, runs
from ...plotting import (
    BLUE,
    EXACT,
    GRAY,
    ORANGE,
    REJECTED,
    VERMILLION,
    Picture,
    draw_ranges,
    figure,
)
from .alarms import (
    DETECTORS,
    KINDS,
    NILE_PAST,
    SIZES,
    el_nino_series,
    level,
    nile_scores,
    planted_table,
    promises,
    surprise,
)

COLORS = dict(zip(DETECTORS, (BLUE, VERMILLION, ORANGE)))
MARKERS = dict(zip(DETECTORS, "osD"))


def two_alarms_figure(series: Cut, scores: Mapping[str, Tensor], k: float) -> Picture:
    """A figure: one series with the alarms of two scores above k, each with the years of its runs.

    Args:
        series: El Nino less its season.
        scores: name -> (T,), two of them.
        k: the threshold.
    """
    fig, axes = figure(nrows=2, size=(8.6, 4.6), sharex=True, sharey=True)
    x = series.x * series.scale
    for ax, (name, values) in zip(axes, scores.items()):
        flags = values.nan_to_num() > k
        ax.plot(series.t, x, color=BLUE, linewidth=0.8)
        if name == "level":
            for limit in (-k, k):
                ax.axhline(limit * series.scale, color=REJECTED, linewidth=0.8, linestyle="--")
        ax.plot(series.t[flags], x[flags], "o", color=REJECTED, markersize=4)
        found = runs(flags).tolist()
        ax.set_title(f"by {name}, {k:g} sigma: {int(flags.sum())} alarms in {len(found)} runs")
        ax.set(ylim=(-4.5, 6.8), xlim=(1949.5, 2011.5), ylabel="degrees\nabove the season")
        _name_years(ax, series, x, found)
    return fig


def _name_years(ax: Axes, series: Cut, x: Tensor, found: Sequence[Sequence[int]]) -> None:
    """The years of each episode, beyond its peak: runs that are less than a year apart are one."""
    episodes: list[list[int]] = []
    for first, last in found:
        if episodes and first - episodes[-1][1] < 12:
            episodes[-1][1] = last
        else:
            episodes.append([first, last])
    peaks = [first + int(x[first : last + 1].abs().argmax()) for first, last in episodes]
    for i, ((first, last), peak) in enumerate(zip(episodes, peaks)):
        begin, end = int(series.t[first]), int(series.t[last])
        side = "center"
        for j, way in ((i - 1, "left"), (i + 1, "right")):  # make room for a near neighbor
            if 0 <= j < len(peaks) and abs(peaks[j] - peak) < 36 and x[peaks[j]] * x[peak] > 0:
                side = way
        up = bool(x[peak] > 0)
        near = x[max(0, peak - 8) : peak + 9]
        ax.annotate(
            str(begin) if begin == end else f"{begin}-{end % 100}",
            (float(series.t[peak]), float(near.max() if up else near.min())),
            xytext=({"left": -7, "right": 7, "center": 0}[side], 7 if up else -7),
            textcoords="offset points",
            ha=side,
            va="bottom" if up else "top",
            color=REJECTED,
            fontsize=9.5,
        )


def promise_figure(promised: Mapping[tuple[str, str], Mapping[str, Tensor]]) -> Picture:
    """A figure: false alarms that come for each one promised, a panel for each promise.

    Args:
        promised: as from `promises`. Drawn are quantiles at 5, 25, 50, 75 and 95 %.
    """
    promises_made = list(dict.fromkeys(often for often, _ in promised))
    fig, axes = figure(ncols=len(promises_made), size=(8.6, 3.9))
    levels = torch.tensor([0.05, 0.25, 0.5, 0.75, 0.95], dtype=torch.float64)
    for ax, often in zip(axes, promises_made):
        ax.set(xscale="log", xlim=(0.03, 300), xlabel="false alarms for each one promised")
        ax.axvline(1, color=EXACT, linewidth=1)
        rows = {
            kind: {rule: torch.quantile(come, levels).tolist() for rule, come in rules.items()}
            for (of, kind), rules in promised.items()
            if of == often
        }
        draw_ranges(rows, ax=ax)
        ax.set_title(f"promised: {often}")
    return fig


def planted_figure(table: Mapping[tuple[str, int], Mapping[str, Sequence[float]]]) -> Picture:
    """A figure: the average precision of each detector over the size, a panel for each kind.

    Args:
        table: (kind, size) -> detector -> values, one for each group of seeds.
    """
    fig, axes = figure(ncols=len(KINDS), size=(8.8, 3.2), sharey=True)
    chance = chance_precision(25, 250)  # in each group of seeds
    for ax, kind in zip(axes, KINDS):
        for shift, (name, color) in zip((-0.06, 0.0, 0.06), COLORS.items()):
            values = np.array([table[kind, size][name] for size in SIZES])
            x = np.array(SIZES) + shift
            ax.plot(x, values.mean(1), "-", marker=MARKERS[name], color=color)
            ax.vlines(x, values.min(1), values.max(1), color=color, linewidth=1.2)
        ax.axhline(chance, color=GRAY, linewidth=0.9, linestyle=(0, (4, 3)))
        ax.set(xlim=(0.7, 3.3), ylim=(0, 1.32), xticks=SIZES, yticks=[0, 0.5, 1], xlabel="size")
        ax.set_title(kind)
    axes[0].set_ylabel("average precision")
    for row, (name, color) in enumerate(COLORS.items()):
        axes[3].text(0.8, 1.22 - 0.115 * row, name, color=color, va="center")
    axes[3].text(0.8, 1.22 - 0.115 * 3, "dashed: chance", color=GRAY, va="center")
    return fig


def nile_figure(threshold: float) -> Picture:
    """A figure: the Nile with its two means in hindsight, and the sums that run year by year."""
    fig, (left, right) = figure(ncols=2, size=(8.8, 3.3))
    t, y = nile()
    split = best_split(y)
    left.plot(t, y, "o-", color=BLUE, linewidth=0.9, markersize=3)
    for part in (slice(None, split), slice(split, None)):
        left.plot(t[part], y[part].mean().expand(len(t[part])), color=EXACT, linewidth=1.6)
    left.set(xlabel="year", ylabel="10⁸ cubic meters", xlim=(1870, 1971), ylim=(400, 1420))
    before, after = (float(part.mean()) for part in (y[:split], y[split:]))
    left.set_title(f"in hindsight: mean {before:.0f}, from {int(t[split])} on {after:.0f}")
    up, down = cusum(nile_scores())
    last = 1915  # where the sum for a fall leaves the picture
    right.plot(t, up, color=GRAY)
    right.plot(t, down, color=VERMILLION)
    right.axhline(threshold, color=REJECTED, linewidth=1)
    right.axvline(float(t[NILE_PAST]) - 0.5, color=GRAY, linewidth=0.9, linestyle=(0, (4, 3)))
    right.text(float(t[NILE_PAST]) - 2, 19, "past", color=GRAY, ha="right")
    alarm = int((torch.maximum(up, down) > threshold).nonzero()[0])
    right.plot(t[alarm], down[alarm], "o", color=REJECTED, markersize=7, zorder=3)
    right.text(1902.3, 3.2, f"alarm in {int(t[alarm])}", color=REJECTED)
    right.text(1905.5, 13, "sum for a fall", color=VERMILLION, ha="right")
    right.text(1901.6, 0.4, "sum for a rise", color=GRAY)
    right.set(xlabel="year", ylabel="sum", xlim=(1870, last), ylim=(-0.5, 21))
    right.set_title(f"year by year: CUSUM, until {last}")
    return fig


def tosses_figure(flags: Tensor, truth: Tensor) -> Picture:
    """A figure: anomalies, alarms by coin tosses, and these after point adjustment.

    Args:
        flags, truth: (n,) booleans.
    """
    fig, ax = figure(size=(8.6, 2.2))
    adjusted = point_adjust(flags, truth)
    rows = {"anomalies": truth, "coin tosses": flags, "“adjusted”": adjusted}
    for height, (row, color) in enumerate(zip(rows.values(), (ORANGE, GRAY, BLUE))):
        for first, last in runs(row).tolist():
            width = max(last + 1 - first, len(row) / 1000)
            ax.add_patch(Rectangle((first, -height - 0.35), width, 0.7, color=color, linewidth=0))
    ax.set(xlim=(0, len(flags)), ylim=(-2.5, 0.5), xlabel="point")
    ax.set_yticks([0, -1, -2], list(rows))
    ax.grid(False)
    return fig


def _example_tosses() -> Picture:
    truth = torch.arange(20_000) % 5000 > 4749
    flags = torch.rand(20_000, generator=torch.Generator().manual_seed(0)) < 0.01
    return tosses_figure(flags, truth)


def _example_alarms() -> Picture:
    series = el_nino_series()
    return two_alarms_figure(series, {"level": level(series), "surprise": surprise(series)}, 3.0)


EXAMPLES: dict[str, Callable[[], Picture]] = {
    "two_alarms_figure": _example_alarms,
    "promise_figure": lambda: promise_figure(promises()),
    "planted_figure": lambda: planted_figure(planted_table(groups=2, seeds=3)),
    "nile_figure": lambda: nile_figure(5.0),
    "tosses_figure": _example_tosses,
}
