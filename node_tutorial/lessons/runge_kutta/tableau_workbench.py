"""Lesson 02: what the numbers of a tableau decide."""

import math
from fractions import Fraction
from functools import lru_cache

import ipywidgets as widgets
import numpy as np

from ...course.controls import choice, slider, toggle
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
from ...solvers.tableaus import EULER, HEUN2, HEUN3, MIDPOINT, RK4, RK4_CLASSIC

NAMES = {
    "Euler": EULER,
    "midpoint": MIDPOINT,
    "Heun, order 2": HEUN2,
    "Heun, order 3": HEUN3,
    "classical RK4": RK4_CLASSIC,
    "3/8 rule": RK4,
}
STAGE_COLORS = (BLUE, VERMILLION, GREEN, PURPLE)
WEIGHTS = [str(Fraction(n, 24)) for n in range(-6, 25)]  # what the sliders of b offer
STEPS = 2 ** np.arange(1, 10)  # the measured order of the explorable: 2 to 512 steps


def bell(t, y):
    """The test problem y' = -2 t y^2, y(0) = 1: nonlinear, depends on t, solved by 1 / (1 + t^2)."""
    return -2 * t * y * y


@explorable("02", "tableau_workbench")
def tableau_workbench():
    """A Runge-Kutta method with movable weights b: order conditions, the stages of one step, the
    measured order.
    """

    def compute(method, b1, b2, b3, b4, rescale, h, dtype):
        tableau = NAMES[method]
        b = [Fraction(text) for text in (b1, b2, b3, b4)][: tableau.stages]
        if rescale and sum(b):
            b = [weight / sum(b) for weight in b]
        conditions = _conditions(tableau, b)
        kept = [
            order for order in range(1, 5) if all(ok for p, _, _, ok in conditions if p <= order)
        ]
        points, slopes, end = stages(bell, 0.0, 1.0, h, tableau, [float(weight) for weight in b])
        errors = _bell_errors(tableau.name, tuple(float(weight) for weight in b), dtype)
        return {
            "method": method,
            "b": ", ".join(str(weight.limit_denominator(200)) for weight in b),
            "conditions": conditions,
            "order": max(kept, default=0),
            "points": points,
            "slopes": slopes,
            "end": end,
            "weights": [float(weight) for weight in b],
            "h": h,
            "dtype": dtype,
            "errors": errors,
            "measured": _measured_order(errors, dtype),
        }

    def draw(fig, data):
        left, middle, right = fig.subplots(1, 3, width_ratios=[1.15, 0.85, 1.1])
        _draw_step(left, data)
        _draw_conditions(middle, data["conditions"])
        middle.set_title(f"conditions: order {data['order']}")
        error = np.clip(data["errors"], 1e-17, 1e2)
        color = REJECTED if data["order"] == 0 else BLUE
        right.loglog(2 / STEPS, error, "o-", color=color)
        right.axhline(np.finfo(data["dtype"]).eps, color=GRAY, linewidth=0.8, linestyle=":")
        right.text(
            1.0,
            0.4 * np.finfo(data["dtype"]).eps,
            f"eps of {data['dtype']}",
            color=GRAY,
            fontsize=9,
            va="top",
            ha="right",
        )
        right.set(
            xlim=(2.5e-3, 1.6), ylim=(1e-18, 1e2), xlabel="step size h", ylabel="error at t = 2"
        )
        _plain_log_ticks(right, (-2, -1, 0), (0, -4, -8, -12, -16))
        right.set_title(f"measured order {data['measured']:.2f}")

    def describe(data):
        met = sum(ok for *_, ok in data["conditions"])
        return (
            f"{data['method']} with b = ({data['b']}): {met} of 8 conditions hold, order "
            f"{data['order']}; measured "
            f"{data['measured']:.1f} in {data['dtype']}; one step h = {data['h']:.2f} costs NFE "
            f"{len(data['slopes'])} and misses by "
            f"{abs(data['end'] - 1 / (1 + data['h'] ** 2)):.3f}."
        )

    method = choice("method", list(NAMES), value="classical RK4")()
    rows = [_weight_slider(i, RK4_CLASSIC.b[i]) for i in range(4)]

    def load(_change=None):  # runs before the picture is redrawn: its observer is the first
        weights = NAMES[method.value].b
        for i, row in enumerate(rows):
            row.disabled = i >= len(weights)
        panel.start_at(method=method.value, **_preset(method.value))

    method.observe(load, names="value")
    panel = Explorable(  # the name `panel` is looked up by `load`
        compute,
        draw,
        describe,
        size=(9.6, 3.5),
        question="Predict first: raise one weight by one notch. Which order is left?",
        controls={
            "method": lambda: method,
            **{f"b{i + 1}": lambda row=row: row for i, row in enumerate(rows)},
            "rescale": toggle("divide b by its sum", False),
            "h": slider("h of the step shown", 0.1, 1.5, 1.0, 0.1),
            "dtype": choice("dtype", ["float64", "float32"]),
        },
    )
    return panel


def _weight_slider(i, value):
    """A slider over multiples of 1/24, shown as fractions."""
    shown = str(Fraction(value).limit_denominator(24))
    return widgets.SelectionSlider(
        options=WEIGHTS,
        value=shown,
        description=f"b{i + 1}",
        continuous_update=False,
        style={"description_width": "initial"},
        layout={"width": "230px"},
    )


def _preset(method):
    """The sliders' values for a method's own weights."""
    weights = [str(Fraction(w).limit_denominator(24)) for w in NAMES[method].b]
    return {f"b{i + 1}": text for i, text in enumerate([*weights, *["0"] * (4 - len(weights))])}


def _conditions(tableau, b):
    """The eight conditions for order 4, in exact arithmetic: (order, formula, value, whether it
    holds).
    """
    s = range(len(b))
    a = [
        [Fraction(x).limit_denominator(100) for x in row] + [Fraction(0)] * len(b)
        for row in tableau.a
    ]
    c = [sum(row, Fraction(0)) for row in a]

    def times(x):
        return [sum((a[i][j] * x[j] for j in s), Fraction(0)) for i in s]

    def weighted(x):
        return sum((b[i] * x[i] for i in s), Fraction(0))

    squared, ac = [x * x for x in c], times(c)
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
    found = [(order, formula, weighted(x), Fraction(1, n)) for order, formula, x, n in rows]
    return [
        (p, f"{text} = {_text(v)}" + ("" if v == goal else f", not {goal}"), float(v), v == goal)
        for p, text, v, goal in found
    ]


def _text(value):
    return str(value) if value.denominator <= 48 else f"{float(value):.4f}"


def stages(f, t, y, h, tableau, b=None):
    """The stages' points (t_i, y_i) and slopes k_i of one step, and its end."""
    points: list = []
    k: list = []
    for a_i, c_i in zip(tableau.a, tableau.c):
        points.append((t + c_i * h, y + h * sum(w * k_j for w, k_j in zip(a_i, k))))
        k.append(f(*points[-1]))
    return points, k, y + h * sum(w * k_j for w, k_j in zip(tableau.b if b is None else b, k))


@lru_cache(maxsize=512)
def _bell_errors(name, b, dtype):
    """Errors at t = 2 for all of STEPS at once, computed in `dtype`."""
    tableau = next(tableau for tableau in NAMES.values() if tableau.name == name)
    number = np.dtype(dtype).type
    h, y = number(2) / STEPS.astype(dtype), np.ones(len(STEPS), dtype)
    a = [[number(w) for w in row] for row in tableau.a]
    c, b = [number(x) for x in tableau.c], [number(w) for w in b]
    with np.errstate(all="ignore"):
        for n in range(STEPS[-1]):
            now = slice(
                int(np.searchsorted(STEPS, n, side="right")), None
            )  # those that have steps left
            k: list = []
            hs, ys = h[now], y[now]
            for a_i, c_i in zip(a, c):
                y_i = ys + hs * sum((w * k_j for w, k_j in zip(a_i, k) if w), number(0))
                k.append(bell((number(n) + c_i) * hs, y_i))
            y[now] = ys + hs * sum((w * k_j for w, k_j in zip(b, k) if w), number(0))
        error = np.abs(y.astype(float) - 0.2)
    return np.where(np.isfinite(error), error, 1e2).clip(0, 1e2)


def _measured_order(errors, dtype):
    """The slope over the finest step sizes whose error stands clear of rounding."""
    clear = np.flatnonzero((errors > 50 * np.finfo(dtype).eps) & (errors < 1e2))
    return fitted_slope(2 / STEPS, errors, clear[-3:]) if len(clear) > 1 else 0.0


def _draw_step(ax, data):
    t, y = np.meshgrid(np.linspace(0.05, 1.55, 11), np.linspace(-0.15, 1.15, 11))
    _slope_field(ax, t, y)
    ts = np.linspace(0, 1.6, 80)
    exact_line(ts, 1 / (1 + ts**2), ax=ax, label=None)
    for i, ((t_i, y_i), k_i, b_i) in enumerate(
        zip(data["points"], data["slopes"], data["weights"])
    ):
        half = 0.13 / math.hypot(1, k_i)
        ax.plot(
            [t_i - half, t_i + half],
            [y_i - half * k_i, y_i + half * k_i],
            color=STAGE_COLORS[i],
            linewidth=1.2 + 6 * abs(b_i),
        )
        ax.text(
            1.12,
            1.14 - 0.14 * i,
            f"k{i + 1} = {k_i + 0.0:.2f}",
            color=STAGE_COLORS[i],
            fontsize=9.5,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
        )
    ax.plot(data["h"], np.clip(data["end"], -0.28, 1.28), "o", color=EXACT, markersize=8)
    ax.grid(False)
    ax.set(xlim=(-0.1, 1.65), ylim=(-0.3, 1.3), xlabel="t", ylabel="y")
    ax.set_xticks([0, 0.5, 1, 1.5])
    ax.set_yticks([0, 0.5, 1])
    ax.set_title(f"h = {data['h']:.1f}, NFE {len(data['slopes'])}: y = {data['end']:.3f}")


def _slope_field(ax, t, y):
    k = bell(t, y)
    ax.quiver(
        t,
        y,
        1 / np.hypot(1, k),
        k / np.hypot(1, k),
        angles="xy",
        color="#BBBBBB",
        width=0.004,
        pivot="mid",
        headwidth=0,
        headlength=0,
        headaxislength=0,
        scale=18,
    )


def _draw_conditions(ax, conditions):
    ax.axis("off")
    ax.set(xlim=(0, 1), ylim=(-8.6, 0.6))
    for i, (order, text, _, ok) in enumerate(conditions):
        new = i == 0 or conditions[i - 1][0] != order
        ax.text(-0.05, -i - 0.35 * order, f"{order}" if new else "", color=GRAY, fontsize=10)
        ax.text(
            0.08,
            -i - 0.35 * order,
            ("✓ " if ok else "✗ ") + text,
            fontsize=10,
            color=GREEN if ok else REJECTED,
        )


def _plain_log_ticks(ax, xs, ys):
    """Ticks at powers of ten, as plain text: several times quicker to draw than formulas."""
    for axis, powers in ((ax.xaxis, xs), (ax.yaxis, ys)):
        axis.set_ticks(
            [10.0**p for p in powers], labels=["1" if p == 0 else f"1e{p}" for p in powers]
        )
        axis.set_ticks([], minor=True)
