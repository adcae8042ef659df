"""Exercises of lesson 11. A solution that is a function has the signature of the lesson's stub."""

import math

import numpy as np
import torch
from torch import Tensor

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

    def phi(omega: float, t: float) -> Tensor:
        return torch.as_tensor(answer.returns(answer(omega, t)))

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


def log_likelihood(x, mean, mask, noise):
    entries = -(((x - mean) / noise) ** 2) / 2 - math.log(noise) - math.log(2 * math.pi) / 2
    return torch.where(mask, entries, 0.0).sum((1, 2))


def _entries(x: Tensor, mean: Tensor, noise: float) -> Tensor:
    return -(((x - mean) / noise) ** 2) / 2 - math.log(noise) - math.log(2 * math.pi) / 2


def _series() -> tuple[Tensor, Tensor, Tensor]:
    """x, mean and mask (2, 4, 1) of two series, the second padded by two times."""
    x = torch.tensor([[0.3, -1.0, 0.5, 0.0], [1.2, 0.8, 0.0, 0.0]], dtype=torch.float64)[..., None]
    mean = torch.tensor([[0.1, -0.7, 0.9, 0.6], [1.0, 1.1, 0.4, -0.8]], dtype=torch.float64)[
        ..., None
    ]
    mask = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0]], dtype=torch.bool)[..., None]
    return x, mean, mask


_NAN_HINT = (
    "With NaN at a place that is not observed your result is NaN: NaN times 0 is NaN. Choose with "
    "torch.where, do not multiply."
)


def _likelihood_problem(answer: Behavior) -> str | None:
    """What is wrong with a masked likelihood, or None."""
    x, mean, mask = _series()
    full = torch.ones_like(mask)
    complete = torch.as_tensor(answer(x, mean, full, 0.3), dtype=torch.float64)
    if not torch.allclose(complete, _entries(x, mean, 0.3).sum((1, 2))):
        return (
            "Where all is observed, it should be the sum over times of log N(x; mean, noise^2), "
            "one number a series."
        )
    padded = torch.as_tensor(answer(x, mean, mask, 0.3), dtype=torch.float64)
    alone = torch.as_tensor(answer(x[1:, :2], mean[1:, :2], full[1:, :2], 0.3), dtype=torch.float64)
    if not torch.allclose(padded[1:], alone):
        return "A series padded by two times should have the value that it has without them."
    holes = torch.where(mask, x, torch.nan)
    if not torch.isfinite(torch.as_tensor(answer(holes, mean, mask, 0.3))).all():
        return _NAN_HINT
    return None


_X, _MEAN, _MASK = _series()

register(
    Exercise(
        "11.2",
        "Only what was observed",
        kind=function((_X, _MEAN, _MASK, 0.3), (_X, _MEAN, _MASK, 1.5), returns=array((None,))),
        solution=log_likelihood,
        check=_likelihood_problem,
        mistakes=[
            Mistake(
                "mask missing",
                lambda x, mean, mask, noise: _entries(x, mean, noise).sum((1, 2)),
                "You add padding too: places where nothing was observed pull the model to 0. "
                "Where is the mask?",
            ),
            Mistake(
                "only x masked",
                lambda x, mean, mask, noise: _entries(
                    torch.where(mask, x, 0.0), torch.where(mask, mean, 0.0), noise
                ).sum((1, 2)),
                "You mask x and mean, but a place that is not observed still adds the constant of "
                "its Gaussian. Mask the entries, after the logarithm.",
            ),
            Mistake(
                "mean instead of sum",
                lambda x, mean, mask, noise: (
                    torch.where(mask, _entries(x, mean, noise), 0.0).sum((1, 2)) / mask.sum((1, 2))
                ),
                "A mean makes a series of thirty points weigh as much as one of three, against "
                "the same KL. Log probabilities of independent observations add up.",
            ),
            Mistake(
                "one number for all",
                lambda x, mean, mask, noise: (
                    torch.where(mask, _entries(x, mean, noise), 0.0).sum().reshape(1)
                ),
                "You have added the series together. Sum over times and entries only: one number "
                "for each series.",
            ),
            Mistake(
                "squared error only",
                lambda x, mean, mask, noise: torch.where(
                    mask, -(((x - mean) / noise) ** 2) / 2, 0.0
                ).sum((1, 2)),
                "The terms log(noise) and log(2 pi) / 2 are missing. Without the first, a learned "
                "noise grows forever.",
            ),
            Mistake(
                "multiplied by the mask",
                lambda x, mean, mask, noise: (_entries(x, mean, noise) * mask).sum((1, 2)),
                _NAN_HINT,
            ),
        ],
        hints=[
            "First all entries, (B, T, D): log N(x; mean, noise^2).",
            "Then torch.where(mask, entries, 0.0), and a sum over times and features.",
        ],
        otherwise=(
            "log N is -((x - mean) / noise)^2 / 2 - log(noise) - log(2 pi) / 2, "
            "summed where the mask is True."
        ),
        meaning=(
            "This is the first term of the ELBO for irregular series; nothing else in it has to "
            "know about gaps."
        ),
    )
)


def alias() -> float:
    omega = 2.0
    dt = 0.5
    return 2 * math.pi / dt - omega


def _alias_problem(value: float) -> str | None:
    omega = 2.0
    dt = 0.5
    times = torch.arange(20, dtype=torch.float64) * dt
    if not math.pi / dt < value < 2 * math.pi / dt:
        return "Look between pi / dt and 2 pi / dt."
    asked, given = (torch.cos(w * times) for w in (omega, value))
    if not torch.allclose(given, asked, atol=0.05):  # four digits are enough
        return (
            "cos of your frequency differs from cos(2 t) at the times 0, 0.5, 1, ...: print both."
        )
    return None


register(
    Exercise(
        "11.3",
        "The alias",
        kind=number("a frequency, in radians per unit of time"),
        solution=alias,
        check=_alias_problem,
        mistakes=[
            Mistake(
                "the middle",
                math.pi / 0.5,
                "That is the middle, pi / dt, about which frequencies are mirrored.",
            ),
            Mistake(
                "mirrored at the wrong place",
                math.pi / 0.5 - 2.0,
                "You mirrored about half of pi / dt. cos(w t) has the same values if w dt "
                "changes by a full turn.",
            ),
            Mistake(
                "cycles for radians",
                1 / 0.5 - 2.0,
                "1 / dt is in cycles per unit of time; a cycle is 2 pi.",
            ),
            Mistake(
                "the next one",
                2 * math.pi / 0.5 + 2.0,
                "That one cannot be told from omega either, but a smaller one cannot be, too.",
            ),
            Mistake("omega itself", 2.0, "That is omega itself. Which other frequency?"),
        ],
        hints=[
            "At the times k dt only the angle w k dt modulo a full turn matters.",
            "cos(-a) = cos(a): a turn by w dt and a turn by 2 pi - w dt look the same to cos.",
            "So (w dt) and (2 pi - w dt) are partners; divide by dt.",
        ],
        otherwise=(
            "Find w with cos(w k dt) = cos(2 k dt) for all whole k, between pi / dt and 2 pi / dt."
        ),
        meaning=(
            "On an equally spaced grid only frequencies below pi / dt (Nyquist's) can be told "
            "apart. The sine changes its sign from one partner to the other: the start (q, v) "
            "becomes another, and the fit stays as good."
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
