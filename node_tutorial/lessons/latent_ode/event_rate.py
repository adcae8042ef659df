"""Lesson 12: events at a rate that grows, the rate that is guessed for them, and the two parts of
its log-likelihood.
"""

import math
from typing import NamedTuple

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ...course.controls import int_slider, slider
from ...course.explorables import explorable
from ...plotting import BLUE, EXACT, ORANGE, exact_line
from .events import Line, draw_events

END = 10.0
TRUE = Line(0.5, 0.4)
HIGHEST = 4.5  # the true rate at END
TIMES = torch.linspace(0, END, 101, dtype=torch.float64)


class Likelihood(NamedTuple):
    """Events (n,) from 0 to END, and log p of them for the guessed rate: `logs`, the sum of its
    logarithms at the events, less its integral.

    truth, flat: log p for the true rate, and for the best constant one.
    """

    events: Tensor
    rate: Line
    logs: float
    integral: float
    total: float
    truth: float
    flat: float


def compute(level: float, slope: float, sequence: int) -> Likelihood:
    """Draw a sequence of events, and judge the rate level + slope t by it."""
    events = draw_events(TRUE.at, END, HIGHEST, seed=sequence)
    rate = Line(level, slope)
    logs = _logs(rate, events)
    integral = rate.integral(END)
    truth = _logs(TRUE, events) - TRUE.integral(END)
    flat = len(events) * (math.log(len(events) / END) - 1)
    return Likelihood(events, rate, logs, integral, logs - integral, truth, flat)


def _logs(rate: Line, events: Tensor) -> float:
    return float(rate.at(events).log().sum())


def draw(fig: Figure, data: Likelihood) -> None:
    """The events, and below them both rates."""
    upper, lower = fig.subplots(2, 1, height_ratios=(1, 3.2), sharex=True)
    _draw_ticks(upper, data, 24)
    upper.set(yticks=[], ylim=(-1, 1))
    upper.grid(visible=False)
    upper.tick_params(labelbottom=False)
    upper.set_title(
        f"{len(data.events)} events: sum of logs {data.logs:.1f} - integral {data.integral:.1f} = "
        f"{data.total:.1f}   (true rate {data.truth:.1f}, best constant {data.flat:.1f})"
    )
    guess = data.rate.at(TIMES)
    lower.fill_between(TIMES, guess, color=BLUE, alpha=0.15, linewidth=0)
    lower.plot(TIMES, guess, color=BLUE)
    _draw_ticks(lower, data, 10)
    exact_line(TIMES, TRUE.at(TIMES), ax=lower, label=None)
    lower.set(xlim=(0, END), ylim=(0, 12.5), xlabel="t", ylabel="events per unit of time")
    lower.text(0.2, 11.7, "line: your rate, its area is the integral", color=BLUE, va="center")
    lower.text(0.2, 10.5, "dashed: the rate that they were drawn from", color=EXACT, va="center")


def _draw_ticks(ax: Axes, data: Likelihood, size: float) -> None:
    ax.plot(data.events, torch.zeros_like(data.events), "|", color=ORANGE, markersize=size)


def describe(data: Likelihood) -> str:
    """The parts of log p, and whether the true rate has more."""
    against = "more" if data.total > data.truth else "less"
    return (
        f"{len(data.events)} events: the logarithms add up to {data.logs:.1f}, the integral is "
        f"{data.integral:.1f}, log p is {data.total:.1f}: {against} than that of the true rate."
    )


event_rate = explorable(
    compute,
    draw,
    describe,
    question=("Predict first: make the rate twice as high everywhere. Does log p rise or fall?"),
    size=(8.6, 3.9),
    controls={
        "level": slider("rate at t = 0", 0.1, 4.0, value=1.0, step=0.1),
        "slope": slider("slope", 0.0, 0.8, value=0.0, step=0.05),
        "sequence": int_slider("sequence", 0, 9, value=0),
    },
)
