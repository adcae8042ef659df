"""Lesson 13: its figures. They are drawn from what the lesson computed, and return it."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor

from ...data.gait import LEFT_HIP, LEFT_SHOULDER, feet
from ...data.limit_cycles import Cycle
from ...data.systems import van_der_pol_exact
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
    room_for_labels,
)
from .drawing import draw_figure
from .runs import table
from .trainings import FIELDS, FINE, NOISE, PERIOD, SPEED, Clips

COLORS = dict(zip(FIELDS, (BLUE, VERMILLION, SKY, ORANGE, GRAY)))
POSES = 8  # of a cycle, in a strip
BESIDE = 0.75  # meters between two of them: more than they walk, so that none hides another


def strip(ax: Axes, t: Tensor, angles: Tensor, color: str, title: str) -> None:
    """The first cycle of a motion, POSES poses and the first one again, side by side; and, on a
    scale of its own, where the lower foot touched the ground on the whole way.

    t (T,) and angles (T, 9), at times so close that the dots of a sliding foot make a line.
    """
    for k in range(POSES + 1):
        nearest = int((t - t[0] - k * PERIOD / POSES).abs().argmin())
        draw_figure(ax, angles[nearest], color, 2.2, at=k * BESIDE)
    end = POSES * BESIDE
    way = SPEED * (t - t[0])
    place = feet(angles)
    lower = place[..., 1].argmin(-1)
    touched = way + place[torch.arange(len(t)), lower, 0]
    touched = touched * end / way[-1]
    ax.plot(touched, torch.full_like(touched, -0.11), ".", color=VERMILLION, markersize=5)
    ax.axhline(0, color=GRAY, linewidth=0.8)
    ax.set(xlim=(-0.45, end + 0.45), ylim=(-0.17, 1.72), aspect="equal")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.grid(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_visible(False)
    ax.set_title(title)


def strips_figure(t: Tensor, motions: Mapping[str, Tensor]) -> Picture:
    """One strip for each title."""
    fig, axes = figure(nrows=len(motions), size=(8.4, 1.0 + 2.15 * len(motions)))
    for ax, (title, angles), color in zip(axes, motions.items(), (EXACT, BLUE, GRAY)):
        strip(ax, t, angles, color, title)
    return fig


def cycles_figure(cycles: Mapping[float, Cycle]) -> Picture:
    """Van der Pol's cycles in the plane, and position over time."""
    fig, (left, right) = figure(2, size=(8.4, 3.8), width_ratios=[1, 1.5])
    t = torch.linspace(0, 40, 2001, dtype=torch.float64)
    for (mu, cycle), color in zip(cycles.items(), (SKY, BLUE, PURPLE)):
        y = van_der_pol_exact(mu, 60.0)(20 + t)
        left.plot(*y[t < cycle.period].T, color=color)
        right.plot(t[t < 20], y[t < 20, 0], color=color)
    right.set(xlim=(0, 20), xlabel="t", ylabel="q")
    left.set(xlabel="q", ylabel="q'")
    room_for_labels(right, 0.2)
    for line, mu in zip(right.lines, cycles):
        label_line(line, f"mu = {mu:g}")
    return fig


def order_figure(t: Tensor, first: Tensor, second: Tensor) -> Picture:
    """Paths (T, n) of first order in one number, and of second order in one position (T,)."""
    fig, (left, right) = figure(2, size=(8.4, 3.2), sharex=True)
    left.plot(t, first, color=BLUE, linewidth=1.1)
    left.set(xlabel="t", ylabel="z")
    left.set_title("first order in one number: never back")
    right.plot(t, second, color=VERMILLION)
    right.set(xlabel="t", ylabel="q")
    right.set_title("second order in one position")
    return fig


def learned_figure(standing: float) -> Picture:
    """The error of roll-outs over time, of the seed in the middle of each model."""
    fig, ax = figure(size=(8.2, 3.8))
    half = 0.5
    for name in FIELDS:
        row = table()[f"learned/{name}"]
        curve = row["curve"][row["middle"]]
        at = half * (np.arange(len(curve)) + 0.5)
        (line,) = ax.plot(at, curve, color=COLORS[name])
    ax.axvspan(0, 3, color="#EEEEEE", zorder=0)
    exact_line([0, 12], [standing, standing], ax=ax, label=None)
    ax.set(xlabel="t (s); gray: the clip's time", ylabel="error of the angles (rad)")
    ax.set(xlim=(0, 12), ylim=(0, 2 * standing))
    room_for_labels(ax, 0.3)
    ends = sorted(zip(ax.lines, FIELDS), key=lambda end: -float(end[0].get_ydata()[-1]))
    for line, name in ends:
        label_line(line, name, down=True)
    label_line((12.0, standing), "mean pose", ax=ax, color=EXACT)
    return fig


def latent_figure(ways: Tensor) -> Picture:
    """Paths (3, T, L) of the latent, from a start, 0.7 and 1.3 times the start: its first two
    numbers, and the first over time.
    """
    fig, (left, right) = figure(2, size=(8.4, 3.6), width_ratios=[1, 1.6])
    t = FINE * torch.arange(ways.shape[1])
    for way, color, order in zip(ways, (BLUE, ORANGE, PURPLE), (4, 3, 2)):
        left.plot(*way[:, :2].T, color=color, linewidth=1, zorder=order)
        left.plot(*way[0, :2], "o", color=color, markersize=7, zorder=5)
        right.plot(t, way[:, 0], color=color, linewidth=1)
    left.set(xlabel="q", ylabel="v")
    right.set(xlim=(0, float(t[-1])), xlabel="t (s)", ylabel="q")
    room_for_labels(right, 0.25)
    for line, name in zip(right.lines, ("not pushed", "0.7 times", "1.3 times")):
        label_line(line, name)
    return fig


def filled_figure(
    data: Clips, clip: int, t: Tensor, true: Tensor, filled: Mapping[str, Tensor]
) -> Picture:
    """Left hip and left shoulder of one clip: key frames, the exact walk, what fills in."""
    fig, axes = figure(nrows=2, size=(8.4, 5.4), sharex=True)
    seen = data.mask[clip, :, 0]
    for ax, angle, what in zip(axes, (LEFT_HIP, LEFT_SHOULDER), ("left hip", "left shoulder")):
        exact_line(t, true[:, angle], ax=ax, label=None)
        for (_, x), color in zip(filled.items(), (ORANGE, GREEN, BLUE)):
            ax.plot(t[: len(x)], x[:, angle], color=color, linewidth=1.5)
        ax.errorbar(
            data.t[seen], data.x[clip, seen, angle], NOISE, fmt="o", color=EXACT, markersize=4,
            linewidth=1,
        )  # fmt: skip
        ax.set(ylabel=f"{what} (rad)")
        reach = float(true[:, angle].max() - true[:, angle].min())
        middle = float(true[:, angle].max() + true[:, angle].min()) / 2
        ax.set_ylim(middle - 0.9 * reach, middle + 0.9 * reach)
    axes[1].set(xlabel="t (s)", xlim=(0, float(t[-1])))
    room_for_labels(axes[1], 0.25)
    ends = axes[0].lines
    for line, name in zip(ends[:1], ["exact"]):
        label_line(line, name)
    for line, name in zip(ends[1:], filled):
        label_line(line, name)
    return fig


def styles_figure(
    shares: Sequence[float], lift: Sequence[float], arm: Sequence[float], exact: Mapping[str, tuple]
) -> Picture:
    """Lift of the left foot and swing of the left shoulder over the share between two latents."""
    fig, axes = figure(2, size=(8.4, 3.3))
    for ax, values, what in zip(axes, (lift, arm), ("lift of a foot (m)", "swing of an arm (rad)")):
        ax.plot(shares, values, "o-", color=BLUE)
        exact_line([0, 1], exact[what], ax=ax, label=None)
        ax.set(xlabel="share of the march's latent", ylabel=what)
        ax.set_ylim(0, None)
    return fig


def heading() -> str:
    """Of the table whose lines are `line_of`."""
    return f"{'':20s} error: clip  later  worst | period ok  swing  jerk  slide (least, most)"


def line_of(name: str) -> str:
    """A model's medians over the seeds; the worst later error, and the range of slide."""
    row = table()[f"learned/{name}"]
    middle = {
        key: float(np.median(row[key]))
        for key in ("within", "beyond", "periodic", "swing", "slide", "jerk")
    }
    low, high = min(row["slide"]), max(row["slide"])
    return (
        f"{name:20s} {middle['within']:11.3f} {middle['beyond']:6.3f} {max(row['beyond']):6.3f} | "
        f"{100 * middle['periodic']:7.0f} % {middle['swing']:6.2f} {middle['jerk']:5.2f} "
        f"{middle['slide']:6.2f} ({low:.2f}, {high:.2f})"
    )


def late(cycles: float = 3.0, end: float = 12.0) -> slice:
    """The part of a roll-out's times that shows its last cycles."""
    last = round(end / FINE)
    return slice(last - round(cycles * PERIOD / FINE), last + 1)
