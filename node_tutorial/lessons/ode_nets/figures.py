"""Lesson 07: figures."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.ticker import NullLocator
from torch import Tensor

from ...plotting import (
    BLUE,
    EXACT,
    GRAY,
    ORANGE,
    SKY,
    VERMILLION,
    Picture,
    exact_line,
    figure,
    label_line,
)
from .runs import results

TESTED = 1797  # all folds together
COLORS = {"RK-Net": VERMILLION, "ODE-Net": VERMILLION, "ResNet": BLUE}  # others are gray
FIELDS = (BLUE, SKY, VERMILLION, ORANGE)  # of `growth_figure`


def error_figure(table: Mapping[str, Mapping[str, Any]]) -> Picture:
    """A figure: test errors of every net, and one standard error to both sides.

    There is one dot per seed, over all folds. table: name -> "parameters", a number, and "wrong",
    for each seed a list over folds.
    """
    fig, ax = figure(size=(8.4, 3.6))
    for i, (name, row) in enumerate(table.items()):
        color = COLORS.get(name, GRAY)
        shares = np.sum(row["wrong"], axis=1) / TESTED
        mean = shares.mean()
        error = np.sqrt(mean * (1 - mean) / TESTED)
        ends = [100 * (mean - error), 100 * (mean + error)]
        ax.plot(ends, [i, i], color=color, linewidth=6, alpha=0.3)
        ax.plot(100 * shares, [i] * len(shares), "o", color=color, markersize=5)
        parameters = f"{row['parameters']:,}".replace(",", " ")
        ax.text(7.5, i, parameters, ha="right", va="center", color=color)
    ax.set_yticks(range(len(table)), list(table))
    ax.invert_yaxis()
    ax.set(xlim=(0, 7.6), xticks=range(7), xlabel="test error (%)")
    ax.set_title("parameters", loc="right", fontsize=10.5)
    ax.grid(axis="y", visible=False)
    return fig


def memory_figure(kept: Mapping[str, Mapping[int, float]]) -> Picture:
    """A figure: bytes kept over evaluations of f; kept: name -> evaluations -> bytes."""
    fig, ax = figure(size=(7.4, 3.3))
    lines = {}
    for (name, row), color in zip(kept.items(), (BLUE, ORANGE, VERMILLION)):
        (lines[name],) = ax.plot(list(row), [v / 1e6 for v in row.values()], "o-", color=color)
    ax.set(xlabel="evaluations of f in the forward pass", ylabel="MB kept")
    ax.set(xlim=(0, 33), ylim=(0, 17))
    for name, line in lines.items():
        label_line(line, name)
    return fig


def steps_figure(
    wrong: Mapping[int | str, Mapping[int, int]], exact: Mapping[int | str, int]
) -> Picture:
    """A figure: wrong answers over Euler steps in the test, for nets trained with a number of them.

    wrong: steps in training, or the name of a solver -> steps in the test -> wrong answers.
    exact: steps in training -> wrong answers of the exact solution.
    """
    fig, ax = figure(size=(7.4, 3.4))
    colors = dict(zip(wrong, (VERMILLION, ORANGE, BLUE)))
    steps = list(next(iter(wrong.values())))
    end = 2 * steps[-1]
    lines = {}
    for trained, row in wrong.items():
        color = colors[trained]
        values = [*row.values(), exact[trained]]
        (lines[trained],) = ax.plot([*steps, end], values, "o-", color=color)
        if isinstance(trained, int) and trained in row:
            ax.plot(trained, row[trained], "o", color=color, markersize=11)
    ax.set_xscale("log")
    ax.set_xticks([*steps, end], [*map(str, steps), "exact"])
    ax.xaxis.set_minor_locator(NullLocator())
    top = max(20, *(max(row.values()) for row in wrong.values()), *exact.values()) + 4
    ax.set(xlabel="Euler steps in the test (large dot: in training)", ylabel="wrong, of 450")
    ax.set(xlim=(0.8, 1.15 * end), ylim=(0, top))
    for trained, line in lines.items():
        label_line(line, f"trained with {_solver(trained)}", gap=1.4)
    return fig


def _solver(trained: int | str) -> str:
    if isinstance(trained, str):
        return trained
    return "1 step" if trained == 1 else f"{trained} steps"


def growth_figure(growth: Mapping[str, Mapping[str, Sequence[Sequence[float]]]]) -> Picture:
    """A figure: evaluations over epochs for four fields: forward, backward, and at 1e-6.

    Each seed is a line. growth: field -> "forward", "backward", "tight" -> for each seed a list
    over epochs.
    """
    fig, axes = figure(ncols=3, size=(9.4, 3.2))
    titles = {
        "forward": "forward, at 1e-3",
        "backward": "backward, at 1e-3",
        "tight": "forward, at 1e-6",
    }
    for ax, (what, title) in zip(axes, titles.items()):
        epochs = len(next(iter(growth.values()))[what][0])
        ax.set(xlabel="epoch", xlim=(0, epochs), ylim=(0, 130 if what == "tight" else 35))
        ax.set_xticks(range(0, epochs + 1, 8))
        ax.set_title(title)
        for (name, row), color in zip(growth.items(), FIELDS):
            for seed in row[what]:
                ax.plot(range(1, epochs + 1), seed, color=color, linewidth=1.1)
            if what == "tight":
                end = (float(epochs), float(np.mean([seed[-1] for seed in row[what]])))
                label_line(end, name, ax=ax, color=color)
    axes[0].set_ylabel("NFE")
    return fig


def own_clock_figure(steps: Tensor, lead: Tensor) -> Picture:
    """A figure: how many images take how many steps, and the mean steps from unsure to sure.

    steps, lead (B,): of every image, lead of the right answer over the next.
    """
    fig, (left, right) = figure(ncols=2, size=(8.4, 3.0))
    numbers, images = np.unique(steps.numpy(), return_counts=True)
    left.bar(numbers, images, 0.6, color=BLUE)
    left.set(xlabel="steps that an image takes", ylabel="images", xticks=numbers)
    tenths = np.array_split(steps.numpy()[np.argsort(lead.numpy())], 10)
    means = [tenth.mean() for tenth in tenths]
    right.plot(range(1, 11), means, "o-", color=VERMILLION)
    right.set(xlabel="tenths of the images, from unsure to sure", ylabel="mean number of steps")
    right.set(xticks=range(1, 11), ylim=(0, 1.15 * max(means)))
    return fig


def figure_three(data: Mapping[str, Sequence[float]]) -> Picture:
    """Our Figure 3 of Chen et al. 2018; its fourth panel is `growth_figure`'s.

    data: "distance", "nfe", "seconds", "backward" -> values (n,), as of `runs.costs`.
    """
    fig, (a, b, c) = figure(ncols=3, size=(9.4, 3.1))
    a.loglog(data["nfe"], data["distance"], "o-", color=BLUE)
    a.set(xlabel="NFE forward", ylabel="error of the scores")
    a.set_title("a: error is controlled")
    b.plot(data["nfe"], [1000 * s for s in data["seconds"]], "o", color=BLUE)
    b.set(xlabel="NFE forward", ylabel="ms forward", xlim=(0, None), ylim=(0, None))
    b.set_title("b: time follows NFE")
    c.plot(data["nfe"], data["backward"], "o", color=VERMILLION)
    top = 1.15 * max(*data["nfe"], *data["backward"])
    exact_line([0, top], [0, top], ax=c, label=None, color=GRAY)
    exact_line([0, top], [0, top / 2], ax=c, label=None)
    c.text(0.98 * top, 0.32 * top, "half, as in\nthe paper", ha="right", va="top", color=EXACT)
    c.text(0.78 * top, 0.97 * top, "equal", ha="right", va="top", color=GRAY)
    c.set(xlabel="NFE forward", ylabel="NFE backward", xlim=(0, top), ylim=(0, top))
    c.set_title("c: backward against forward")
    a.set_xticks([10, 20, 50, 100], ["10", "20", "50", "100"])
    a.xaxis.set_minor_locator(NullLocator())
    a.yaxis.set_minor_locator(NullLocator())
    return fig


_STEPS = (1, 2, 4, 8, 16, 32)

# A picture of each kind, for the test that all of them can be read.
EXAMPLES: dict[str, Callable[[], Picture]] = {
    "error_figure": lambda: error_figure(results()["table"]),
    "memory_figure": lambda: memory_figure(
        {
            "ResNet": {0: 8e5, 24: 1.2e7},
            "RK-Net": {4: 2.8e6, 32: 1.6e7},
            "ODE-Net, adjoint": {4: 1e6, 32: 1e6},
        }
    ),
    "steps_figure, one net": lambda: steps_figure(
        {1: dict(zip(_STEPS, (5, 6, 10, 11, 12, 13)))}, {1: 14}
    ),
    "steps_figure, three nets": lambda: steps_figure(
        {
            1: dict(zip(_STEPS, (5, 6, 10, 11, 12, 13))),
            4: dict.fromkeys(_STEPS, 7),
            "dopri5": dict.fromkeys(_STEPS, 8),
        },
        {1: 14, 4: 9, "dopri5": 8},
    ),
    "growth_figure": lambda: growth_figure(results()["growth"]),
    "own_clock_figure": lambda: own_clock_figure(
        torch.tensor([4, 5, 5, 6] * 20), torch.linspace(0, 1, 80)
    ),
    "figure_three": lambda: figure_three(
        {
            "nfe": [14, 14, 20, 44],
            "distance": [1e-3, 2e-3, 2e-4, 4e-7],
            "seconds": [0.03, 0.03, 0.04, 0.09],
            "backward": [14, 14, 20, 74],
        }
    ),
}
