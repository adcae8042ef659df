"""Lesson 06: a state solved to T = 2, and on the way back.

There it is solved for, as the adjoint method does, or read from the forward solve.
"""

import math
from functools import lru_cache
from typing import NamedTuple

from matplotlib.figure import Figure

from ...course.controls import choice, log_slider, play, slider
from ...course.explorables import explorable
from .figures import draw_round_trip
from .round_trip import EQUATIONS, RoundTrip, round_trip

FRAMES = 41  # the last one is at t = 0

_trip = lru_cache(maxsize=32)(round_trip)  # the frames of one way back are one solve


class WayBack(NamedTuple):
    """A round trip whose way back has come down to the time t, where it was `exact` and is y."""

    trip: RoundTrip
    t: float
    y: float
    exact: float


def compute(lam: float, rtol: float, tiny: bool, equation: str, dense: bool, frame: int) -> WayBack:
    trip = _trip(lam, rtol, 1e-30 if tiny else None, equation, dense)
    place = (len(trip.t) - 1) * (FRAMES - 1 - frame) // (FRAMES - 1)
    values = (trip.t[place], trip.back[place], trip.exact[place])
    return WayBack(trip, *map(float, values))


def draw(fig: Figure, data: WayBack) -> None:
    left, right = fig.subplots(1, 2, width_ratios=[4, 5])
    trip = data.trip
    draw_round_trip(left, right, trip, data.t)
    left.set_title(
        f"λ = {trip.lam:.0f}, rtol {trip.rtol:.0e}, atol {trip.atol:.0e}\n"
        f"y({data.t:.3g}) = {data.y:.5g} instead of {data.exact:.5g}"
    )
    right.set_title(f"y {_way(trip)}\nNFE {trip.forward} + {trip.backward}")


def describe(data: WayBack) -> str:
    # Large values differ in their first digits from one processor to the next.
    trip = data.trip
    size = abs(data.y)
    came = f"{data.y:.3f}" if size < 10 else f"of size 1e{math.log10(size):.0f}"
    was = "1" if data.t == 0 else f"{data.exact:.3f}"
    return (
        f"{trip.equation}, λ = {trip.lam:.0f}, rtol {trip.rtol:.0e}, atol {trip.atol:.0e}, "
        f"y {_way(trip)}: y({data.t:.3g}) comes back as {came}, it was {was}; "
        f"{trip.forward} evaluations forward, {trip.backward} backward."
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
        "rtol": log_slider("rtol", 1e-12, 1e-3, value=1e-6, per_decade=1, format=".0e"),
        "tiny": choice("atol", {"rtol / 1000": False, "1e-30": True}),
        "equation": choice("equation", list(EQUATIONS)),
        "dense": choice(
            "y on the way back", {"solved backwards": False, "read from the forward solve": True}
        ),
        "frame": play("the way back", FRAMES, value=FRAMES - 1, milliseconds=200),
    },
)
