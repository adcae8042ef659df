"""Lesson 06: x' = -lambda x solved to T = 2, and x on the way back.

There it is solved for, as the adjoint method does, or read from the forward solve.
"""

import math

from matplotlib.figure import Figure

from ...course.controls import choice, log_slider, slider
from ...course.explorables import explorable
from .adjoint import Reverse, reverse_data
from .figures import draw_reverse


def compute(lam: float, rtol: float, dense: bool) -> Reverse:
    return reverse_data(lam, rtol, dense)


def draw(fig: Figure, data: Reverse) -> None:
    left, right = fig.subplots(1, 2, width_ratios=[4, 5])
    draw_reverse(left, right, data)
    left.set_title(
        f"λ = {data.lam:.0f}, rtol {data.rtol:.0e}, {_way(data)}\n"
        f"x(0) = {data.x0:.5g} instead of 1; NFE {data.forward} + {data.backward}"
    )


def describe(data: Reverse) -> str:
    # Large values differ in their first digits from one processor to the next.
    size = abs(data.x0)
    came = f"{data.x0:.3f}" if size < 10 else f"of size 1e{math.log10(size):.0f}"
    return (
        f"λ = {data.lam:.0f}, rtol {data.rtol:.0e}, x {_way(data)}: x(0) comes back as {came}, "
        f"it was 1; {data.forward} evaluations forward, {data.backward} backward."
    )


def _way(data: Reverse) -> str:
    return "read from the forward solve" if data.dense else "solved backwards"


reverse_solve = explorable(
    compute,
    draw,
    describe,
    question="Predict first: how much tighter must rtol be to go from λ = 10 to λ = 20 "
    "and still come back to 1?",
    size=(8.8, 3.8),
    controls={
        "lam": slider("λ", 1, 25, value=10, step=1, format=".0f"),
        "rtol": log_slider("rtol", 1e-8, 1e-3, value=1e-6, per_decade=1, format=".0e"),
        "dense": choice(
            "x on the way back", {"solved backwards": False, "read from the forward solve": True}
        ),
    },
)
