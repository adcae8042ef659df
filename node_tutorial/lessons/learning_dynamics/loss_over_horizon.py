"""Lesson 05: the loss of one frequency, over a short and a long horizon."""

import math

import numpy as np

from ...course.controls import slider
from ...course.explorables import Explorable, explorable
from ...plotting import BLUE, GRAY, ORANGE, VERMILLION, exact_line

TRUE = 2.0  # the frequency behind the data
_SPAN = (-3.0, 7.0)


def rotation_loss(frequency, horizon):
    """The mean of |exp(i w t) - exp(2 i t)|^2 over 0 < t < horizon: 2 - 2 sin(x) / x, with x = (w -
    2) horizon.
    """
    return 2 - 2 * np.sinc((np.asarray(frequency) - TRUE) * horizon / np.pi)


def descend(start, horizon, steps=3000):
    """Gradient descent on `rotation_loss`, in steps too short to leave a valley: the frequencies on
    the way.
    """
    path = [start]
    for _ in range(steps):
        w = path[-1]
        x = (w - TRUE) * horizon
        slope = (
            2 * horizon * x / 3
            if abs(x) < 1e-3
            else 2 * horizon * (math.sin(x) / x - math.cos(x)) / x
        )
        w = w - slope / horizon**2
        path.append(w)
        if abs(w - path[-2]) * horizon < 1e-7:
            break
    return np.array(path)


@explorable("05", "loss_over_horizon")
def loss_over_horizon():
    """The loss as a function of one frequency, and where gradient descent on it ends."""

    def compute(horizon, start):
        path, w = descend(start, horizon), np.linspace(*_SPAN, 401)
        every = np.unique(np.linspace(0, len(path) - 1, 25).astype(int))
        return {
            "horizon": horizon,
            "start": start,
            "end": float(path[-1]),
            "steps": len(path) - 1,
            "found": bool(abs(path[-1] - TRUE) < 0.05),
            "curve": (w, rotation_loss(w, horizon)),
            "path": (path[every], rotation_loss(path[every], horizon)),
            "loss": float(rotation_loss(path[-1], horizon)),
        }

    def draw(fig, data):
        left, right = fig.subplots(1, 2)
        color = BLUE if data["found"] else VERMILLION
        left.plot(*data["curve"], color=GRAY, linewidth=1.3)
        left.axvline(TRUE, color="#BBBBBB", linewidth=0.8)
        left.plot(*data["path"], ".", color=color, markersize=7)
        left.plot(
            data["path"][0][0],
            data["path"][1][0],
            "o",
            color=color,
            markersize=9,
            markerfacecolor="white",
        )
        left.plot(data["path"][0][-1], data["path"][1][-1], "o", color=color, markersize=9)
        left.set(xlim=_SPAN, ylim=(-0.1, 2.7), xlabel="frequency ω of the model", ylabel="loss")
        left.set_title(
            f"T = {data['horizon']:.1f}: from ω = {data['start']:.1f} to ω = {data['end']:.2f}"
        )
        t = np.linspace(0, data["horizon"], 300)
        right.plot(t, np.cos(data["end"] * t), color=color)
        exact_line(t, np.cos(TRUE * t), ax=right, label=None)
        dots = np.linspace(0, data["horizon"], 2 + int(4 * data["horizon"]))
        right.plot(dots, np.cos(TRUE * dots), ".", color=ORANGE, markersize=5)
        right.set(xlim=(0, 20), ylim=(-1.3, 1.3), xlabel="t", ylabel="first component")
        right.set_title(f"after {data['steps']} gradient steps: loss {data['loss']:.2f}")

    def describe(data):
        verdict = (
            "the true one"
            if data["found"]
            else "a wrong one, where every small change makes it worse"
        )
        return (
            f"T = {data['horizon']:.1f}: from ω = {data['start']:.1f} gradient descent ends at ω "
            f"= {data['end']:.2f}, "
            f"{verdict}; the loss there is {data['loss']:.2f}."
        )

    return Explorable(
        compute,
        draw,
        describe,
        size=(8.6, 3.7),
        question="Predict first: more data, over a longer time. Is the true frequency easier to find, or harder?",
        controls={
            "horizon": slider("horizon T", 0.5, 20.0, value=12.0, step=0.5, format=".1f"),
            "start": slider("ω at the start", -2.0, 6.0, value=0.5, step=0.1, format=".1f"),
        },
    )
