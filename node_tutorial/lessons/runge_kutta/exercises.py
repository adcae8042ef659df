"""Exercises of lesson 02. The solutions are shown to learners, and written as they would write."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from ...course.answers import array, function, number, one_of
from ...course.exercises import Exercise, Mistake, register
from ...data.systems import pendulum
from ...plotting import fitted_slope
from ...solvers.odeint import odeint
from ...solvers.tableaus import EULER, HEUN3, MIDPOINT, RK4, RK4_CLASSIC, Tableau
from .tableau_workbench import bell

# ---- 02.1 One step from a tableau ----------------------------------------------------------------


def my_step(f, t, y, h, a, b, c):
    k: list = []
    for a_i, c_i in zip(a, c):
        y_i = y + h * sum(a_ij * k_j for a_ij, k_j in zip(a_i, k))
        k.append(f(t + c_i * h, y_i))
    return y + h * sum(b_j * k_j for b_j, k_j in zip(b, k))


def _time_forgotten(f: Callable, t: Any, y: Any, h: Any, a: Any, b: Any, c: Any) -> Any:
    k: list = []
    for a_i in a:
        k.append(f(t, y + h * sum(w * k_j for w, k_j in zip(a_i, k))))
    return y + h * sum(w * k_j for w, k_j in zip(b, k))


def _h_forgotten_in_stages(f: Callable, t: Any, y: Any, h: Any, a: Any, b: Any, c: Any) -> Any:
    k: list = []
    for a_i, c_i in zip(a, c):
        k.append(f(t + c_i * h, y + sum(w * k_j for w, k_j in zip(a_i, k))))
    return y + h * sum(w * k_j for w, k_j in zip(b, k))


def _h_forgotten_at_the_end(f: Callable, t: Any, y: Any, h: Any, a: Any, b: Any, c: Any) -> Any:
    k: list = []
    for a_i, c_i in zip(a, c):
        k.append(f(t + c_i * h, y + h * sum(w * k_j for w, k_j in zip(a_i, k))))
    return y + sum(w * k_j for w, k_j in zip(b, k))


def _stages_pile_up(f: Callable, t: Any, y: Any, h: Any, a: Any, b: Any, c: Any) -> Any:
    y_i = y
    k: list = []
    for a_i, c_i in zip(a, c):
        y_i = y_i + h * sum(w * k_j for w, k_j in zip(a_i, k))
        k.append(f(t + c_i * h, y_i))
    return y + h * sum(w * k_j for w, k_j in zip(b, k))


def _end_from_last_stage(f: Callable, t: Any, y: Any, h: Any, a: Any, b: Any, c: Any) -> Any:
    k: list = []
    for a_i, c_i in zip(a, c):
        y_i = y + h * sum(w * k_j for w, k_j in zip(a_i, k))
        k.append(f(t + c_i * h, y_i))
    return y_i + h * sum(w * k_j for w, k_j in zip(b, k))


def _last_slope_only(f: Callable, t: Any, y: Any, h: Any, a: Any, b: Any, c: Any) -> Any:
    k: list = []
    for a_i, c_i in zip(a, c):
        k.append(f(t + c_i * h, y + h * (a_i[-1] * k[-1] if a_i else 0)))
    return y + h * sum(w * k_j for w, k_j in zip(b, k))


def _step_problem(step: Callable) -> str | None:
    """What is wrong with a step, judged by properties that every Runge-Kutta step has."""

    def run(f: Callable, y: float, h: float, method: Tableau, t: float = 0.0) -> float:
        return float(step(f, t, y, h, method.a, method.b, method.c))

    for method in (EULER, MIDPOINT, HEUN3, RK4_CLASSIC, RK4):
        if abs(run(lambda t, y: 1.0, 2.0, 0.3, method) - 2.3) > 1e-12:
            return "For y' = 1 a step must add exactly h, since b sums to 1."
        series = sum(0.4**k / math.factorial(k) for k in range(method.stages + 1))
        if abs(run(lambda t, y: y, 1.0, 0.4, method) - series) > 1e-12:
            return (
                "For y' = y the stages do not combine as the rows of `a` say: "
                "look at where each `y_i` starts."
            )
        slope_2t = run(lambda t, y: 2 * t, 5.0, 0.5, method, t=1.0)
        if method.stages > 1 and abs(slope_2t - 6.25) > 1e-12:
            return (
                "For y' = 2 t a step of order 2 or more is exact, and yours is not: "
                "look at the stages' times."
            )
    errors = []
    for n in (16, 32, 64):
        y = 1.0
        for i in range(n):
            y = run(bell, y, 2 / n, RK4, t=i * 2 / n)
        errors.append(abs(y - 0.2))
    order = fitted_slope([1 / 16, 1 / 32, 1 / 64], np.maximum(errors, 1e-16))
    if order > 3.5:
        return None
    return f"With the 3/8 rule the observed order is {order:.1f}; it should be 4."


_PROBES = [(bell, 0.5, 0.8, 0.4, m.a, m.b, m.c) for m in (EULER, MIDPOINT, HEUN3, RK4)]

register(
    Exercise(
        "02.1",
        "One Runge-Kutta step from its tableau",
        kind=function(*_PROBES, returns=number()),
        solution=my_step,
        check=_step_problem,
        mistakes=[
            Mistake(
                "c unused",
                _time_forgotten,
                "Every stage is evaluated at the start time. Where does `c` enter?",
            ),
            Mistake(
                "h missing in stages",
                _h_forgotten_in_stages,
                "The stages move by slopes alone; `h` is missing.",
            ),
            Mistake(
                "h missing at the end",
                _h_forgotten_at_the_end,
                "The last line adds slopes to a state: times `h`!",
            ),
            Mistake(
                "stages pile up",
                _stages_pile_up,
                "Each stage starts again from `y`, not from the stage before.",
            ),
            Mistake(
                "ends from a stage",
                _end_from_last_stage,
                "The step itself starts from `y`, not from `y_i`.",
            ),
            Mistake(
                "last slope only",
                _last_slope_only,
                "A row of `a` weighs all earlier slopes, not just the last.",
            ),
        ],
        hints=[
            "Keep a list `k` of slopes, "
            "and fill it in a loop over the rows of `a` and the entries of `c`.",
            "Stage i is at `y + h * sum(...)`; "
            "`zip(a_i, k)` pairs the weights of row i with the slopes so far.",
            "Append `f(t + c_i * h, y_i)`. "
            "After the loop, weigh all slopes by `b` in the same way.",
        ],
        meaning="Six lines hold every explicit Runge-Kutta method there is. "
        "Does yours also take a tensor for `y`?",
    )
)

# ---- 02.2 Measured orders ------------------------------------------------------------------------


def measured_orders():
    y0 = torch.tensor([1.0, 0.0], dtype=torch.float64)
    t = torch.tensor([0.0, 5.0], dtype=torch.float64)
    exact = odeint(pendulum, y0, t, method="dopri8", rtol=1e-13, atol=1e-13)[-1]
    hs = [5 / n for n in (64, 128, 256, 512)]
    orders = []
    for method in ("euler", "midpoint", "heun2", "rk4_classic"):
        ends = [odeint(pendulum, y0, t, method=method, options={"step_size": h})[-1] for h in hs]
        orders.append(fitted_slope(hs, [float((end - exact).norm()) for end in ends]))
    return orders


_NOT_MEASURED = (
    "These are the orders of theory. "
    "Measured ones are not whole numbers: hand in the slopes of your fits."
)
_AGAINST_N = "The sign: you fitted against the number of steps. Fit against the step size h."
_RATIOS = (
    "These are ratios of errors at h and h / 2. "
    "The order is the exponent: take the logarithm to base 2."
)
_LOCAL = "One too high: that is the order of the error of one single step. Go all the way to T = 5."
_ONE_LOG = (
    "A slope this small comes from taking the logarithm of only one of the two axes. Take both."
)
_BASES = "Both logarithms need the same base."


def _orders_problem(orders: np.ndarray) -> str | None:
    expected = np.array([1, 2, 2, 4])
    if np.abs(orders - expected).max() < 1e-6:
        return _NOT_MEASURED
    if np.abs(orders - expected).max() < 0.1:
        return None
    if np.abs(orders + expected).max() < 0.2:
        return _AGAINST_N
    if np.abs(orders - 2.0**expected).max() < 1.5:
        return _RATIOS
    if np.abs(orders - expected - 1).max() < 0.2:
        return _LOCAL
    bases = (math.log(10), 1 / math.log(10))
    if min(np.abs(orders * base - expected).max() for base in bases) < 0.2:
        return _BASES
    if np.abs(orders).max() < 0.5:
        return _ONE_LOG
    worst = int(np.abs(orders - expected).argmax()) + 1
    return f"Entry {worst} is farthest off. Look at its errors: do they fall steadily?"


register(
    Exercise(
        "02.2",
        "Orders measured on the pendulum",
        kind=array(4, "four slopes: Euler, midpoint, Heun of order 2, classical RK4"),
        solution=measured_orders,
        check=_orders_problem,
        mistakes=[
            Mistake("orders of theory", [1, 2, 2, 4], _NOT_MEASURED),
            Mistake("slope against N", [-1.035, -1.992, -1.991, -3.992], _AGAINST_N),
            Mistake("ratios", [2.02, 3.98, 3.98, 15.9], _RATIOS),
            Mistake("one step only", [2.0, 3.0, 3.0, 5.0], _LOCAL),
            Mistake("errors without logarithm", [0.02, 0.001, 0.001, 1e-8], _ONE_LOG),
            Mistake("log10 of errors over ln h", [0.4495, 0.8651, 0.8647, 1.7337], _BASES),
        ],
        hints=[
            "For each method collect four errors at t = 5, one for each number of steps.",
            "The reference: `dopri8` with `rtol=atol=1e-13`. "
            "The error: the norm of the difference of the last states.",
            "`fitted_slope([5 / n for n in steps], "
            "errors)` from `node_tutorial.plotting` fits on logarithmic axes.",
        ],
        otherwise="Four slopes, in the order Euler, "
        "midpoint, Heun, classical RK4; each near a whole number.",
        meaning="Near 1, 2, 2, 4, and nearer the smaller h is. On "
        "this nonlinear problem midpoint and Heun differ in their errors, yet not in their order.",
    )
)

# ---- 02.3 The broken condition -------------------------------------------------------------------


def broken_condition():
    a = np.zeros((4, 4))
    a[1, 0] = a[2, 1] = a[3, 1] = a[3, 2] = 1 / 2
    b = np.array([1 / 6, 1 / 3, 1 / 3, 1 / 6])
    c = a.sum(axis=1)
    values = {
        "b.1": (b.sum(), 1),
        "b.c": (b @ c, 2),
        "b.c^2": (b @ c**2, 3),
        "b.Ac": (b @ a @ c, 6),
        "b.c^3": (b @ c**3, 4),
        "b.cAc": (b @ (c * (a @ c)), 8),
        "b.Ac^2": (b @ a @ c**2, 12),
        "b.AAc": (b @ a @ a @ c, 24),
    }
    return next(name for name, (value, n) in values.items() if abs(value - 1 / n) > 1e-12)


register(
    Exercise(
        "02.3",
        "Which order condition a corrupted tableau breaks",
        kind=one_of("b.1", "b.c", "b.c^2", "b.Ac", "b.c^3", "b.cAc", "b.Ac^2", "b.AAc"),
        solution=broken_condition,
        mistakes=[
            Mistake("sum of b", "b.1", "`Tableau` would have refused it: `b` still sums to 1."),
            Mistake("order 2", "b.c", "Then the order would be 1. Measure it: it is higher."),
            Mistake(
                "b and c alone",
                "b.c^2",
                "`b` and `c` are untouched, so what involves only these still holds.",
            ),
            Mistake(
                "quadrature of order 4",
                "b.c^3",
                "This one involves only `b` and `c`, which are as before.",
            ),
            Mistake(
                "order 3",
                "b.Ac",
                "Then the order would be 2. Measure it: it is higher. And compute `A c`.",
            ),
            Mistake(
                "A c again",
                "b.cAc",
                "Compute `A c` before and after: c_2 = c_3, so it did not change.",
            ),
            Mistake(
                "A c squared",
                "b.Ac^2",
                "c_2^2 = c_3^2, so moving weight from one to the other changes nothing.",
            ),
        ],
        hints=[
            "Feed the tableau to `order_conditions` and look for an entry that is not zero.",
            "Only the last row of `a` changed, and it still sums to 1. "
            "Which sums see more than that?",
            "Weight moved between two stages at equal times; "
            "only what those stages have seen before differs.",
        ],
        meaning="The tall tree: a slope of a slope of a slope. "
        "All else holds, so that the order is 3 and no check of row sums can notice. "
        "This is why methods are tested by measured orders too.",
    )
)

# ---- 02.4 The floor of float32 -------------------------------------------------------------------


def float32_floor():
    y0 = torch.tensor([1.0, 0.0], dtype=torch.float64)
    t = torch.tensor([0.0, 5.0], dtype=torch.float64)
    exact = odeint(pendulum, y0, t, method="dopri8", rtol=1e-13, atol=1e-13)[-1]
    errors = []
    for n in [2**k for k in range(2, 12)]:
        y = odeint(pendulum, y0.float(), t, method="rk4_classic", options={"step_size": 5 / n})[-1]
        errors.append(float((y.double() - exact).norm()))
    return min(errors)


_DOUBLE = (
    "Far too small for 24 bits: this was computed in float64. `y0` decides the dtype of the state."
)
_STILL_TRUNCATION = (
    "Above the floor. Either the step is still too long, "
    "or already too short: search both sides of the V."
)
_ZERO = (
    "An error of exactly 0 means that both sides carry the same rounding: "
    "compare with a float64 reference."
)
_EXPONENT = "An error is positive. Did you hand in its logarithm?"


def _floor_problem(error: float) -> str | None:
    if error < 0:
        return _EXPONENT
    if error == 0:
        return _ZERO
    if error < 1e-9:
        return _DOUBLE
    return None if error < 4e-7 else _STILL_TRUNCATION


register(
    Exercise(
        "02.4",
        "The smallest error in float32",
        kind=number("the smallest error that classical RK4 reaches in float32"),
        solution=float32_floor,
        atol=0.0,
        check=_floor_problem,
        mistakes=[
            Mistake("float64", 2.5e-13, _DOUBLE),
            Mistake("too few steps", 1.1e-4, _STILL_TRUNCATION),
            Mistake("reference rounded as well", 0.0, _ZERO),
            Mistake("logarithm", -7.0, _EXPONENT),
        ],
        hints=[
            "Solve with `y0` in float32 for 4, "
            "8, ..., 2048 steps; take the smallest of the errors.",
            "Compare in float64: `(y[-1].double() - exact).norm()`, "
            "with the reference of exercise 02.2.",
            "The floor lies near the eps of float32, "
            "about 1e-7; RK4 reaches it with one or two hundred steps.",
        ],
        meaning="Within a small factor of eps, and ten times as many steps would make it worse. "
        "Neural networks run in float32: "
        "asking a solver for more digits than this is paid for and not delivered.",
    )
)
