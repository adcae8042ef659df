"""Lesson 04: y' = -rate (y - cos t) by fixed steps of any method: where z = -h rate lies in the
region of stability, and what the solution does.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...course.controls import choice, log_slider
from ...course.explorables import explorable
from ...data.systems import decay_to_cosine_exact
from ...plotting import BLUE, GRAY, GREEN, ORANGE, REJECTED, exact_line
from ...solvers.methods.implicit_tableaus import IMPLICIT_EULER, RADAU_IIA5, TRAPEZOID, TRBDF2
from ...solvers.stability import coefficients, stability_function
from ...solvers.tableaus import DOPRI5, EULER, RK4_CLASSIC, Tableau

DECAY_METHODS = {
    "Euler": EULER,
    "RK4": RK4_CLASSIC,
    "dopri5": DOPRI5,
    "implicit Euler": IMPLICIT_EULER,
    "trapezoid": TRAPEZOID,
    "TR-BDF2": TRBDF2,
    "Radau IIA": RADAU_IIA5,
}
_T_END = 3.0
_TIMES = np.linspace(0, _T_END, 301)  # of the exact solution
_LINEAR = 8.0  # the real axis is logarithmic to the left of -8
_RE = np.concatenate([-np.geomspace(2000, 8.5, 30), np.linspace(-8, 5, 80)])  # the drawn plane
_IM = np.linspace(-5.5, 5.5, 78)
_HUGE = 1e6  # a solution that grows is drawn up to here; its numbers stay what they are
_HAIR = 1e-9  # a size above 1 by less is 1


def decay_steps(tableau: Tableau, rate: float, h: float, n: int) -> np.ndarray:
    """n steps of a Runge-Kutta method for y' = -rate (y - cos t) from 0: y (n + 1,), which may
    overflow to infinity.

    The problem is linear, so that the stages k = rate (cos(t + c h) - y - h A k) need one linear
    solve for all steps.
    """
    a, b, c = coefficients(tableau)
    weights = np.linalg.solve((np.eye(len(b)) + rate * h * a).T, b) * rate * h
    forcing = np.cos(h * (np.arange(n)[:, None] + c)) @ weights
    factor = 1 - float(weights.sum())
    y = [0.0]
    for g in forcing.tolist():
        y.append(factor * y[-1] + g)
    return np.array(y)


@lru_cache(maxsize=len(DECAY_METHODS))
def _region(method: str) -> np.ndarray:
    """|R| (78, 110) on the grid of _RE and _IM, no point of which is a pole."""
    x, y = np.meshgrid(_RE, _IM)
    size = np.abs(stability_function(DECAY_METHODS[method])(x + 1j * y))
    return np.where(np.isfinite(size), size, 1e3).clip(max=1e3)


def _draw_region(method: str, ax: Axes) -> None:
    """Shade where |R| <= 1, over a real axis that reaches from -2000 to 5."""
    ax.set_xscale("symlog", linthresh=_LINEAR, linscale=1.5)
    ax.contourf(_RE, _IM, _region(method), levels=[0, 1], colors=[BLUE], alpha=0.18)
    ax.contour(_RE, _IM, _region(method), levels=[1], colors=[BLUE], linewidths=1.4)
    ax.axhline(0, color=GRAY, linewidth=0.7, zorder=0)
    ax.axvline(0, color=GRAY, linewidth=0.7, zorder=0)
    ax.set(xlim=(_RE[0], _RE[-1]), ylim=(_IM[0], _IM[-1]), xlabel="Re z", ylabel="Im z")
    ax.set_xticks([-1000, -100, -5, 0, 5], ["-1000", "-100", "-5", "0", "5"])
    ax.minorticks_off()


class Decay(NamedTuple):
    """Fixed steps: R(-h rate), the computed y (n + 1,) at t (n + 1,), the exact solution (301,);
    and the error at the end, infinite where y has overflowed.
    """

    method: str
    rate: float
    h: float
    R: float
    t: np.ndarray
    y: np.ndarray
    exact: np.ndarray
    error: float
    diverged: bool  # beyond the largest float


def compute(rate: float, h: float, method: str) -> Decay:
    tableau = DECAY_METHODS[method]
    n = int(_T_END / h + 1e-9)
    t = np.arange(n + 1) * h
    y = decay_steps(tableau, rate, h, n)
    error = float(abs(y[-1] - decay_to_cosine_exact(t[-1], rate)))
    return Decay(
        method=method,
        rate=rate,
        h=h,
        R=float(stability_function(tableau)(-rate * h).real),
        t=t,
        y=y,
        exact=decay_to_cosine_exact(_TIMES, rate),
        error=error,
        diverged=not np.isfinite(error),
    )


def _fate(data: Decay) -> str:
    return "diverges" if data.diverged else f"error at the end {data.error:.1e}"


def draw(fig: Figure, data: Decay) -> None:
    left, right = fig.subplots(1, 2, width_ratios=[1, 1.45])
    z = -data.rate * data.h
    if abs(data.R) > 1 + _HAIR:
        color = REJECTED
    else:
        color = ORANGE if data.R < -0.5 else GREEN
    _draw_region(data.method, left)
    left.plot(z, 0, "o", color=color, markersize=10, zorder=3)
    left.set_title(f"z = -hκ = {z:.4g}\nR(z) = {data.R:.4g}")
    exact_line(_TIMES, data.exact, ax=right, label=None)
    drawn = data.y.clip(-_HUGE, _HUGE)
    right.plot(data.t, drawn, "o-", color=color, linewidth=1.2, markersize=3.5)
    right.set(xlim=(-0.05, _T_END * 1.02), ylim=(-2.2, 2.6), xlabel="t", ylabel="y")
    right.set_title(
        f"{data.method}, κ = {data.rate:.4g}, h = {data.h:.4g}\n"
        f"{len(data.t) - 1} steps; {_fate(data)}"
    )


def describe(data: Decay) -> str:
    size = abs(data.R)
    fate = "grows" if size > 1 + _HAIR else "dies out" if size < 0.5 else "fades slowly"
    rings = ", changing its sign at each step" if data.R < 0 else ""
    off = "over 1e308" if data.diverged else f"{data.error:.1e}"
    return (
        f"{data.method}, κ = {data.rate:.4g}, h = {data.h:.4g}: z = -hκ = "
        f"{-data.rate * data.h:.4g} and R(z) = {data.R:.4g}, so a disturbance {fate}{rings}; "
        f"after {len(data.t) - 1} steps y is off by {off}."
    )


stiff_decay = explorable(
    compute,
    draw,
    describe,
    size=(8.6, 3.9),
    question="Predict first: κ grows tenfold. What must Euler's h do, and what implicit Euler's?",
    controls={
        "rate": log_slider("pull κ", 1, 1000, value=50.0, per_decade=10, format=".4g"),
        "h": log_slider("step size h", 0.01, 1, value=0.05, per_decade=20, format=".3g"),
        "method": choice("method", list(DECAY_METHODS)),
    },
)
