"""Exercises of lesson 22."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ...course.answers import Behavior, Raised, WrongKind, function
from ...course.exercises import Exercise, Mistake, register

f64 = torch.float64


def largest_error(size, rate, end):
    # the integral of e^(rate (T - s)) size ds; a constant residual of this size reaches it
    return size * (math.exp(rate * end) - 1) / rate


register(
    Exercise(
        "22.1",
        "How wrong can it be?",
        kind=function((1e-3, 5.0, 2.0), (1e-3, -1.0, 2.0), (0.5, 1.0, 1.0), (0.2, -4.0, 3.0)),
        solution=largest_error,
        mistakes=[
            Mistake(
                "the residual is the error",
                lambda size, rate, end: size,
                "That is the residual. The error adds it up over time, and the equation lets it "
                "grow or decay.",
            ),
            Mistake(
                "no growth",
                lambda size, rate, end: size * end,
                "You added the residual up, but an early error is multiplied by the equation until "
                "the end. By how much?",
            ),
            Mistake(
                "all of it from the start",
                lambda size, rate, end: size * end * math.exp(rate * end),
                "All of the residual cannot come at t = 0. What comes at s has T - s left to grow.",
            ),
            Mistake(
                "not added up",
                lambda size, rate, end: size * math.exp(rate * end),
                "That is what an error of this size at the start becomes. A residual comes at all "
                "times: add up.",
            ),
            Mistake(
                "not divided",
                lambda size, rate, end: size * (math.exp(rate * end) - 1),
                "Nearly. The integral of e^(rate s) over s brings a factor.",
            ),
            Mistake(
                "integral without its lower end",
                lambda size, rate, end: size * math.exp(rate * end) / rate,
                "Nearly: the integral has two ends. With T = 0 the error must be 0.",
            ),
            Mistake(
                "sign",
                lambda size, rate, end: size * (1 - math.exp(rate * end)) / rate,
                "That is negative. Mind the sign.",
            ),
            Mistake(
                "wrong direction",
                lambda size, rate, end: size * (1 - math.exp(-rate * end)) / rate,
                "What comes at s grows for T - s, with the sign of rate as it is. Check with "
                "rate > 0: the error must be larger than size times T.",
            ),
            Mistake(
                "size of the rate",
                lambda size, rate, end: size * math.expm1(abs(rate) * end) / abs(rate),
                "Right for rate > 0. With rate < 0 yours grows, but there what comes at s decays.",
            ),
            Mistake(
                "mean square",
                lambda size, rate, end: size**2 * (math.exp(rate * end) - 1) / rate,
                "`size` is the largest value of the residual, not its square.",
            ),
        ],
        hints=[
            "e(T) is the integral of e^(rate (T - s)) r(s) over s from 0 to T.",
            "For which r between -size and size is it largest? All factors e^(...) are positive.",
            "With r = size everywhere the integral is one of an exponential.",
        ],
        otherwise=(
            "Compare with the explorable, shape constant: 4.4051 for size 0.001, rate 5, T = 2. "
            "For rate < 0, too, it is positive."
        ),
        meaning=(
            "For rate < 0 it stays below size / -rate, however late T is: the equation forgets. "
            "For rate > 0 it doubles every ln 2 / rate. The loss says nothing of that."
        ),
    )
)


def trial(n, t):
    return 1 + t**2 * n


_NETS: list[Callable[[Tensor], Tensor]] = [
    lambda t: torch.tanh(1.3 * t - 0.4) + 0.7,
    lambda t: torch.cos(2 * t) + 1.5 * t,
]
_FREE = "At t = 0 your u depends on the net. What is left of your formula when t = 0?"
_NOT_1 = "At t = 0 the net is gone, as it should be, but what is left is not 1."
_SPEED = (
    "u(0) = 1 is right, but u'(0) depends on the net: the derivative of t N is N at t = 0. Make "
    "the factor of N flatter there."
)
_NOT_0 = "u(0) = 1 is right, but u'(0) is not 0, whatever the net."
_JUMP = (
    "At t = 0 both seem right, but right after it your u is not near 1: it jumps, or has a kink."
)
_NO_NET = (
    "Both values hold, but no gradient leads from your u to the net: it cannot be trained to solve "
    "anything."
)


def _check_trial(answer: Behavior) -> str | None:
    rows = []
    for net in _NETS:
        t = torch.tensor([[0.6], [0.0], [1.5], [2.0]], dtype=f64, requires_grad=True)
        u = answer(net(t), t)
        if not isinstance(u, Tensor) or u.shape != t.shape or not u.requires_grad:
            raise WrongKind("expected a tensor of the shape of t, computed from n and t.")
        (slope,) = torch.autograd.grad(u.sum(), t)
        rows.append((u.detach(), float(slope[1])))
    (u, speed), (other, other_speed) = rows
    if not math.isclose(float(u[1]), float(other[1]), abs_tol=1e-9):
        return _FREE
    if not math.isclose(float(u[1]), 1.0, abs_tol=1e-9):
        return _NOT_1
    if not math.isclose(speed, other_speed, abs_tol=1e-9):
        return _SPEED
    if not math.isclose(speed, 0.0, abs_tol=1e-9):
        return _NOT_0
    later = torch.tensor([[1e-4], [0.6], [2.0]], dtype=f64)
    n = _NETS[0](later).requires_grad_()
    u = answer(n, later)
    if abs(float(u.detach()[0]) - 1) > 1e-6:
        return _JUMP
    (by_net,) = torch.autograd.grad(u.sum(), n, allow_unused=True) if u.requires_grad else (None,)
    return _NO_NET if by_net is None or bool((by_net[1:] == 0).any()) else None


register(
    Exercise(
        "22.2",
        "A start that cannot be missed",
        kind=function(),
        solution=trial,
        check=_check_trial,
        mistakes=[
            Mistake("slope free", lambda n, t: 1 + t * n, _SPEED),
            Mistake("shifted by the first of the batch", lambda n, t: 1 + n - n[0], _FREE),
            Mistake("1 forgotten", lambda n, t: t**2 * n, _NOT_1),
            Mistake("a slope of its own", lambda n, t: 1 + t + t**2 * n, _NOT_0),
            Mistake("kink", lambda n, t: 1 + t.abs() * n, _JUMP),
            Mistake("no net", lambda n, t: 1 - t**2 / 2 + 0 * n, _NO_NET),
        ],
        hints=[
            "Begin with a function that has both values, such as the constant 1, and add a factor "
            "times n.",
            "The factor must be 0 at t = 0, and so must its derivative.",
        ],
        otherwise="Set t = 0 in u, and in the derivative of u.",
        meaning=(
            "Any factor that starts like t**2 will do, such as (1 - exp(-t))**2, which stays below "
            "1 on long intervals. Two values at two places: a line through them plus t (1 - t) n."
        ),
    )
)


def second_derivative(f, x):
    x = x.clone().requires_grad_()
    (first,) = torch.autograd.grad(f(x).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x)
    return second


def _first(f: Any, x: Tensor) -> Tensor:
    x = x.clone().requires_grad_()
    return torch.autograd.grad(f(x).sum(), x)[0]


def _not_summed(f: Any, x: Tensor) -> Tensor:
    x = x.clone().requires_grad_()
    return torch.autograd.grad(f(x), x, create_graph=True)[0]


def _accumulated(f: Any, x: Tensor) -> Tensor:
    return _first(f, x) + second_derivative(f, x)


def _summed(f: Any, x: Tensor) -> Tensor:
    return second_derivative(f, x).sum()


def _without_graph(f: Any, x: Tensor) -> Tensor:
    return torch.autograd.grad(_first(f, x).sum(), x)[0]


def _sine(x: Tensor) -> Tensor:
    return torch.sin(x)


def _bump(x: Tensor) -> Tensor:
    return x * torch.exp(-(x**2))


_NO_GRAPH = (
    "The first derivative has no graph: ask for it with create_graph=True, else it is a constant "
    "to autograd. (And x itself must require a gradient.)"
)
_NO_SUM = (
    "autograd differentiates one number. Take the sum of f(x): each f(x) depends on its own x only."
)
_NOT_EACH = (
    "You return one number. Sum before you differentiate, not after: each f(x) depends on its own "
    "x only."
)
_VALUES: list[tuple[str, Callable[..., Tensor], str]] = [
    ("first only", _first, "That is the first derivative."),
    (
        "squared",
        lambda f, x: _first(f, x) ** 2,
        "You squared the first derivative. Differentiate it again.",
    ),
    (
        "accumulated",
        _accumulated,
        "Your result is f' + f'': backward() adds to x.grad. Use torch.autograd.grad, or set "
        "x.grad to None between the two.",
    ),
]


def _check_second(answer: Behavior) -> str | None:
    x = torch.tensor([-1.2, 0.3, 0.9, 2.0], dtype=f64)
    for f in (_sine, _bump):
        try:
            found = answer(f, x)
        except Raised as raised:
            if "does not require grad" in str(raised):
                return _NO_GRAPH
            if "scalar outputs" in str(raised):
                return _NO_SUM
            raise
        try:
            found = torch.as_tensor(found).detach().to(f64)
        except (TypeError, ValueError, RuntimeError):
            raise WrongKind(f"expected a tensor of the shape of x, got {found!r:.60}") from None
        if found.dim() == 0:
            return _NOT_EACH
        if found.shape != x.shape:
            raise WrongKind(f"expected the shape {tuple(x.shape)}, got {tuple(found.shape)}")
        if torch.allclose(found, second_derivative(f, x), rtol=1e-3, atol=1e-4):
            continue
        for _, wrong, hint in _VALUES:
            if torch.allclose(found, wrong(f, x), rtol=1e-3, atol=1e-4):
                return hint
        return "For f = sin it must be -sin. Compare."
    return None


register(
    Exercise(
        "22.3",
        "A second derivative",
        kind=function(),
        solution=second_derivative,
        check=_check_second,
        mistakes=[
            Mistake("create_graph forgotten", _without_graph, _NO_GRAPH),
            Mistake("not summed", _not_summed, _NO_SUM),
            Mistake("summed over the batch", _summed, _NOT_EACH),
            *(Mistake(*row) for row in _VALUES),
        ],
        hints=[
            "torch.autograd.grad(f(x).sum(), x)[0] is the first derivative, for an x that "
            "requires a gradient.",
            "To differentiate a derivative, its graph is needed: create_graph=True.",
            "Then the same once more, with the first derivative in the place of f(x).",
        ],
        otherwise="For f = sin it must be -sin.",
        meaning=(
            "Each derivative makes the graph about twice as large: this is what a residual of "
            "second order costs in every update."
        ),
    )
)


def steps_needed(steps, error, target):
    # error ~ dx^2 ~ dt ~ 1 / steps
    return steps * error / target


register(
    Exercise(
        "22.4",
        "How many steps?",
        kind=function((80, 1.5e-3, 4e-5), (320, 4e-4, 1e-4), (20, 6.4e-3, 1e-4)),
        solution=steps_needed,
        rtol=0.06,
        mistakes=[
            Mistake(
                "points, not steps",
                lambda steps, error, target: steps * (error / target) ** 0.5,
                "The grid needs that many times as many points. But dt = dx^2 / 2 makes the "
                "steps shorter by the square of it.",
            ),
            Mistake(
                "first order in dx",
                lambda steps, error, target: steps * (error / target) ** 2,
                "You took the error to fall like dx. It falls like dx^2: compare n = 10, 20, 40.",
            ),
            Mistake(
                "points times steps",
                lambda steps, error, target: steps * (error / target) ** 1.5,
                "That is the work, points times steps. Asked are the steps.",
            ),
            Mistake(
                "upside down",
                lambda steps, error, target: steps * target / error,
                "A smaller error takes more steps, not fewer.",
            ),
        ],
        hints=[
            "With dt = dx^2 / 2, how does the number of steps depend on dx?",
            "The error falls like dx^2, and the number of steps grows like 1 / dx^2.",
        ],
        otherwise="From n = 10 to 20 the steps go from 20 to 80: what does the error do?",
        meaning=(
            "Steps times error is constant. The net's error costs some 3000 steps at n = 120: "
            "hundredths of a second."
        ),
    )
)


def best_omega(u, u_tt):
    # the derivative of sum (u'' + k u)^2 by k = omega^2 is 2 sum (u'' + k u) u = 0
    return math.sqrt(float(-(u * u_tt).sum() / (u * u).sum()))


def _curve(omega: float, times: int, end: float, other: float) -> tuple[Tensor, Tensor]:
    """A curve that nearly solves u'' = -omega^2 u, and its second derivative. Where u is small its
    ratio with u'' is still negative, so that a mean of ratios has a root.
    """
    t = torch.linspace(0, end, times, dtype=f64)
    u = torch.cos(omega * t) + other * torch.cos(3 * t)
    return u, -(omega**2) * torch.cos(omega * t) - 9 * other * torch.cos(3 * t)


register(
    Exercise(
        "22.5",
        "What the residual says about omega",
        kind=function(
            _curve(1.1, 8, 4.0, 0.03), _curve(1.6, 8, 4.0, 0.1), _curve(2.6, 12, 5.0, 0.1)
        ),
        solution=best_omega,
        rtol=2e-3,
        mistakes=[
            Mistake(
                "not the root",
                lambda u, u_tt: float(-(u * u_tt).sum() / (u * u).sum()),
                "That is omega squared.",
            ),
            Mistake(
                "mean of ratios",
                lambda u, u_tt: math.sqrt(float((-u_tt / u).mean())),
                "A mean of ratios: where u is near 0 it takes off. Ask which omega makes the sum "
                "of squares least.",
            ),
            Mistake(
                "mean of roots of ratios",
                lambda u, u_tt: float((-u_tt / u).sqrt().mean()),
                "A mean over single points: where u is near 0 each says little. Ask which omega "
                "makes the sum of squares least.",
            ),
            Mistake(
                "ratio of sizes",
                lambda u, u_tt: float((u_tt.square().sum() / u.square().sum()) ** 0.25),
                "The sizes of u'' and u alone also count what in u'' does not go with u.",
            ),
            Mistake(
                "the other regression",
                lambda u, u_tt: math.sqrt(float(-(u_tt * u_tt).sum() / (u * u_tt).sum())),
                "That makes the sum of (u''/omega^2 + u)^2 least, as the loss of the lesson has "
                "it. Asked is u'' + omega^2 u: other units, and another answer.",
            ),
            Mistake(
                "sign",
                lambda u, u_tt: -math.sqrt(float(-(u * u_tt).sum() / (u * u).sum())),
                "omega is positive.",
            ),
        ],
        hints=[
            "Call k = omega**2: the sum of (u'' + k u)**2 is a parabola in k.",
            "Its derivative by k is 2 sum (u'' + k u) u. Where is it 0?",
        ],
        otherwise=(
            "Try a u that solves the equation, cos(2 t): the answer must be 2. (nan? u'' and u "
            "have opposite signs.)"
        ),
        meaning=(
            "In the loss of an inverse problem the data never mention omega. It is the residual "
            "that moves it, and the residual sees only the net's u: both must be trained together."
        ),
    )
)
