"""Exercises of lesson 11. A solution that is a function has the signature of the lesson's stub."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...course.answers import Behavior, array, function, number
from ...course.exercises import Exercise, Mistake, register


def flow(omega, t):
    c = math.cos(omega * t)
    s = math.sin(omega * t)
    return torch.tensor([[c, s / omega], [-omega * s, c]])


def _matrix(omega: float, t: float, upper: float, lower: float) -> Tensor:
    c = math.cos(omega * t)
    s = math.sin(omega * t)
    return torch.tensor([[c, upper * s], [lower * s, c]], dtype=torch.float64)


def _flow_problem(answer: Behavior) -> str | None:
    """What is wrong with the matrices of a flow, or None."""
    converted: Any = answer.returns

    def phi(omega: float, t: float) -> Tensor:
        return torch.as_tensor(converted(answer(omega, t)))

    one = torch.eye(2, dtype=torch.float64)
    for omega in (0.7, 1.0, 2.5):
        if not torch.allclose(phi(omega, 0.0), one, atol=1e-6):
            return "At t = 0 nothing has moved yet: the matrix is then the identity."
        slope = (phi(omega, 1e-3) - phi(omega, -1e-3)) / 2e-3
        field = torch.tensor([[0.0, 1.0], [-(omega**2), 0.0]], dtype=torch.float64)
        if not torch.allclose(slope, field, rtol=1e-3, atol=2e-3):
            return (
                "At t = 0 the rows of its derivative should be q' = v and v' = -omega^2 q; "
                "they are not."
            )
        q, v = phi(omega, 20.0)
        if not torch.allclose(v**2 + (omega * q) ** 2, torch.tensor([omega**2, 1.0]).to(v), 5e-3):
            return (
                "Without friction v^2 + omega^2 q^2 never changes. With your matrix it has "
                "changed at t = 20."
            )
        if not torch.allclose(phi(omega, 0.4) @ phi(omega, 0.9), phi(omega, 1.3), atol=1e-5):
            return (
                "0.9 units of time and then 0.4 should be the same as 1.3 at once; "
                "with your matrices it is not."
            )
    return None


register(
    Exercise(
        "11.1",
        "The flow of the harmonic oscillator",
        kind=function((0.7, 0.5), (1.7, 1.1), (2.5, 3.0), returns=array((2, 2))),
        solution=flow,
        check=_flow_problem,
        rtol=1e-4,
        atol=1e-6,
        mistakes=[
            Mistake(
                "sign",
                lambda omega, t: _matrix(omega, t, -1 / omega, omega),
                "Yours turns backward in time. From (1, 0), a spring pulls back: the velocity "
                "becomes negative first.",
            ),
            Mistake(
                "plain rotation",
                lambda omega, t: _matrix(omega, t, 1.0, -1.0),
                "That is a rotation, right for omega = 1 only. In the plane of (q, v) the orbits "
                "are ellipses: compare units, v is q per time.",
            ),
            Mistake(
                "transposed",
                lambda omega, t: _matrix(omega, t, -omega, 1 / omega),
                "Rows and columns are exchanged: the first row gives q, from q and v at t = 0.",
            ),
            Mistake(
                "omega at the wrong places",
                lambda omega, t: _matrix(omega, t, omega, -1 / omega),
                "The two factors omega are at each other's place. A start with q = 0, v = 1 "
                "swings farther if omega is small.",
            ),
            Mistake(
                "angle t",
                lambda omega, t: torch.tensor(
                    [[math.cos(t), math.sin(t) / omega], [-omega * math.sin(t), math.cos(t)]],
                    dtype=torch.float64,
                ),
                "The angle is omega t, not t.",
            ),
        ],
        hints=[
            "Start from q(t) = a cos(omega t) + b sin(omega t). What are a and b, "
            "if q(0) = q and q'(0) = v?",
            "The first row is q(t): the factor of q, then that of v. "
            "The second row is its derivative.",
            "Two of the entries are cos(omega t). The two others hold sin(omega t), once divided "
            "by omega and once times -omega.",
        ],
        otherwise=(
            "Test your matrix: multiplied by (q, v) it should give the position and "
            "velocity at time t."
        ),
        meaning=(
            "Its determinant is 1: areas of the latent plane keep their size, so undamped motion "
            "forgets nothing. With a formula like this one needs no solver; with a damping that "
            "depends on v, or a net, one does."
        ),
    )
)


def summary(net, t, x, mask):
    pairs = torch.stack([t, torch.where(mask, x, 0.0)], dim=-1)  # no NaN reaches the net
    each = torch.where(mask[..., None], net(pairs), 0.0)
    return each.sum(1) / mask.sum(1, keepdim=True)


def _net() -> nn.Module:
    """A net from pairs to three numbers, the same at each call."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        return nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 3)).float()


def _series() -> tuple[Tensor, Tensor, Tensor]:
    """t, x and mask (2, 4) of two series, the second padded by two times."""
    t = torch.tensor([[0.0, 0.7, 1.1, 2.0], [0.2, 1.5, 1.6, 1.7]], dtype=torch.float32)
    x = torch.tensor([[0.3, -1.0, 0.5, 0.9], [1.2, 0.8, 7.0, -3.0]], dtype=torch.float32)
    mask = torch.tensor([[1, 0, 1, 1], [1, 1, 0, 0]], dtype=torch.bool)
    return t, x, mask


def _summary_problem(answer: Behavior) -> str | None:
    """What is wrong with a mean over a set, or None."""
    net = _net()
    t, x, mask = _series()

    def of(t: Tensor, x: Tensor, mask: Tensor) -> Tensor:
        return torch.as_tensor(answer(net, t, x, mask)).float()

    given = of(t, x, mask)
    seen = mask[0]
    alone = net(torch.stack([t[0, seen], x[0, seen]], dim=-1)).mean(0)
    if not torch.allclose(given[0], alone, atol=1e-5):
        return "It should be the mean of the net's results for the observed pairs, and no others."
    order = torch.tensor([2, 0, 3, 1])
    if not torch.allclose(of(t[:, order], x[:, order], mask[:, order]), given, atol=1e-5):
        return "A set has no order: with the pairs in another order the result should be the same."
    if not torch.allclose(of(t[1:, :2], x[1:, :2], mask[1:, :2]), given[1:], atol=1e-5):
        return "A series padded by two times should have the summary that it has without them."
    holes = torch.where(mask, x, torch.nan)
    with torch.enable_grad():
        result = answer(net, t, holes, mask)
        if not torch.as_tensor(result).isfinite().all():
            return (
                "With NaN at a place that is not observed your result is NaN: NaN times 0 is NaN. "
                "A mask chooses, it does not multiply."
            )
        if not isinstance(result, Tensor) or not result.requires_grad:
            return (
                "The values are right, but no gradient leads back to the net. Return a tensor that "
                "is computed from the net's results, without detach or numpy."
            )
        gradients = torch.autograd.grad(result.sum(), list(net.parameters()))
    if not all(gradient.isfinite().all() for gradient in gradients):
        return (
            "The values are right, and the gradient is NaN: a NaN that you leave out after the net "
            "has been through the net, and its derivative there is NaN, times 0. It must not reach "
            "the net."
        )
    return None


def _pairs(t: Tensor, x: Tensor) -> Tensor:
    return torch.stack([t, x], dim=-1)


def _kept(net: nn.Module, t: Tensor, x: Tensor, mask: Tensor) -> Tensor:
    return torch.where(mask[..., None], net(_pairs(t, x)), 0.0)


def _mean_of_pairs(net: nn.Module, t: Tensor, x: Tensor, mask: Tensor) -> Tensor:
    pairs = torch.where(mask[..., None], _pairs(t, x), 0.0)
    return net(pairs.sum(1) / mask.sum(1, keepdim=True))


register(
    Exercise(
        "11.2",
        "A summary of a set",
        kind=function((_net(), *_series()), returns=array((None, 3))),
        solution=summary,
        check=_summary_problem,
        atol=1e-5,
        mistakes=[
            Mistake(
                "mask missing",
                lambda net, t, x, mask: net(_pairs(t, x)).mean(1),
                "You count padding too: whatever stands there changes the result. "
                "Where is the mask?",
            ),
            Mistake(
                "divided by the length",
                lambda net, t, x, mask: _kept(net, t, x, mask).mean(1),
                "The sum is right. You divide it by T, the length of the longest series, not by "
                "the number of observations.",
            ),
            Mistake(
                "sum instead of mean",
                lambda net, t, x, mask: _kept(net, t, x, mask).sum(1),
                "You add the results up. The mean is asked for: it stays of one size, whether "
                "there are three observations or thirty.",
            ),
            Mistake(
                "only the inputs masked",
                lambda net, t, x, mask: net(_pairs(t, x) * mask[..., None]).mean(1),
                "You set what is not observed to (0, 0), and then count it as observed: the net "
                "has a result for (0, 0) too.",
            ),
            Mistake(
                "the net of the mean",
                _mean_of_pairs,
                "You average the pairs, and ask the net once. Two series with the same mean would "
                "be the same to you, fast or slow. First the net, then the mean.",
            ),
        ],
        hints=[
            "The net takes all pairs at once: torch.stack([t, x], dim=-1) is (B, T, 2).",
            "Choose twice with torch.where: before the net, so that no NaN enters it, and after, "
            "so that only what was observed is added up.",
            "How many were observed of each series? mask.sum(1, keepdim=True).",
        ],
        otherwise="Try it with one series of two observations, and compute the mean by hand.",
        meaning=(
            "This is the heart of SetEncoder: any number of observations, in any order, and gaps "
            "cost nothing. Replace the mean by attention, and you have the encoder of a "
            "transformer, which reads sets as well."
        ),
    )
)


def seen_as(omega, dt):
    turn = 2 * math.pi / dt  # so much more frequency is one more full turn in each gap
    rest = omega % turn
    return min(rest, turn - rest)


def _alias_problem(answer: Behavior) -> str | None:
    """What is wrong with a fold of frequencies, or None."""
    converted: Any = answer.returns
    times = np.arange(1, 7)
    for omega, dt in ((0.4, 0.5), (5.0, 1.0), (9.0, 0.5), (20.0, 0.7), (31.0, 0.25), (100.0, 0.1)):
        value = converted(answer(omega, dt))
        if not -1e-6 <= value <= math.pi / dt + 1e-4:
            return (
                f"For omega = {omega:g} and dt = {dt:g} your frequency is not the smallest that is "
                "not negative: none above pi / dt ever is."
            )
        if not np.allclose(np.cos(value * times * dt), np.cos(omega * times * dt), atol=5e-3):
            return (
                f"For omega = {omega:g} and dt = {dt:g} your cosine and the one that was observed "
                "differ at the times dt, 2 dt, ...: print both."
            )
    return None


register(
    Exercise(
        "11.3",
        "What a camera sees",
        kind=function((2.0, 0.5), (9.0, 0.5), (5.0, 1.0), (31.0, 0.3), returns=number()),
        solution=seen_as,
        check=_alias_problem,
        mistakes=[
            Mistake(
                "always mirrored",
                lambda omega, dt: 2 * math.pi / dt - omega,
                "That is the partner of a slow wheel, and it is not always the smallest, nor "
                "positive. What if the wheel makes several turns between two pictures? None?",
            ),
            Mistake(
                "not mirrored",
                lambda omega, dt: omega % (2 * math.pi / dt),
                "Full turns are gone. But three quarters of a turn forward look like a quarter "
                "backward, which is slower.",
            ),
            Mistake(
                "mirrored at the wrong place",
                lambda omega, dt: omega % (math.pi / dt),
                "You leave out half turns. After half a turn the weight is on the other side, and "
                "that can be seen.",
            ),
            Mistake(
                "cycles for radians",
                lambda omega, dt: min(omega % (1 / dt), 1 / dt - omega % (1 / dt)),
                "1 / dt counts cycles per unit of time; omega counts radians.",
            ),
            Mistake(
                "turns of omega",
                lambda omega, dt: min(omega % (2 * math.pi), -omega % (2 * math.pi)),
                "2 pi is a full turn of the angle omega dt, not of omega.",
            ),
            Mistake(
                "full turns of omega left out",
                lambda omega, dt: omega % (2 * math.pi),
                "2 pi is a full turn of the angle omega dt; you leave it out of omega. "
                "And a long way forward looks like a short way back.",
            ),
            Mistake(
                "the angle",
                lambda omega, dt: seen_as(omega, dt) * dt,
                "That is the angle from one picture to the next. Which frequency makes it?",
            ),
            Mistake(
                "cut off",
                lambda omega, dt: min(omega, math.pi / dt),
                "A fast wheel does not stop at pi / dt: with omega it seems to slow down again, "
                "and then to speed up.",
            ),
        ],
        hints=[
            "Only the angle omega dt counts, the turn from one picture to the next.",
            "Full turns cannot be seen: what is left of omega dt, of omega, without them?",
            "More than half a turn forward looks like less than half a turn backward.",
        ],
        otherwise="Draw the dial of a clock, and mark where the weight is in each picture.",
        meaning=(
            "The highest frequency that can be told from all lower ones is pi / dt, Nyquist's. A "
            "wheel in a film that seems to turn backward is mirrored about it. For the fit only "
            "the sign of v changes, and it stays as good."
        ),
    )
)


def read_off() -> tuple[float, float]:
    period = 4.0
    ratio = 0.6
    damping = -math.log(ratio) / period
    turning = 2 * math.pi / period
    return math.sqrt(turning**2 + damping**2), damping


_D = -math.log(0.6) / 4.0  # the damping
_W = 2 * math.pi / 4.0  # the frequency of the damped swing


def _read_off_problem(answer: np.ndarray) -> str | None:
    omega, damping = answer
    if not 0 < damping < omega:
        return (
            "It does oscillate: the damping lies between 0 and omega. "
            "The order is (omega, damping)."
        )
    turning = math.sqrt(omega**2 - damping**2)
    if abs(math.exp(-damping * 2 * math.pi / turning) - 0.6) > 2e-3:
        return "With your numbers a peak is not 0.6 times the peak before it."
    # Three digits give 3.990, omega = 2 pi / 4 gives 4.013.
    if abs(2 * math.pi / turning - 4) > 0.011:
        return "With your numbers the peaks are not 4 units of time apart."
    return None


register(
    Exercise(
        "11.4",
        "Read off omega and damping",
        kind=array((2,), wanted="a pair (omega, damping)"),
        solution=read_off,
        check=_read_off_problem,
        rtol=2.5e-3,  # mistakes are recognized from three digits
        mistakes=[
            Mistake(
                "frequency of the damped swing",
                (_W, _D),
                "The damping is right. But a damped oscillator swings with w = sqrt(omega^2 - "
                "damping^2): omega is not 2 pi over the period.",
            ),
            Mistake(
                "sign under the root",
                (math.sqrt(_W**2 - _D**2), _D),
                "The sign under the root: friction makes the swing slower than omega, "
                "so omega is larger than w.",
            ),
            Mistake(
                "factor of two",
                (math.sqrt(_W**2 + 4 * _D**2), 2 * _D),
                "In v' = -omega^2 q - 2 damping v the 2 stands already: amplitudes decay as "
                "exp(-damping t).",
            ),
            Mistake(
                "exchanged",
                (_D, math.sqrt(_W**2 + _D**2)),
                "Right, in the wrong order: (omega, damping).",
            ),
            Mistake(
                "logarithm to base 10",
                (math.sqrt(_W**2 + (-math.log10(0.6) / 4) ** 2), -math.log10(0.6) / 4),
                "Take the natural logarithm.",
            ),
            Mistake(
                "decay per period",
                (math.sqrt(_W**2 + (4 * _D) ** 2), 4 * _D),
                "That is the decay per period. Divide by the period.",
            ),
        ],
        hints=[
            "exp(-damping * 4) is the ratio of two peaks that follow each other.",
            "The peaks are a period of the damped swing apart: w = 2 pi / 4.",
            "w^2 = omega^2 - damping^2; solve for omega.",
        ],
        otherwise="First the damping from the ratio, then w from the period, then omega from both.",
        meaning=(
            "Two numbers from three peaks, without any training. The two are nearly independent: a "
            "weak damping hardly changes the period. From damping = omega on (critical) there are "
            "no peaks left to read."
        ),
    )
)
