"""Lesson 19: every family's quality, by what a sample costs."""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...course.controls import choice
from ...course.explorables import explorable
from ...plotting import GRAY, VERMILLION
from .families import DIGITS, FAMILIES
from .figures import per_evaluation
from .runs import table

MEASURES = {"KL(q || p), nats": "reverse kl", "energy distance": "energy"}
# Data and measure are one control: of digits there is no density, and so no KL, and a control that
# changes nothing would look broken.
SHOWN = (
    "moons: KL(q || p), nats",
    "moons: energy distance",
    f"{DIGITS}: energy distance",
)


class Curve(NamedTuple):
    """A measure (seeds, N) with so many evaluations for a sample (N,), which take milliseconds
    (N,).
    """

    nfe: np.ndarray
    milliseconds: np.ndarray
    values: np.ndarray


class QualityAndCost(NamedTuple):
    """Curves by family; floor is the most that two sets of real data give, but for chance."""

    board: str
    family: str
    measure: str
    curves: dict[str, Curve]
    floor: float

    @property
    def place(self) -> int:
        """Of the family, by the median of its last values."""
        last = {name: np.median(curve.values[:, -1]) for name, curve in self.curves.items()}
        return 1 + sum(value < last[self.family] for value in last.values())


def compute(shown: str, family: str) -> QualityAndCost:
    """From what is stored."""
    board, measure = shown.split(": ")
    key = MEASURES[measure]
    null = table()[f"null/{board}"][key]
    return QualityAndCost(
        board=board,
        family=family,
        measure=measure,
        curves={name: _curve(board, name, key) for name in FAMILIES},
        floor=null["mean"] + 2 * null["std"],
    )


def _curve(board: str, family: str, key: str) -> Curve:
    row = table()[f"board/{board}/{family}"]
    if "over evaluations" in row:
        nfe = np.array(row["over evaluations"]["nfe"], float)
        values = np.array(row["over evaluations"][key])
    else:
        nfe = np.array(row["nfe"][:1])
        values = np.array(row[key])[:, None]
    return Curve(nfe, nfe * per_evaluation(board, family), values)


def draw(fig: Figure, data: QualityAndCost) -> None:
    """Over evaluations and over milliseconds; one family in color."""
    # Not sharey: to clear shared logarithmic axes, matplotlib 3.10 warns.
    axes = fig.subplots(1, 2)
    least = data.floor / 4
    for ax, axis in zip(axes, ("nfe", "milliseconds")):
        for name in sorted(data.curves, key=lambda name: name == data.family):
            curve = data.curves[name]
            _draw_curve(ax, getattr(curve, axis), curve.values, least, name == data.family)
        ax.axhspan(least / 1.3, data.floor, color=GRAY, alpha=0.15, linewidth=0)
        ax.set(xscale="log", yscale="log")
    left, right = axes
    left.set_ylim(bottom=least / 1.3)
    left.set_ylabel(data.measure)
    left.set_xlabel("evaluations for a sample (NFE)")
    left.set_xticks([1, 2, 4, 8, 16, 32, 64], ["1", "2", "4", "8", "16", "32", "64"])
    left.minorticks_off()
    right.set_ylim(left.get_ylim())
    right.tick_params(axis="y", which="both", labelleft=False)
    right.yaxis.minorticks_off()
    right.set_xlabel("milliseconds for a sample")
    left.annotate(
        "two sets of real data",
        (1, data.floor),
        (0, -4),
        textcoords="offset points",
        va="top",
        fontsize=9,
        color=GRAY,
    )
    left.set_title(f"{data.board}: {data.family} in color, seven others gray")
    right.set_title(f"place {data.place} of {len(data.curves)}")


def _draw_curve(ax: Axes, x: np.ndarray, values: np.ndarray, least: float, picked: bool) -> None:
    y = values.clip(least)
    color = VERMILLION if picked else GRAY
    width = 2.0 if picked else 0.8
    order = 3 if picked else 2
    ax.plot(x, np.median(y, axis=0), "o-", color=color, linewidth=width, markersize=4, zorder=order)
    if len(x) > 1:
        ax.fill_between(x, y.min(0), y.max(0), color=color, alpha=0.12, linewidth=0)
    else:
        ax.plot(x.repeat(len(y)), y[:, 0], "-", color=color, linewidth=width, zorder=order)


def describe(data: QualityAndCost) -> str:
    """The last value of the family's curve, in numbers."""
    curve = data.curves[data.family]
    return (
        f"{data.board}, {data.family}: {data.measure} {np.median(curve.values[:, -1]):.3f} with "
        f"{curve.nfe[-1]:.0f} evaluations, {curve.milliseconds[-1]:.2g} ms; place {data.place} of "
        f"{len(data.curves)}; two sets of real data: up to {data.floor:.3f}."
    )


quality_and_cost = explorable(
    compute,
    draw,
    describe,
    question="Predict first: which family is best if one evaluation is all you can pay?",
    size=(9.0, 3.9),
    controls={
        "shown": choice("shown", list(SHOWN)),
        "family": choice("family", list(FAMILIES), "flow matching"),
    },
)
