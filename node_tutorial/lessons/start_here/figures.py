"""Lesson 00: the flow at three times, solutions that part, and the map of the course."""

from collections.abc import Callable
from textwrap import wrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle
from matplotlib.path import Path

from ...course.syllabus import PARTS, READY, SYLLABUS, Lesson
from ...plotting import (
    BLUE,
    EXACT,
    GRAY,
    GREEN,
    PURPLE,
    VERMILLION,
    Picture,
    blank,
    figure,
    label_line,
    no_ticks,
)
from .first_flow import FRAMES, carried

Point = tuple[float, float]

PLACES: dict[str, Point] = {  # column and row, from the top left
    "00": (2, 0),
    "01": (2, 1),
    "02": (2, 2),
    "03": (2, 3),
    "04": (1, 4),
    "05": (2, 4),
    "06": (2, 5),
    "07": (2, 6),
    "08": (2, 7),
    "09": (1, 5),
    "10": (3, 1),
    "11": (3, 5),
    "12": (3, 6),
    "13": (3.1, 7),
    "14": (4.1, 2),
    "15": (4.1, 6),
    "16": (4.1, 7),
    "17": (4.1, 8),
    "18": (5.1, 2),
    "19": (5.1, 9),
    "20": (1, 3),
    "21": (1, 7),
    "22": (0, 4),
    "23": (3.1, 8),
    "24": (3.1, 9),
}
BOX = (1.53, 0.46)  # inches
_PITCH = np.array([1.63, 0.63])
_COLORS = {"I": BLUE, "II": GREEN, "III": VERMILLION, "IV": PURPLE}
_LINE = 17  # characters that fit on a line of a box


def moments(shape: str, rtol: float = 1e-3) -> Picture:
    """The particles of the first flow at t = 0, 1/2 and 1; a color for each start."""
    fig, axes = figure(ncols=3, size=(8.6, 2.6))
    y = carried(shape, rtol).y.numpy()
    for ax, frame in zip(axes, (0, FRAMES // 2, FRAMES)):
        ax.scatter(*y[frame].T, c=y[0, :, 0], cmap="viridis", s=6, vmin=-2, vmax=2)
        ax.set(xlim=(-3.8, 3.8), ylim=(-2.9, 2.9), aspect="equal")
        ax.set_title(f"t = {frame / FRAMES:.1f}")
        no_ticks(ax)
    return fig


def parting(t: np.ndarray, solutions: dict[str, np.ndarray]) -> Picture:
    """Solutions {label: y (n,)} over t (n,) that begin together."""
    fig, ax = figure(size=(5.6, 2.5))
    ax.set(xlim=(t[0], t[-1]), ylim=(-0.15, 2.4), xlabel="t", ylabel="y")
    for (label, y), color in zip(solutions.items(), (BLUE, GREEN, VERMILLION)):
        (line,) = ax.plot(t, y, color=color)
        label_line(line, label)
    return fig


def course_map() -> Picture:
    """A figure of all lessons; an arrow leads from a lesson to those that need it."""
    width, height = (np.max(list(PLACES.values()), axis=0) + 1) * _PITCH
    fig = blank((width, height))
    fig.set_layout_engine("none")
    ax = fig.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, width), ylim=(height, 0))
    ax.axis("off")
    for number, lesson in SYLLABUS.items():
        _draw_lesson(ax, lesson)
        for needed in lesson.needs:
            path = Path(way(PLACES[needed], PLACES[number]))
            color = EXACT if number in READY else "#A0A0A0"
            arrow = FancyArrowPatch(path=path, arrowstyle="-|>", mutation_scale=10)
            arrow.set(color=color, linewidth=1.2, joinstyle="miter", zorder=1)
            ax.add_patch(arrow)
    for row, (part, name) in enumerate(PARTS.items()):
        ax.text(0.1, 0.22 + 0.23 * row, name, color=_COLORS[part], weight="bold", va="center")
    if len(READY) < len(SYLLABUS):
        ax.text(0.1, 0.22 + 0.23 * len(PARTS), "gray: planned", color=GRAY, va="center")
    return fig


def center(place: Point) -> Point:
    """The middle of the box at a place, in inches from the top left."""
    x, y = (np.array(place) + 0.5) * _PITCH
    return x, y


def way(start: Point, end: Point) -> list[Point]:
    """The corners of the arrow from the box at one place to the box at another, in inches.

    It is straight, unless the second box stands a little to the right: then a trunk leads down from
    the first one's left end, and a branch into the side of the second.
    """
    (x0, y0), (x1, y1) = center(start), center(end)
    width, height = BOX
    if 0 < end[0] - start[0] < 0.5:
        trunk = x0 - width / 2 + 0.06
        return [(trunk, y0 + height / 2), (trunk, y1), (x1 - width / 2, y1)]
    aside = 0.28 * float(np.clip(end[0] - start[0], -2, 2))  # arrows from one box part at once
    return [(x0 + aside, y0 + height / 2), (x1, y1 - height / 2)]


def _draw_lesson(ax: Axes, lesson: Lesson) -> None:
    ready = lesson.number in READY
    color = _COLORS[lesson.part]
    x, y = center(PLACES[lesson.number])
    width, height = BOX
    left, top = x - width / 2, y - height / 2
    box = FancyBboxPatch(
        (left, top), width, height, "round,pad=0,rounding_size=0.07", zorder=2, linewidth=1
    )
    box.set(facecolor=color if ready else "#EFEFEF", edgecolor=color if ready else "#BDBDBD")
    ax.add_patch(box)
    ax.add_patch(Rectangle((left, top + 0.08), 0.05, height - 0.16, color=color, zorder=3))
    text: dict[str, Any] = {"va": "center", "zorder": 4, "color": "white" if ready else GRAY}
    ax.text(left + 0.11, y, lesson.number, fontsize=10, weight="bold", **text)
    ax.text(left + 0.36, y, broken(lesson.title), fontsize=8.5, linespacing=1.05, **text)


def broken(title: str) -> str:
    """A title in as few lines as a box can hold, as equal in length as possible."""
    wrapped = [
        wrap(title, width, break_long_words=False, break_on_hyphens=False)
        for width in range(1, _LINE + 1)
    ]
    return "\n".join(next(lines for lines in wrapped if len(lines) == len(wrapped[-1])))


def _parting() -> Picture:
    t = np.linspace(0, 3, 50)
    return parting(t, {f"leaves at t = {a}": np.maximum(t - a, 0) ** 2 / 4 for a in (0, 1)})


# A picture of each kind, for the test that all of them can be read.
EXAMPLES: dict[str, Callable[[], Picture]] = {
    "moments": lambda: moments("a spiral"),
    "parting": _parting,
    "course_map": course_map,
}
