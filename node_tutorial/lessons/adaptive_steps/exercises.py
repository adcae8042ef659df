"""Exercises of lesson 03. The solutions are shown to learners, and written as they would write."""

import math
from functools import lru_cache

import numpy as np
import torch

from ... import odeint_event, solve
from ...course.answers import array, number
from ...course.exercises import Exercise, Mistake, register
from ...data.systems import pendulum
from ...plotting import fitted_slope
from ...solvers.statistics import Stats

# ---- 03.1 An estimate for a method that has none -------------------------------------------------

_C = np.array([0, 1 / 2, 3 / 4])  # the times of Ralston's stages
_CLOSE = 1e-3  # relative to the largest weight
_ROUNDING = 0.03  # what two digits leave of a zero, relative to the largest weight


def error_weights():
    ralston = np.array([2 / 9, 1 / 3, 4 / 9])
    midpoint = np.array([0, 1, 0])  # its two stages are the first two of Ralston's
    return ralston - midpoint


_NOTHING = "Two equal answers differ by nothing: such an estimate accepts every step."
_SUM = (
    "An estimate is the *difference* of two answers. "
    "The weights of each sum to 1; what is the sum of their differences?"
)
_ROUNDED = "The sums that have to be zero are only nearly so. Hand in fractions: 1 / 3, not 0.33."
_LOW = (
    "Your second answer has order 1 only, so that the estimate shrinks like h**2: it would judge "
    "an answer of order 3 by one of Euler's kind. Which condition makes the order 2?"
)


def _weights_problem(e: np.ndarray) -> str | None:
    size = np.abs(e).max()
    if not np.isfinite(size):
        return "The weights must be finite numbers."
    if size < 1e-9:
        return _NOTHING
    off = np.abs([e.sum(), e @ _C]) / size
    if _CLOSE < off.max() < _ROUNDING:
        return _ROUNDED
    if off[0] > _CLOSE:
        return _SUM
    if off[1] > _CLOSE:
        return _LOW
    return None


register(
    Exercise(
        "03.1",
        "An estimate for a method that has none",
        kind=array((3,), wanted="three numbers, the weights of the stages in the estimate"),
        solution=error_weights,
        check=_weights_problem,
        mistakes=[
            Mistake("the second method itself", (0.0, 1.0, 0.0), _SUM),
            Mistake("against Euler", np.array([-7 / 9, 1 / 3, 4 / 9]), _LOW),
            Mistake("against itself", (0.0, 0.0, 0.0), _NOTHING),
            Mistake(
                "Ralston's own weights",
                np.array([2 / 9, 1 / 3, 4 / 9]),
                "These are the weights of Ralston's method. From which other answer do you "
                "subtract it?",
            ),
            Mistake(
                "a sum of both",
                np.array([2 / 9, 4 / 3, 4 / 9]),
                "You added the two methods. Their difference is the estimate.",
            ),
        ],
        hints=[
            "You need a second answer from the same three slopes. A method of lesson 02 uses two "
            "of them.",
            "Order 2 asks of the weights of the second answer: their sum is 1, and the sum of "
            "weight times c is 1/2. Ralston's weights fulfill both. What must their difference "
            "fulfill?",
            "The slope at half the step is the midpoint rule's.",
        ],
        otherwise="Both sums must be zero: of the weights, and of weight times c.",
        meaning="The sum of the weights is zero, and that of weight times c too: the two answers "
        "agree up to h**2, and their difference shrinks like h**3. All right answers are multiples "
        "of one another. As `error=...` of a `Tableau` yours makes Ralston's method adaptive.",
    )
)


# ---- 03.2 Cost against tolerance -----------------------------------------------------------------

_TOLERANCES = tuple(10.0**-k for k in range(3, 11))


@lru_cache(maxsize=1)
def _pendulum_stats() -> list[Stats]:
    y0 = torch.tensor([1.0, 0.0]).double()
    t = torch.tensor([0.0, 20.0]).double()
    return [solve(pendulum, y0, t, rtol=tol, atol=tol).stats for tol in _TOLERANCES]


def _pendulum_nfe() -> list[int]:
    return [stats.nfe for stats in _pendulum_stats()]


def _pendulum_accepted() -> list[int]:
    return [stats.accepted for stats in _pendulum_stats()]


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
                "accepted steps only",
                lambda: fitted_slope(_TOLERANCES, _pendulum_accepted()),
                "That counts accepted steps. Evaluations are what costs, those of rejected "
                "attempts too: `stats.nfe`.",
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
        otherwise="Check the problem (y0 = (1, 0), t from 0 to 20), dopri5 and atol = rtol; "
        "the tolerances are 1e-3, 1e-4, ..., 1e-10.",
        meaning="A little flatter than -1/5. About half of the difference comes from the rejected "
        "attempts, which cost as much as accepted ones: at 1e-3 one of five is "
        "rejected, at 1e-10 one of twenty. Ten times the accuracy costs about half as much "
        "again.",
    )
)


# ---- 03.3 The tolerance that gives four digits ---------------------------------------------------


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
                "the exponent", 8, "Hand in the tolerance itself, not the number of its digits."
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


# ---- 03.4 Catch the ball -------------------------------------------------------------------------


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
            Mistake(
                "the other root",
                _impact(2, -5) * -1,
                "That is before the throw: the parabola meets the floor twice.",
            ),
            Mistake("two digits", 1.33, "Near. Hand in what odeint_event returns."),
        ],
        hints=[
            "The state is (height, speed): y0 = (2, 5). Its derivative is (speed, -9.81).",
            "`odeint_event(f, y0, t0, event_fn=g)` stops where g(t, y) = 0; here g is the height.",
            "It returns the time and the states at start and event; the time is a tensor.",
        ],
        otherwise="State (height, speed), start (2, 5), derivative (speed, -9.81), "
        "event: height = 0.",
        meaning="It agrees with (v + sqrt(v**2 + 2 g y)) / g. "
        "With drag there is no such formula, and the code changes by one term.",
    )
)
