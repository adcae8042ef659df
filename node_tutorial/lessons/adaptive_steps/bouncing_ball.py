"""Lesson 03: the bounces of a ball, found as events and by looking every h seconds."""

import math

import torch

from ... import odeint_event
from ...course.controls import int_slider, log_slider, slider
from ...course.explorables import Explorable, explorable
from ...plotting import BLUE, VERMILLION, exact_line

_GRAVITY, _HEIGHT = 9.81, 1.0
_HAIR = 1e-12  # on the floor the event would be now: a flight starts a hair above


@explorable("03", "bouncing_ball")
def bouncing_ball():
    """A ball dropped from one meter: bounces found as events, or by looking every h seconds."""

    def compute(restitution, bounces, h):
        exact = exact_bounces(restitution, bounces)
        found, nfe = bounces_by_events(restitution, bounces)
        watched, path = bounces_by_watching(restitution, bounces, h)
        return {
            "restitution": restitution,
            "bounces": bounces,
            "h": h,
            "nfe": nfe,
            "exact": _arcs(exact, restitution),
            "end": float(exact[-1]),
            "found": found,
            "path": path,
            "event_errors": (found - exact).abs().clamp(min=1e-17),
            "watch_errors": (watched - exact).abs().clamp(min=1e-17),
        }

    def draw(fig, data):
        left, right = fig.subplots(1, 2, width_ratios=[5, 3])
        exact_line(*data["exact"], ax=left, label=None)
        left.plot(*data["path"], color=VERMILLION, alpha=0.8)
        left.plot(data["found"], 0 * data["found"], "o", color=BLUE, markersize=5)
        left.set(xlim=(0, 1.05 * data["end"]), ylim=(-0.03, 1.05), xlabel="t", ylabel="height y")
        n = range(1, data["bounces"] + 1)
        right.semilogy(n, data["watch_errors"], "o-", color=VERMILLION, markersize=4)
        right.semilogy(n, data["event_errors"], "o-", color=BLUE, markersize=4)
        right.text(12.3, 1e-5, "looking", color=VERMILLION, ha="right")
        right.text(12.3, 1e-15, "events", color=BLUE, ha="right")
        right.set(xlim=(0.5, 12.5), ylim=(3e-18, 30), xlabel="bounce", ylabel="error of its time")
        left.set_title(
            f"restitution {data['restitution']:.2f}, {data['bounces']} bounces (dashed: exact)\n"
            f"looking every {data['h']:.1e} s; events (dots): NFE {data['nfe']}"
        )

    def describe(data):
        look, event = float(data["watch_errors"][-1]), float(data["event_errors"].max())
        bound = next(b for b in (1e-9, 1e-8, 1e-6, math.inf) if event < b)
        return (
            f"Looking every {data['h']:.4f} s puts bounce {data['bounces']} off by {look:.4f} s; "
            f"{data['nfe']} evaluations with events put every bounce within {bound:.0e} s."
        )

    return Explorable(
        compute,
        draw,
        describe,
        size=(8.6, 3.6),
        question="Predict first: you look 30 times as often. Do the bounces get 30 times better? And with events?",
        controls={
            "restitution": slider("restitution", 0.5, 0.95, value=0.8, step=0.05),
            "bounces": int_slider("bounces", 1, 12, value=6),
            "h": log_slider("h: look every", 1e-3, 1e-1, value=3e-2, per_decade=4),
        },
    )


def exact_bounces(restitution, bounces):
    """Times of the bounces (n,): sqrt(2 y0 / g), then flights that shorten by the restitution."""
    first = math.sqrt(2 * _HEIGHT / _GRAVITY)
    flights = [first] + [2 * first * restitution**k for k in range(1, bounces)]
    return torch.tensor(flights, dtype=torch.float64).cumsum(0)


def bounces_by_events(restitution, bounces):
    """Times of the bounces (n,), each found by `odeint_event` from the one before, and the NFE."""
    t, y, times, nfe = 0.0, torch.tensor([_HEIGHT, 0.0], dtype=torch.float64), [], 0

    def fall(t, y):
        nonlocal nfe
        nfe += 1
        return torch.stack([y[1], torch.full_like(y[1], -_GRAVITY)])

    for _ in range(bounces):
        start = torch.tensor(t, dtype=torch.float64)
        t_event, states = odeint_event(fall, y, start, event_fn=lambda t, y: y[0])
        t = float(t_event)
        times.append(t)
        y = torch.stack([torch.full_like(y[0], _HAIR), -restitution * states[-1, 1]])
    return torch.tensor(times, dtype=torch.float64), nfe


def bounces_by_watching(restitution, bounces, h):
    """The same by exact flight over steps h and `if y < 0` after each: every bounce comes late."""
    times: list[float] = []
    n, y, v, path = 0, _HEIGHT, 0.0, [(0.0, _HEIGHT)]
    while len(times) < bounces:
        n, y, v = n + 1, y + h * v - _GRAVITY * h * h / 2, v - _GRAVITY * h
        if y < 0:
            y, v = 0.0, -restitution * v
            times.append(n * h)
        path.append((n * h, y))
    return torch.tensor(times, dtype=torch.float64), tuple(zip(*path))


def _arcs(times, restitution):
    """The exact heights over time, up to the last bounce."""
    t = torch.linspace(0, float(times[-1]), 600, dtype=torch.float64)
    n = torch.searchsorted(times, t, right=True).clamp(max=len(times) - 1)
    starts = torch.cat([-times[:1], times])[n]  # the first flight is half of a longer one
    speed = math.sqrt(2 * _GRAVITY * _HEIGHT) * restitution ** n.double()
    return t, (speed * (t - starts) - _GRAVITY * (t - starts) ** 2 / 2).clamp(min=0)
