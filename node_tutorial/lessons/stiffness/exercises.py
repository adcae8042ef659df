"""Exercises of lesson 04. The solutions are shown to learners, and written as they would write."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ... import METHODS, SolveError, solve
from ...course.answers import Kind, WrongKind, array, function, number
from ...course.exercises import Exercise, Mistake, register
from ...data.systems import robertson, robertson_exact, van_der_pol

# ---- 04.1 The longest stable step ----------------------------------------------------------------


def longest_stable_step():
    def dies_out(h):
        u, v = 1.0, 0.0  # how far the state is from the slow curve
        for _ in range(2000):
            u, v = u + h * (-50 * u + 20 * v), v + h * (-20 * u - 50 * v)
        return abs(u) + abs(v) < 1

    low, high = 0.001, 0.1  # the first is stable, the second is not
    while high - low > 1e-6:
        middle = (low + high) / 2
        if dies_out(middle):
            low = middle
        else:
            high = middle
    return low


_TOO_LONG = "For this h the disturbance grows: |1 + hλ| is above 1. Go down."
_TOO_SHORT = "This h is stable, but a longer one is stable too: |1 + hλ| is still below 1. Go up."
_NOT_POSITIVE = "A step forward in time has a positive, finite h."


def _step_problem(h: float) -> str | None:
    if not 0 < h < math.inf:
        return _NOT_POSITIVE
    if abs(h / longest_stable_step() - 1) < 0.01:
        return None
    return _TOO_LONG if abs(1 + h * (-50 + 20j)) > 1 else _TOO_SHORT


register(
    Exercise(
        "04.1",
        "The longest stable step of Euler's method",
        kind=number("the step size h"),
        solution=longest_stable_step,
        check=_step_problem,
        rtol=0.01,
        mistakes=[
            Mistake(
                "the imaginary part forgotten",
                2 / 50,
                "That is the bound for a decay that does not turn. Here 1 + hλ is a complex "
                "number: of what size is it at your h?",
            ),
            Mistake(
                "the size of the eigenvalue",
                2 / math.hypot(50, 20),
                "2 / |λ| is the bound on the real axis. Euler's region is a disk: a point off the "
                "axis leaves it earlier.",
            ),
            Mistake(
                "the largest entry of a row", 2 / 70, "There is still room: |1 + hλ| < 1. Go on."
            ),
            Mistake(
                "the smallest factor",
                50 / (50**2 + 20**2),
                "There the disturbance dies out most quickly. A longer step lets it fade more "
                "slowly, but fade.",
            ),
            Mistake(
                "RK4's boundary",
                2.785293563 / 50,
                "That is the boundary of RK4, and on the real axis. Euler's region is smaller.",
            ),
            Mistake("h lambda", 2.0, "That is a product hλ. Which h belongs to it?"),
        ],
        hints=[
            "A disturbance is multiplied by 1 + hλ in each step, with λ = -50 + 20i. "
            "When is that of size 1?",
            "Or by experiment: 2000 Euler steps for u' = -50u + 20v, v' = -20u - 50v from (1, 0). "
            "Does it die out? Bisect.",
            "Square the size: (1 - 50h)**2 + (20h)**2 = 1, and divide by h.",
        ],
        meaning="(1 - 50h)**2 + (20h)**2 = 1 gives h = 100 / 2900. The turning costs a seventh of "
        "the step. Nothing in it depends on the tolerance, or on how smooth the solution is: that "
        "is what makes stiffness expensive.",
    )
)


# ---- 04.2 An implicit step -----------------------------------------------------------------------


def trapezoid_step(A, y, h):
    eye = torch.eye(len(y), dtype=y.dtype)
    return torch.linalg.solve(eye - h / 2 * A, y + h / 2 * A @ y)


def _linear(left: float, right: float) -> Callable[[Tensor, Tensor, float], Tensor]:
    """A step that solves (I + left h A) y1 = (I + right h A) y."""

    def step(A: Tensor, y: Tensor, h: float) -> Tensor:
        eye = torch.eye(len(y), dtype=y.dtype)
        return torch.linalg.solve(eye + left * h * A, y + right * h * A @ y)

    return step


def _matrices() -> tuple[tuple[Tensor, Tensor, float], ...]:
    mild = torch.tensor([[-1.0, 2.0], [-2.0, -1.0]], dtype=torch.float64)
    stiff = torch.tensor([[0.0, 1.0], [-1000.0, -1001.0]], dtype=torch.float64)
    y = torch.tensor([1.0, -0.5], dtype=torch.float64)
    return (mild, y, 0.1), (stiff, y, 0.2)


register(
    Exercise(
        "04.2",
        "One step of the trapezoid rule",
        kind=function(*_matrices(), returns=array((2,))),
        solution=trapezoid_step,
        rtol=1e-4,  # float32 is precise enough
        mistakes=[
            Mistake(
                "explicit Euler",
                _linear(0.0, 1.0),
                "That is explicit Euler: only the slope at the old state.",
            ),
            Mistake(
                "implicit Euler",
                _linear(-1.0, 0.0),
                "That is implicit Euler: only the slope at the new state.",
            ),
            Mistake(
                "explicit trapezoid",
                lambda A, y, h: y + h / 2 * (A @ y + A @ (y + h * A @ y)),
                "That is Heun's method: it predicts y1 by Euler. "
                "Here y1 stands on both sides; solve for it.",
            ),
            Mistake(
                "signs exchanged",
                _linear(0.5, -0.5),
                "Your step runs backward in time. Which side of the equation gets the minus sign?",
            ),
            Mistake(
                "halves forgotten",
                _linear(-1.0, 1.0),
                "Each of the two slopes has weight one half.",
            ),
        ],
        hints=[
            "Write y1 = y + h/2 (A y + A y1), and bring all that contains y1 to the left.",
            "(I - h/2 A) y1 = (I + h/2 A) y: a linear system for y1.",
            "`torch.linalg.solve(M, r)` solves M x = r; `torch.eye(len(y), dtype=y.dtype)` is I.",
        ],
        otherwise="Start from y1 = y + h/2 (A y + A y1), and solve for y1.",
        meaning="No Newton was needed, because f is linear. The second test has an eigenvalue of "
        "-1000 and h = 0.2; an explicit Euler step would have multiplied that component by -199.",
    )
)


# ---- 04.3 Where the implicit method wins ---------------------------------------------------------


def _cost(method: str, mu: float) -> int:
    y0 = torch.tensor([2.0, 0.0]).double()
    t = torch.tensor([0.0, mu]).double()
    return solve(partial(van_der_pol, mu=mu), y0, t, rtol=1e-4, atol=1e-4, method=method).stats.nfe


def bracket():
    y0 = torch.tensor([2.0, 0.0]).double()

    def cost(method, mu):
        def f(t, y):
            return torch.stack([y[1], mu * (1 - y[0] ** 2) * y[1] - y[0]])

        t = torch.tensor([0.0, mu]).double()
        return solve(f, y0, t, rtol=1e-4, atol=1e-4, method=method).stats.nfe

    mu = 2.0
    while cost("dopri5", mu) < cost("kvaerno5", mu):
        mu *= 1.25
    return mu / 1.25, mu


_EXCHANGED = "The first number must be the smaller one."
_WIDE = "Bring the two closer together: the second may be at most 1.5 times the first."
_RANGE = "Both numbers must lie between 1 and 100."
_BOTH_IMPLICIT = "At your lower number kvaerno5 needs fewer evaluations already. Go lower."
_BOTH_EXPLICIT = "At your upper number dopri5 still needs fewer evaluations. Go higher."


def _bracket_problem(pair: np.ndarray) -> str | None:
    low, high = map(float, pair)
    if not (1 <= min(low, high) and max(low, high) <= 100):
        return _RANGE
    if low >= high:
        return _EXCHANGED
    if high > 1.5 * low * (1 + 1e-9):
        return _WIDE
    if _cost("dopri5", low) >= _cost("kvaerno5", low):
        return _BOTH_IMPLICIT
    if _cost("dopri5", high) <= _cost("kvaerno5", high):
        return _BOTH_EXPLICIT
    return None


register(
    Exercise(
        "04.3",
        "Where the implicit method wins",
        kind=array((2,), wanted="a pair of numbers (low, high)"),
        solution=bracket,
        check=_bracket_problem,
        mistakes=[
            Mistake("exchanged", (20.0, 15.0), _EXCHANGED),
            Mistake("too wide", (2.0, 90.0), _WIDE),
            Mistake("out of range", (100.0, 150.0), _RANGE),
            Mistake("both too high", (50.0, 60.0), _BOTH_IMPLICIT),
            Mistake("both too low", (2.0, 2.5), _BOTH_EXPLICIT),
        ],
        hints=[
            "`solve(...).stats.nfe` counts every evaluation, "
            "also those of Newton's method and of the Jacobian.",
            "Start with a small μ and multiply it by 1.25 until kvaerno5 needs fewer evaluations.",
            "Check the setting: y0 = (2, 0), t from 0 to μ, rtol = atol = 1e-4, no options.",
        ],
        otherwise="Compare the two counts at both of your numbers.",
        meaning="The crossover belongs to the problem, the tolerance and the currency. "
        "Counted in seconds it lies higher: an implicit step has linear algebra to do as well.",
    )
)


# ---- 04.4 Make it fail, then cure it -------------------------------------------------------------

_WAYS = ("fail", "method", "tolerances", "steps")
_LIMIT = 60_000  # evaluations


class _TooMany(Exception):
    pass


def _settings_kind() -> Kind:
    wanted = (
        "a dict of keyword arguments of solve, "
        "such as {'method': 'dopri5', 'rtol': 1e-3, 'atol': 1e-3}"
    )

    def convert(answer: Any) -> dict[str, Any]:
        if not isinstance(answer, dict) or not all(isinstance(key, str) for key in answer):
            raise WrongKind(f"expected {wanted}.")
        unknown = sorted(set(answer) - {"method", "rtol", "atol", "options"})
        if unknown:
            raise WrongKind(
                f"`{unknown[0]}` is not among the arguments to choose: method, rtol, atol, options."
            )
        return answer

    return Kind(convert, wanted, ["a text", 3.0, {1: 2}])


def settings(way):
    loose = {"method": "dopri5", "rtol": 1e-3, "atol": 1e-3}
    return {
        "fail": loose,
        "method": {**loose, "method": "kvaerno5"},
        "tolerances": {**loose, "atol": 1e-8},
        "steps": {**loose, "options": {"max_step": 1e-3}},
    }[way]


def _run(chosen: dict[str, Any]) -> Tensor | Exception:
    """The state at t = 1, or the error that the solve raised; at most `_LIMIT` evaluations."""
    calls = 0

    def f(t: Tensor, y: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        if calls > _LIMIT:
            raise _TooMany
        return robertson(t, y)

    y0 = torch.tensor([1.0, 0.0, 0.0]).double()
    t = torch.tensor([0.0, 1.0]).double()
    try:
        return solve(f, y0, t, **chosen).y[-1].detach()
    except (SolveError, ValueError, TypeError, _TooMany) as error:
        return error


_NO_FAILURE = (
    "Your settings for 'fail' do not end in 'underflow in dt'. "
    "Which of the three concentrations is the smallest, and how does it compare with your atol?"
)
_ONE_THING = (
    "Change one thing at a time: 'method' changes only the method, "
    "'tolerances' only rtol and atol, 'steps' only the options."
)
_EXPLICIT = "For 'method' choose one whose region of stability holds the whole left half-plane."
_STILL_FAILS = (
    "Your cure '{}' does not reach t = 1 within 60 000 evaluations. "
    "Run it alone and read the message."
)
_SILENCED = (
    "Your cure '{}' ends without an error, but with a wrong state: look at the second "
    "concentration. Steps were accepted, whatever their error: `min_step` does that, and so does "
    "a method of fixed steps. The alarm is silent, the fire is not out."
)


def _same(a: Any, b: Any) -> bool:
    """Whether two settings are equal; they may be tensors, or dicts that hold some."""
    if isinstance(a, dict) and isinstance(b, dict):
        return set(a) == set(b) and all(_same(a[key], b[key]) for key in a)
    if any(isinstance(x, (Tensor, np.ndarray, list, tuple)) for x in (a, b)):
        try:
            return np.array_equal(np.asarray(a), np.asarray(b))
        except (TypeError, ValueError):
            return False
    return a == b


def _settings_problem(answer: Callable[[str], dict[str, Any]]) -> str | None:
    chosen = {way: {"method": "dopri5", "rtol": 1e-7, "atol": 1e-9, **answer(way)} for way in _WAYS}
    failure = _run(chosen["fail"])
    if not (isinstance(failure, SolveError) and "underflow in dt" in str(failure)):
        return _NO_FAILURE
    allowed = {"method": {"method"}, "tolerances": {"rtol", "atol"}, "steps": {"options"}}
    for way, may_change in allowed.items():
        keys = set(chosen["fail"]) | set(chosen[way])
        changed = {key for key in keys if not _same(chosen["fail"].get(key), chosen[way].get(key))}
        if not changed or not changed <= may_change:
            return _ONE_THING
    if not getattr(METHODS.get(chosen["method"]["method"]), "implicit", False):
        return _EXPLICIT
    exact = robertson_exact(1.0)
    for way in _WAYS[1:]:
        end = _run(chosen[way])
        if isinstance(end, Exception):
            return _STILL_FAILS.format(way)
        if (end - exact).abs().max() > 1e-2 or abs(end[1] / exact[1] - 1) > 0.1:
            return _SILENCED.format(way)
    return None


def _settings(**changes: dict[str, Any]) -> Callable[[str], dict[str, Any]]:
    """The solution with changes: way=dict of settings over the failing ones."""

    def answer(way: str) -> dict[str, Any]:
        return {**settings("fail"), **changes[way]} if way in changes else settings(way)

    return answer


register(
    Exercise(
        "04.4",
        "Make it fail, then cure it in three ways",
        kind=function(returns=_settings_kind()),
        solution=settings,
        check=_settings_problem,
        mistakes=[
            Mistake("no failure", _settings(fail={"atol": 1e-9}), _NO_FAILURE),
            Mistake(
                "two changes", _settings(method={"method": "kvaerno5", "atol": 1e-8}), _ONE_THING
            ),
            Mistake("another explicit method", _settings(method={"method": "tsit5"}), _EXPLICIT),
            Mistake(
                "tolerance still too loose",
                _settings(tolerances={"atol": 2e-3}),
                _STILL_FAILS.format("tolerances"),
            ),
            Mistake(
                "alarm silenced",
                _settings(steps={"options": {"min_step": 1e-3}}),
                _SILENCED.format("steps"),
            ),
        ],
        hints=[
            "y2 is never larger than 4e-5. With a larger atol the solver does not care "
            "whether it is negative, and a negative y2 feeds itself: y2' contains -3e7 y2 squared.",
            "Fail: dopri5 with rtol = atol = 1e-3. For 'steps' the eigenvalue is about -2190, and "
            "the region of dopri5 ends at 3.3: bound the step with `options={'max_step': ...}`.",
            "For 'tolerances' make atol much smaller than y2. For 'method' take one of section 6.",
        ],
        otherwise="Compare each of your four settings with what the task asks for.",
        meaning="Three cures: leave the boundary behind (an implicit method), "
        "watch the small component (atol), or stay inside the boundary (max_step). "
        "The first is the only one that becomes cheaper, "
        "not dearer, when t grows: to t = 40 dopri5 takes tens of thousands of steps.",
    )
)
