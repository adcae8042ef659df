"""Lesson 02: what the numbers of a tableau decide. A Runge-Kutta method with movable weights b: its
order conditions, the stages of one step, the measured order.
"""

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import lru_cache, partial
from typing import Any, NamedTuple

import ipywidgets as widgets
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...course.controls import Control, choice, slider, toggle
from ...course.explorables import Explorable, explorable
from ...plotting import (
    BLUE,
    EXACT,
    GRAY,
    GREEN,
    PURPLE,
    REJECTED,
    VERMILLION,
    exact_line,
    fitted_slope,
)
from ...solvers.tableaus import EULER, HEUN2, HEUN3, MIDPOINT, RK4, RK4_CLASSIC, Tableau

NAMES = {
    "Euler": EULER,
    "midpoint": MIDPOINT,
    "Heun, order 2": HEUN2,
    "Heun, order 3": HEUN3,
    "classical RK4": RK4_CLASSIC,
    "3/8 rule": RK4,
}
# The rooted tree of each order condition: dots (across, up), and the number of the dot below each.
TREES = (
    (((0, 0), 0),),
    (((0, 0), 0), ((0, 1), 0)),
    (((0, 0), 0), ((-0.7, 1), 0), ((0.7, 1), 0)),
    (((0, 0), 0), ((0, 1), 0), ((0, 2), 1)),
    (((0, 0), 0), ((-1, 1), 0), ((0, 1), 0), ((1, 1), 0)),
    (((0, 0), 0), ((-0.7, 1), 0), ((0.7, 1), 0), ((0.7, 2), 2)),
    (((0, 0), 0), ((0, 1), 0), ((-0.7, 2), 1), ((0.7, 2), 1)),
    (((0, 0), 0), ((0, 1), 0), ((0, 2), 1), ((0, 3), 2)),
)
STEPS = 2 ** np.arange(1, 10)  # numbers of steps from t = 0 to 2 at which the order is measured
_STAGE_COLORS = (BLUE, VERMILLION, GREEN, PURPLE)
_WEIGHTS = [str(Fraction(n, 24)) for n in range(-6, 25)]  # what the sliders of b offer


# ---- The mathematics -----------------------------------------------------------------------------


def bell(t: Any, y: Any) -> Any:
    """The test problem y' = -2 t y^2, y(0) = 1, for numbers or arrays.

    It is nonlinear, depends on t, and is solved by 1 / (1 + t^2).
    """
    return -2 * t * y * y


class Stages(NamedTuple):
    """One step of a scalar problem: the stages' points (t_i, y_i) and slopes k_i, and its end."""

    points: list[tuple[float, float]]
    slopes: list[float]
    end: float


def stages(
    f: Callable[[float, float], float],
    t: float,
    y: float,
    h: float,
    tableau: Tableau,
    b: Sequence[float] | None = None,
) -> Stages:
    """One step of size h from (t, y) by a tableau, or by its a and c with other weights b."""
    points: list[tuple[float, float]] = []
    k: list[float] = []
    for a_i, c_i in zip(tableau.a, tableau.c):
        points.append((t + c_i * h, y + h * sum(w * k_j for w, k_j in zip(a_i, k))))
        k.append(f(*points[-1]))
    weights = tableau.b if b is None else b
    return Stages(points, k, y + h * sum(w * k_j for w, k_j in zip(weights, k)))


class Condition(NamedTuple):
    """An order condition: from which order on it is needed, how it reads with its value, and
    whether it holds.
    """

    order: int
    text: str
    holds: bool


def order_conditions(tableau: Tableau, b: Sequence[Fraction]) -> list[Condition]:
    """The eight conditions for order 4 of a tableau with weights b, in exact arithmetic.

    Source: Hairer, Norsett, Wanner, "Solving Ordinary Differential Equations I", II.1, (1.11).
    """
    s = range(len(b))
    a = [
        [Fraction(x).limit_denominator(100) for x in row] + [Fraction(0)] * len(b)
        for row in tableau.a
    ]
    c = [sum(row, Fraction(0)) for row in a]

    def times(x: list[Fraction]) -> list[Fraction]:
        return [sum((a[i][j] * x[j] for j in s), Fraction(0)) for i in s]

    squared = [x * x for x in c]
    ac = times(c)
    rows = [
        (1, "b·1", [Fraction(1)] * len(b), 1),
        (2, "b·c", c, 2),
        (3, "b·c²", squared, 3),
        (3, "b·Ac", ac, 6),
        (4, "b·c³", [x**3 for x in c], 4),
        (4, "b·(c Ac)", [x * y for x, y in zip(c, ac)], 8),
        (4, "b·Ac²", times(squared), 12),
        (4, "b·AAc", times(ac), 24),
    ]
    conditions = []
    for order, formula, x, n in rows:
        value = sum((b[i] * x[i] for i in s), Fraction(0))
        wrong = "" if value == Fraction(1, n) else f", not {Fraction(1, n)}"
        conditions.append(Condition(order, f"{formula} = {_text(value)}{wrong}", not wrong))
    return conditions


def _text(value: Fraction) -> str:
    return str(value) if value.denominator <= 48 else f"{float(value):.4f}"


@lru_cache(maxsize=512)
def bell_errors(method: str, b: tuple[float, ...], dtype: str) -> np.ndarray:
    """Errors (9,) at t = 2 after each number of STEPS on the bell, all at once, in `dtype`."""
    tableau = NAMES[method]
    number = np.dtype(dtype).type
    h = number(2) / STEPS.astype(dtype)
    y = np.ones(len(STEPS), dtype)
    a = [[number(w) for w in row] for row in tableau.a]
    c = [number(x) for x in tableau.c]
    weights = [number(w) for w in b]
    with np.errstate(all="ignore"):
        for n in range(STEPS[-1]):
            first = int(np.searchsorted(STEPS, n, side="right"))  # from here on steps are left
            hs, ys = h[first:], y[first:]
            k: list[np.ndarray] = []
            for a_i, c_i in zip(a, c):
                y_i = ys + hs * sum((w * k_j for w, k_j in zip(a_i, k) if w), number(0))
                k.append(bell((number(n) + c_i) * hs, y_i))
            y[first:] = ys + hs * sum((w * k_j for w, k_j in zip(weights, k) if w), number(0))
        error = np.abs(y.astype(float) - 0.2)
    return np.where(np.isfinite(error), error, 1e2).clip(0, 1e2)


def _measured_order(errors: np.ndarray, dtype: str) -> float:
    """The slope over the finest step sizes whose error stands clear of rounding."""
    clear = np.flatnonzero((errors > 50 * np.finfo(dtype).eps) & (errors < 1e2))
    return fitted_slope(2 / STEPS, errors, clear[-3:]) if len(clear) > 1 else 0.0


# ---- The explorable ------------------------------------------------------------------------------


class Workbench(NamedTuple):
    """A method with weights, also as text b: its conditions and the order that they leave, one step
    of size h on the bell, the errors (9,) after STEPS and the order measured by them.
    """

    method: str
    b: str
    weights: tuple[float, ...]
    conditions: list[Condition]
    order: int
    step: Stages
    h: float
    dtype: str
    errors: np.ndarray
    measured: float


def compute(
    method: str, b1: str, b2: str, b3: str, b4: str, rescale: bool, h: float, dtype: str
) -> Workbench:
    tableau = NAMES[method]
    b = [Fraction(text) for text in (b1, b2, b3, b4)][: tableau.stages]
    total = sum(b, Fraction(0))
    if rescale and total:
        b = [weight / total for weight in b]
    conditions = order_conditions(tableau, b)
    broken = [condition.order for condition in conditions if not condition.holds]
    weights = tuple(float(weight) for weight in b)
    errors = bell_errors(method, weights, dtype)
    return Workbench(
        method=method,
        b=", ".join(str(weight.limit_denominator(200)) for weight in b),
        weights=weights,
        conditions=conditions,
        order=min(broken, default=5) - 1,
        step=stages(bell, 0.0, 1.0, h, tableau, weights),
        h=h,
        dtype=dtype,
        errors=errors,
        measured=_measured_order(errors, dtype),
    )


def draw(fig: Figure, data: Workbench) -> None:
    left, middle, right = fig.subplots(1, 3, width_ratios=[1.15, 0.85, 1.1])
    _draw_step(left, data)
    _draw_conditions(middle, data.conditions)
    middle.set_title(f"conditions: order {data.order}")
    error = np.clip(data.errors, 1e-17, 1e2)
    right.loglog(2 / STEPS, error, "o-", color=REJECTED if data.order == 0 else BLUE)
    eps = np.finfo(data.dtype).eps
    right.axhline(eps, color=GRAY, linewidth=0.8, linestyle=":")
    name = f"eps of {data.dtype}"
    right.text(1.0, 0.4 * eps, name, color=GRAY, fontsize=9, va="top", ha="right")
    right.set(xlim=(2.5e-3, 1.6), ylim=(1e-18, 1e2), xlabel="step size h", ylabel="error at t = 2")
    _plain_log_ticks(right, (-2, -1, 0), (0, -4, -8, -12, -16))
    right.set_title(f"measured order {data.measured:.2f}")


def _draw_step(ax: Axes, data: Workbench) -> None:
    _slope_field(ax)
    ts = np.linspace(0, 1.6, 80)
    exact_line(ts, 1 / (1 + ts**2), ax=ax, label=None)
    for i, ((t_i, y_i), k_i) in enumerate(zip(data.step.points, data.step.slopes)):
        half = 0.13 / math.hypot(1, k_i)
        ax.plot(
            [t_i - half, t_i + half],
            [y_i - half * k_i, y_i + half * k_i],
            color=_STAGE_COLORS[i],
            linewidth=1.2 + 6 * abs(data.weights[i]),
        )
        ax.text(
            1.12,
            1.14 - 0.14 * i,
            f"k{i + 1} = {k_i + 0.0:.2f}",
            color=_STAGE_COLORS[i],
            fontsize=9.5,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
        )
    end = data.step.end
    ax.plot(data.h, np.clip(end, -0.28, 1.28), "o", color=EXACT, markersize=8)
    ax.grid(False)
    ax.set(xlim=(-0.1, 1.65), ylim=(-0.3, 1.3), xlabel="t", ylabel="y")
    ax.set_xticks([0, 0.5, 1, 1.5])
    ax.set_yticks([0, 0.5, 1])
    ax.set_title(f"h = {data.h:.1f}, NFE {len(data.step.slopes)}: y = {end:.3f}")


def _slope_field(ax: Axes) -> None:
    """Short lines in the direction of the bell's field."""
    t, y = np.meshgrid(np.linspace(0.05, 1.55, 11), np.linspace(-0.15, 1.15, 11))
    k = bell(t, y)
    length = np.hypot(1, k)
    headless: dict[str, Any] = {"headwidth": 0, "headlength": 0, "headaxislength": 0}
    style: dict[str, Any] = {"angles": "xy", "pivot": "mid", "scale": 18, "width": 0.004}
    ax.quiver(t, y, 1 / length, k / length, color="#BBBBBB", **style, **headless)


def _draw_conditions(ax: Axes, conditions: Sequence[Condition]) -> None:
    ax.axis("off")
    ax.set(xlim=(0, 1), ylim=(-8.6, 0.6))
    for i, ((order, text, holds), tree) in enumerate(zip(conditions, TREES)):
        y = -i - 0.35 * order
        new = i == 0 or conditions[i - 1].order != order
        ax.text(-0.05, y, f"{order}" if new else "", color=GRAY, fontsize=10)
        mark, color = ("✓ ", GREEN) if holds else ("✗ ", REJECTED)
        ax.text(0.24, y, mark + text, fontsize=10, color=color)
        for dot, ((across, up), below) in enumerate(tree):
            at = (0.12 + 0.045 * across, y - 0.04 + 0.2 * up)
            ax.plot(*at, "o", color=color, markersize=2.6)
            if dot:
                (x0, y0), _ = tree[below]
                ax.plot([0.12 + 0.045 * x0, at[0]], [y - 0.04 + 0.2 * y0, at[1]], color=color, lw=1)


def _plain_log_ticks(ax: Axes, xs: Sequence[int], ys: Sequence[int]) -> None:
    """Ticks at powers of ten, as plain text: several times quicker to draw than formulas."""
    for axis, powers in ((ax.xaxis, xs), (ax.yaxis, ys)):
        labels = ["1" if p == 0 else f"1e{p}" for p in powers]
        axis.set_ticks([10.0**p for p in powers], labels=labels)
        axis.set_ticks([], minor=True)


def describe(data: Workbench) -> str:
    met = sum(condition.holds for condition in data.conditions)
    miss = abs(data.step.end - 1 / (1 + data.h**2))
    return (
        f"{data.method} with b = ({data.b}): {met} of 8 conditions hold, order {data.order}; "
        f"measured {data.measured:.1f} in {data.dtype}; one step h = {data.h:.2f} costs NFE "
        f"{len(data.step.slopes)} and misses by {miss:.3f}."
    )


def own_weights(method: str) -> dict[str, str]:
    """The sliders' values for a method's own weights."""
    weights = [str(Fraction(w).limit_denominator(24)) for w in NAMES[method].b]
    return {f"b{i + 1}": text for i, text in enumerate([*weights, *["0"] * (4 - len(weights))])}


def _weight_slider(name: str) -> Control:
    """A slider over multiples of 1/24, shown as fractions."""
    return partial(
        widgets.SelectionSlider,
        options=_WEIGHTS,
        value=own_weights("classical RK4")[name],
        description=name,
        continuous_update=False,
        style={"description_width": "initial"},
        layout={"width": "230px"},
    )


def _load_weights(panel: Explorable) -> None:
    """Let the choice of a method move the sliders to its weights, and disable those it lacks."""
    method = panel.controls["method"]

    def load(_change: object) -> None:
        for i in range(4):
            panel.controls[f"b{i + 1}"].disabled = i >= NAMES[method.value].stages
        panel.start_at(method=method.value, **own_weights(method.value))

    method.observe(load, names="value")


tableau_workbench = explorable(
    compute,
    draw,
    describe,
    size=(9.6, 3.5),
    question="Predict first: raise one weight by one notch. Which order is left?",
    controls={
        "method": choice("method", list(NAMES), value="classical RK4"),
        **{name: _weight_slider(name) for name in ("b1", "b2", "b3", "b4")},
        "rescale": toggle("divide b by its sum", False),
        "h": slider("h of the step shown", 0.1, 1.5, 1.0, 0.1),
        "dtype": choice("dtype", ["float64", "float32"]),
    },
    connect=_load_weights,
)
