"""Lesson 12: events of a Poisson process, drawn from a rate, and their likelihood under another
one.
"""

import math

import torch

from ...course.controls import int_slider, slider
from ...course.explorables import Explorable, explorable
from ...plotting import BLUE, EXACT, ORANGE, exact_line

END = 10.0


def wave(t):
    """The rate 2 + 1.5 sin t of the toy example, in events per unit of time."""
    return 2 + 1.5 * torch.sin(t)


def draw_events(rate, end, highest, seed=0):
    """The times (n,) of events from 0 to end, at the rate rate(t), which is nowhere above
    `highest`.

    Candidates come at the rate `highest`; each is kept with the chance rate / highest (Lewis,
    Shedler 1979, "Simulation of nonhomogeneous Poisson processes by thinning", Naval Research
    Logistics Quarterly 26).
    """
    chance = torch.Generator().manual_seed(seed)
    number = int(torch.poisson(torch.tensor(highest * end), generator=chance))
    t = end * torch.rand(number, generator=chance, dtype=torch.float64).sort().values
    return t[torch.rand(number, generator=chance, dtype=torch.float64) * highest < rate(t)]


def line(level, slope):
    """The rate level + slope t, and its integral from 0 to END."""
    return (lambda t: level + slope * t), level * END + slope * END**2 / 2


@explorable("12", "event_rate")
def event_rate():
    """Events at a rate that grows, the rate that is guessed for them, and the two parts of its
    log-likelihood.
    """
    true, _ = line(0.5, 0.4)
    times = torch.linspace(0, END, 101, dtype=torch.float64)

    def compute(level, slope, sequence):
        events = draw_events(true, END, 4.5, seed=sequence)
        rate, integral = line(level, slope)
        logs = float(rate(events).log().sum())
        truth = float(true(events).log().sum()) - line(0.5, 0.4)[1]
        return {
            "events": events,
            "rate": rate(times),
            "logs": logs,
            "integral": integral,
            "total": logs - integral,
            "truth": truth,
            "flat": len(events) * (math.log(len(events) / END) - 1),
        }

    def draw(fig, data):
        upper, lower = fig.subplots(2, 1, height_ratios=(1, 3.2), sharex=True)
        upper.plot(
            data["events"], torch.zeros_like(data["events"]), "|", color=ORANGE, markersize=24
        )
        upper.set(yticks=[], ylim=(-1, 1))
        upper.grid(visible=False)
        upper.tick_params(labelbottom=False)
        lower.fill_between(times, data["rate"], color=BLUE, alpha=0.15, linewidth=0)
        lower.plot(times, data["rate"], color=BLUE)
        lower.plot(
            data["events"], torch.zeros_like(data["events"]), "|", color=ORANGE, markersize=10
        )
        exact_line(times, true(times), ax=lower, label=None)
        lower.set(xlim=(0, END), ylim=(0, 12.5), xlabel="t", ylabel="events per unit of time")
        lower.text(0.2, 11.7, "line: your rate, its area is the integral", color=BLUE, va="center")
        lower.text(
            0.2, 10.5, "dashed: the rate that they were drawn from", color=EXACT, va="center"
        )
        upper.set_title(
            f"{len(data['events'])} events: sum of logs {data['logs']:.1f} - integral "
            f"{data['integral']:.1f} = "
            f"{data['total']:.1f}   (true rate {data['truth']:.1f}, best constant "
            f"{data['flat']:.1f})"
        )

    def describe(data):
        against = "more" if data["total"] > data["truth"] else "less"
        return (
            f"{len(data['events'])} events: the logarithms add up to {data['logs']:.1f}, the "
            "integral is "
            f"{data['integral']:.1f}, log p is {data['total']:.1f}: {against} than that of the "
            "true rate."
        )

    return Explorable(
        compute,
        draw,
        describe,
        size=(8.6, 3.9),
        question="Predict first: make the rate twice as high everywhere. Does log p rise or fall?",
        controls={
            "level": slider("rate at t = 0", 0.1, 4.0, value=1.0, step=0.1),
            "slope": slider("slope", 0.0, 0.8, value=0.0, step=0.05),
            "sequence": int_slider("sequence", 0, 9, value=0),
        },
    )
