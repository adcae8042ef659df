"""Lesson 09: the arm goes where it shall, with the torques of least effort."""

from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from ...course.controls import choice, play
from ...course.explorables import explorable
from ...plotting import BLUE, GRAY, SKY, VERMILLION
from .least_effort import ARM, INTERVALS
from .robot_arm import draw_arm
from .runs import TARGETS, TIMES_GIVEN, stored_effort

PLACES = {"right (1.2, 0.5)": TARGETS[0], "left (-0.6, 1.1)": TARGETS[1]}
BEGIN = 4  # intervals
EVERY = 2  # intervals from frame to frame
FRAMES = INTERVALS // EVERY + 1


class Reaching(NamedTuple):
    """Torques u (n, 2), angles q and places of the hand: (n + 1, 2) each.

    Attributes:
        now: the interval that is shown.
        effort: the integral of |u|^2, in (N m)^2 s.
        back: how far the upper arm swings to the wrong side, in degrees.
        toward: whether it begins to the right side.
    """

    target: tuple[float, float]
    seconds: float
    now: int
    u: np.ndarray
    q: Tensor
    hand: np.ndarray
    effort: float
    back: float
    toward: bool


def compute(target: tuple[float, float], seconds: float, frame: int) -> Reaching:
    u, path, effort = stored_effort(*target, seconds)
    q = torch.from_numpy(path[:, :2])
    turned = np.degrees(path[:, 0] - path[0, 0])
    side = np.sign(turned[-1])
    return Reaching(
        target=target,
        seconds=seconds,
        now=EVERY * frame,
        u=u,
        q=q,
        hand=ARM.hand(q).numpy(),
        effort=effort,
        back=float(max(0.0, (-side * turned).max())),
        toward=bool(side * turned[BEGIN] > 0),
    )


def draw(fig: Figure, data: Reaching) -> None:
    """The arm on its way, the way of the hand, and both torques."""
    left, right = fig.subplots(1, 2, width_ratios=[1.1, 1])
    left.plot(*data.hand.T, color=GRAY, linewidth=1)
    left.plot(*data.hand[: data.now + 1].T, color=BLUE, linewidth=1.6)
    left.plot(*data.target, "x", color=VERMILLION, markersize=9, markeredgewidth=2)
    draw_arm(left, data.q[0], SKY, 2)
    draw_arm(left, data.q[data.now], BLUE, 4)
    left.set(xlim=(-2.1, 2.1), ylim=(-2.1, 2.1), aspect="equal", xlabel="x", ylabel="y")
    now = data.now * data.seconds / INTERVALS
    left.set_title(f"{now:.2f} of {data.seconds:g} s,\neffort {data.effort:.1f}")
    t = np.linspace(0, data.seconds, INTERVALS + 1)
    for torque, color, name in (
        (data.u[:, 0], BLUE, "shoulder"),
        (data.u[:, 1], VERMILLION, "elbow"),
    ):
        right.stairs(torque, t, color=color, linewidth=1.8, baseline=None)
        right.text(
            0.98,
            0.97 - 0.09 * (name == "elbow"),
            name,
            color=color,
            transform=right.transAxes,
            ha="right",
            va="top",
        )
    right.axvline(now, color=GRAY, linewidth=1)
    most = 1.35 * abs(data.u).max()
    right.set(xlim=(0, data.seconds), ylim=(-most, most), xlabel="seconds", ylabel="torque in N m")
    right.set_title(f"largest torque {abs(data.u).max():.1f} N m\n")


def describe(data: Reaching) -> str:
    """Effort, and how far it swings back."""
    x, y = data.target
    begin = "toward" if data.toward else "away from"
    return (
        f"To ({x:g}, {y:g}) in {data.seconds:g} s: effort {data.effort:.1f}, largest torque "
        f"{abs(data.u).max():.1f} N m; the upper arm begins {begin} its goal, "
        f"and swings back by {data.back:.0f} degrees. Shown is the arm after "
        f"{data.now * data.seconds / INTERVALS:.2f} s."
    )


reaching = explorable(
    compute,
    draw,
    describe,
    question="Predict first: twice the time, how much less effort? And which way does the upper "
    "arm begin?",
    size=(8.4, 4.3),
    controls={
        "target": choice("target", PLACES),
        "seconds": choice("seconds", TIMES_GIVEN, 1.0),
        "frame": play("time", FRAMES, value=FRAMES // 2, milliseconds=150),
    },
)
