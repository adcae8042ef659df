"""Exercises of lesson 05. What learners write is not annotated, as in the lesson."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ... import odeint
from ...course.answers import function, number
from ...course.exercises import Exercise, Mistake, register
from ...data import exact_spiral, observe, spiral


def longest_horizon() -> float:
    # The loss 2 - 2 sin(x) / x has its first maximum beside the truth where its slope is zero:
    # x cos(x) = sin(x).
    low, high = math.pi, 1.5 * math.pi
    while high - low > 1e-9:
        x = (low + high) / 2
        low, high = (x, high) if x * math.cos(x) < math.sin(x) else (low, x)
    return low / (2 - 0.5)  # x = (2 - 0.5) T


_ROOT = 4.493409457909064

register(
    Exercise(
        "05.1",
        "The longest horizon that still leads to the truth",
        kind=number("the longest horizon T"),
        solution=longest_horizon,
        rtol=0.012,
        mistakes=[
            Mistake(
                "x instead of T",
                _ROOT,
                "That is x, the place on the axis of sin(x) / x. T follows from x = (2 - 0.5) T.",
            ),
            Mistake(
                "the true frequency as the distance",
                _ROOT / 2,
                "You divided by the true frequency. What counts is the distance between the start "
                "and the truth.",
            ),
            Mistake(
                "the start as the distance",
                _ROOT / 0.5,
                "You divided by the frequency at the start. What counts is its distance from the "
                "truth.",
            ),
            Mistake(
                "half a turn apart",
                math.pi / 1.5,
                "There the two end half a turn apart. The valley reaches further: the loss is a "
                "mean over time.",
            ),
            Mistake(
                "a whole turn apart",
                2 * math.pi / 1.5,
                "At that horizon the two end a whole turn apart, and the start lies beyond the "
                "edge of the valley.",
            ),
        ],
        hints=[
            "In the explorable, leave ω at 0.5 and shorten T until descent ends at 2. The slider "
            "is coarse: refine.",
            "Descent arrives if no maximum of the loss lies between start and truth. The loss "
            "depends on x only.",
            "The first maximum is where the slope of sin(x) / x vanishes, that is tan(x) = x, "
            "between π and 1.5 π.",
        ],
        otherwise="Use the formula of the loss: for which T does the start lie exactly on the edge "
        "of the valley?",
        meaning="Beyond it, the start lies on a slope that leads away from the truth. Horizon "
        "times frequency error must stay below 4.49: so a rough fit through short windows comes "
        "first, and then a long horizon.",
    )
)


def learned_rate(lam, h):
    return (math.exp(lam * h) - 1) / h


register(
    Exercise(
        "05.2",
        "What Euler's method learns",
        kind=function((-1.0, 0.5), (2.0, 0.1), (-3.0, 0.25)),
        solution=learned_rate,
        mistakes=[
            Mistake(
                "the truth",
                lambda lam, h: lam,
                "That would be learned with exact steps. Euler's step is not exact: x + h θ x.",
            ),
            Mistake(
                "the converse",
                lambda lam, h: math.log(1 + lam * h) / h,
                "That is how fast Euler's solution grows if θ = λ. Here its growth is given, by "
                "the data: find θ.",
            ),
            Mistake(
                "the factor",
                lambda lam, h: math.exp(lam * h),
                "That is the factor by which the data grow in one step. Which θ gives Euler's step "
                "the same factor?",
            ),
            Mistake(
                "sign",
                lambda lam, h: (1 - math.exp(lam * h)) / h,
                "The sign is wrong: decaying data must give a negative rate.",
            ),
            Mistake(
                "h forgotten",
                lambda lam, h: math.exp(lam * h) - 1,
                "A rate is per unit of time: divide by h.",
            ),
            Mistake(
                "the first term of the error",
                lambda lam, h: lam + lam**2 * h / 2,
                "That is nearly right where λ h is small. Here Euler's factor and that of the data "
                "must be equal: solve for θ.",
            ),
            Mistake(
                "backward Euler",
                lambda lam, h: (1 - math.exp(-lam * h)) / h,
                "That is what the implicit Euler method would learn, whose step is x_new = x + h θ "
                "x_new.",
            ),
        ],
        hints=[
            "One Euler step multiplies x by 1 + h θ. By what do the data grow in the same time?",
            "The data grow by exp(λ h). The loss is zero if both factors are equal.",
            "Solve 1 + h θ = exp(λ h) for θ.",
        ],
        otherwise="Compare growth in one step: what do the data do in the time h, and what does "
        "Euler's method do with θ?",
        meaning="For λ = -1 and h = 0.5 it learns -0.787, wrong by a fifth, at a loss of zero. No "
        "test with these steps can show it; a test with other steps does. The error is about λ²h / "
        "2: it vanishes only with h.",
    )
)


def largest_tolerance() -> float:
    def truth(t: Tensor) -> Tensor:
        return exact_spiral(t, torch.tensor([2.0, 0.0]).double())

    t, y = observe(truth, 60, end=12.0, noise=0.1)
    right = (truth(t) - y).square().mean()

    def error(tol: float) -> float:
        solution = odeint(spiral, truth(t[:1])[0], t, rtol=tol, atol=tol)
        return abs(float((solution - y).square().mean() / right) - 1)

    return max(tol for tol in [10.0**-k for k in range(1, 9)] if error(tol) < 0.01)


register(
    Exercise(
        "05.3",
        "The tolerance that a loss needs",
        kind=number("one of the tolerances 1e-1, 1e-2, ..., 1e-8"),
        solution=largest_tolerance,
        rtol=1e-6,
        atol=0.0,
        mistakes=[
            Mistake(
                "as large as the noise",
                1e-1,
                "The noise is as large, but it averages out, and the solver's error does not. "
                "Compare the losses.",
            ),
            Mistake(
                "a tenth of the noise",
                1e-2,
                "Compute the loss: here it is more than twice as large as it should be.",
            ),
            Mistake(
                "the first that fails", 1e-3, "Close, but the loss is still wrong by a quarter."
            ),
            Mistake(
                "one too careful", 1e-5, "The loss is right there; a larger tolerance will do."
            ),
            Mistake(
                "the smallest", 1e-8, "That is enough, and much more than enough. The largest?"
            ),
        ],
        hints=[
            "The right loss needs no solver: the mean of (truth(t) - y)**2.",
            "Loop over the tolerances: `odeint(spiral, truth(t[:1])[0], t, rtol=tol, atol=tol)`, "
            "then the same mean.",
            "Print |loss / right loss - 1| for each, and look for the first below 0.01.",
        ],
        otherwise="Print the relative error of the loss for every tolerance, and look for the "
        "first below 0.01.",
        meaning="Read it with care: this tolerance is a thousandth of the noise, but the path that "
        "it gives is off by 0.006, a sixteenth of the noise. A tolerance is not an error, and "
        "errors of the solver do not average out as noise does. With ten times less noise the "
        "answer is ten times smaller: repeat with `noise=0.01`.",
    )
)


def recover(t, x):
    theta = torch.tensor(0.0, dtype=x.dtype, requires_grad=True)
    optimizer = torch.optim.SGD([theta], lr=0.3)

    def field(s, z):
        return theta * z

    for _ in range(100):
        loss = (odeint(field, x[0], t, method="rk4_classic") - x).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return theta.item()


def _faulty(
    grid: bool = False, keep: bool = False, uphill: bool = False
) -> Callable[[Tensor, Tensor], float]:
    """The loop of exercise 05.4 with some of its faults."""

    def recover(t: Tensor, x: Tensor) -> float:
        theta = torch.tensor(0.0, dtype=x.dtype, requires_grad=True)
        optimizer = torch.optim.SGD([theta], lr=0.3, maximize=uphill)
        times = torch.linspace(float(t[0]), float(t[-1]), len(t), dtype=t.dtype) if grid else t

        def field(s: Any, z: Tensor) -> Tensor:
            return theta * z

        for _ in range(100):
            if not keep:
                optimizer.zero_grad()
            (odeint(field, x[0], times, method="rk4_classic") - x).square().mean().backward()
            optimizer.step()
            if abs(theta.item()) > 50:  # on its way to infinity
                break
        return theta.item()

    return recover


def _decay(theta: float, times: Sequence[float]) -> tuple[Tensor, Tensor]:
    """The arguments of `recover`: times, and the decay at them."""
    t = torch.tensor(times, dtype=torch.float64)
    return t, torch.exp(theta * t)


register(
    Exercise(
        "05.4",
        "Find the bugs in a training loop",
        kind=function(
            _decay(-0.5, [0.0, 0.1, 0.3, 1.5, 2.0]), _decay(0.4, [0.0, 0.9, 1.0, 1.1, 1.2])
        ),
        solution=recover,
        rtol=0.01,  # other optimizers and solvers stop elsewhere
        mistakes=[
            Mistake(
                "both bugs",
                _faulty(grid=True, keep=True),
                "Both bugs are still there. Which times does odeint get, and what does backward() "
                "do to a gradient?",
            ),
            Mistake(
                "times on a regular grid",
                _faulty(grid=True),
                "The loop converges now, to a wrong value. Which times does odeint get, and which "
                "do the data have?",
            ),
            Mistake(
                "gradients pile up",
                _faulty(keep=True),
                "The times are right. But theta swings to and fro: backward() adds to the "
                "gradient, step after step.",
            ),
            Mistake(
                "uphill", _faulty(uphill=True), "Your loop climbs: look at the sign of the update."
            ),
        ],
        hints=[
            "Print theta and the loss in every step. Does it converge? To what, for data made with "
            "θ = -0.5?",
            "One bug is in the line that makes the grid, the other one is a line that is missing.",
            "`odeint` takes the observation times themselves. `backward()` adds to the gradient "
            "that is there already: call `optimizer.zero_grad()` before it.",
        ],
        otherwise="Without noise, it returns the θ that the data were made with. Print θ and the "
        "loss in every step.",
        meaning="With either bug the loss falls for a while, which is why such bugs survive. A "
        "test with data of a known law finds them at once: make one for each training loop of your "
        "own.",
    )
)
