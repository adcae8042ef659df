"""Lesson 19: every family's quality, by what a sample costs and by what the training cost."""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...course.controls import choice
from ...course.explorables import explorable
from ...plotting import GRAY, VERMILLION
from .families import DIGITS, FAMILIES
from .runs import MORE, SECONDS, table

MEASURES = {"KL(q || p), nats": "reverse kl", "energy distance": "energy"}
ON_DIGITS = "energy distance"  # the only one of both that there is
NEAR = 12  # points below the line


class Curve(NamedTuple):
    """A measure (seeds, N) at costs (N,)."""

    cost: np.ndarray
    values: np.ndarray


class QualityAndCost(NamedTuple):
    """By family: over evaluations for a sample, and over seconds of training (on the digits one
    number of seconds); floor is the most that two sets of real data give, but for chance.
    """

    board: str
    family: str
    measure: str
    over_nfe: dict[str, Curve]
    over_seconds: dict[str, Curve]
    floor: float


def compute(board: str, family: str, measure: str) -> QualityAndCost:
    """From what is stored."""
    key = MEASURES[measure if board != DIGITS else ON_DIGITS]
    null = table()[f"null/{board}"][key]
    return QualityAndCost(
        board=board,
        family=family,
        measure=measure if board != DIGITS else ON_DIGITS,
        over_nfe={name: _over_nfe(board, name, key) for name in FAMILIES},
        over_seconds={name: _over_seconds(board, name, key) for name in FAMILIES},
        floor=null["mean"] + 2 * null["std"],
    )


def _over_nfe(board: str, family: str, key: str) -> Curve:
    row = table()[f"board/{board}/{family}"]
    if "over evaluations" in row:
        curve = row["over evaluations"]
        return Curve(np.array(curve["nfe"]), np.array(curve[key]))
    return Curve(np.array(row["nfe"][:1]), np.array(row[key])[:, None])


def _over_seconds(board: str, family: str, key: str) -> Curve:
    seconds = [SECONDS[board]]
    columns = [table()[f"board/{board}/{family}"][key]]
    if board == "moons":
        for budget in MORE:
            stored = table().get(f"more/{budget:g}/{family}")
            if stored:
                seconds.append(budget)
                columns.append(stored[key])
    order = np.argsort(seconds)
    return Curve(np.array(seconds)[order], np.array(columns).T[:, order])


def draw(fig: Figure, data: QualityAndCost) -> None:
    """Two panels with one height axis; one family in color."""
    left, right = fig.subplots(1, 2, sharey=True)
    least = data.floor / 4
    for ax, curves in ((left, data.over_nfe), (right, data.over_seconds)):
        for name in sorted(curves, key=lambda name: name == data.family):
            _draw_curve(ax, curves[name], least, name == data.family)
        ax.axhspan(least / 1.3, data.floor, color=GRAY, alpha=0.15, linewidth=0)
        ax.set(xscale="log", yscale="log")
    left.set_ylim(bottom=least / 1.3)
    left.set_ylabel(data.measure)
    left.set_xlabel("evaluations for a sample (NFE)")
    left.set_xticks([1, 2, 4, 8, 16, 32, 64], ["1", "2", "4", "8", "16", "32", "64"])
    seconds = data.over_seconds[data.family].cost
    right.set_xlabel("seconds of training")
    right.set_xticks(seconds, [f"{s:g}" for s in seconds])
    right.set_xlim(seconds[0] / 1.5, seconds[-1] * 1.5)
    for ax in (left, right):
        ax.minorticks_off()
    left.annotate(
        "two sets of real data",
        (1, data.floor),
        (0, -4),
        textcoords="offset points",
        va="top",
        fontsize=9,
        color=GRAY,
    )
    fig.suptitle(f"{data.board}: {data.family} in color, the seven others gray", fontsize=11)


def _draw_curve(ax: Axes, curve: Curve, least: float, picked: bool) -> None:
    y = curve.values.clip(least)
    color = VERMILLION if picked else GRAY
    width = 2.0 if picked else 0.8
    ax.plot(curve.cost, np.median(y, axis=0), "o-", color=color, linewidth=width, markersize=4)
    if len(curve.cost) > 1:
        ax.fill_between(curve.cost, y.min(0), y.max(0), color=color, alpha=0.12, linewidth=0)
    else:
        ax.plot(curve.cost.repeat(len(y)), y[:, 0], "-", color=color, linewidth=width)


def describe(data: QualityAndCost) -> str:
    """The best of the curves, in numbers."""
    medians = np.median(data.over_nfe[data.family].values, axis=0)
    nfe = data.over_nfe[data.family].cost
    others = [np.median(c.values, axis=0)[-1] for c in data.over_nfe.values()]
    rank = 1 + sum(value < medians[-1] for value in others)
    return (
        f"{data.board}, {data.family}: {data.measure} {medians[-1]:.3f} with {nfe[-1]:.0f} "
        f"evaluations, place {rank} of {len(others)}; two sets of real data: up to "
        f"{data.floor:.3f}."
    )


quality_and_cost = explorable(
    compute,
    draw,
    describe,
    question="Predict first: which family is best if one evaluation is all you can pay?",
    size=(9.0, 3.9),
    controls={
        "board": choice("board", ["moons", "Gaussians", DIGITS]),
        "family": choice("family", list(FAMILIES), "flow matching"),
        "measure": choice("measure", list(MEASURES)),
    },
)
