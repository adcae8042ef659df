"""Lesson 06: a state solved to T = 2, and on the way back.

There it is solved for, as the adjoint method does, or read from the forward solve.
"""

import math

from matplotlib.figure import Figure

from ...course.controls import choice, log_slider, slider
from ...course.explorables import explorable
from .figures import draw_round_trip
from .round_trip import EQUATIONS, RoundTrip, round_trip


def compute(lam: float, rtol: float, tiny: bool, equation: str, dense: bool) -> RoundTrip:
    return round_trip(lam, rtol, 1e-30 if tiny else None, equation, dense)


def draw(fig: Figure, data: RoundTrip) -> None:
    left, right = fig.subplots(1, 2, width_ratios=[4, 5])
    draw_round_trip(left, right, data)
    left.set_title(
        f"λ = {data.lam:.0f}, rtol {data.rtol:.0e}, atol {data.atol:.0e}\n"
        f"y(0) = {data.y0:.5g} instead of 1"
    )
    right.set_title(f"y {_way(data)}\nNFE {data.forward} + {data.backward}")


def describe(data: RoundTrip) -> str:
    # Large values differ in their first digits from one processor to the next.
    size = abs(data.y0)
    came = f"{data.y0:.3f}" if size < 10 else f"of size 1e{math.log10(size):.0f}"
    return (
        f"{data.equation}, λ = {data.lam:.0f}, rtol {data.rtol:.0e}, atol {data.atol:.0e}, "
        f"y {_way(data)}: y(0) comes back as {came}, it was 1; "
        f"{data.forward} evaluations forward, {data.backward} backward."
    )


def _way(data: RoundTrip) -> str:
    return "read from the forward solve" if data.dense else "solved backwards"


reverse_solve = explorable(
    compute,
    draw,
    describe,
    question="Predict first: which tolerance brings y(0) = 1 back for λ = 10, and which for 20?",
    size=(8.8, 3.9),
    controls={
        "lam": slider("λ", 1, 25, value=10, step=1, format=".0f"),
        "rtol": log_slider("rtol", 1e-9, 1e-3, value=1e-6, per_decade=1, format=".0e"),
        "tiny": choice("atol", {"rtol / 1000": False, "1e-30": True}),
        "equation": choice("equation", list(EQUATIONS)),
        "dense": choice(
            "y on the way back", {"solved backwards": False, "read from the forward solve": True}
        ),
    },
)
