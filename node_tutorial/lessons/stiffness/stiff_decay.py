"""Lesson 04: y' = -lambda (y - cos t) by fixed steps of any method: where z = -h lambda lies in the
region of stability, and what the solution does.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from ...course.controls import choice, log_slider
from ...course.explorables import explorable
from ...data.systems import decay_to_cosine_exact
from ...plotting import GREEN, ORANGE, REJECTED, exact_line, stability_region
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
_RE, _IM = (-8.0, 5.0), (-5.5, 5.5)  # the drawn part of the plane
_HUGE = 1e6  # a solution that grows is held here, so that it can be drawn
_HAIR = 1e-9  # a size above 1 by less is 1


def decay_steps(tableau: Tableau, lam: float, h: float, n: int) -> np.ndarray:
    """n steps of a Runge-Kutta method for y' = -lambda (y - cos t) from 0: y (n + 1,), held within
    +-1e6.

    The problem is linear, so that the stages k = lambda (cos(t + c h) - y - h A k) need one linear
    solve for all steps.
    """
    a, b, c = coefficients(tableau)
    weights = np.linalg.solve((np.eye(len(b)) + lam * h * a).T, b) * lam * h
    forcing = np.cos(h * (np.arange(n)[:, None] + c)) @ weights
    factor = 1 - float(weights.sum())
    y = [0.0]
    for g in forcing.tolist():
        y.append(min(max(factor * y[-1] + g, -_HUGE), _HUGE))
    return np.array(y)


@lru_cache(maxsize=len(DECAY_METHODS))
def _region(method: str) -> np.ndarray:
    """|R| (78, 92) on a grid over _RE and _IM, no point of which is a pole."""
    x, y = np.meshgrid(np.linspace(*_RE, 92), np.linspace(*_IM, 78))
    size = np.abs(stability_function(DECAY_METHODS[method])(x + 1j * y))
    return np.where(np.isfinite(size), size, 1e3).clip(max=1e3)


class Decay(NamedTuple):
    """Fixed steps: R(-h lambda), the computed y (n + 1,) at t (n + 1,), the exact solution (301,),
    and the error at the end.
    """

    method: str
    lam: float
    h: float
    R: float
    t: np.ndarray
    y: np.ndarray
    exact: np.ndarray
    error: float


def compute(lam: float, h: float, method: str) -> Decay:
    tableau = DECAY_METHODS[method]
    n = int(_T_END / h + 1e-9)
    t = np.arange(n + 1) * h
    y = decay_steps(tableau, lam, h, n)
    return Decay(
        method=method,
        lam=lam,
        h=h,
        R=float(stability_function(tableau)(-lam * h).real),
        t=t,
        y=y,
        exact=decay_to_cosine_exact(_TIMES, lam),
        error=float(abs(y[-1] - decay_to_cosine_exact(t[-1], lam))),
    )


def draw(fig: Figure, data: Decay) -> None:
    left, right = fig.subplots(1, 2, width_ratios=[1, 1.45])
    z = -data.lam * data.h
    if abs(data.R) > 1 + _HAIR:
        color = REJECTED
    else:
        color = ORANGE if data.R < -0.5 else GREEN
    stability_region(_region(data.method), ax=left, xlim=_RE, ylim=_IM)
    inside = z >= _RE[0]
    mark = "o" if inside else "<"
    left.plot(max(z, _RE[0]), 0, mark, color=color, markersize=10, clip_on=False, zorder=3)
    left.set(xlabel="Re z", ylabel="Im z")
    where = "" if inside else ", far left"
    left.set_title(f"z = -hλ = {z:.4g}{where}\nR(z) = {data.R:.4g}")
    exact_line(_TIMES, data.exact, ax=right, label=None)
    right.plot(data.t, data.y, "o-", color=color, linewidth=1.2, markersize=3.5)
    right.set(xlim=(-0.05, _T_END * 1.02), ylim=(-2.2, 2.6), xlabel="t", ylabel="y")
    right.set_title(
        f"{data.method}, λ = {data.lam:.4g}, h = {data.h:.4g}\n"
        f"{len(data.t) - 1} steps; error at the end {data.error:.1e}"
    )


def describe(data: Decay) -> str:
    size = abs(data.R)
    fate = "grows" if size > 1 + _HAIR else "dies out" if size < 0.5 else "fades slowly"
    rings = ", changing its sign at each step" if data.R < 0 else ""
    return (
        f"{data.method}, λ = {data.lam:.4g}, h = {data.h:.4g}: z = -hλ = {-data.lam * data.h:.4g} "
        f"and R(z) = {data.R:.4g}, so a disturbance {fate}{rings}; after {len(data.t) - 1} steps "
        f"y is off by {data.error:.1e}."
    )


stiff_decay = explorable(
    compute,
    draw,
    describe,
    size=(8.6, 3.9),
    question="Predict first: λ grows tenfold. What must Euler's h do, and what implicit Euler's?",
    controls={
        "lam": log_slider("λ", 1, 1000, value=50.0, per_decade=10, format=".4g"),
        "h": log_slider("step size h", 0.01, 1, value=0.05, per_decade=20, format=".3g"),
        "method": choice("method", list(DECAY_METHODS)),
    },
)
