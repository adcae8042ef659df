"""Exercises of lesson 14."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ...course.answers import WrongKind, array, function
from ...course.exercises import Exercise, Mistake, register

Net = Callable[[Tensor], tuple[Tensor, Tensor]]

_X = torch.tensor([0.1, 0.3, 0.5, 0.7, 0.95], dtype=torch.float64)


def density(x):
    z = (1 - torch.log(x / (1 - x))) / 2  # x = sigmoid(1 - 2 z), solved for z
    p_z = torch.exp(-z.square() / 2) / math.sqrt(2 * math.pi)
    return p_z / (2 * x * (1 - x))  # |dz/dx| = 1 / (2 x (1 - x)); dz/dx itself is negative


def _altered(factor: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """density(x) with another factor than |dz/dx|."""
    return lambda x: density(x) * 2 * x * (1 - x) * factor(x)


register(
    Exercise(
        "14.1",
        "A density in the unit interval",
        kind=function(
            (_X,), (torch.tensor([0.2, 0.8], dtype=torch.float64),), returns=array((None,))
        ),
        solution=density,
        mistakes=[
            Mistake(
                "no factor",
                _altered(torch.ones_like),
                "That is the height of p(z). Where x is crowded it must grow.",
            ),
            Mistake(
                "direction",
                _altered(lambda x: 2 * x * (1 - x)),
                "Your factor is |dx/dz|. Where x changes slowly with z, "
                "many z crowd into a short interval of x.",
            ),
            Mistake(
                "sign",
                _altered(lambda x: -1 / (2 * x * (1 - x))),
                "A density below 0? x falls as z rises, so dz/dx is negative. Areas have no sign.",
            ),
            Mistake(
                "inner derivative",
                _altered(lambda x: 1 / (x * (1 - x))),
                "Nearly: twice too high everywhere. Differentiate 1 - 2z as well.",
            ),
            Mistake(
                "sigmoid only half differentiated",
                _altered(lambda x: 1 / (2 * x)),
                "The derivative of sigmoid(s) is sigmoid(s) (1 - sigmoid(s)): "
                "two factors, x and 1 - x.",
            ),
            Mistake("logarithm", lambda x: density(x).log(), "You return log p(x). Asked is p(x)."),
        ],
        hints=[
            "First z as a function of x: log(x / (1 - x)) undoes the sigmoid.",
            "Then dx/dz = -2 x (1 - x), by the chain rule. "
            "Which of |dx/dz| and 1 / |dx/dz| belongs to p(x)?",
            "Test: `torch.trapezoid(density(x), x)` over a fine grid of x in (0, 1) must be 1.",
        ],
        otherwise=(
            "Two parts: N(z; 0, 1) at the z that belongs to x, and |dz/dx|. "
            "Does yours integrate to 1?"
        ),
        meaning=(
            "The logit-normal density. RealNVP treats pixels in this way: "
            "it models logit(x), and adds the log of this factor."
        ),
    )
)


def least_wu(c):
    return -1 / c  # the slope of tanh(c s) is at most c, at s = 0


register(
    Exercise(
        "14.2",
        "A steeper planar layer",
        kind=function((1.0,), (2.0,), (0.25,), (5.0,)),
        solution=least_wu,
        mistakes=[
            Mistake(
                "as for c = 1",
                lambda c: -1.0,
                "That holds for tanh(s), whose slope is at most 1. And tanh(c s)?",
            ),
            Mistake(
                "upside down",
                lambda c: -float(c),
                "A steeper function folds earlier: the bound must come closer to 0.",
            ),
            Mistake(
                "sign",
                lambda c: 1 / c,
                "With w.u > 0 a layer stretches everywhere. The danger lies below 0.",
            ),
            Mistake(
                "c squared",
                lambda c: -1 / c**2,
                "The chain rule brings one factor c, from inside of the tanh.",
            ),
            Mistake(
                "never",
                lambda c: 0.0,
                "Some squeezing is allowed: the slope 1 + w.u * (slope of tanh) must not be < 0.",
            ),
        ],
        hints=[
            "Along w the layer is a -> a + (w.u) tanh(c (a + b)). When does that never fall?",
            "Its slope is 1 + (w.u) c (1 - tanh^2). "
            "For negative w.u it is least where the tanh is steepest.",
        ],
        otherwise=(
            "Draw the layer along w, as a function of one number, for c = 1 and for yours. "
            "It must never fall."
        ),
        meaning=(
            "In general w.u times the largest slope must be at least -1. "
            "Invertible residual nets (Behrmann et al. 2019) ask the same of a whole net: "
            "with slopes below 1, x + net(x) has an inverse."
        ),
    )
)


def _net(x1: Tensor) -> tuple[Tensor, Tensor]:
    """s and r of a coupling.

    Raises:
        WrongKind: unless x1 is (N, 1), the shape that a net takes.
    """
    if x1.dim() != 2 or x1.shape[1] != 1:
        raise WrongKind(
            f"`net` takes the first coordinates as (N, 1), got shape {tuple(x1.shape)}; "
            "`y[:, :1]` keeps the dimension that `y[:, 0]` drops."
        )
    return torch.sin(3 * x1), x1.square() - 1


def undo(y, net):
    y1, y2 = y[:, :1], y[:, 1:]
    s, r = net(y1)  # y1 is x1: the net sees what it saw on the way there
    return torch.cat([y1, (y2 - r) * torch.exp(-s)], dim=1)


def _undone(
    second: Callable[[Tensor, Tensor, Net], Tensor],
) -> Callable[[Tensor, Net], Tensor]:
    """An inverse whose second coordinate is second(y1, y2, net)."""
    return lambda y, net: torch.cat([y[:, :1], second(y[:, :1], y[:, 1:], net)], dim=1)


_Y = torch.tensor([[0.3, -1.0], [1.2, 0.4], [-0.7, 2.0]], dtype=torch.float64)

register(
    Exercise(
        "14.3",
        "Undo a coupling",
        kind=function((_Y, _net), returns=array((3, 2))),
        solution=undo,
        mistakes=[
            Mistake(
                "order",
                _undone(lambda y1, y2, net: y2 * torch.exp(-net(y1)[0]) - net(y1)[1]),
                "First scaled, then shifted. Undo the last step first, as with shoes and socks.",
            ),
            Mistake(
                "scale not undone",
                _undone(lambda y1, y2, net: (y2 - net(y1)[1]) * torch.exp(net(y1)[0])),
                "You multiply by exp(s) once more. What undoes a multiplication by exp(s)?",
            ),
            Mistake(
                "forward again",
                _undone(lambda y1, y2, net: y2 * torch.exp(net(y1)[0]) + net(y1)[1]),
                "That is the coupling itself, once more.",
            ),
            Mistake(
                "net of the wrong half",
                _undone(lambda y1, y2, net: (y2 - net(y2)[1]) * torch.exp(-net(y2)[0])),
                "On the way there the net saw x1. Which part of y is that?",
            ),
            Mistake(
                "divided by s",
                _undone(lambda y1, y2, net: (y2 - net(y1)[1]) / net(y1)[0]),
                "The scale is exp(s), not s.",
            ),
        ],
        hints=[
            "y1 is x1, unchanged. So `net(y1)` gives the same s and r as on the way there.",
            "Solve y2 = x2 exp(s) + r for x2, "
            "and put both halves together with torch.cat([..., ...], dim=1).",
        ],
        otherwise=(
            "Try it: push points through the coupling, then through yours. They must come back."
        ),
        meaning=(
            "The net itself is never inverted, "
            "so it may be as wild as you like: any depth, any width."
        ),
    )
)


def radial_log_det(x):
    r2 = x.square().sum(1)  # |x|^2
    D = x.shape[1]
    # Along the ray: d/dr (r + r^3) = 1 + 3 r^2. In the D - 1 directions across it: everything is
    # longer by 1 + r^2.
    return (D - 1) * torch.log(1 + r2) + torch.log(1 + 3 * r2)


def _of(formula: Callable[[Tensor, int], Tensor]) -> Callable[[Tensor], Tensor]:
    """A wrong answer, formula(r2, D)."""
    return lambda x: formula(x.square().sum(1), x.shape[1])


_POINTS = [
    torch.tensor([[0.5, -0.2], [1.0, 2.0], [-0.3, 0.1]], dtype=torch.float64),
    torch.tensor([[0.5, -0.2, 0.9], [1.0, 2.0, -1.0]], dtype=torch.float64),
    torch.tensor([[0.1, 0.4, -0.5, 0.3, 0.8]], dtype=torch.float64),
]

register(
    Exercise(
        "14.4",
        "A log-det by hand",
        kind=function(*((x,) for x in _POINTS), returns=array((None,))),
        solution=radial_log_det,
        mistakes=[
            Mistake(
                "every direction alike",
                _of(lambda r2, D: D * torch.log(1 + r2)),
                "So it would be if the factor 1 + |x|^2 did not change with "
                "x. Along the ray it does.",
            ),
            Mistake(
                "only along the ray",
                _of(lambda r2, D: torch.log(1 + 3 * r2)),
                "That is the stretch along the ray. "
                "A volume also grows in the directions across it.",
            ),
            Mistake(
                "only in the plane",
                _of(lambda r2, D: torch.log(1 + r2) + torch.log(1 + 3 * r2)),
                "Right in the plane. With D dimensions there are D - 1 directions across the ray.",
            ),
            Mistake(
                "determinant",
                _of(lambda r2, D: (1 + r2) ** (D - 1) * (1 + 3 * r2)),
                "That is the determinant. Asked is its logarithm.",
            ),
            Mistake(
                "of the inverse",
                _of(lambda r2, D: -(D - 1) * torch.log(1 + r2) - torch.log(1 + 3 * r2)),
                "That is the log-det of the way back. "
                "This map stretches, so its log-det is positive.",
            ),
        ],
        hints=[
            "The map turns nothing: a point moves along its ray, from r to r + r^3. "
            "How much longer is a short piece of the ray then?",
            "A short arrow across the ray becomes longer as the circle on which "
            "it lies, by (r + r^3) / r.",
            "Multiply: one direction along the ray, D - 1 across. The logarithm makes a sum of it.",
        ],
        otherwise=(
            "Compare with autograd: torch.func.jacrev of the map at one point, "
            "then torch.linalg.slogdet."
        ),
        meaning=(
            "Autograd says the same, for the price of D^3. "
            "A layer is worth having when its log-det costs about D, as this one does."
        ),
    )
)
