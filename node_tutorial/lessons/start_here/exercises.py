"""Exercises of lesson 00: how exercises answer, a first solve, a figure to be read."""

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
            Mistake("two digits", 1.1, "Near. Hand in what odeint returns, with all its digits."),
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


def longest_accepted_step():
    from node_tutorial.lessons.start_here.first_flow import first_flow

    flow = first_flow().data
    return max(step.h for step in flow.steps if step.accepted)


register(
    Exercise(
        "00.3",
        "The longest accepted step, read from the figure",
        kind=number("the length of the longest accepted step"),
        solution=longest_accepted_step,
        rtol=0.12,  # as well as one can read it
        mistakes=[
            Mistake(
                "where it ends",
                0.471,
                "There the bar ends, on the axis of t. Where does it begin?",
            ),
            Mistake("the longest of all", 0.88, "That one is red: it was tried, and rejected."),
            Mistake("the second red one", 0.53, "Red steps were rejected. Look at the blue ones."),
            Mistake("the first step", 0.105, "That is the first step. Are all blue bars as low?"),
            Mistake(
                "linear axis",
                0.7,
                "The axis is logarithmic: between 0.1 and 1 the middle of the way is about 0.3.",
            ),
        ],
        hints=[
            "Blue bars are accepted steps; the higher a bar, the longer the step.",
            "A bar also shows its step by its own length, on the axis of t below.",
            "Subtract the t at which the highest blue bar begins from the t at which it ends.",
        ],
        otherwise="Look at the highest blue bar: where does it begin, and where does it end?",
        meaning="You can read it twice, from its height and from its length. The two steps after "
        "it, where the points find their places in the letters, had to be tried twice and are "
        "shorter; the very last one is cut off by the end, t = 1.",
    )
)
