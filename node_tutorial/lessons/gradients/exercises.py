"""Exercises of lesson 06. What learners write is not annotated, as in the lesson."""

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from ... import odeint_adjoint
from ...course.answers import array, function, number, one_of
from ...course.exercises import Exercise, Mistake, register
from ...gradients.checkpoint import best_split


def gradient_of_decay() -> Tensor:
    theta = torch.tensor(-0.7, dtype=torch.float64, requires_grad=True)
    x0 = torch.tensor(1.5, dtype=torch.float64, requires_grad=True)
    t = torch.tensor([0.0, 2.0], dtype=torch.float64)
    x = odeint_adjoint(
        lambda t, x: theta * x, x0, t, rtol=1e-10, atol=1e-12, adjoint_params=(theta,)
    )
    loss = x[-1] ** 2 / 2
    return torch.stack(torch.autograd.grad(loss, (theta, x0)))


_END = 1.5 * math.exp(-1.4)  # x(2), which is also a(2)

register(
    Exercise(
        "06.1",
        "The gradient of a decay",
        kind=array((2,), wanted="a pair (dL/dtheta, dL/dx0)"),
        solution=gradient_of_decay,
        rtol=1e-3,
        mistakes=[
            Mistake(
                "sign of dL/dtheta",
                [-2 * _END**2, _END**2 / 1.5],
                "The first has the wrong sign: a larger θ lets less decay, so x(2) and the loss "
                "grow. From T back to 0 the integral carries a minus sign.",
            ),
            Mistake(
                "the other order",
                [_END**2 / 1.5, 2 * _END**2],
                "These are the two, in the other order.",
            ),
            Mistake(
                "no half",
                [4 * _END**2, 2 * _END**2 / 1.5],
                "Both are twice too large: the loss is x(2) squared over two, so a(2) = x(2).",
            ),
            Mistake(
                "loss x(T)",
                [2 * _END, _END / 1.5],
                "These are the gradients of x(2) itself. The loss is x(2) squared over two, so "
                "a(2) = x(2).",
            ),
            Mistake(
                "a(T) for a(0)",
                [2 * _END**2, _END],
                "The second is a(2). The gradient with respect to x0 is a at the other end.",
            ),
        ],
        hints=[
            "The adjoint: a' = -θ a with a(2) = x(2). Solve it back to t = 0 by hand, or let your "
            "code do it.",
            "By code: `odeint_adjoint(f, x0, t, adjoint_params=(theta,))`, with theta and x0 "
            "tensors that require gradients; then `torch.autograd.grad`.",
            "By hand: x(2) = 1.5 exp(2θ), and L = x(2)**2 / 2. Differentiate L with respect to θ "
            "and to x0.",
        ],
        otherwise="Check the problem: θ = -0.7, x0 = 1.5, T = 2, L = x(2)**2 / 2, and the order "
        "(dL/dtheta, dL/dx0). Four digits are needed: lower the tolerances.",
        meaning="In closed form T x(T)² and x(T)² / x0. Note that a(t) x(t) is the same at all t "
        "here, so that dL/dtheta, its integral, is T times that number.",
    )
)


def pull_back(theta, t, g):
    a = 0.0
    for i in range(len(t) - 1, 0, -1):
        a = a + g[i]
        a = a * math.exp(theta * (t[i] - t[i - 1]))
    return a + g[0]


def _overwrites(theta: float, t: Sequence[float], g: Sequence[float]) -> float:
    a = 0.0
    for i in range(len(t) - 1, 0, -1):
        a = g[i]
        a = a * math.exp(theta * (t[i] - t[i - 1]))
    return a


def _overwrites_but_for_the_first(theta: float, t: Sequence[float], g: Sequence[float]) -> float:
    return _overwrites(theta, t, g) + g[0]


def _without_the_first(theta: float, t: Sequence[float], g: Sequence[float]) -> float:
    return pull_back(theta, t, g) - g[0]


def _jumps_late(theta: float, t: Sequence[float], g: Sequence[float]) -> float:
    a = 0.0
    for i in range(len(t) - 1, 0, -1):
        a = a * math.exp(theta * (t[i] - t[i - 1])) + g[i]
    return a + g[0]


def _wrong_way(theta: float, t: Sequence[float], g: Sequence[float]) -> float:
    return pull_back(-theta, t, g)


register(
    Exercise(
        "06.2",
        "Two observations",
        kind=function(
            (-0.7, [0.0, 0.6, 2.0], [0.0, 1.0, 0.0]),
            (-0.7, [0.0, 0.6, 2.0], [0.0, 0.0, 1.0]),
            (-0.7, [0.0, 0.6, 2.0], [1.0, 0.0, 0.0]),
            (0.3, [0.0, 0.5, 1.0, 1.2], [0.4, -1.0, 2.0, 0.5]),
            (-2.0, [1.0, 3.0], [0.25, -1.5]),
        ),
        solution=pull_back,
        mistakes=[
            Mistake(
                "overwrites, and forgets the first",
                _overwrites,
                "Still overwritten, and the observation at t[0] is forgotten. There are two bugs.",
            ),
            Mistake(
                "overwrites",
                _overwrites_but_for_the_first,
                "At an observation the old a is thrown away: what later observations say is lost. "
                "Add.",
            ),
            Mistake(
                "forgets the first",
                _without_the_first,
                "The loop stops at i = 1. What is observed at t[0] counts too.",
            ),
            Mistake(
                "jumps too late",
                _jumps_late,
                "g[i] belongs to t[i]: add it before a travels from t[i] to t[i - 1], not "
                "afterward.",
            ),
            Mistake(
                "wrong way",
                _wrong_way,
                "The sign of the exponent: a' = -theta a, followed from t[i] down to t[i - 1], "
                "multiplies a by exp(+theta (t[i] - t[i - 1])).",
            ),
        ],
        hints=[
            "Try g = [0, 0, 1], then [0, 1, 0], then [1, 0, 0]. Which of the three gets lost on "
            "its way to t[0]?",
            "Which line forgets what a was before?",
            "Two repairs: `a = a + g[i]` in the loop, and g[0] added at the end.",
        ],
        otherwise="The answer is the sum of g[i] exp(theta (t[i] - t[0])) over all i. Compare "
        "yours with it.",
        meaning="The gradient is linear in g: every observation sends its own share back, and the "
        "shares add up. The package's line is `a = a + grad_y[i]`.",
    )
)


def fewest_snapshots() -> int:
    def cost(steps: int, snapshots: int) -> int:
        if snapshots == 1 or steps <= 1:
            return steps * (steps - 1) // 2
        k = best_split(steps, snapshots)
        return k + cost(steps - k, snapshots - 1) + cost(k, snapshots)

    snapshots = 1
    while cost(1000, snapshots) > 2000:
        snapshots += 1
    return snapshots


@lru_cache(maxsize=1)
def _answer() -> int:
    return fewest_snapshots()


register(
    Exercise(
        "06.3",
        "How many checkpoints",
        kind=number("the number of snapshots"),
        solution=fewest_snapshots,
        rtol=0.0,
        atol=0.1,
        mistakes=[
            Mistake(
                "square root",
                31,
                "The square root of 1000 is the package's default. What does it cost?",
            ),
            Mistake(
                "square root, rounded up", 32, "That is the square root of 1000. What does it cost?"
            ),
            Mistake(
                "each step at most twice",
                44,
                "With that many, no step is computed again more than twice. But it is the total "
                "that is limited.",
            ),
            Mistake("one too few", _answer() - 1, "Very close, but the cost is still above 2000."),
            Mistake(
                "keep everything",
                1000,
                "Then nothing but 999 steps is computed again, and it takes 1000 states.",
            ),
            Mistake("half", 500, "Enough, and far more than needed."),
        ],
        hints=[
            "Write `cost(N, s)` as in the formula, with k from `best_split(N, s)`, and try s = 1, "
            "2, 3, ...",
            "The ends of the recursion: cost(1, s) = 0, and cost(N, 1) = N (N - 1) / 2.",
            "Loop upward from s = 1 and stop at the first s with cost(1000, s) <= 2000.",
        ],
        otherwise="Print cost(1000, s) for s = 10, 20, 30, 40, 50 first.",
        meaning="A few dozen states instead of a thousand, for two more forward solves. Half as "
        "many snapshots cost less than one solve more: few states buy much.",
    )
)


def the_gradient_to_use() -> str:
    return "checkpoint"


register(
    Exercise(
        "06.4",
        "Which gradient",
        kind=one_of("direct", "adjoint", "interpolated", "replay", "checkpoint", "reversible"),
        solution=the_gradient_to_use,
        mistakes=[
            Mistake(
                "adjoint",
                "adjoint",
                "The flow contracts strongly: on the way back the state blows up.",
            ),
            Mistake(
                "direct",
                "direct",
                "It keeps several states for each of the 10 000 steps. There is room for 300.",
            ),
            Mistake(
                "replay",
                "replay",
                "Exact, but it keeps the states of all the 10 000 steps. There is room for 300.",
            ),
            Mistake(
                "interpolated",
                "interpolated",
                "It survives contraction, but keeps a polynomial for each of the 10 000 steps, and "
                "it is not exact.",
            ),
            Mistake(
                "reversible",
                "reversible",
                "Its memory would do. But a reversible step cannot contract: the forward solve "
                "itself blows up here.",
            ),
        ],
        hints=[
            "Strike out what needs memory for 10 000 steps.",
            "Of the three that are left, strike out what cannot stand contraction.",
        ],
        otherwise="Compare the table above, row by row.",
        meaning="With `snapshots=300` no step is computed again more than twice, for C(302, 2) = "
        "45 451 steps would be reachable so; and the gradient is that of the computed solution, to "
        "rounding.",
    )
)
