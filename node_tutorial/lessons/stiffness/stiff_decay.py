"""Lesson 04: one step size, one rate of decay, any method: where z = -h lambda lies, and what the
solution does.
"""

from functools import lru_cache

import numpy as np

from ...course.controls import choice, log_slider
from ...course.explorables import Explorable, explorable
from ...plotting import GREEN, ORANGE, REJECTED, exact_line, stability_region
from ...solvers.methods.implicit_tableaus import IMPLICIT_EULER, RADAU_IIA5, TRAPEZOID, TRBDF2
from ...solvers.tableaus import DOPRI5, EULER, RK4_CLASSIC

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
_RE, _IM = (-8.0, 5.0), (-5.5, 5.5)  # the drawn part of the plane
_HUGE = 1e6  # a solution that grows is held here, so that it can be drawn


@explorable("04", "stiff_decay")
def stiff_decay():
    """y' = -lambda (y - cos t) by fixed steps: z = -h lambda in the region of stability, the
    solution beside it.
    """

    def compute(lam, h, method):
        tableau, n = DECAY_METHODS[method], int(_T_END / h + 1e-9)
        t, y = np.arange(n + 1) * h, decay_steps(tableau, lam, h, n)
        fine = np.linspace(0, _T_END, 301)
        return {
            "method": method,
            "lam": lam,
            "h": h,
            "R": float(stability_function(tableau)(-lam * h).real),
            "n": n,
            "t": t,
            "y": y,
            "fine": fine,
            "exact": decay_exact(lam, fine),
            "error": float(abs(y[-1] - decay_exact(lam, t[-1]))),
        }

    def draw(fig, data):
        left, right = fig.subplots(1, 2, width_ratios=[1, 1.45])
        size, z = abs(data["R"]), -data["lam"] * data["h"]
        color = REJECTED if size > 1 + 1e-9 else ORANGE if data["R"] < -0.5 else GREEN
        stability_region(_region(data["method"]), ax=left, xlim=_RE, ylim=_IM)
        inside = z >= _RE[0]
        left.plot(
            max(z, _RE[0]),
            0,
            "o" if inside else "<",
            color=color,
            markersize=10,
            clip_on=False,
            zorder=3,
        )
        left.set(xlabel="Re z", ylabel="Im z")
        left.set_title(
            f"z = -hλ = {z:.4g}" + ("" if inside else ", far left") + f"\nR(z) = {data['R']:.4g}"
        )
        exact_line(data["fine"], data["exact"], ax=right, label=None)
        right.plot(data["t"], data["y"], "o-", color=color, linewidth=1.2, markersize=3.5)
        right.set(xlim=(-0.05, _T_END * 1.02), ylim=(-2.2, 2.6), xlabel="t", ylabel="y")
        right.set_title(
            f"{data['method']}, λ = {data['lam']:.4g}, h = {data['h']:.4g}\n"
            f"{data['n']} steps; error at the end {data['error']:.1e}"
        )

    def describe(data):
        size = abs(data["R"])
        fate = "grows" if size > 1 + 1e-9 else "dies out" if size < 0.5 else "fades slowly"
        rings = ", changing its sign at each step" if data["R"] < 0 else ""
        return (
            f"{data['method']}, λ = {data['lam']:.4g}, h = {data['h']:.4g}: z = -hλ = "
            f"{-data['lam'] * data['h']:.4g} "
            f"and R(z) = {data['R']:.4g}, so a disturbance {fate}{rings}; after {data['n']} steps "
            "y is off by "
            f"{data['error']:.1e}."
        )

    return Explorable(
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


def decay_exact(lam, t, y0=0.0):
    """The solution of y' = -lambda (y - cos t), y(0) = y0, at times t: a slow curve, and a fast way
    to it.
    """
    slow = (lam**2 * np.cos(t) + lam * np.sin(t)) / (1 + lam**2)
    return slow + (y0 - lam**2 / (1 + lam**2)) * np.exp(-lam * np.asarray(t))


def decay_steps(tableau, lam, h, n, y0=0.0):
    """n steps of a Runge-Kutta method over the same problem: y (n + 1,), held within +-1e6.

    The problem is linear, so that the stages k = lambda (cos(t + c h) - y - h A k) need one linear
    solve for all steps.
    """
    a, b, c = _arrays(tableau)
    weights = np.linalg.solve((np.eye(len(b)) + lam * h * a).T, b) * lam * h
    forcing = np.cos(h * (np.arange(n)[:, None] + c)) @ weights
    y, factor = [y0], 1 - float(weights.sum())
    for g in forcing.tolist():
        y.append(min(max(factor * y[-1] + g, -_HUGE), _HUGE))
    return np.array(y)


def stability_function(tableau):
    """R(z) = 1 + z b (I - z A)^-1 1, what one step makes of y' = z y, h = 1 (HW II, (3.2)); z may
    be an array.
    """
    a, b, _ = _arrays(tableau)

    def R(z):
        z = np.asarray(z, dtype=complex)[..., None, None]
        stages = np.linalg.solve(np.eye(len(b)) - z * a, np.ones((len(b), 1)))
        return 1 + (z[..., 0] * (b @ stages))[..., 0]

    return R


def real_boundary(tableau):
    """The |z| at which an explicit method's region of stability ends on the negative real axis."""
    R = stability_function(tableau)
    low, high = (
        0.1,
        20.0,
    )  # |R| <= 1 from 0 to the boundary, > 1 beyond it, for the methods of the course
    while high - low > 1e-12:
        middle = (low + high) / 2
        low, high = (middle, high) if abs(R(-middle)) <= 1 else (low, middle)
    return (low + high) / 2


def _arrays(tableau):
    """A (s, s), b (s,), c (s,) of a tableau, whose rows may be shorter."""
    s = len(tableau.b)
    a = np.zeros((s, s))
    for i, row in enumerate(tableau.a):
        a[i, : len(row)] = row
    return a, np.array(tableau.b), np.array(tableau.c)


@lru_cache(maxsize=len(DECAY_METHODS))
def _region(method):
    """|R| (78, 92) on a grid over _RE and _IM, no point of which is a pole."""
    x, y = np.meshgrid(np.linspace(*_RE, 92), np.linspace(*_IM, 78))
    size = np.abs(stability_function(DECAY_METHODS[method])(x + 1j * y))
    return np.where(np.isfinite(size), size, 1e3).clip(max=1e3)
