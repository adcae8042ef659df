"""Lesson 13: the stick figure on its belt."""

import numpy as np
from matplotlib.axes import Axes
from torch import Tensor

from ...data.gait import BONES, FEET, POINTS, skeleton
from ...plotting import BLUE, GRAY, ORANGE, SKY, VERMILLION

_WIDTH = 0.62  # half of what is seen, in meters
_HEAD = POINTS.index("head")


def draw_figure(
    ax: Axes, angles: Tensor, color: str = BLUE, width: float = 3.5, at: float = 0.0
) -> None:
    """A pose (9,), with its lower foot on the ground at height 0 and its hip at x = `at`; the right
    arm and leg are lighter.
    """
    points = standing(angles)
    for i, (a, b) in enumerate(BONES):
        right = i in (2, 3, 8, 9)
        ax.plot(
            at + points[[a, b], 0],
            points[[a, b], 1],
            color=color,
            alpha=0.45 if right else 1.0,
            linewidth=width,
            solid_capstyle="round",
            zorder=3 if right else 4,
        )
    ax.plot(at + points[_HEAD, 0], points[_HEAD, 1], "o", color=color, markersize=3.2 * width)


def standing(angles: Tensor) -> np.ndarray:
    """The points (11, 2) of a pose (9,), lifted until the lower foot is on the ground."""
    points = skeleton(angles).numpy().copy()
    points[:, 1] -= points[list(FEET), 1].min()
    return points


def draw_belt(ax: Axes, passed: float, touched: list[tuple[float, float]]) -> None:
    """The ground under a walker who has passed so many meters; a mark every quarter of one.

    touched: where the lower foot was, from x to x, as seen from the hip; sliding, it
    leaves a bar.
    """
    first = -(passed % 0.25)
    marks = first + 0.25 * np.arange(-3, 5)
    marks = marks[np.abs(marks) < _WIDTH]
    ax.axhline(0, color=GRAY, linewidth=1)
    ax.plot(marks, np.full(len(marks), -0.03), "|", color=GRAY, markersize=8)
    for start, end in touched:
        ax.plot([start, end], [-0.075, -0.075], ".-", color=VERMILLION, linewidth=4, markersize=6)
    ax.set(xlim=(-_WIDTH, _WIDTH), ylim=(-0.12, 1.72), aspect="equal")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.grid(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_visible(False)


COLORS = {"one": SKY, "other": ORANGE, "blend": BLUE}
