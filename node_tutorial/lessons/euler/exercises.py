"""Exercises of lesson 01. The solutions are shown to learners, and written as they would write."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ...course.answers import function, number
from ...course.exercises import Exercise, Mistake, register


def ten_steps():
    x, h = 1.0, 0.1
    for _ in range(10):
        x = x + h * (-x)
    return x


register(
    Exercise(
        "01.1",
        "Ten Euler steps for x' = -x",
        kind=number("the value of x after ten steps"),
        solution=ten_steps,
        rtol=1e-3,  # rounded to three digits it is as right
        mistakes=[
            Mistake(
                "exact solution",
                math.exp(-1),
                "That is the exact solution, e^(-1). Euler's value differs from it.",
            ),
            Mistake(
                "nine steps",
                0.9**9,
                "One step is missing: from t = 0 to t = 1 there are ten steps of h = 0.1.",
            ),
            Mistake("eleven steps", 0.9**11, "That is one step too many."),
            Mistake("sign lost", 1.1**10, "Your x grows. The field is f(x) = -x: mind the sign."),
            Mistake(
                "old slope kept",
                0.0,
                "You used the slope of t = 0 in every step. Evaluate f at the newest x.",
            ),
        ],
        hints=[
            "One step replaces x by x + h f(x), with f(x) = -x.",
            "So one step multiplies x by a fixed number.",
            "That number is 1 - h. How often is x multiplied by it?",
        ],
        otherwise="Start at x = 1 and replace x by x + h f(x) ten times, "
        "with f(x) = -x and h = 0.1.",
        meaning="Each step multiplies x by 1 - h, and ten of them end 5 % below e^(-1). "
        "With h = 2.5 each step would multiply by -1.5: what would x do? Lesson 04 is about that.",
    )
)


def error_ratio(N):
    def error(steps):
        x, h = 1.0, 1 / steps
        for _ in range(steps):
            x = x + h * (-x)
        return abs(x - math.exp(-1))

    return error(N) / error(2 * N)


def _x(steps: float, h: float) -> float:
    return (1 - h) ** steps


def _error(steps: float, h: float) -> float:
    return abs(_x(steps, h) - math.exp(-1))


register(
    Exercise(
        "01.2",
        "How the error shrinks",
        kind=function((10,), (100,), (1000,)),
        solution=error_ratio,
        mistakes=[
            Mistake(
                "upside down",
                lambda N: _error(2 * N, 0.5 / N) / _error(N, 1 / N),
                "Upside down: divide the error of N steps by the smaller error of 2N steps.",
            ),
            Mistake(
                "values, not errors",
                lambda N: _x(N, 1 / N) / _x(2 * N, 0.5 / N),
                "That is the ratio of the values x. "
                "The error is their distance from the exact solution, e^(-1).",
            ),
            Mistake(
                "h not halved",
                lambda N: _error(N, 1 / N) / _error(2 * N, 1 / N),
                "2N steps of the old size end at t = 2. Halve h as well, then they end at t = 1.",
            ),
            Mistake(
                "N and N / 2",
                lambda N: _error(N // 2, 1 / (N // 2)) / _error(N, 1 / N),
                "You compared N steps with N / 2. Compare them with 2N.",
            ),
        ],
        hints=[
            "Write a function inside yours: "
            "`error(steps)` returns |x - e^(-1)| after so many steps of size 1 / steps.",
            "The steps are those of exercise 01.1, with another h.",
            "Return error(N) / error(2 * N).",
        ],
        otherwise="Take N steps of size 1 / N for x' = -x from 1; "
        "the error is |x - e^(-1)|. Do it for N and for 2N.",
        meaning="The ratio tends to 2 as N grows, so half the step gives half the error: order 1. "
        "One more decimal digit costs ten times the steps. "
        "A method of order 4 would have the ratio 16.",
    )
)


def steps_for_four_digits():
    N = 1
    while abs((1 - 1 / N) ** N - math.exp(-1)) > 1e-4:
        N = N + 1
    return N


def _too_many_or_few(N: float) -> str | None:
    if N != round(N) or N < 1:
        return "The number of steps is a whole number, at least 1."
    if _error(N, 1 / N) > 1e-4:
        return "With that many steps the error is still above 1e-4."
    if _error(N - 1, 1 / (N - 1)) <= 1e-4:
        return "That is enough, but fewer steps are enough, too. Find the smallest number."
    return None


register(
    Exercise(
        "01.3",
        "The price of four digits",
        kind=number("the smallest number of steps"),
        solution=steps_for_four_digits,
        check=_too_many_or_few,
        mistakes=[
            Mistake(
                "h", 1 / 1840, "That looks like the step size h. The number of steps is N = 1 / h."
            ),
            Mistake(
                "three digits",
                185,
                "That many steps bring the error below 1e-3. One more digit is wanted.",
            ),
            Mistake(
                "local error",
                71,
                "With that many steps the error of ONE step is about 1e-4. "
                "The errors of all steps add up.",
            ),
            Mistake("the formula for h", 5e-4, "The answer is a number of steps, at least 1."),
        ],
        hints=[
            "Here N steps of size 1 / N multiply x by (1 - 1 / N) again and again: "
            "x = (1 - 1 / N)**N.",
            "For large N the error is about C / N. Measure it for one N, then you know C.",
            "Start a loop near N = C / 1e-4, and stop at the first N whose error is at most 1e-4.",
        ],
        meaning="So many evaluations for four digits, "
        "of an equation that has a formula for its solution; five digits take ten times as many. "
        "A method of lesson 02 needs 3 steps, 12 evaluations, for the same four digits.",
    )
)


def observed_order(output, N):
    first = (output(2 * N) - output(N)).norm()
    second = (output(4 * N) - output(2 * N)).norm()
    return math.log2(first / second)


def _first_order(depth: int) -> Tensor:
    """A net of `depth` shared linear blocks x + h A x, A = diag(1, -2): it tends to (e, e^-2)."""
    h = 1 / depth
    return torch.tensor([(1 + h) ** depth, (1 - 2 * h) ** depth], dtype=torch.float64)


def _second_order(depth: int) -> Tensor:
    """The same with blocks x + h A x + (h A)^2 x / 2."""
    h = 1 / depth
    blocks = [1 + h + h**2 / 2, 1 - 2 * h + 2 * h**2]
    return torch.tensor([block**depth for block in blocks], dtype=torch.float64)


def _change(output: Callable[[int], Tensor], fewer: int, more: int) -> float:
    return float((output(more) - output(fewer)).norm())


register(
    Exercise(
        "01.4",
        "The order of a net, without its limit",
        kind=function((_first_order, 8), (_first_order, 64), (_second_order, 16)),
        solution=observed_order,
        rtol=0.05,  # any norm will do, and each measures a little differently
        mistakes=[
            Mistake(
                "no logarithm",
                lambda f, N: _change(f, N, 2 * N) / _change(f, 2 * N, 4 * N),
                "That is the ratio of the two changes, 2^p. The order is the exponent p.",
            ),
            Mistake(
                "natural logarithm",
                lambda f, N: math.log(_change(f, N, 2 * N) / _change(f, 2 * N, 4 * N)),
                "The ratio is 2^p, so the logarithm has to be to base 2.",
            ),
            Mistake(
                "upside down",
                lambda f, N: math.log2(_change(f, 2 * N, 4 * N) / _change(f, N, 2 * N)),
                "The sign is wrong: divide the larger change, "
                "from N to 2N, by the smaller one, from 2N to 4N.",
            ),
            Mistake(
                "4N instead of pairs",
                lambda f, N: math.log2(_change(f, N, 4 * N) / _change(f, 2 * N, 4 * N)),
                "Compare doublings: the change from N to 2N with the change from 2N to 4N.",
            ),
        ],
        hints=[
            "If the error is C h^p, "
            "then doubling the depth changes the output by about C h^p (1 - 2^(-p)).",
            "The next doubling changes it by 2^p times less: "
            "the constant C, and the unknown limit, drop out.",
            "Divide the norm of output(2N) - output(N) by the norm of output(4N) - output(2N), "
            "and take math.log2.",
        ],
        otherwise="Measure how much the output changes from depth N to 2N, "
        "and from 2N to 4N; take norms.",
        meaning="For shared blocks x + h f(x) it tends to 1: "
        "halving h while doubling the number of blocks changes the output by O(h). "
        "No exact answer was needed, so this works for any net and any solver.",
    )
)
