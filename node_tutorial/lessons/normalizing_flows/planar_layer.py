"""Lesson 14: one planar layer, and what happens to the plane when w.u falls below -1."""

import math

import torch

from ...course.controls import slider
from ...course.explorables import Explorable, explorable
from ...plotting import BLUE, GRAY, VERMILLION, exact_line
from .figures import draw_grid, log_det_key, square_grid

_ANGLE = math.radians(25)  # of w
_LINES = square_grid(3.0, 21, 61)
_A = torch.linspace(-40, 40, 8001, dtype=torch.float64)


@explorable("14", "planar_layer")
def planar_layer():
    """g(x) = x + u tanh(w.x): a grid, colored by log |det|, and the curve w.x -> w.g(x), which must
    not fall.
    """

    def compute(wu, steep, shear):
        along = torch.tensor([math.cos(_ANGLE), math.sin(_ANGLE)], dtype=torch.float64)
        w = steep * along
        u = wu * w / steep**2 + shear * torch.stack([-along[1], along[0]])
        h = torch.tanh(_LINES @ w)
        level = 0.0
        return {
            "wu": wu,
            "steep": steep,
            "shear": shear,
            "lines": _LINES + h[..., None] * u,
            "stretch": 1 + wu * (1 - h * h),
            "area": area(wu, steep),
            "roots": roots(wu, level),
            "level": level,
        }

    def draw(fig, data):
        left, right = fig.subplots(1, 2, width_ratios=[5, 4])
        stretch = data["stretch"]
        log_det, limits = stretch.abs().clamp(min=1e-3).log(), (-5.2, 5.2, -4.4, 4.4)
        draw_grid(data["lines"], log_det, ax=left, limits=limits, turned=stretch < 0, linewidth=0.9)
        log_det_key(left)
        left.set(xlabel="z₁", ylabel="z₂")
        left.set_title(
            f"w·u = {data['wu']:.2f}, |w| = {data['steep']:.1f}, shear "
            f"{data['shear']:.1f}\n{_verdict(data)}"
        )
        a = _A[(_A.abs() <= 4)]
        right.plot(a, a + data["wu"] * torch.tanh(a), color=BLUE)
        exact_line(a, a, ax=right, label=None)
        right.axhline(data["level"], color=GRAY, linewidth=1)
        right.plot(
            data["roots"], [data["level"]] * len(data["roots"]), "o", color=VERMILLION, markersize=7
        )
        right.set(xlim=(-4, 4), ylim=(-6, 6), xlabel="w·x", ylabel="w·z")
        right.set_title(f"{_points(data)} for one z\nintegral of “p”: {data['area']:.3f}")

    def describe(data):
        return (
            f"w·u = {data['wu']:.2f}, |w| = {data['steep']:.1f}, shear {data['shear']:.1f}: "
            f"{_verdict(data)}; "
            f"{_points(data)} for one z, and the formula's density integrates to "
            f"{data['area']:.3f}."
        )

    return Explorable(
        compute,
        draw,
        describe,
        size=(8.6, 4.1),
        question="Predict first: at which w·u does the plane fold, and what does the integral of the density become?",
        controls={
            "wu": slider("w·u", -3.0, 3.0, value=-0.5, step=0.25),
            "steep": slider("|w|", 0.5, 3.0, value=1.0, step=0.5, format=".1f"),
            "shear": slider(
                "shear (part of u across w)", -1.5, 1.5, value=0.0, step=0.5, format=".1f"
            ),
        },
    )


def area(wu, steep):
    """The integral of N(g(x)) |det dg/dx| over the plane: the mean number of points x that z from
    N(0, I) comes from.

    Only the direction of w counts: an integral over a = w.x, where w.z is from N(0, |w|^2).
    """
    h = torch.tanh(_A)
    normal = torch.exp(-(((_A + wu * h) / steep) ** 2) / 2) / (steep * math.sqrt(2 * math.pi))
    return float(torch.trapezoid(normal * (1 + wu * (1 - h * h)).abs(), _A))


def roots(wu, level):
    """All a with a + wu tanh(a) = level, found between points of a fine grid where the sign
    changes; (n,).
    """
    a = torch.linspace(-8, 8, 4002, dtype=torch.float64)
    value = a + wu * torch.tanh(a) - level
    change = (value[:-1] * value[1:] < 0).nonzero()[:, 0]
    return (
        a[change]
        - value[change] * (a[change + 1] - a[change]) / (value[change + 1] - value[change])
    ).tolist()


def _verdict(data):
    if data["wu"] < -1:
        return "folded (red: turned over)"
    return "one-to-one" if data["wu"] > -1 else "at the limit: det = 0 on a line"


def _points(data):
    n = len(data["roots"])
    return "1 point x" if n == 1 else f"{n} points x"
