"""Lesson 24: a path in the plane, run through, and the state that it drives."""

import itertools
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...course.controls import choice, play
from ...course.explorables import explorable
from ...models.control_paths import levy_area
from ...plotting import BLUE, EXACT, GRAY, ORANGE, SKY, VERMILLION
from .linear_control import PATHS, RIGHT_UP, exact

FRAMES = 25


class PathOrder(NamedTuple):
    """The part of a path that is run through, x (T, 2); z (T, 2) on it; its Levy area.

    whole: the path. other: z at the end of "right, then up".
    """

    name: str
    share: float
    x: np.ndarray
    z: np.ndarray
    area: float
    whole: np.ndarray


def compute(name: str, frame: int) -> PathOrder:
    path = PATHS[name]
    length = torch.cat([torch.zeros(1), path.diff(dim=0).norm(dim=1).cumsum(0)])
    share = frame / (FRAMES - 1)
    # Enough places for a smooth picture, and all corners among them.
    fine = torch.cat([torch.linspace(0, 1, 121, dtype=torch.float64) * length[-1], length])
    fine = fine.unique()
    fine = fine[fine <= share * length[-1] + 1e-9]
    k = (torch.searchsorted(length, fine, right=True) - 1).clamp(0, len(path) - 2)
    part = ((fine - length[k]) / (length[k + 1] - length[k]))[:, None]
    x = path[k] + part * (path[k + 1] - path[k])
    area = float(levy_area(x)) if len(x) > 1 else 0.0
    return PathOrder(name, share, x.numpy(), exact(x).numpy(), area, path.numpy())


def draw(fig: Figure, data: PathOrder) -> None:
    """Left the path X with the area that it has enclosed, orange where it counts as positive and
    light blue where as negative; right the state z.
    """
    left, right = fig.subplots(1, 2)
    for lobe in _lobes(data.x):
        color = ORANGE if float(levy_area(torch.from_numpy(lobe))) > 0 else SKY
        left.fill(lobe[:, 0], lobe[:, 1], color=color, alpha=0.4, linewidth=0)
    left.plot(*data.whole.T, color=GRAY, linewidth=1, linestyle=(0, (4, 3)))
    _walk(left, data.x, BLUE)
    left.set(xlim=(-1.25, 1.25), ylim=(-0.3, 1.45), xlabel="X₁", ylabel="X₂", aspect="equal")
    left.set_title(
        f"X = ({_plain(data.x[-1, 0])}, {_plain(data.x[-1, 1])})\nLévy area {data.area:.2f}"
    )
    _walk(right, data.z, VERMILLION)
    right.plot(*exact(RIGHT_UP)[-1], "x", color=EXACT, markersize=9)
    right.set(xlim=(-1.5, 3.5), ylim=(-1.5, 2.0), xlabel="z₁", ylabel="z₂", aspect="equal")
    right.set_title(
        f"z = ({_plain(data.z[-1, 0])}, {_plain(data.z[-1, 1])})\n×: after right, then up"
    )


def _lobes(x: np.ndarray) -> list[np.ndarray]:
    """The path from each visit of its start to the next: of the figure eight its two halves."""
    at_start = np.flatnonzero(abs(x - x[0]).max(1) < 1e-9)
    cuts = [*at_start, len(x) - 1]
    return [x[a : b + 1] for a, b in itertools.pairwise(cuts) if b > a + 1]


def _plain(value: float) -> str:
    """Two decimals, without a minus sign in front of zero."""
    return f"{round(float(value), 2) + 0.0:.2f}"


def _walk(ax: Axes, points: np.ndarray, color: str) -> None:
    ax.plot(*points.T, color=color)
    ax.plot(*points[0], "o", color="white", markeredgecolor=color)
    ax.plot(*points[-1], "o", color=color, markersize=8)


def describe(data: PathOrder) -> str:
    """Where the path is, and what it has made of z."""
    return (
        f"{data.name}, {100 * data.share:.0f} % of the way: X = ({_plain(data.x[-1, 0])}, "
        f"{_plain(data.x[-1, 1])}), Levy area {_plain(data.area)}, z = "
        f"({_plain(data.z[-1, 0])}, {_plain(data.z[-1, 1])})."
    )


path_order = explorable(
    compute,
    draw,
    describe,
    question=(
        "Predict first: which of these paths, run through to the end, bring z back to where it "
        "began?"
    ),
    controls={
        "name": choice("path", list(PATHS), "up, then right"),
        "frame": play("how far", FRAMES, value=FRAMES - 1, milliseconds=200),
    },
    size=(8.6, 3.9),
)
