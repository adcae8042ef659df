"""Exercises of lesson 21. TODO: what they ask for, in one line."""

import math

from ...course.answers import function, number
from ...course.exercises import Exercise, Mistake, register


def four_steps() -> float:
    y = 3.0
    for _ in range(4):
        y = y + (1 - y) / 4
    return y


register(
    Exercise(
        "21.1",
        "TODO: four Euler steps for y' = 1 - y",
        kind=number("the end of the fourth step"),
        solution=four_steps,
        rtol=1e-3,
        mistakes=[
            Mistake("exact solution", 1 + 2 / math.e, "The solution ends there, not the steps."),
            Mistake("three steps", 1 + 2 * 0.75**3, "One step is missing."),
            Mistake("sign lost", 1 + 2 * 1.25**4, "Your y moves away from 1. Mind the sign."),
        ],
        hints=[
            "The first step starts at 3, where the slope is 1 - 3.",
            "Four steps to t = 1 have the size 1/4: `y = y + (1 - y) / 4`, four times.",
        ],
        otherwise="Start at 3, and add a quarter of the slope four times.",
        meaning="TODO: what the value means, and one step further.",
    )
)


def backward_step(k, y, h):
    return y / (1 + h * k)


register(
    Exercise(
        "21.2",
        "TODO: one implicit step for y' = -k y",
        kind=function((1.0, 2.0, 0.5), (6.0, 1.0, 1.0), (3.0, -1.0, 0.1)),
        solution=backward_step,
        mistakes=[
            Mistake(
                "slope at the start",
                lambda k, y, h: y - h * k * y,
                "That takes the slope at the start of the step. The end is asked for.",
            ),
            Mistake(
                "sign lost",
                lambda k, y, h: y / (1 - h * k + 1e-9),
                "The sign of k is lost on the way to the other side.",
            ),
            Mistake("no h", lambda k, y, h: y / (1 + k), "The size of the step does not appear."),
        ],
        hints=[
            "Bring both terms with the new state to the same side.",
            "The new state times (1 + h k) is the old state.",
        ],
        otherwise="Solve $y_1 = y_0 - h k y_1$ for the new state.",
        meaning="TODO: what it means, and one step further.",
    )
)
