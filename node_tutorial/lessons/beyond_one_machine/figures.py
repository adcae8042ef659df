"""Lesson 21: its figures. They are drawn from what the lesson computed, and return it."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from ...plotting import (
    BLUE,
    GRAY,
    GREEN,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    Picture,
    figure,
    label_line,
    room_for_labels,
)
from .ranks_in_time import timeline
from .stragglers import Work, distribution, efficiency

SUM = 4.0  # in evaluations: the width of a sum in the first picture, which is not measured
COLORS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)


def two_ranks(work: np.ndarray) -> Picture:
    """Evaluations (ranks, steps) of measured batches, one step after the other."""
    fig, ax = figure(size=(8.6, 2.6))
    timeline(ax, work.astype(float), SUM)
    ax.set(xlabel="evaluations of the field, forward and backward")
    return fig


def work_figure(
    work: Mapping[str, Work], dots: Mapping[str, Mapping[int, float]], ranks: Sequence[int]
) -> Picture:
    """How work is distributed, and the share of the time in which many ranks compute.

    work: name -> distribution. dots: name -> {ranks: efficiency of measured blocks}.
    """
    fig, (left, right) = figure(2, size=(8.6, 3.6))
    for (name, row), color in zip(work.items(), COLORS):
        left.step(row.values, np.cumsum(row.probability), where="post", color=color)
        shares = [100 * efficiency(row, n) for n in ranks]
        (line,) = right.semilogx(ranks, shares, color=color)
        found = dots.get(name, {})
        right.plot(list(found), [100 * x for x in found.values()], "o", color=color)
    left.set(ylim=(0, 1.03), xlabel="evaluations of a batch", ylabel="share with at most so many")
    left.set_title("colors as on the right")
    right.set(ylim=(45, 102), xlabel="ranks", ylabel="% of the time computing")
    room_for_labels(right, 0.42)
    for line, name in zip([x for x in right.lines if x.get_linestyle() == "-"], work):
        label_line(line, name)
    right.set_xticks([1, 16, 256, 4096], ["1", "16", "256", "4096"])
    right.minorticks_off()
    return fig


def cures_figure(cures: Mapping[str, Mapping[str, float]]) -> Picture:
    """What a step costs, how wrong its gradient is, and how far the steps lie apart, by cure."""
    fig, axes = figure(3, size=(8.6, 3.4), sharey=True)
    for k, row in enumerate(cures.values()):
        axes[0].plot([row["rank"], row["step"]], [k, k], color=GRAY, linewidth=1.5)
        axes[0].plot(row["step"], k, "o", color=BLUE, markersize=7)
        axes[1].plot(100 * row["error"], k, "o", color=BLUE, markersize=7)
        axes[2].plot(row["scatter"], k, "o", color=BLUE, markersize=7)
    axes[0].set(xlabel="average to last (dot)", title="evaluations in a step")
    axes[1].set(xlabel="% of its size", title="error of the gradient")
    axes[2].set(xlabel="1: random points", title="scatter of the steps")
    for ax in axes[1:]:
        ax.set_xlim(left=0)
    axes[0].set_yticks(range(len(cures)), list(cures))
    axes[0].set_ylim(len(cures) - 0.5, -0.5)
    return fig


def memory_figure(
    sizes: Sequence[int], kept: Mapping[str, Sequence[float]], peak: Mapping[str, Sequence[float]]
) -> Picture:
    """Megabytes over the size of the batch: kept between the two ways, and the most at one time."""
    fig, axes = figure(2, size=(8.6, 3.6), sharey=True)
    for ax, rows in zip(axes, (kept, peak)):
        for (name, row), color in zip(rows.items(), COLORS):
            dash = (0, (4, 4)) if name == "adjoint" else "solid"  # it lies on checkpoint
            ax.loglog(sizes, row, ".", linestyle=dash, color=color)
        ax.set(xlabel="images in a batch")
        ax.set_xticks(sizes, [str(n) for n in sizes])
        ax.minorticks_off()
        room_for_labels(ax, 0.6)
        order = sorted(zip(rows, ax.lines), key=lambda pair: -pair[1].get_ydata()[-1])
        for name, line in order:
            label_line(line, name)
    axes[0].set(ylabel="MB")
    axes[0].set_title("kept for the way back")
    axes[1].set_title("the most at one time")
    return fig


def _an_example_of_work() -> dict[str, Work]:
    generator = np.random.default_rng(0)
    return {
        name: distribution(26 + 6 * generator.poisson(mean, 500))
        for name, mean in (("1 point", 4.0), ("16 points", 2.0), ("128 points", 0.5))
    }


def _examples() -> dict[str, Callable[[], Picture]]:
    names = ("as dealt", "tolerance per batch", "clocks, in lockstep", "dealt like cards")
    cures: dict[str, Any] = {
        name: {"rank": 60.0 - k, "step": 80.0 - 5 * k, "error": 0.003 * 2.0**k, "scatter": 1.0 + k}
        for k, name in enumerate(names)
    }
    work = _an_example_of_work()
    dots = {"16 points": {64: 0.7}}
    sizes = (8, 32, 128)
    mb = {name: [n * (k + 1) / 8 for n in sizes] for k, name in enumerate(("direct", "adjoint"))}
    return {
        "two_ranks": partial(two_ranks, np.array([[58, 64, 70], [64, 58, 82]])),
        "work_figure": partial(work_figure, work, dots, (1, 16, 256, 4096)),
        "cures_figure": partial(cures_figure, cures),
        "memory_figure": partial(memory_figure, sizes, mb, mb),
    }


EXAMPLES = _examples()
