"""Exercises of lesson 02. The solutions are shown to learners, and written as they would write."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from ...course.answers import function, number, one_of
from ...course.exercises import Exercise, Mistake, register
from ...data.systems import pendulum
from ...plotting import fitted_slope
from ...solvers.methods.registry import METHODS
from ...solvers.odeint import odeint
from ...solvers.runge_kutta import RungeKutta
from ...solvers.tableaus import EULER, HEUN2, HEUN3, MIDPOINT, RK4, RK4_CLASSIC, Tableau
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

    def run(f: Callable, y: Any, h: float, method: Tableau, t: float = 0.0) -> float:
        return float(step(f, t, y, h, method.a, method.b, method.c))

    state = torch.tensor(0.8, dtype=torch.float64)
    for method in (HEUN3, RK4):
        if abs(run(bell, state, 0.4, method, t=0.5) - run(bell, 0.8, 0.4, method, t=0.5)) > 1e-6:
            return (
                "For a tensor `y` the result is another than for a number. `+=` writes into the "
                "tensor itself: `y_i = y; y_i += ...` changes `y`, too."
            )
    for method in (EULER, MIDPOINT, HEUN3, RK4_CLASSIC, RK4):
        if abs(run(lambda t, y: 1.0, 2.0, 0.3, method) - 2.3) > 1e-6:
            return "For y' = 1 a step must add exactly h, since b sums to 1."
        series = sum(0.4**k / math.factorial(k) for k in range(method.stages + 1))
        if abs(run(lambda t, y: y, 1.0, 0.4, method) - series) > 1e-6:
            return (
                "For y' = y the stages do not combine as the rows of `a` say: "
                "look at where each `y_i` starts."
            )
        slope_2t = run(lambda t, y: 2 * t, 5.0, 0.5, method, t=1.0)
        if method.stages > 1 and abs(slope_2t - 6.25) > 1e-6:
            return (
                "For y' = 2 t a step of order 2 or more is exact, and yours is not: "
                "look at the stages' times."
            )
    errors = []
    counts = (4, 8, 16)  # few enough for float32
    for n in counts:
        y = 1.0
        for i in range(n):
            y = run(bell, y, 2 / n, RK4, t=i * 2 / n)
        errors.append(abs(y - 0.2))
    order = fitted_slope([1 / n for n in counts], np.maximum(errors, 1e-16))
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
        meaning="Six lines hold every explicit Runge-Kutta method there is, "
        "for numbers and for tensors of any shape.",
    )
)

# ---- 02.2 Is Ralston's method worth it? ---------------------------------------------------------


def gain(n):
    ralston = Tableau("ralston", 2, c=(0, 2 / 3), a=((), (2 / 3,)), b=(1 / 4, 3 / 4))
    y0 = torch.tensor([1.0, 0.0], dtype=torch.float64)
    t = torch.tensor([0.0, 5.0], dtype=torch.float64)
    exact = odeint(pendulum, y0, t, method="dopri8", rtol=1e-13, atol=1e-13)[-1]
    errors = []
    for method in (METHODS["midpoint"], ralston):
        y = y0
        for i in range(n):
            y = my_step(pendulum, i * 5 / n, y, 5 / n, method.a, method.b, method.c)
        errors.append((y - exact).norm())
    return errors[0] / errors[1]


def _gain_of(above: Tableau, below: Tableau, T: float = 5.0) -> Callable[[int], float]:
    """A learner's `gain` with other methods, or until another time."""

    def gain(n: int) -> float:
        y0 = torch.tensor([1.0, 0.0], dtype=torch.float64)
        t = torch.tensor([0.0, T], dtype=torch.float64)
        exact = odeint(pendulum, y0, t, method="dopri8", rtol=1e-12, atol=1e-12)[-1]
        ends = []
        for method in (above, below):
            y = y0
            for i in range(n):
                y = RungeKutta(method).step(pendulum, i * T / n, y, T / n).y1
            ends.append(y)
        return float((ends[0] - exact).norm() / (ends[1] - exact).norm())

    return gain


_RALSTON = Tableau("ralston", 2, c=(0, 2 / 3), a=((), (2 / 3,)), b=(1 / 4, 3 / 4))
_SWAPPED = Tableau("swapped", 1, c=(0, 2 / 3), a=((), (2 / 3,)), b=(3 / 4, 1 / 4))

register(
    Exercise(
        "02.2",
        "Ralston's method: how much better than midpoint?",
        kind=function((32,), (128,), wanted="the body of the function"),
        solution=gain,
        rtol=2e-4,  # gain(64) is nearer to gain(32) than 4e-4
        mistakes=[
            Mistake(
                "upside down",
                _gain_of(_RALSTON, MIDPOINT),
                "Upside down: divide midpoint's error by Ralston's.",
            ),
            Mistake(
                "weights swapped",
                _gain_of(MIDPOINT, _SWAPPED),
                "Your Ralston has order 1. Check it: b2 c2 has to be 1/2.",
            ),
            Mistake(
                "against Heun",
                _gain_of(HEUN2, _RALSTON),
                "That compares Heun's method of order 2 with Ralston's. Midpoint is asked for.",
            ),
            Mistake(
                "Heun of order 3",
                _gain_of(MIDPOINT, HEUN3),
                "That is the gain of a method of order 3, which costs three evaluations.",
            ),
            Mistake(
                "until t = 1",
                _gain_of(MIDPOINT, _RALSTON, 1.0),
                "That looks like the errors at t = 1. Go all the way to t = 5.",
            ),
        ],
        hints=[
            "From the two conditions: b2 c2 = 1/2 with c2 = 2/3 gives b2; then b1 + b2 = 1, and "
            "a21 = c2.",
            "Make a `Tableau` of it and `register_method` it once; then "
            "`odeint(..., method=..., options={'step_size': 5 / n})` gives both ends.",
            "The exact end is `pendulum_end`. "
            "The error: the norm of the difference of the last states.",
        ],
        otherwise="Ralston's method by its three numbers a21, b1, b2; n steps of 5 / n for both; "
        "midpoint's error divided by Ralston's.",
        meaning="A few percent, and not more with shorter steps: both have order 2, so only the "
        "constant C differs. On the bell midpoint is even the better one. A third evaluation, for "
        "order 3, gains a factor of fifty at 64 steps, and more at each doubling. "
        "Orders are worth a search, constants seldom.",
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
        meaning="The tallest tree, four dots in a line: a slope of a slope of a slope. "
        "All else holds, so that the order is 3 and no check of row sums can notice. "
        "This is why methods are tested by measured orders too.",
    )
)

# ---- 02.4 The floor of float32 -------------------------------------------------------------------


def float32_error(n):
    y0 = torch.tensor([1.0, 0.0], dtype=torch.float64)
    t = torch.tensor([0.0, 5.0], dtype=torch.float64)
    exact = odeint(pendulum, y0, t, method="dopri8", rtol=1e-13, atol=1e-13)[-1]
    y = odeint(pendulum, y0.float(), t, method="rk4_classic", options={"step_size": 5 / n})[-1]
    return (y.double() - exact).norm()


def _float64_error(n: int) -> float:
    y0 = torch.tensor([1.0, 0.0], dtype=torch.float64)
    t = torch.tensor([0.0, 5.0], dtype=torch.float64)
    exact = odeint(pendulum, y0, t, method="dopri8", rtol=1e-13, atol=1e-13)[-1]
    y = odeint(pendulum, y0, t, method="rk4_classic", options={"step_size": 5 / n})[-1]
    return float((y - exact).norm())


_DOUBLE = (
    "With 512 steps the error is far too small for 24 bits: this was computed in float64. "
    "The start decides the dtype of the state."
)
_ROUNDED = (
    "With 512 steps the error is exactly 0, which no float32 solve attains: both sides carry the "
    "same rounding. Compare with a float64 reference."
)
_EXPONENT = "An error is positive. Did you return its logarithm?"
_LARGE = (
    "With 512 steps the error is far above the floor. "
    "Does the step shrink as n grows, and is the reference exact?"
)
_FEW = "With 8 steps, where rounding does not matter yet, the error is another one."


_OTHER = "That is the 3/8 rule, which is called `rk4`. The classical method is `rk4_classic`."


def _error_of_the_other_rk4(n: int) -> float:
    y0 = torch.tensor([1.0, 0.0], dtype=torch.float64)
    t = torch.tensor([0.0, 5.0], dtype=torch.float64)
    exact = odeint(pendulum, y0, t, method="dopri8", rtol=1e-13, atol=1e-13)[-1]
    y = odeint(pendulum, y0.float(), t, method="rk4", options={"step_size": 5 / n})[-1]
    return float((y.double() - exact).norm())


def _floor_problem(error: Callable[[int], Any]) -> str | None:
    few, many = (float(error(n)) for n in (8, 512))
    if few < 0 or many < 0:
        return _EXPONENT
    if many == 0:
        return _ROUNDED
    if many < 5e-9:
        return _DOUBLE
    if many > 5e-6:
        return _LARGE
    return None if abs(few / _float64_error(8) - 1) < 3e-3 else _FEW  # the 3/8 rule: 1 % more


register(
    Exercise(
        "02.4",
        "The smallest error in float32",
        kind=function((8,), (512,), wanted="the body of the function"),
        solution=float32_error,
        atol=0.0,
        check=_floor_problem,
        mistakes=[
            Mistake("float64", _float64_error, _DOUBLE),
            Mistake("reference rounded as well", lambda n: 0.0 if n > 50 else 4e-3, _ROUNDED),
            Mistake("logarithm", lambda n: -2.4 if n < 50 else -6.7, _EXPONENT),
            Mistake("step not shortened", lambda n: 3.757e-3, _LARGE),
            Mistake("Euler", lambda n: 0.9 if n < 50 else 3e-6, _FEW),
            Mistake("the 3/8 rule", _error_of_the_other_rk4, _OTHER),
        ],
        hints=[
            "The dtype of the start decides that of the solve: begin at `start.float()`.",
            "Compare in float64: `(y[-1].double() - exact).norm()`, "
            "with `pendulum_end` from exercise 02.2.",
            "Call it for 4, 8, ..., 2048 steps and look where the errors stop to fall.",
        ],
        otherwise="n steps of classical RK4 from a float32 start; the distance of its end from a "
        "float64 reference.",
        meaning="Now look for the smallest: it is near 2e-7, at two or three hundred steps; "
        "ten times as many steps make it worse. Neural networks run in float32: "
        "asking a solver for more digits than this is paid for and not delivered.",
    )
)
