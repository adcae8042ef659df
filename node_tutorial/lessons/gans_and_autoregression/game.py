"""Lesson 18: two players on min max xy, and the training rule as a solver."""

import math
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from ...course.controls import choice, play, slider
from ...course.explorables import explorable
from ...models.games import RULES, bilinear
from ...models.games import play as played
from ...plotting import BLUE, EXACT, GRAY

STEPS = 100
PART = 4  # steps between two frames
LIMIT = 3.0
ARROWS = np.linspace(-2.5, 2.5, 11)


class Game(NamedTuple):
    """The players' way (STEPS + 1, 2), its distance from the equilibrium, and what is drawn of it.

    Attributes:
        expected: the distance by the closed form, where there is one; else None.
        shown: number of the last step that is drawn.
    """

    rule: str
    h: float
    penalty: float
    way: Tensor
    norms: Tensor
    expected: float | None
    shown: int


def compute(rule: str, h: float, penalty: float, frame: int) -> Game:
    """STEPS steps of a rule from (1, 0)."""
    way = played(bilinear(penalty), (1.0, 0.0), h, STEPS, rule)
    expected = None if penalty else _factor(rule, h)
    return Game(
        rule=rule,
        h=h,
        penalty=penalty,
        way=way,
        norms=way.norm(dim=1),
        expected=None if expected is None else expected**STEPS,
        shown=min(PART * frame, STEPS),
    )


def _factor(rule: str, h: float) -> float | None:
    """By which a step multiplies the distance from the equilibrium, without penalty."""
    squares = {
        "simultaneous": 1 + h**2,
        "extragradient": 1 - h**2 + h**4,
        "heun": 1 + h**4 / 4,
        "rk4": 1 - h**6 / 72 + h**8 / 576,
    }
    return math.sqrt(squares[rule]) if rule in squares else None


def draw(fig: Figure, data: Game) -> None:
    """The way in the plane, over the field, and the distance over the steps."""
    left, right = fig.subplots(1, 2, width_ratios=[1, 1.25])
    x, y = np.meshgrid(ARROWS, ARROWS)
    left.quiver(x, y, -y, x - data.penalty * y, color="#BBBBBB", width=0.004)
    way = data.way[: data.shown + 1]
    left.plot(way[:, 0], way[:, 1], "o-", color=BLUE, markersize=2.5, linewidth=1)
    left.plot(*data.way[0], "o", color=EXACT, markersize=6)
    left.plot(0, 0, "+", color=EXACT, markersize=10)
    left.set(xlim=(-LIMIT, LIMIT), ylim=(-LIMIT, LIMIT), aspect="equal")
    left.set(xlabel="x, wants xy small", ylabel="y, wants xy large")
    left.set_title(f"{data.rule}, h = {data.h:.2f}")
    steps = np.arange(data.shown + 1)
    right.semilogy(steps, data.norms[: data.shown + 1].clamp(1e-2, 1e2), color=BLUE)
    right.axhline(1, color=GRAY, linewidth=1)
    right.set(xlim=(0, STEPS), ylim=(1e-2, 1e2), xlabel="steps", ylabel="distance from (0, 0)")
    right.minorticks_off()
    penalty = f"penalty {data.penalty:.1f}, " if data.penalty else ""
    right.set_title(f"{penalty}{_number(data.norms[data.shown])} after {data.shown} steps")


def describe(data: Game) -> str:
    """Where the players are in the end."""
    penalty = f", penalty {data.penalty:.1f}" if data.penalty else ""
    end = float(data.norms[-1])
    quarter = STEPS // 4  # of several turns, so that an ellipse is not taken for a spiral
    growth = float(data.norms[-quarter:].max() / data.norms[:quarter].max())
    verdict = "they come closer" if growth < 0.99 else "they go round"
    if growth > 1.01:
        verdict = "they spiral out"
    formula = "" if data.expected is None else f", by the formula {_number(data.expected)}"
    return (
        f"{data.rule}, h = {data.h:.2f}{penalty}: {verdict}; distance after {STEPS} steps "
        f"{_number(end)}{formula}."
    )


def _number(value: float | Tensor) -> str:
    value = float(value)
    return f"{value:.4f}" if 1e-3 < value < 100 else f"{value:.1e}"


game = explorable(
    compute,
    draw,
    describe,
    question=(
        "Predict first: both players move downhill on their own loss. Do they meet at (0, 0), "
        "where neither can do better?"
    ),
    size=(8.4, 3.9),
    controls={
        "rule": choice("rule", list(RULES)),
        "h": slider("learning rate h", 0.05, 1.0, value=0.1, step=0.05),
        "penalty": slider("penalty on y", 0.0, 2.0, value=0.0, step=0.1, format=".1f"),
        "frame": play("steps", STEPS // PART + 1, value=STEPS // PART),
    },
)
