"""Lesson 24: its figures. They are drawn from what the lesson computed, and return it."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor

from ...models.control_paths import INTERPOLATIONS, with_time
from ...plotting import BLUE, EXACT, GRAY, GREEN, ORANGE, VERMILLION, Picture, blank
from ...plotting.ranges import draw_ranges
from . import noisy_fits, runs
from .linear_control import DIAGONAL, RIGHT_UP, UP_RIGHT, exact
from .noisy_fits import LATENT_UPDATES, SIGMA, WELL_NOISE, WELL_UPDATES, well_times, wells
from .readers import DROPPED, READERS, TASKS

WAYS = {"right, then up": (RIGHT_UP, BLUE), "up, then right": (UP_RIGHT, VERMILLION)}


def two_ways() -> Picture:
    """Two paths with the same ends."""
    fig = blank((8.4, 3.4))
    left, right = fig.subplots(1, 2)
    for name, (path, color) in WAYS.items():
        _arrows(left, path, color)
        corner = path[1].tolist()
        above = corner[1] > 0.5
        left.text(
            corner[0] + (0.03 if above else -0.03),
            corner[1] + (0.05 if above else -0.05),
            name,
            color=color,
            ha="left" if above else "right",
            va="bottom" if above else "top",
        )
    left.plot(0, 0, "o", color=EXACT)
    left.set(xlim=(-0.2, 1.3), ylim=(-0.25, 1.3), xlabel="X₁", ylabel="X₂", aspect="equal")
    left.set_title("two ways to the same corner")
    for k, (path, color) in enumerate(WAYS.values()):
        for channel in (0, 1):
            values = path[:, channel] + 2.2 - 1.5 * channel - 0.03 * k
            right.plot([0, 1, 2], values, color=color)
    right.set(xlim=(-0.1, 2.1), ylim=(0.4, 3.4), xticks=[0, 1, 2], xlabel="moves made")
    right.set_yticks([0.7, 2.2], ["X₂", "X₁"])
    right.set_title("each rises once, by 1 (blue drawn a little higher)")
    return fig


def _arrows(ax: Axes, path: Tensor, color: str) -> None:
    for start, end in zip(path[:-1].tolist(), path[1:].tolist()):
        ax.annotate(
            "", end, start, arrowprops={"arrowstyle": "-|>", "color": color, "linewidth": 2}
        )


def two_ends() -> Picture:
    """What the two ways, and the diagonal, make of z."""
    fig = blank((4.6, 3.4))
    ax = fig.subplots()
    fine = torch.linspace(0, 1, 41, dtype=torch.float64)[:, None]
    everything = {**WAYS, "diagonal": (DIAGONAL, GREEN)}
    for name, (path, color) in everything.items():
        legs = [start + fine * (end - start) for start, end in itertools.pairwise(path)]
        z = exact(torch.cat(legs))
        dashed = (0, (3, 3)) if color == VERMILLION else "-"  # it runs over the blue one at last
        ax.plot(*z.T, color=color, linestyle=dashed, linewidth=2)
        ax.plot(*z[-1], "o", color=color)
        end, height = z[-1].tolist()
        ax.text(end, height + 0.07, name, color=color, ha="center", fontsize=9.5)
    ax.plot(1, 0, "o", color=EXACT)
    ax.set(xlim=(0.6, 2.4), ylim=(-0.1, 1.5), xlabel="z₁", ylabel="z₂")
    ax.set_title("three ends")
    return fig


def looking_ahead(x: Tensor, changed: Tensor) -> Picture:
    """Four interpolations of x (T,), and of `changed`, which differs at its end."""
    fig = blank((8.6, 4.6))
    t = torch.arange(len(x), dtype=x.dtype)
    first = int((x != changed).nonzero()[0])
    for ax, (name, make) in zip(
        fig.subplots(2, 2, sharex=True, sharey=True).flat, INTERPOLATIONS.items()
    ):
        for values, color in ((changed, ORANGE), (x, BLUE)):
            path = make(with_time(t, values[:, None]))
            s = torch.linspace(0, float(path.knots[-1]), 1201, dtype=x.dtype)
            along = path.at(s)
            ax.plot(along[:, 0], along[:, 1], color=color, linewidth=1.6)
            ax.plot(t, values, "o", color=color)
        ax.axvline(first - 1, color=GRAY, linewidth=1, linestyle=(0, (4, 3)))
        s = torch.linspace(0, (first - 1) * (2 if name == "rectilinear" else 1), 601, dtype=x.dtype)
        old, new = (make(with_time(t, values[:, None])).at(s) for values in (x, changed))
        off = float((old - new).abs().max())
        ax.set_title(name if off == 0 else f"{name}: left of the line moved by up to {off:.2f}")
        if off:
            ax.fill_between(old[:, 0], old[:, 1], new[:, 1], color=VERMILLION, linewidth=0)
    for ax in fig.axes[2:]:
        ax.set_xlabel("time")
    return fig


def readers(
    right: Mapping[str, Mapping[str, Sequence[float]]], polygons: Sequence[float]
) -> Picture:
    """The share of loops that each net has right: as in training, and moved to other series.

    right: name of a group -> {net: values of the seeds}. polygons: of each group, what the polygon
    of the observed points has right.
    """
    fig = blank((7.8, 5.2))
    ax = fig.subplots()
    ax.set(xlim=(0.82, 1.02), xlabel="share of the loops that are right")
    draw_ranges(right, ax=ax)
    ax.set_xticks([0.85, 0.9, 0.95, 1.0])
    first = (len(READERS) - 1) / 2  # from the middle of a group up to its first row
    for y, polygon in zip(ax.get_yticks(), polygons):
        ax.plot(polygon, y - first, "D", color=GRAY, markersize=7)
    ax.annotate(
        "polygon",
        (polygons[0], ax.get_yticks()[0] - first),
        xytext=(0, -9),
        textcoords="offset points",
        color=GRAY,
        ha="center",
        va="top",
        fontsize=9.5,
    )
    return fig


def refined(levels: Sequence[tuple[Tensor, Tensor]]) -> Picture:
    """One Brownian path at several step sizes: (times, values) of each."""
    fig = blank((7.4, 3.2))
    ax = fig.subplots()
    shades = (ORANGE, VERMILLION, BLUE, "#8FA5B8")
    for (t, w), color in reversed(list(zip(levels, shades))):
        coarse = len(t) < 40
        ax.plot(t, w, "o-" if coarse else "-", color=color, linewidth=2.0 if coarse else 1.0)
    for place, ((t, _), color) in enumerate(zip(levels, shades)):
        text = f"{len(t) - 1} steps"
        ax.text(1.03, 0.9 - 0.12 * place, text, color=color, transform=ax.transAxes)
    ax.set(xlim=(0, 1.01), xlabel="t", ylabel="W")
    ax.set_title("one path: finer, never moved")
    return fig


def ball_paths() -> Picture:
    """Paths of the data, and of what was fitted in two ways."""
    fig = blank((9.0, 3.3))
    axes = fig.subplots(1, 3, sharey=True)
    t = well_times()
    shown = {
        "data": (wells(40, 0)[..., 0], EXACT),
        "fitted by distance": (runs.drawn(runs.stored_ball("by distance"), 40, 0), VERMILLION),
        "fitted by likelihood": (runs.drawn(runs.stored_ball("by likelihood"), 40, 0), BLUE),
    }
    for ax, (name, (x, color)) in zip(axes, shown.items()):
        ax.plot(t, x, color=color, linewidth=0.8, alpha=0.6)
        ax.set(xlim=(0, 2), ylim=(-1.8, 1.8), xlabel="t")
        ax.set_title(name)
    axes[0].set_ylabel("X")
    return fig


def sigmas() -> Picture:
    """The learned noise over the updates, of both equations and all seeds."""
    fig = blank((8.6, 3.4))
    stored = runs.RUNS.arrays()
    kinds = {
        "ball": (("by distance", "by likelihood"), WELL_UPDATES, WELL_NOISE),
        "guided": (("no kl", "kl"), LATENT_UPDATES, SIGMA),
    }
    names = ("squared distance", "likelihood"), ("reconstruction alone", "with the KL")
    titles = ("the ball, seen", "the latent path, blurred")
    for ax, (kind, (ways, updates, truth)), labels, title in zip(
        fig.subplots(1, 2), kinds.items(), names, titles
    ):
        for way, label, color in zip(ways, labels, (VERMILLION, BLUE)):
            tracks = stored[f"{kind}/{way}/track"]
            at = np.linspace(1, updates, tracks.shape[1])
            for track in tracks:
                ax.plot(at, track, color=color, linewidth=1.2)
            low = tracks[:, -1].min() - 0.03
            ax.text(updates * 0.98, low, label, color=color, ha="right", va="top")
        ax.axhline(truth, color=EXACT, linewidth=1.2, linestyle=(0, (5, 3)))
        ax.set(xlim=(0, updates), ylim=(0, 1.05), xlabel="updates", ylabel="σ")
        ax.set_title(f"{title}: dashed, the true σ")
    likely = runs.RUNS.numbers()["guided/kl"]["most likely"]
    beside = 1.03 * LATENT_UPDATES
    ax.plot(
        [beside] * len(likely),
        likely,
        "_",
        color=GREEN,
        markersize=12,
        markeredgewidth=2,
        clip_on=False,
    )
    ax.text(beside, max(likely) + 0.04, "most likely", color=GREEN, ha="right", va="bottom")
    ax.set_xlim(0, 1.06 * LATENT_UPDATES)
    return fig


def right_of(groups: Mapping[str, tuple[str, str]]) -> dict[str, dict[str, list[float]]]:
    """For `readers`: {title: (result without the net, key)} -> {title: {net: values}}."""
    numbers = runs.RUNS.numbers()
    return {
        title: {kind: numbers[where.format(kind)]["right"][key] for kind in READERS}
        for title, (where, key) in groups.items()
    }


def table() -> list[str]:
    """The settings that were chosen, and for each task and share the range of the seeds."""
    numbers = runs.RUNS.numbers()
    lines = []
    for kind in READERS:
        best = numbers[f"tuned/{kind}"]
        of_gru = _milliseconds(kind) / _milliseconds("GRU")
        lines.append(
            f"{kind:8s} rate {best['rate']}, {best['steps']} updates, each about {of_gru:.0f} "
            "times as long as one of the GRU"
        )
    for task in TASKS:
        for dropped in DROPPED:
            right = {
                kind: numbers[f"{task}/{kind}/{dropped}"]["right"][str(dropped)] for kind in READERS
            }
            found = ", ".join(f"{kind} {runs.spread(values)}" for kind, values in right.items())
            polygon = numbers[f"polygon/{task}"][str(dropped)]
            lines.append(f"{task:7s} {dropped:2d} % dropped: {found}; polygon {polygon:.3f}")
    return lines


def _milliseconds(kind: str) -> float:
    """Of an update, the median of the seeds, with all points of the loops."""
    return float(np.median(runs.RUNS.numbers()[f"loops/{kind}/0"]["milliseconds"]))


def ball_lines() -> list[str]:
    """What was learned of the ball in both ways, as ranges of the seeds, and what is true."""
    lines = []
    for way in ("by distance", "by likelihood"):
        found = runs.RUNS.numbers()[f"ball/{way}"]
        sigma, end = runs.spread(found["sigma"], 2), runs.spread(found["end"], 2)
        lines.append(f"{way:13s} sigma {sigma}; mean |X| at the end {end}")
    mean, near = runs.true_end()
    lines.append(f"true: sigma 0.8; mean |X| {mean:.2f}, and {100 * near:.0f} % within 0.2 of 0")
    by_steps = ", ".join(f"{noisy_fits.sigma_by_steps(every):.2f}" for every in (8, 4, 2))
    return [*lines, f"most likely sigma with the true drift, steps 0.05, 0.025, 0.0125: {by_steps}"]


def guided_lines() -> list[str]:
    """What was learned of the latent path with and without the KL, as ranges of the seeds."""
    lines = []
    for name in ("kl", "no kl"):
        found = runs.RUNS.numbers()[f"guided/{name}"]
        below, above = runs.spread(found["bound"], 1), runs.spread(found["evidence"], 1)
        sigma = runs.spread(found["sigma"], 2)
        lines.append(f"{name:5s} sigma {sigma}; bound {below}, log p(y) at this sigma {above}")
    best, highest = (runs.spread(found[key], 2) for key in ("most likely", "of the highest bound"))
    return [*lines, f"most likely sigma {best}; that of the highest bound {highest}"]
