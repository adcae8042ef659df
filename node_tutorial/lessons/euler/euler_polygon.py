"""Lesson 01: Euler's polygon in vector fields, and its error."""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch

from ... import odeint
from ...course.controls import choice, power_slider, slider
from ...course.explorables import Explorable, explorable
from ...plotting import (
    BLUE,
    EXACT,
    GRAY,
    GREEN,
    VERMILLION,
    exact_line,
    figure,
    label_line,
    loglog_slope,
    room_for_labels,
    trajectory,
    vector_field,
)

# ------------------------------------------------------------------------------ fields


def oscillator(t, y):
    """y1' = y2, y2' = -y1: a mass on a spring turns on a circle, once in 2 pi."""
    return torch.stack([y[..., 1], -y[..., 0]], dim=-1)


def damped(t, y):
    """y1' = y2, y2' = -y1 - y2 / 2: the same mass in oil."""
    return torch.stack([y[..., 1], -y[..., 0] - y[..., 1] / 2], dim=-1)


def pendulum(t, y):
    """y1' = y2, y2' = -2 sin y1: angle and angular velocity."""
    return torch.stack([y[..., 1], -2 * torch.sin(y[..., 0])], dim=-1)


def van_der_pol(t, y):
    """y1' = y2, y2' = (1 - y1^2) y2 - y1: every path is drawn to one loop."""
    return torch.stack([y[..., 1], (1 - y[..., 0] ** 2) * y[..., 1] - y[..., 0]], dim=-1)


def lotka_volterra(t, y):
    """y1' = 1 - exp(y2), y2' = exp(y1) - 1: the logarithms of prey and predators."""
    return torch.stack([1 - torch.exp(y[..., 1]), torch.exp(y[..., 0]) - 1], dim=-1)


class Problem(NamedTuple):
    """A field of the plane, the time T until which it is followed, and half the width of the
    picture.
    """

    field: Callable
    T: float
    reach: float


FIELDS = {
    "harmonic oscillator": Problem(oscillator, 2 * math.pi, 3.0),
    "damped oscillator": Problem(damped, 2 * math.pi, 3.0),
    "pendulum": Problem(pendulum, 5.0, 4.0),
    "van der Pol oscillator": Problem(van_der_pol, 7.0, 4.0),
    "Lotka-Volterra equations": Problem(lotka_volterra, 7.0, 5.0),
}


def polygon(f, y0, T, steps, limit=1e3):
    """Return Euler's corners from t = 0 to T, up to the first that is further away than `limit`."""
    h, y = T / steps, [torch.as_tensor(y0, dtype=torch.float64)]
    while len(y) <= steps and y[-1].abs().max() < limit:
        y.append(y[-1] + h * f(0.0, y[-1]))
    return torch.stack(y)


@lru_cache(maxsize=64)
def _reference(name, y0):
    """The solution at 201 times by a method of order 8 with tight tolerances."""
    t = torch.linspace(0, FIELDS[name].T, 201, dtype=torch.float64)
    start = torch.tensor(y0, dtype=torch.float64)
    return odeint(FIELDS[name].field, start, t, rtol=1e-9, atol=1e-9, method="dopri8")


# -------------------------------------------------------------------------- explorable


@explorable("01", "euler_polygon")
def euler_polygon():
    """Euler's polygon over a vector field, with the exact solution."""

    def compute(steps, field, y1, y2):
        f, T, reach = FIELDS[field]
        y, exact = polygon(f, (y1, y2), T, steps), _reference(field, (y1, y2))
        escaped = len(y) <= steps or float(y[-1].abs().max()) > 1e3
        return {
            "field": field,
            "steps": steps,
            "T": T,
            "h": T / steps,
            "reach": reach,
            "y": y.clamp(-1e4, 1e4),
            "exact": exact,
            "escaped": escaped,
            "error": 0.0 if escaped else float((y[-1] - exact[-1]).norm()),
        }

    def draw(fig, data):
        left, right = fig.subplots(ncols=2, width_ratios=(1, 1.5))
        steps, reach, y, exact = data["steps"], data["reach"], data["y"], data["exact"]
        corners = {"marker": "o", "markersize": 3.5 if steps <= 32 else 0, "linewidth": 1.5}
        box = {"xlim": (-reach, reach), "ylim": (-reach, reach)}
        vector_field(FIELDS[data["field"]].field, ax=left, n=15, color="#7F7F7F", **box)
        exact_line(*exact.T, ax=left, label=None)
        trajectory(y, ax=left, color=VERMILLION, **corners)
        left.set(aspect="equal", xlabel="y₁", ylabel="y₂", **box)
        exact_line(torch.linspace(0, data["T"], len(exact)), exact[:, 0], ax=right, label=None)
        right.plot(data["h"] * np.arange(len(y)), y[:, 0], color=VERMILLION, **corners)
        right.set(xlim=(0, data["T"]), ylim=(-reach, reach), xlabel="t", ylabel="y₁")
        above = {"transform": right.transAxes, "ha": "right"}
        right.text(0.89, 1.03, "exact", color=EXACT, **above)
        right.text(1.0, 1.03, "Euler", color=VERMILLION, **above)
        left.set_title(f"N = {steps}, h = {data['h']:.3f}")
        error = "diverges" if data["escaped"] else f"error at the end {data['error']:.3f}"
        right.set_title(f"NFE {steps}, {error}")

    def describe(data):
        if data["escaped"]:
            return f"With {data['steps']} Euler steps the polygon diverges from the exact solution of the {data['field']}."
        steps = "1 Euler step ends" if data["steps"] == 1 else f"{data['steps']} Euler steps end"
        return f"{steps} {data['error']:.3f} away from the exact solution of the {data['field']}."

    return Explorable(
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
        },
    )


# ----------------------------------------------------------------------------- figures


def hops(y, t):
    """Return a figure of Euler's corners `y` (N + 1,) at `t` for x' = -x, with the exact path
    through each corner.
    """
    fig, ax = figure()
    fine = np.linspace(0, float(t[-1]), 200)
    for t0, y0 in zip(t[1:].tolist(), y[1:].tolist()):
        ax.plot(fine, y0 * np.exp(t0 - fine), color="#B5B5B5", linewidth=1)
    exact_line(fine, float(y[0]) * np.exp(-fine), ax=ax, label=None)
    (line,) = ax.plot(t, y, "o-", color=VERMILLION)
    ax.set(xlim=(0, float(t[-1])), ylim=(0, 1.05), xlabel="t", ylabel="x")
    room_for_labels(ax, 0.3)
    label_line(
        (fine[-1], float(y[0]) * np.exp(-fine[-1])), "exact, from x(0) = 1", ax=ax, color=EXACT
    )
    label_line(line, "Euler")
    ax.text(0.85, 0.8, "gray: the exact paths through Euler's corners", color=GRAY)
    return fig


def circles(polygons):
    """Return a figure of one turn of the oscillator in N steps, for each {N: corners (N + 1, 2)}."""
    fig, axes = figure(ncols=len(polygons), size=(9.2, 2.75), sharey=True)
    angle = np.linspace(0, 2 * math.pi, 200)
    for ax, (steps, y) in zip(axes, polygons.items()):
        exact_line(np.cos(angle), np.sin(angle), ax=ax, label=None)
        trajectory(y, ax=ax, color=VERMILLION, marker="o", markersize=3 if steps < 64 else 0)
        ax.set(xlim=(-3.4, 3.4), ylim=(-3.4, 3.4), aspect="equal", xlabel="y₁")
        ax.set_title(f"N = {steps}, radius {float(y[-1].norm()):.2f}")
    axes[0].set_ylabel("y₂")
    return fig


def slopes(errors):
    """Return a figure of error over h, both logarithmic, for {name: (h, errors)}; slopes from the
    smallest steps.
    """
    fig, ax = figure(size=(7.6, 3.7))
    for color, (name, (h, error)) in zip((BLUE, VERMILLION, GREEN), errors.items()):
        loglog_slope(h, error, ax=ax, label=name, fit=slice(-4, None), color=color)
    room_for_labels(ax, 0.33)
    ax.set_ylim(top=10)
    ax.set_ylabel("error at the end")
    return fig
