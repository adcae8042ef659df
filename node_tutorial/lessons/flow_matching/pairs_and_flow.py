"""Lesson 17: pairs whose lines cross, and the flow of their mean velocity, which does not."""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...course.controls import choice, play, power_slider
from ...course.explorables import explorable
from ...plotting import BLUE, ORANGE
from .on_a_line import TARGETS, Drawn, Flow, at, crossing_chance, crossings, draw_pairs, flow

FRAMES = 17
SHOWN = 64  # pairs
MANY = 2**13  # pairs of the histogram
REACH = {"two islands": (-3.0, 3.4), "one Gaussian": (-3.0, 5.2)}


class PairsAndFlow(NamedTuple):
    """Pairs matched in batches, their flow, and both at the time t.

    crossings: of the lines of `pairs`, those that are shown; chance: that two of many lines cross.
    of_pairs, of_flow (BARS,) are the shares of many pairs and of the flow's points in bars between
    edges (BARS + 1,).
    """

    target: str
    batch: int
    t: float
    pairs: Drawn
    crossings: int
    chance: float
    flow: Flow
    of_pairs: np.ndarray
    of_flow: np.ndarray
    edges: np.ndarray

    @property
    def apart(self) -> float:
        """The share of the mass by which the densities of pairs and flow differ."""
        return float(np.abs(self.of_pairs - self.of_flow).sum() / 2)


def compute(target: str, batch: int, frame: int) -> PairsAndFlow:
    """The pairs and their flow at the time of a frame."""
    t = frame / (FRAMES - 1)
    pairs = draw_pairs(target, batch, SHOWN)
    moved = flow(target, batch)
    edges = np.linspace(*REACH[target], 33)
    many = flow(target, batch, starts=1000)
    place = round(t * (len(many.times) - 1))
    return PairsAndFlow(
        target=target,
        batch=batch,
        t=t,
        pairs=pairs,
        crossings=crossings(pairs),
        chance=crossing_chance(target, batch),
        flow=moved,
        of_pairs=_shares(at(t, draw_pairs(target, batch, MANY, seed=2)), edges),
        of_flow=_shares(many.paths[place], edges),
        edges=edges,
    )


def _shares(x: np.ndarray, edges: np.ndarray) -> np.ndarray:
    return np.histogram(x, edges)[0] / len(x)


def draw(fig: Figure, data: PairsAndFlow) -> None:
    """Lines, flow, and where the points of both are at this time."""
    left, middle, right = fig.subplots(1, 3, sharey=True, width_ratios=[1.25, 1.25, 0.8])
    _draw_pairs(left, data)
    _draw_flow(middle, data)
    _draw_shares(right, data)
    left.set(ylim=REACH[data.target], ylabel="x")


def _draw_pairs(ax: Axes, data: PairsAndFlow) -> None:
    ax.plot([0, 1], [data.pairs.x0, data.pairs.x1], color=ORANGE, linewidth=0.7, alpha=0.75)
    ax.plot(np.full(SHOWN, data.t), at(data.t, data.pairs), "o", color=ORANGE, markersize=3)
    ax.set(xlim=(-0.03, 1.03), xlabel="t")
    ax.set_title(
        f"{SHOWN} of many lines; two cross\nwith chance {data.chance:.2f}; "
        f"mean square {data.flow.cost:.2f}"
    )


def _draw_flow(ax: Axes, data: PairsAndFlow) -> None:
    ax.plot(data.flow.times, data.flow.paths, color=BLUE, linewidth=1.0)
    place = round(data.t * (len(data.flow.times) - 1))
    ax.plot(
        np.full(data.flow.paths.shape[1], data.t),
        data.flow.paths[place],
        "o",
        color=BLUE,
        markersize=3,
    )
    ax.set(xlim=(-0.03, 1.03), xlabel="t")
    ax.set_title(
        f"mean velocity: mean square {data.flow.energy:.2f},\n"
        f"{data.flow.floor:.2f} less than the lines"
    )


def _draw_shares(ax: Axes, data: PairsAndFlow) -> None:
    ax.stairs(
        data.of_pairs, data.edges, orientation="horizontal", fill=True, color=ORANGE, alpha=0.4
    )
    ax.stairs(data.of_flow, data.edges, orientation="horizontal", color=BLUE, linewidth=1.4)
    ax.set(xlim=(0, 0.32), xticks=[], xlabel="share of points")
    ax.set_title(f"t = {data.t:.2f}: pairs\n(filled) and flow")


def describe(data: PairsAndFlow) -> str:
    """Crossings, mean squares, and how far the two densities are apart."""
    how = "independent" if data.batch == 1 else f"matched in batches of {data.batch}"
    return (
        f"{data.target}, pairs {how}: two lines cross with chance {data.chance:.2f}; mean square "
        f"of their velocities {data.flow.cost:.1f}, of the mean velocity {data.flow.energy:.1f}; "
        f"at t = {data.t:.2f} pairs and flow have the same density, but for {data.apart:.2f} of "
        "the mass."
    )


def line(data: PairsAndFlow) -> str:
    """A line: crossings and mean squares."""
    return (
        f"batches of {data.batch:2d}: two lines cross with chance {data.chance:.2f}; mean square "
        f"{data.flow.cost:.1f}, of the mean velocity {data.flow.energy:.1f}"
    )


pairs_and_flow = explorable(
    compute,
    draw,
    describe,
    question=(
        "Predict first: the lines cross everywhere. What will the flow of their mean velocity look "
        "like?"
    ),
    size=(9.2, 3.9),
    controls={
        "target": choice("data", list(TARGETS)),
        "batch": power_slider("matched in batches of", 1, 64, 1),
        "frame": play("t in sixteenths", FRAMES, value=8, milliseconds=350),
    },
)
