"""Lesson 06: the adjoint of x' = theta x walks back from T = 2, and jumps at three observations.

Two of them can be moved.
"""

from typing import NamedTuple

from matplotlib.figure import Figure

from ...course.controls import choice, play, slider
from ...course.explorables import explorable
from ...plotting import REJECTED
from .adjoint import T_END, Adjoint, adjoint_data
from .figures import draw_adjoint

FRAMES = 41  # the last one is at t = 0
HEIGHTS = (1.2, 2.4)  # of the lower panel: the first that holds the adjoint


class Walk(NamedTuple):
    """An adjoint on its way: it has come from T down to the time t, where its value is a."""

    adjoint: Adjoint
    t: float
    a: float


def compute(first: float, second: float, theta: float, rule: str, frame: int) -> Walk:
    adjoint = adjoint_data(theta, [first, second, T_END], adds=rule == "add")
    t = T_END * (1 - frame / (FRAMES - 1))
    return Walk(adjoint, t, adjoint.at(t))


def draw(fig: Figure, data: Walk) -> None:
    adjoint = data.adjoint
    top, bottom = fig.subplots(2, 1, sharex=True, height_ratios=[2, 3])
    draw_adjoint(top, bottom, adjoint, data.t)
    bottom.plot(data.t, data.a, "o", color=REJECTED if _wrong(adjoint) else "black", markersize=7)
    top.set(xlim=(-0.05, 2.05), ylim=(-0.1, 1.8))
    largest = max(float(a.abs().max()) for _, a in adjoint.pieces + adjoint.exact)
    height = next(height for height in HEIGHTS if largest < height)
    bottom.set(ylim=(-height, height))
    top.set_title(
        f"θ = {adjoint.theta:.1f}, {'add' if adjoint.adds else 'overwrite'}: "
        f"a({data.t:.2f}) = {data.a:.4f}{', WRONG' if _wrong(adjoint) else ''}\n"
        f"dL/dx(0) exact {adjoint.exact_gradient:.4f}, backward NFE {adjoint.nfe}",
        color=REJECTED if _wrong(adjoint) else "black",
    )


def _wrong(adjoint: Adjoint) -> bool:
    return abs(adjoint.gradient - adjoint.exact_gradient) > 1e-6


def describe(data: Walk) -> str:
    adjoint = data.adjoint
    times = ", ".join(f"{s:.1f}" for s in adjoint.times)
    rule = "Adding" if adjoint.adds else "Overwriting"
    return (
        f"{rule} at the observations {times}, θ = {adjoint.theta:.1f}: on its way back a has come "
        f"to {data.a:.4f} at t = {data.t:.2f}; dL/dx(0) is {adjoint.exact_gradient:.4f}; "
        f"{adjoint.nfe} evaluations."
    )


adjoint_jumps = explorable(
    compute,
    draw,
    describe,
    question="Predict first: you move an observation earlier. "
    "On which side of it does a(t) change?",
    size=(8, 4.4),
    controls={
        "first": slider("first observation", 0.1, 1.5, value=0.6, step=0.1, format=".1f"),
        "second": slider("second", 0.1, 1.5, value=1.3, step=0.1, format=".1f"),
        "theta": slider("θ", -1.5, 0.0, value=-0.5, step=0.1, format=".1f"),
        "rule": choice("at an observation", {"add g to a": "add", "overwrite a by g": "overwrite"}),
        "frame": play("the way back", FRAMES, value=FRAMES - 1, milliseconds=200),
    },
)
