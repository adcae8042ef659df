"""Lesson 05: the loss of one frequency over a short or long horizon, and where descent on it ends.

The data turn with the frequency 2, the model with ω; both are observed up to the horizon T.
"""

import math
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from ...course.controls import play, slider
from ...course.explorables import explorable
from ...plotting import BLUE, GRAY, ORANGE, VERMILLION, exact_line

TRUE = 2.0  # the frequency behind the data
STEPS = 3000  # of a descent, at most
SPAN = (-3.0, 7.0)  # of frequencies that are drawn
FRAMES = 25  # of a descent; the last one is its end


class Descent(NamedTuple):
    """How far a descent on the loss has come, and where it ends.

    `path` (n,) are the frequencies of the frames so far, `now` the last of them, after `steps`
    steps, with its `loss`; `end` is where the descent ends, and `found` whether that is the truth.
    """

    horizon: float
    start: float
    end: float
    found: bool
    path: np.ndarray
    now: float
    steps: int
    loss: float
    arrived: bool


def rotation_loss(frequency: ArrayLike, horizon: float) -> np.ndarray:
    """The mean of |exp(i w t) - exp(2 i t)|^2 over 0 < t < horizon, for frequencies w (...).

    It is 2 - 2 sin(x) / x with x = (w - 2) horizon.
    """
    return 2 - 2 * np.sinc((np.asarray(frequency) - TRUE) * horizon / np.pi)


def descend(start: float, horizon: float) -> np.ndarray:
    """The frequencies (n,) on the way of gradient descent on `rotation_loss`.

    Its steps are too short to leave a valley.
    """
    path = [start]
    for _ in range(STEPS):
        w = path[-1]
        w = w - _slope((w - TRUE) * horizon) / horizon
        path.append(w)
        if abs(w - path[-2]) * horizon < 1e-7:
            break
    return np.array(path)


def _slope(x: float) -> float:
    """The derivative of 2 - 2 sin(x) / x."""
    return 2 * x / 3 if abs(x) < 1e-3 else 2 * (math.sin(x) / x - math.cos(x)) / x


def compute(horizon: float, start: float, frame: int = FRAMES - 1) -> Descent:
    path = descend(start, horizon)
    shown = np.linspace(0, len(path) - 1, FRAMES).astype(int)[: frame + 1]
    now = float(path[shown[-1]])
    return Descent(
        horizon,
        start,
        end=float(path[-1]),
        found=bool(abs(path[-1] - TRUE) < 0.05),
        path=path[shown],
        now=now,
        steps=int(shown[-1]),
        loss=float(rotation_loss(now, horizon)),
        arrived=frame == FRAMES - 1,
    )


def draw(fig: Figure, data: Descent) -> None:
    left, right = fig.subplots(1, 2)
    _draw_loss(left, data)
    _draw_rotation(right, data)


def _draw_loss(ax: Axes, data: Descent) -> None:
    """The loss over the frequency, and the descent as dots: the first empty, the last large."""
    color = BLUE if data.found else VERMILLION
    w = np.linspace(*SPAN, 401)
    heights = rotation_loss(data.path, data.horizon)
    ax.plot(w, rotation_loss(w, data.horizon), color=GRAY, linewidth=1.3)
    ax.axvline(TRUE, color="#BBBBBB", linewidth=0.8)
    ax.plot(data.path, heights, ".", color=color, markersize=7)
    ax.plot(data.path[0], heights[0], "o", color=color, markersize=9, markerfacecolor="white")
    ax.plot(data.path[-1], heights[-1], "o", color=color, markersize=9)
    ax.set(xlim=SPAN, ylim=(-0.1, 2.7), xlabel="frequency ω of the model", ylabel="loss")
    ax.set_title(f"T = {data.horizon:.1f}: from ω = {data.start:.1f} to ω = {data.now:.2f}")


def _draw_rotation(ax: Axes, data: Descent) -> None:
    """The first component over time: data, truth, and the model as far as descent has come."""
    t = np.linspace(0, data.horizon, 300)
    observed = np.linspace(0, data.horizon, 2 + int(4 * data.horizon))
    ax.plot(t, np.cos(data.now * t), color=BLUE if data.found else VERMILLION)
    exact_line(t, np.cos(TRUE * t), ax=ax, label=None)
    ax.plot(observed, np.cos(TRUE * observed), ".", color=ORANGE, markersize=5)
    ax.set(xlim=(0, 20), ylim=(-1.3, 1.3), xlabel="t", ylabel="first component")
    ax.set_title(f"after {data.steps} gradient steps: loss {data.loss:.2f}")


def describe(data: Descent) -> str:
    wrong = "a wrong one, where every small change makes it worse"
    if not data.arrived:
        return (
            f"T = {data.horizon:.1f}: from ω = {data.start:.1f} gradient descent has come to "
            f"ω = {data.now:.2f} after {data.steps} steps; the loss there is {data.loss:.2f}."
        )
    return (
        f"T = {data.horizon:.1f}: from ω = {data.start:.1f} gradient descent ends at "
        f"ω = {data.end:.2f}, {'the true one' if data.found else wrong}; "
        f"the loss there is {data.loss:.2f}."
    )


loss_over_horizon = explorable(
    compute,
    draw,
    describe,
    question="Predict first: more data, over a longer time. "
    "Is the true frequency easier to find, or harder?",
    size=(8.6, 3.7),
    controls={
        "horizon": slider("horizon T", 0.5, 20.0, value=12.0, step=0.5, format=".1f"),
        "start": slider("ω at the start", -2.0, 6.0, value=0.5, step=0.1, format=".1f"),
        "frame": play("descent", FRAMES, value=FRAMES - 1),
    },
)
