"""Exercises of lesson 03. The solutions are shown to learners, and written as they would write."""

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch

from ... import odeint_event, solve
from ...course.answers import array, function, number
from ...course.exercises import Exercise, Mistake, register
from ...data.systems import pendulum
from ...plotting import fitted_slope


def next_step(ratio, h, order):
    accept = ratio <= 1
    factor = 0.9 * ratio ** (-1 / order) if ratio > 0 else 10.0
    return accept, h * min(10.0, max(0.2, factor))


def _rule_problem(rule: Callable) -> str | None:
    """What a controller's rule does wrong, or None."""

    def decide(ratio: float, h: float = 0.1, order: int = 5) -> tuple[bool, float]:
        accept, h_next = rule(ratio, h, order)
        return bool(accept), float(h_next)

    for ratio in (0.3, 1.0, 1.0001, 7.0, 1e9):
        if decide(ratio)[0] != (ratio <= 1):
            return f"With ratio = {ratio:g} the answer to 'accept?' is the wrong one."
        if ratio > 1 and decide(ratio)[1] >= 0.1:
            return "After a rejected step the next one must be shorter."
    for order in (2, 3, 5, 8):
        if not math.isclose(decide(0.9**order, order=order)[1], 0.1, rel_tol=1e-9):
            return (
                f"With order = {order} and ratio = 0.9**order the two factors should cancel and h "
                "stay what it is: look at the safety factor and at the exponent."
            )
        _, long = decide(0.2, order=order)
        _, short = decide(0.2 * 2.0**order, order=order)
        if not math.isclose(long, 2 * short, rel_tol=1e-9):
            return (
                "An error 2**order times as large should halve h; "
                f"with order = {order} it does not."
            )
    _, shortest = decide(1e12)
    _, longest = decide(1e-60)
    if not np.allclose([shortest, longest], [0.02, 1.0], rtol=1e-9, atol=0):
        return "The next step may be at most 10 times, and at least 0.2 times, as long as this one."
    if decide(0.0) != (True, longest):
        return (
            "An error of exactly zero is accepted, and the step grows as far as the limit allows."
        )
    if not math.isclose(decide(0.5, h=-0.1)[1], -decide(0.5)[1], rel_tol=1e-9):
        return "Time may run backward: with h < 0 the next h must be negative too."
    return None


def _rule(
    factor: Callable[[float, int], float],
    accept: Callable[[float], bool] = lambda ratio: ratio <= 1,
) -> Callable[[float, float, int], tuple[bool, float]]:
    """A rule like `next_step` with another factor, or another verdict."""
    return lambda ratio, h, order: (accept(ratio), h * min(10.0, max(0.2, factor(ratio, order))))


register(
    Exercise(
        "03.1",
        "The controller's rule",
        kind=function(
            (0.5, 0.1, 5),
            (3.0, 0.1, 5),
            (0.04, 0.2, 2),
            (1e-9, 0.1, 2),
            (1e9, 0.1, 2),
            returns=array((2,), wanted="a pair (accept, h_next)"),
        ),
        solution=next_step,
        check=_rule_problem,
        mistakes=[
            Mistake(
                "sign of the exponent",
                _rule(lambda r, p: 0.9 * r ** (1 / p)),
                "Your step grows when the error is too large. Look at the sign of the exponent.",
            ),
            Mistake(
                "no safety factor",
                _rule(lambda r, p: r ** (-1 / p)),
                "Aiming at ratio = 1 exactly means that about every other step fails. "
                "The safety factor is missing.",
            ),
            Mistake(
                "order forgotten",
                _rule(lambda r, p: 0.9 / r),
                "You treat the error as proportional to h. It is proportional to h**order.",
            ),
            Mistake(
                "one order too high",
                _rule(lambda r, p: 0.9 * r ** (-1 / (p + 1))),
                "In textbooks the exponent is -1 / (q + 1) with q the lower of the two orders. "
                "Here `order` is the higher one, so the 1 is counted already.",
            ),
            Mistake(
                "no limits",
                lambda r, h, p: (r <= 1, h * 0.9 * r ** (-1 / p)),
                "One lucky estimate makes your next step thousands of times longer. "
                "Limit the factor on both sides.",
            ),
            Mistake(
                "accept reversed",
                _rule(lambda r, p: 0.9 * r ** (-1 / p), lambda r: r > 1),
                "You keep the steps whose error is too large and discard the others.",
            ),
        ],
        hints=[
            "Three lines: the verdict, the factor, the limited factor times h.",
            "The error behaves like C * h**order. "
            "Which factor brings the ratio from its value to 1?",
            "Take the ratio to the power -1 / order, times 0.9; then min and max. "
            "Treat ratio = 0 apart: zero has no negative power.",
        ],
        otherwise="Compare your rule with the formulas of section 3.",
        meaning="This is HNW I, (4.13), and `integral` in `solvers/control.py`, which adds "
        "one thing: after a step with ratio < 1 it never shortens. Pass a function like yours to "
        "a solve with `options={'controller': ...}`; it returns the factor instead of the next h.",
    )
)


_TOLERANCES = tuple(10.0**-k for k in range(3, 11))


@lru_cache(maxsize=1)
def _pendulum_nfe() -> list[int]:
    y0 = torch.tensor([1.0, 0.0]).double()
    t = torch.tensor([0.0, 20.0]).double()
    return [solve(pendulum, y0, t, rtol=tol, atol=tol).stats.nfe for tol in _TOLERANCES]


def slope_of_cost():
    def pendulum(t, y):
        return torch.stack([y[1], -torch.sin(y[0])])

    y0 = torch.tensor([1.0, 0.0]).double()
    t = torch.tensor([0.0, 20.0]).double()
    tolerances = [10.0**-k for k in range(3, 11)]
    nfe = [solve(pendulum, y0, t, rtol=tol, atol=tol).stats.nfe for tol in tolerances]
    return fitted_slope(tolerances, nfe)


register(
    Exercise(
        "03.2",
        "Cost against tolerance",
        kind=number("the slope of log NFE against log tolerance"),
        solution=slope_of_cost,
        rtol=0.02,
        mistakes=[
            Mistake(
                "sign",
                lambda: -fitted_slope(_TOLERANCES, _pendulum_nfe()),
                "A smaller tolerance costs more. Which sign has the slope then?",
            ),
            Mistake(
                "axes exchanged",
                lambda: fitted_slope(_pendulum_nfe(), _TOLERANCES),
                "That is log tolerance against log NFE. Exchange the two.",
            ),
            Mistake(
                "only the tolerance logarithmic",
                lambda: np.polyfit(np.log(_TOLERANCES), _pendulum_nfe(), 1)[0],
                "Take the logarithm of NFE too.",
            ),
            Mistake(
                "no logarithms",
                lambda: np.polyfit(_TOLERANCES, _pendulum_nfe(), 1)[0],
                "Take logarithms of both, tolerance and NFE.",
            ),
            Mistake(
                "theory", -0.2, "That is the ideal value. Measure it: solve eight times, then fit."
            ),
        ],
        hints=[
            "`solve(...).stats.nfe` is what one solve costs. "
            "Make a list, one entry for each tolerance.",
            "`fitted_slope(x, y)` from `node_tutorial.plotting` fits log y against log x.",
        ],
        otherwise="Check the problem (y0 = (1, 0), "
        "t from 0 to 20), dopri5 and atol = rtol; the tolerances are 1e-3, 1e-4, ..., 1e-10.",
        meaning="A little flatter than -1/5: a rejected attempt costs as much as an accepted one, "
        "and at loose tolerances more attempts are rejected. "
        "Ten times the accuracy costs about half as much again.",
    )
)


def largest_tolerance():
    t = torch.linspace(0, 0.99, 100).double()
    exact = 1 / (1 - t)
    for tol in [10.0**-k for k in range(2, 13)]:
        y = solve(lambda t, y: y**2, torch.ones(1).double(), t, rtol=tol, atol=tol).y[:, 0]
        if (y - exact).abs().max() < 1e-4:
            return tol


register(
    Exercise(
        "03.3",
        "The tolerance that gives four digits",
        kind=number("one of the tolerances 1e-2, 1e-3, ..., 1e-12"),
        solution=largest_tolerance,
        rtol=1e-6,
        atol=0.0,
        mistakes=[
            Mistake(
                "tolerance taken for the error",
                1e-4,
                "You asked for 1e-4 per step. Measure the error of the solution: what is it?",
            ),
            Mistake(
                "the first that fails", 1e-7, "Close, but the error is still above 1e-4 there."
            ),
            Mistake(
                "the smallest", 1e-12, "That is enough, and much more than enough. The largest?"
            ),
            Mistake(
                "one too careful",
                1e-9,
                "The error is small enough, but a larger tolerance will do.",
            ),
        ],
        hints=[
            "Loop over the tolerances and print the largest |y - 1 / (1 - t)| for each.",
            "Use `atol = rtol` and the 100 output times of the task; "
            "the error is largest at the end.",
        ],
        otherwise="Print the error for every tolerance and look for the first one below 1e-4.",
        meaning="The solution is thousands of times as far off as asked: "
        "a small error early makes y blow up a little earlier or later. "
        "Nobody tells the solver; so solve twice with two tolerances and compare.",
    )
)


def time_of_impact():
    def fall(t, y):
        return torch.stack([y[1], torch.full_like(y[1], -9.81)])

    y0 = torch.tensor([2.0, 5.0]).double()
    t0 = torch.tensor(0.0).double()
    t_event, _ = odeint_event(fall, y0, t0, event_fn=lambda t, y: y[0])
    return t_event.item()


def _impact(height: float, speed: float, gravity: float = 9.81) -> float:
    """The time until a ball thrown up with `speed` from `height` reaches the floor."""
    return (speed + math.sqrt(speed**2 + 2 * gravity * height)) / gravity


register(
    Exercise(
        "03.4",
        "Catch the ball",
        kind=number("the time of the impact"),
        solution=time_of_impact,
        rtol=1e-3,
        mistakes=[
            Mistake(
                "dropped, not thrown",
                _impact(2, 0),
                "Your ball starts at rest. This one is thrown.",
            ),
            Mistake("thrown down", _impact(2, -5), "Your ball is thrown downward. Up is positive."),
            Mistake(
                "highest point",
                5 / 9.81,
                "That is when the speed is zero. The event is a height of zero.",
            ),
            Mistake(
                "from the floor", _impact(0, 5), "Your ball starts on the floor, at height zero."
            ),
            Mistake("g = 10", _impact(2, 5, 10.0), "Use g = 9.81."),
        ],
        hints=[
            "The state is (height, speed): y0 = (2, 5). Its derivative is (speed, -9.81).",
            "`odeint_event(f, y0, t0, event_fn=g)` stops where g(t, y) = 0; here g is the height.",
            "It returns the time and the states at start and event; the time is a tensor.",
        ],
        otherwise="State (height, speed), start (2, "
        "5), derivative (speed, -9.81), event: height = 0.",
        meaning="It agrees with (v + sqrt(v**2 + 2 g y)) / g. "
        "With drag there is no such formula, and the code changes by one term.",
    )
)
