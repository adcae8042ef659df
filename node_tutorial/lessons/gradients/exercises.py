"""Exercises of lesson 06. What learners write is not annotated, as in the lesson."""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import cast

import torch
from torch import Tensor, nn

from ... import odeint_adjoint
from ...course.answers import agree, array, function, number
from ...course.exercises import Exercise, Mistake, register
from ...gradients import GRADIENT_MODES, odeint_replay
from ...gradients.checkpoint import best_split
from . import costs


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
                "sign of dL/dx0",
                [2 * _END**2, -(_END**2) / 1.5],
                "The second has the wrong sign: start higher, and x(2) ends higher.",
            ),
            Mistake(
                "both signs",
                [-2 * _END**2, -(_END**2) / 1.5],
                "Both have the wrong sign: a larger θ, or a larger x0, leaves more of x(2).",
            ),
            Mistake(
                "a x at one time",
                [_END**2, _END**2 / 1.5],
                "The first is a x at one time. dL/dθ is its integral, over the whole way from 0 "
                "to 2.",
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


def _jumps_late_without_the_first(theta: float, t: Sequence[float], g: Sequence[float]) -> float:
    return _jumps_late(theta, t, g) - g[0]


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
                "as it was",
                _jumps_late_without_the_first,
                "Both bugs are still there. Follow a single observation, at t[-1]: by which factor "
                "does it reach t[0]?",
            ),
            Mistake(
                "overwrites, and forgets the first",
                _overwrites,
                "It overwrites now, and the observation at t[0] is forgotten.",
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
            "Try g = [0, 0, 1], then [0, 1, 0], then [1, 0, 0]. What should each of them give at "
            "t[0], and what does it give?",
            "At which time does a live when g[i] is added? And which g does the loop never meet?",
            "Two repairs: swap the two lines of the loop, and add g[0] at the end.",
        ],
        otherwise="Test one observation at a time: g = [1, 0, 0], then [0, 1, 0], then [0, 0, 1]. "
        "What should each give?",
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


def distance(f, y0, t):
    found = []
    for solver in (odeint_adjoint, odeint_replay):
        y = solver(f, y0, t, rtol=1e-6, atol=1e-6)
        parts = torch.autograd.grad(y[-1].square().sum() / 2, tuple(f.parameters()))
        found.append(torch.cat([part.flatten() for part in parts]))
    adjoint, replay = found
    return (adjoint - replay).norm() / replay.norm()


Compared = Callable[[nn.Module, Tensor, Tensor], float | Tensor]  # what learners write


def _gradient(mode: str, f: nn.Module, y0: Tensor, t: Tensor, tol: float = 1e-6) -> Tensor:
    y = GRADIENT_MODES[mode](f, y0, t, rtol=tol, atol=tol)
    parts = torch.autograd.grad(y[-1].square().sum() / 2, tuple(f.parameters()))
    return torch.cat([part.flatten() for part in parts])


def _not_relative(f: nn.Module, y0: Tensor, t: Tensor) -> Tensor:
    return (_gradient("adjoint", f, y0, t) - _gradient("replay", f, y0, t)).norm()


def _squared(f: nn.Module, y0: Tensor, t: Tensor) -> Tensor:
    return distance(f, y0, t) ** 2


def _of_the_norms(f: nn.Module, y0: Tensor, t: Tensor) -> Tensor:
    adjoint, replay = (_gradient(mode, f, y0, t).norm() for mode in ("adjoint", "replay"))
    return (adjoint - replay).abs() / replay


def _with_itself(f: nn.Module, y0: Tensor, t: Tensor) -> float:
    return 0.0


def _loosely(f: nn.Module, y0: Tensor, t: Tensor) -> Tensor:
    adjoint, replay = (_gradient(mode, f, y0, t, tol=1e-3) for mode in ("adjoint", "replay"))
    return (adjoint - replay).norm() / replay.norm()


def _summed_up(f: nn.Module, y0: Tensor, t: Tensor) -> Tensor:
    """What comes out if .grad is not cleared between two calls of backward()."""
    adjoint, replay = (_gradient(mode, f, y0, t) for mode in ("adjoint", "replay"))
    return replay.norm() / (adjoint + replay).norm()


_DISTANCES = [
    Mistake(
        "twice the same",
        _with_itself,
        "The two gradients are equal: are they from two modes, and each from a solve of its own?",
    ),
    Mistake(
        "absolute",
        _not_relative,
        "A distance means little alone: divide it by the size of the gradient that is right.",
    ),
    Mistake("squared", _squared, "That is the square. Take the norm, not its square."),
    Mistake(
        "norms compared",
        _of_the_norms,
        "Two vectors of the same length may point anywhere: take the norm of the difference, not "
        "the difference of the norms.",
    ),
    Mistake("too loose", _loosely, "These solves are not made with rtol = atol = 1e-6."),
    Mistake(
        "gradients pile up",
        _summed_up,
        "`backward()` adds to the gradient that is there: clear it before the second solve, and "
        "keep a copy of the first.",
    ),
]


def _distances(function: Compared) -> list[float]:
    """What a function answers for two fields, made anew: `backward()` leaves traces in them."""
    convert = number("one number")
    return [convert(function(costs.Neurons(leak), costs.start(), costs.SPAN)) for leak in (0.0, 2)]


def _check_distance(function: Compared) -> str | None:
    answers = _distances(function)
    if agree(answers, _distances(distance), rtol=0.02, atol=1e-9):
        return None
    for mistake in _DISTANCES:
        if agree(answers, _distances(cast(Compared, mistake.answer)), rtol=0.02, atol=1e-9):
            return mistake.hint
    return (
        "Not the relative distance yet. The loss is half the sum of the squares of the last state; "
        "the gradient is that of all parameters, as one vector."
    )


register(
    Exercise(
        "06.4",
        "Does the adjoint lie here",
        kind=function(returns=number("one number")),
        solution=distance,
        check=_check_distance,
        mistakes=_DISTANCES,
        hints=[
            "Two solves and two gradients: by `odeint_adjoint` and by `GRADIENT_MODES['replay']`.",
            "`torch.autograd.grad(loss, tuple(f.parameters()))` gives the parts of the gradient: "
            "flatten each, then `torch.cat`.",
            "The relative distance of a from b is `(a - b).norm() / b.norm()`, and b is the one "
            "that can be trusted.",
        ],
        meaning="Without the leak it is below a thousandth, with leak 2 it is near a tenth, at the "
        "same tolerance. `odeint_adjoint` warns of that; `check` did not show it. Five lines and "
        "one batch tell you whether your own model can be trained by the adjoint. Ask again after "
        "training: fields change.",
    )
)
