"""Exercises of lesson 00: one to show how exercises answer, one to begin with."""

import math

import torch

from ...course.answers import number
from ...course.exercises import Exercise, Mistake, register


def constant_speed():
    start, speed, time = 1, 2, 3
    return start + speed * time


register(
    Exercise(
        "00.1",
        "x' = 2 from x(0) = 1, until t = 3",
        kind=number("the value of x at t = 3"),
        solution=constant_speed,
        mistakes=[
            Mistake("start forgotten", 6, "That is how far x moves. It does not start at 0."),
            Mistake("one unit of time", 3, "That is x at t = 1. The motion goes on until t = 3."),
            Mistake("speed as slope of the end", 2, "That is the speed, not the place."),
        ],
        hints=["The speed is the same at all times.", "Add the speed times the time to the start."],
        meaning="The speed does not depend on x here, so one multiplication solves the equation. "
        "The course is about equations in which it does.",
    )
)


def first_solve():
    from node_tutorial import odeint

    def f(t, x):
        return -x / 2

    x = odeint(f, torch.tensor([3.0]), torch.tensor([0.0, 2.0]))
    return x[-1]


register(
    Exercise(
        "00.2",
        "Your first solve: x' = -x / 2 from x(0) = 3, until t = 2",
        kind=number("the value of x at t = 2"),
        solution=first_solve,
        rtol=1e-3,
        mistakes=[
            Mistake(
                "sign lost", 3 * math.e, "Your x grows. The field is -x / 2: mind the minus sign."
            ),
            Mistake(
                "half lost", 3 * math.exp(-2), "That solves x' = -x. The field is half of that."
            ),
            Mistake("start is 1", math.exp(-1), "That starts at x(0) = 1. Here x(0) = 3."),
            Mistake(
                "start returned",
                3,
                "That is x at t = 0, the first entry. x at t = 2 is the last one, `[-1]`.",
            ),
            Mistake(
                "until t = 1", 3 * math.exp(-0.5), "That is x at t = 1. The end time is t = 2."
            ),
        ],
        hints=[
            "The field is a function of t and x: `lambda t, x: -x / 2`.",
            "The start is a tensor, `torch.tensor([3.0])`, "
            "and so are the times, `torch.tensor([0.0, 2.0])`.",
            "`odeint(field, start, times)` returns x at each of the times; you want the last.",
        ],
        otherwise="Call odeint with the field -x / 2, "
        "the start 3 and the times 0 and 2; hand in the last entry.",
        meaning="It is 3 / e, to nearly all digits of float32. You chose no step, "
        "the solver did: lesson 01 says what a step is, lesson 03 how a solver chooses it.",
    )
)
