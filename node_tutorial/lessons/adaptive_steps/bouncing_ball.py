"""Lesson 03: a ball dropped from one meter; its bounces found as events, and by looking every h
seconds.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ... import odeint_event
from ...course.controls import int_slider, log_slider, play, slider
from ...course.explorables import explorable
from ...plotting import BLUE, EXACT, VERMILLION, exact_line, label_line

_GRAVITY = 9.81
_HEIGHT = 1.0
FRAMES = 40  # of the flight
_ROOM = 1.05  # the picture goes so many times as far as the last bounce
_HAIR = 1e-12  # on the floor the event would be now: a flight starts a hair above

Path = tuple[Tensor, Tensor]  # times (n,) and heights (n,)


def exact_bounces(restitution: float, bounces: int) -> Tensor:
    """Times of the bounces (n,): sqrt(2 y0 / g), then flights that shorten by the restitution."""
    first = math.sqrt(2 * _HEIGHT / _GRAVITY)
    flights = [first] + [2 * first * restitution**k for k in range(1, bounces)]
    return torch.tensor(flights, dtype=torch.float64).cumsum(0)


def exact_path(restitution: float, bounces: int) -> Path:
    """The exact heights over time, up to the last bounce."""
    times = exact_bounces(restitution, bounces)
    t = torch.linspace(0, float(times[-1]), 600, dtype=torch.float64)
    n = torch.searchsorted(times, t, right=True).clamp(max=len(times) - 1)
    starts = torch.cat([-times[:1], times])[n]  # the first flight is half of a longer one
    speed = math.sqrt(2 * _GRAVITY * _HEIGHT) * restitution ** n.double()
    return t, (speed * (t - starts) - _GRAVITY * (t - starts) ** 2 / 2).clamp(min=0)


class Found(NamedTuple):
    """Times of the bounces (n,), and the evaluations that they took."""

    times: Tensor
    nfe: int


@lru_cache(maxsize=16)
def bounces_by_events(restitution: float, bounces: int) -> Found:
    """Each bounce found by `odeint_event` from the one before."""
    nfe = 0

    def fall(t: Tensor, y: Tensor) -> Tensor:
        nonlocal nfe
        nfe += 1
        return torch.stack([y[1], torch.full_like(y[1], -_GRAVITY)])

    t = torch.tensor(0.0, dtype=torch.float64)
    y = torch.tensor([_HEIGHT, 0.0], dtype=torch.float64)
    times = []
    for _ in range(bounces):
        t, states = odeint_event(fall, y, t.detach(), event_fn=lambda t, y: y[0])
        times.append(float(t))
        y = torch.stack([torch.full_like(y[0], _HAIR), -restitution * states[-1, 1]])
    return Found(torch.tensor(times, dtype=torch.float64), nfe)


class Watched(NamedTuple):
    """Times of the bounces (n,) as they were seen, and the path between the looks."""

    times: Tensor
    path: Path


def bounces_by_watching(restitution: float, bounces: int, h: float) -> Watched:
    """The same by exact flight over steps h and `if y < 0` after each: every bounce comes late."""
    times: list[float] = []
    heights = [_HEIGHT]
    v = 0.0
    while len(times) < bounces:
        y = heights[-1] + h * v - _GRAVITY * h * h / 2
        v = v - _GRAVITY * h
        if y < 0:
            y = 0.0
            v = -restitution * v
            times.append(len(heights) * h)
        heights.append(y)
    t = torch.arange(len(heights), dtype=torch.float64) * h
    path = (t, torch.tensor(heights, dtype=torch.float64))
    return Watched(torch.tensor(times, dtype=torch.float64), path)


class Bounces(NamedTuple):
    """The bounces of a ball: exact path, what events found and cost, the path that was watched, and
    the errors (n,) of the times of both.

    Paths and found bounces go until time t. The last bounce is at `end`; t is later, if the whole
    flight is shown.
    """

    restitution: float
    bounces: int
    h: float
    t: float
    end: float
    exact: Path
    found: Tensor
    nfe: int
    watched: Path
    event_errors: Tensor
    watch_errors: Tensor


def compute(restitution: float, bounces: int, h: float, frame: int = FRAMES) -> Bounces:
    exact = exact_bounces(restitution, bounces)
    found = bounces_by_events(restitution, bounces)
    watched = bounces_by_watching(restitution, bounces, h)
    end = float(exact[-1])
    t = end * (frame / FRAMES if frame < FRAMES else _ROOM)
    return Bounces(
        restitution=restitution,
        bounces=bounces,
        h=h,
        t=t,
        end=end,
        exact=_until(exact_path(restitution, bounces), t),
        found=found.times[found.times <= t],
        nfe=found.nfe,
        watched=_until(watched.path, t),
        event_errors=(found.times - exact).abs().clamp(min=1e-17),
        watch_errors=(watched.times - exact).abs().clamp(min=1e-17),
    )


def _until(path: Path, t: float) -> Path:
    times, heights = path
    return times[times <= t], heights[times <= t]


def draw(fig: Figure, data: Bounces) -> None:
    left, right = fig.subplots(1, 2, width_ratios=[5, 3])
    exact_line(*data.exact, ax=left, label=None)
    left.plot(*data.watched, color=VERMILLION, alpha=0.8)
    left.plot(data.found, 0 * data.found, "o", color=BLUE, markersize=5)
    for (t, height), color in ((data.exact, EXACT), (data.watched, VERMILLION)):
        if data.t < data.end:  # the ball on its way
            left.plot(t[-1], height[-1], "o", color=color, markersize=7)
    left.set(xlim=(0, _ROOM * data.end), ylim=(-0.03, 1.05), xlabel="t", ylabel="height y")
    n = range(1, data.bounces + 1)
    right.set(xlim=(0.5, 12.5), ylim=(3e-18, 30), xlabel="bounce", ylabel="error of the time (s)")
    side = "left" if data.bounces < 5 else "right"  # of the last bounce, where a label has room
    for errors, text, color in (
        (data.watch_errors, "looking", VERMILLION),
        (data.event_errors, "events", BLUE),
    ):
        (line,) = right.semilogy(n, errors, "o-", color=color, markersize=4)
        label_line(line, text, dx=0, dy=11, ha=side)
    left.set_title(
        f"restitution {data.restitution:.2f}, {data.bounces} bounces (dashed: exact)\n"
        f"looking every {data.h:.1e} s; events (dots): NFE {data.nfe}"
    )


def describe(data: Bounces) -> str:
    if data.t < data.end:
        exact, watched = (float(height[-1]) for _, height in (data.exact, data.watched))
        return (
            f"At t = {data.t:.2f} s the ball is at {exact:.2f} m; looking every {data.h:.4f} s "
            f"has it at {watched:.2f} m."
        )
    look = float(data.watch_errors[-1])
    event = float(data.event_errors.max())
    bound = next(b for b in (1e-9, 1e-8, 1e-6, math.inf) if event < b)
    return (
        f"Looking every {data.h:.4f} s puts bounce {data.bounces} off by {look:.4f} s; "
        f"{data.nfe} evaluations with events put every bounce within {bound:.0e} s."
    )


bouncing_ball = explorable(
    compute,
    draw,
    describe,
    size=(8.6, 3.6),
    question="Predict first: you look 30 times as often. "
    "Do the bounces get 30 times better? And with events?",
    controls={
        "restitution": slider("restitution", 0.5, 0.95, value=0.8, step=0.05),
        "bounces": int_slider("bounces", 1, 12, value=6),
        "h": log_slider("h: look every", 1e-3, 1e-1, value=3e-2, per_decade=4),
        "frame": play("flight shown × 40", FRAMES + 1, value=FRAMES),
    },
)
