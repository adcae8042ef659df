"""Exercises of lesson 08. What learners write is not annotated, as in the lesson."""

import math

import numpy as np
import torch
from torch import Tensor

from ...course.answers import array, function, number
from ...course.exercises import Exercise, Mistake, register


def least_mse(a, b):
    if a <= b:
        return 0.0
    middle = (a + b) / 2  # both ends as near to each other as we like
    return ((middle - a) ** 2 + (middle - b) ** 2) / 2


register(
    Exercise(
        "08.1",
        "The bound",
        kind=function((1.0, -1.0), (2.0, 5.0), (5.0, 2.0), (3.0, 3.0), (-1.0, -4.0)),
        solution=least_mse,
        mistakes=[
            Mistake(
                "order not looked at",
                lambda a, b: (a - b) ** 2 / 4,
                "For targets in the same order as the points, such as 2 and 5, nothing is in the "
                "way of a flow.",
            ),
            Mistake(
                "meeting at zero",
                lambda a, b: 0.0 if a <= b else (a**2 + b**2) / 2,
                "You let both points end near 0. That is best for 1 and -1; where is it best for 5 "
                "and 2?",
            ),
            Mistake(
                "sum instead of mean",
                lambda a, b: 0.0 if a <= b else (a - b) ** 2 / 2,
                "That is the sum of the two squared errors. The MSE is their mean.",
            ),
            Mistake(
                "one point reaches its target",
                lambda a, b: 0.0 if a <= b else (a - b) ** 2,
                "You let one point reach its target and the other one pay for both. Squares prefer "
                "to share, and a mean divides by two.",
            ),
            Mistake(
                "the reflection's bound",
                lambda a, b: 0.0 if a <= b else 1.0,
                "1.0 is the bound for the targets 1 and -1. How does it depend on how far apart "
                "they are?",
            ),
        ],
        hints=[
            "Which pairs of ends (p, q) can a flow reach? All with p < q, and no others.",
            "If a > b, the best that can be approached is p = q. Where, so that (p - a)**2 + (p - "
            "b)**2 is least?",
        ],
        otherwise="Try (1, -1), which gives 1, and (2, 5), where a flow reaches both targets.",
        meaning="For a > b it is (a - b)**2 / 4: approached, never reached. For many points it is "
        "the isotonic regression of their targets, the best fit that goes up only.",
    )
)


def least_cross_entropy() -> float:
    # Outputs must not fall from left to right. Right: as high as we like, which costs nothing.
    # Left (wants a high output) and middle (a low one) end up equal, best at 0: each costs log 2.
    return 2 * math.log(2) / 3


register(
    Exercise(
        "08.2",
        "Another loss, another bound",
        kind=number("the mean cross-entropy that can be approached"),
        solution=least_cross_entropy,
        rtol=5e-3,
        mistakes=[
            Mistake(
                "nothing separated",
                math.log(2),
                "That is the loss if all outputs are 0. One point can be right.",
            ),
            Mistake(
                "all separated",
                0.0,
                "On the line some order is kept: can all three have outputs of their sign?",
            ),
            Mistake(
                "one undecided",
                math.log(2) / 3,
                "If one point is undecided, so is its neighbor. Count both.",
            ),
            Mistake(
                "sum", 2 * math.log(2), "That is the sum over the three points; asked is the mean."
            ),
            Mistake(
                "accuracy", 1 / 3, "That is the share of wrong answers. Asked is the cross-entropy."
            ),
            Mistake("in bits", 2 / 3, "That is in bits. Use the natural logarithm, as torch does."),
        ],
        hints=[
            "After the flow and the readout, the three outputs are in order, rising or falling. "
            "Take rising.",
            "The right point can have an output as high as you like. Left and middle then want to "
            "pass each other.",
            "With both outputs equal to s the two cost log(1 + exp(-s)) + log(1 + exp(s)). Which s "
            "is best?",
        ],
        otherwise="Let the outputs be s1 <= s2 <= s3 with classes +, -, +; a point of class + "
        "costs log(1 + exp(-s)), one of class - costs log(1 + exp(s)).",
        meaning="On the line a flow is stuck at 0.46. In the plane three points can walk around "
        "each other, and the loss falls to 0: what cannot be separated there are not points, but a "
        "disk from a closed ring.",
    )
)


def fewest_dimensions() -> Tensor:
    return torch.tensor([1, 2, 2, 3, 3])


# Of each map: what is said of too few dimensions, and of too many.
_FEW_AND_MANY = {
    "a": ("a state has at least one dimension.", "stretching keeps the order: y' = y log 2."),
    "b": ("on the line -1 and 1 cannot pass each other.", "half a turn of the plane does it."),
    "c": ("the answer has two entries already.", "a turn of the plane is a flow."),
    "d": (
        "a mirror turns left into right; no flow of the plane does.",
        "what half a turn of the plane does to the line, a half turn in space does to the plane.",
    ),
    "e": (
        "in the plane the disk stays inside the ring.",
        "to lift the disk out of the plane is enough.",
    ),
}


def _dimensions_problem(answer: np.ndarray) -> str | None:
    """The first map whose number is wrong, and why, or None."""
    for given, right, (letter, (few, many)) in zip(
        answer, fewest_dimensions().tolist(), _FEW_AND_MANY.items()
    ):
        if given != right:
            much = "few" if given < right else "many"
            return f"({letter}), too {much}: {few if given < right else many}"
    return None


register(
    Exercise(
        "08.3",
        "How many dimensions?",
        kind=array((5,), wanted="five numbers of dimensions"),
        solution=fewest_dimensions,
        mistakes=[
            Mistake(
                "rotation lifted",
                [1, 2, 3, 3, 3],
                "A turn of the plane is a flow: all points circle.",
            ),
            Mistake(
                "mirror in the plane",
                [1, 2, 2, 2, 3],
                "A mirror turns left into right; no flow of the plane does.",
            ),
            Mistake(
                "ring opened",
                [1, 2, 2, 3, 2],
                "In the plane the disk stays inside the ring. Lift it.",
            ),
            Mistake(
                "line not lifted", [1, 1, 2, 3, 3], "On the line -1 and 1 cannot pass each other."
            ),
            Mistake(
                "stretching lifted",
                [2, 2, 2, 3, 3],
                "Stretching keeps the order: y' = y log 2 does it.",
            ),
            Mistake(
                "one dimension too many",
                [2, 3, 3, 4, 4],
                "Count all dimensions of the state, and not one more.",
            ),
            Mistake(
                "extra dimensions",
                [0, 1, 0, 1, 1],
                "You count the added dimensions. Asked are all of the state.",
            ),
        ],
        hints=[
            "Paths never cross, and an image never becomes its mirror image. One more dimension "
            "helps with both.",
            "A mirror image of the line is a half turn in the plane. What is a mirror image of the "
            "plane?",
        ],
        check=_dimensions_problem,
        meaning="One extra dimension was enough each time. D extra ones always are: a flow in 2 D "
        "dimensions can approximate any homeomorphism of D dimensions, a continuous map whose "
        "inverse is continuous (Zhang, Gao, Unterman, Arodz 2020, arXiv 1907.12998).",
    )
)


def energy_ratio() -> float:
    path = (1 - math.exp(-4)) * 4 / 4  # the integral of (2 exp(-2 t))**2 from 0 to 1
    straight = (1 - math.exp(-2)) ** 2  # distance squared, over the time 1
    return path / straight


register(
    Exercise(
        "08.4",
        "The price of not going straight",
        kind=number("the ratio of the two kinetic energies"),
        solution=energy_ratio,
        rtol=5e-3,
        mistakes=[
            Mistake(
                "upside down",
                math.tanh(1),
                "Less than 1? No path has less kinetic energy than the straight one.",
            ),
            Mistake(
                "length instead of energy",
                1.0,
                "Both cover the same distance, so the lengths agree. The kinetic energy squares "
                "the speed first.",
            ),
            Mistake(
                "state instead of speed",
                (1 - math.exp(-4)) / 4 / (1 - math.exp(-2)) ** 2,
                "You integrated the square of the state y. Take the speed, y' = -2 y.",
            ),
            Mistake(
                "distance not squared",
                (1 - math.exp(-4)) / (1 - math.exp(-2)),
                "The straight path has the speed distance / time, and the energy is its square.",
            ),
            Mistake(
                "not divided",
                1 - math.exp(-4),
                "That is the kinetic energy of the path. Divide it by that of the straight one.",
            ),
            Mistake(
                "half on one side",
                (1 - math.exp(-4)) / (1 - math.exp(-2)) ** 2 / 2,
                "Either both energies have a factor 1/2, or neither.",
            ),
        ],
        hints=[
            "The path is y = exp(-2 t), its speed 2 exp(-2 t). Integrate the square from 0 to 1.",
            "The straight path goes from 1 to exp(-2) at constant speed. Its energy is the "
            "distance squared.",
            "Or let the machine do it: `RegularizedODE` returns the kinetic energy of the first, "
            "in float64.",
        ],
        otherwise="Kinetic energy: the integral of the squared speed. Compute it for both paths, "
        "then divide.",
        meaning="It is coth(1); for y' = -k y it is (k / 2) coth(k / 2), about k / 2 for a fast "
        "decay. Hurrying at the start and resting at the end is what costs.",
    )
)
