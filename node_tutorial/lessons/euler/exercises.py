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
            Mistake("two digits", 0.35, "That may be right. Hand in at least three digits."),
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


def better_end(run, N):
    coarse, fine = run(N), run(2 * N)
    return fine + (fine - coarse)


def _end_of_decay(steps: int) -> float:
    """x' = -x from 1, at t = 1."""
    return (1 - 1 / steps) ** steps


def _end_of_growth(steps: int) -> float:
    """x' = x / 2 from 4, at t = 1."""
    return 4 * (1 + 0.5 / steps) ** steps


def _end_of_proportional_error(steps: int) -> float:
    """An end that errs by exactly 0.3 h; the exact value is -2."""
    return -2 + 0.3 / steps


register(
    Exercise(
        "01.2",
        "A better end from two runs",
        kind=function(
            (_end_of_decay, 10), (_end_of_growth, 8), (_end_of_proportional_error, 5), wanted="code"
        ),
        solution=better_end,
        mistakes=[
            Mistake(
                "the finer run",
                lambda run, N: run(2 * N),
                "That is the finer run as it is. You know more: the coarser one has about twice "
                "its error.",
            ),
            Mistake(
                "mean",
                lambda run, N: (run(N) + run(2 * N)) / 2,
                "The mean lies between the two runs. Both err to the same side, so the exact value "
                "lies outside, beyond the finer one.",
            ),
            Mistake(
                "away from the finer run",
                lambda run, N: 2 * run(N) - run(2 * N),
                "You went on from the coarser run, away from the exact value: the finer run is "
                "nearer to it.",
            ),
            Mistake(
                "the error",
                lambda run, N: run(2 * N) - run(N),
                "That is how far the finer run still is from the exact value, about. Use it.",
            ),
            Mistake(
                "order 2",
                lambda run, N: (4 * run(2 * N) - run(N)) / 3,
                "That assumes that half the step makes the error four times smaller. Euler's "
                "becomes two times smaller.",
            ),
            Mistake(
                "N and N / 2",
                lambda run, N: 2 * run(N) - run(N // 2),
                "The idea is right; the two runs are those with N and with 2N steps.",
            ),
        ],
        hints=[
            "Call the two ends `coarse` and `fine`, and the unknown error of the fine one e. "
            "How large is the error of the coarse one?",
            "The coarse one errs by about 2 e, so the two ends differ by about e.",
            "Go from `fine` as far again as it lies from `coarse`, in the same direction.",
        ],
        otherwise="Two runs, `run(N)` and `run(2 * N)`; the error of the first is about twice that "
        "of the second. Solve for the exact value.",
        meaning="Richardson's extrapolation (1911): half the step now makes the error about four "
        "times smaller. And it tells an error without the exact answer, from two runs. That is "
        "how a solver will choose its step in lesson 03; in lesson 02 better slopes do the same.",
    )
)


def steps_for_four_digits():
    N = 1
    while abs((1 - 1 / N) ** N - math.exp(-1)) > 1e-4:
        N = N + 1
    return N


def _error(steps: float) -> float:
    return abs((1 - 1 / steps) ** steps - math.exp(-1))


def _too_many_or_few(N: float) -> str | None:
    if not math.isfinite(N) or N != round(N) or N < 1:
        return "The number of steps is a whole number, at least 1."
    if N < 1e6 and _error(N) > 1e-4:
        return "With that many steps the error is still above 1e-4."
    if N > 1e6 or _error(N - 1) <= 1e-4:
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
                "At the end all of them count, each as the equation has carried it there.",
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


def _third_order(depth: int) -> Tensor:
    """Blocks of one more term."""
    h = 1 / depth
    blocks = [1 + h + h**2 / 2 + h**3 / 6, 1 - 2 * h + 2 * h**2 - 4 * h**3 / 3]
    return torch.tensor([block**depth for block in blocks], dtype=torch.float64)


def _change(output: Callable[[int], Tensor], fewer: int, more: int) -> float:
    return float((output(more) - output(fewer)).norm())


register(
    Exercise(
        "01.4",
        "The order of a net, without its limit",
        # the third order tells squared changes, 2 p, from ratios, 2^p
        kind=function(
            (_first_order, 8), (_first_order, 64), (_second_order, 16), (_third_order, 16)
        ),
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
                "squared changes",
                lambda f, N: 2 * math.log2(_change(f, N, 2 * N) / _change(f, 2 * N, 4 * N)),
                "Twice too large: you compared the squares of the changes. Take their norms.",
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
