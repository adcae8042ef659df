"""Lesson 01: Euler's polygon over a vector field, with the exact solution."""

import math
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from ... import odeint
from ...course.controls import choice, play, power_slider, slider
from ...course.explorables import explorable
from ...data.systems import damped_oscillator, lotka_volterra, oscillator, pendulum, van_der_pol
from ...plotting import EXACT, VERMILLION, exact_line, trajectory, vector_field

FRAMES = 32  # of the polygon as it grows
_FAR = 1e3  # a polygon that comes so far has left the picture for good
_FINE = 7  # points of the exact solution in a frame


class Problem(NamedTuple):
    """A field of the plane, the time T until which it is followed, and half the width of the
    picture.
    """

    field: Callable[..., Tensor]
    T: float
    reach: float


FIELDS = {
    "harmonic oscillator": Problem(oscillator, 2 * math.pi, 3.4),
    "damped oscillator": Problem(damped_oscillator, 2 * math.pi, 3.0),
    "pendulum": Problem(partial(pendulum, g_over_l=2.0), 5.0, 4.0),
    "van der Pol oscillator": Problem(van_der_pol, 7.0, 4.0),
    "Lotka-Volterra equations": Problem(lotka_volterra, 7.0, 5.0),
}


def polygon(f: Callable[..., Tensor], start: Tensor, T: float, steps: int) -> Tensor:
    """Euler's corners (steps + 1, 2) from t = 0 to T, or fewer: the first far away is the last."""
    h = T / steps
    y = [start]
    while len(y) <= steps and y[-1].abs().max() < _FAR:
        y.append(y[-1] + h * f(0.0, y[-1]))
    return torch.stack(y)


@lru_cache(maxsize=64)
def _reference(field: str, y1: float, y2: float) -> Tensor:
    """The solution (225, 2) by a method of order 8 with tight tolerances."""
    problem = FIELDS[field]
    t = torch.linspace(0, problem.T, _FINE * FRAMES + 1, dtype=torch.float64)
    start = torch.tensor([y1, y2], dtype=torch.float64)
    return odeint(problem.field, start, t, rtol=1e-9, atol=1e-9, method="dopri8")


class Polygon(NamedTuple):
    """Euler's way y (n + 1, 2) until time t, the exact solution (m, 2) until then, and the distance
    of their ends, 0 where the polygon escaped. The last point of y lies on a side of the polygon
    that is not finished, unless t is the time of a corner. NFE counts the sides that were begun.
    """

    field: str
    steps: int
    h: float
    t: float
    nfe: int
    y: Tensor
    exact: Tensor
    escaped: bool
    error: float


def compute(steps: int, field: str, y1: float, y2: float, frame: int = FRAMES) -> Polygon:
    problem = FIELDS[field]
    corners = polygon(problem.field, torch.tensor([y1, y2], dtype=torch.float64), problem.T, steps)
    begun = math.ceil(steps * frame / FRAMES)
    y = corners[: begun + 1]
    if begun < len(corners):
        side = 1 - (begun - steps * frame / FRAMES)  # the part of the last side that is drawn
        y = torch.cat([y[:-1], torch.lerp(corners[max(begun - 1, 0)], corners[begun], side)[None]])
    exact = _reference(field, y1, y2)[: _FINE * frame + 1]
    escaped = begun >= len(corners) or float(y[-1].abs().max()) > _FAR
    return Polygon(
        field=field,
        steps=steps,
        h=problem.T / steps,
        t=problem.T * frame / FRAMES,
        nfe=begun,
        y=y.clamp(-1e4, 1e4),
        exact=exact,
        escaped=escaped,
        error=0.0 if escaped else float((y[-1] - exact[-1]).norm()),
    )


def draw(fig: Figure, data: Polygon) -> None:
    left, right = fig.subplots(ncols=2, width_ratios=(1, 1.5))
    field, T, reach = FIELDS[data.field]
    corners: dict[str, Any] = {
        "marker": "o",
        "markersize": 3.5 if data.steps <= 32 else 0,
        "linewidth": 1.5,
    }
    box: dict[str, Any] = {"xlim": (-reach, reach), "ylim": (-reach, reach)}
    vector_field(field, ax=left, n=15, color="#7F7F7F", **box)
    exact_line(*data.exact.T, ax=left, label=None)
    trajectory(data.y, ax=left, color=VERMILLION, **corners)
    left.set(aspect="equal", xlabel="y₁", ylabel="y₂", **box)
    exact_line(torch.linspace(0, data.t, len(data.exact)), data.exact[:, 0], ax=right, label=None)
    times = np.minimum(data.h * np.arange(len(data.y)), data.t)
    right.plot(times, data.y[:, 0], color=VERMILLION, **corners)
    # with room for half a marker at both ends
    right.set(xlim=(-0.012 * T, 1.012 * T), ylim=(-reach, reach), xlabel="t", ylabel="y₁")
    above: dict[str, Any] = {"transform": right.transAxes, "ha": "right"}
    right.text(0.89, 1.03, "exact", color=EXACT, **above)
    right.text(1.0, 1.03, "Euler", color=VERMILLION, **above)
    left.set_title(f"N = {data.steps}, h = {data.h:.3f}")
    place = "at the end" if data.t == T else f"at t = {data.t:.2f}"
    error = "diverges" if data.escaped else f"error {place} {data.error:.3f}"
    right.set_title(f"NFE {data.nfe}, {error}")


def describe(data: Polygon) -> str:
    exact = f"the exact solution of the {data.field}"
    if data.escaped:
        return f"With {data.steps} Euler steps the polygon diverges from {exact}."
    if data.t < FIELDS[data.field].T:
        return (
            f"At t = {data.t:.2f} the polygon of {data.steps} Euler steps is {data.error:.3f} away "
            f"from {exact}."
        )
    steps = "1 Euler step ends" if data.steps == 1 else f"{data.steps} Euler steps end"
    return f"{steps} {data.error:.3f} away from {exact}."


euler_polygon = explorable(
    compute,
    draw,
    describe,
    size=(8.6, 3.7),
    question="Predict first: 16 steps around the circle. Where does the polygon end?",
    controls={
        "steps": power_slider("number of steps N", 1, 128, value=16),
        "field": choice("field", list(FIELDS)),
        "y1": slider("start y₁", -1.5, 1.5, 1.0, 0.25),
        "y2": slider("start y₂", -1.5, 1.5, 0.0, 0.25),
        "frame": play("way shown × 32", FRAMES + 1, value=FRAMES, milliseconds=300),
    },
)
