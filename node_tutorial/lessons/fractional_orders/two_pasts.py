"""Lesson 20: two pasts that meet in one present, and what becomes of them."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from ...course.controls import play, slider
from ...course.explorables import explorable
from ...data.mittag_leffler import mittag_leffler
from ...plotting import BLUE, GRAY, VERMILLION

PRESENT = 1.0  # at this time both have the value HALF
HALF = 0.5
END = 3.0
_SOON = np.geomspace(1e-4, 0.02, 12)  # after a start the curve is steep
TIMES = np.unique(np.concatenate([np.linspace(0, END, 121), _SOON, PRESENT + _SOON]))
FRAMES = 31


class TwoPasts(NamedTuple):
    """Two solutions of D^alpha y = -y + u, with u = c up to t = 1 and 0 from then on.

    Attributes:
        y: (2, n) at TIMES, from the starts 1 and `start`.
        pushes: c of each, chosen so that both are HALF at t = 1.
        gap: their distance at t = 3.
        shown: the last time that is drawn.
        now: their distance then.
    """

    alpha: float
    start: float
    y: np.ndarray
    pushes: tuple[float, float]
    gap: float
    shown: float
    now: float


@lru_cache(maxsize=64)
def _decay(alpha: float, start: float) -> np.ndarray:
    """E at TIMES after a start; 1 before it."""
    return mittag_leffler(-(np.maximum(TIMES - start, 0) ** alpha), alpha)


def pushed(alpha: float, start: float) -> tuple[np.ndarray, float]:
    """A solution at TIMES, and its push c.

    With E(t) = E_alpha(-t^alpha) it is start E(t) + c (1 - E(t)), and from t = 1 on less c (1 -
    E(t - 1)): the equation is linear.
    """
    decay = _decay(alpha, 0.0)
    at_present = float(mittag_leffler(-(PRESENT**alpha), alpha))
    push = (HALF - start * at_present) / (1 - at_present)
    y = start * decay + push * (1 - decay) - push * (1 - _decay(alpha, PRESENT))
    return y, push


def compute(alpha: float, start: float, frame: int) -> TwoPasts:
    one, push_one = pushed(alpha, 1.0)
    other, push_other = pushed(alpha, start)
    shown = END * frame / (FRAMES - 1)
    apart = abs(one - other)
    return TwoPasts(
        alpha=alpha,
        start=start,
        y=np.stack([one, other]),
        pushes=(push_one, push_other),
        gap=float(apart[-1]),
        shown=shown,
        now=float(np.interp(shown, TIMES, apart)),
    )


def draw(fig: Figure, data: TwoPasts) -> None:
    """Both ways up to now."""
    ax = fig.subplots()
    seen = data.shown + 1e-9 >= TIMES
    for y, color in zip(data.y, (BLUE, VERMILLION)):
        ax.plot(TIMES[seen], y[seen], color=color)
        ax.plot(TIMES[seen][-1], y[seen][-1], "o", color=color)
    ax.axvline(PRESENT, color=GRAY, linewidth=1, linestyle=(0, (5, 3)))
    ax.text(1.03, 1.36, "from here on the same equation", color=GRAY, fontsize=9.5)
    ax.set(xlim=(0, END), ylim=(-1, 1.55), xlabel="t", ylabel="y")
    if data.shown > PRESENT:
        found = f"{data.now:.4f} apart at t = {data.shown:.1f}"
    else:
        found = f"t = {data.shown:.1f}"
    ax.set_title(f"order {data.alpha:.2f}: both 0.5 at t = 1; {found}")


def describe(data: TwoPasts) -> str:
    """How they meet, and how far apart they are afterwards."""
    met = (
        f"Order {data.alpha:.2f}, from 1 and from {data.start:.1f}, pushed by "
        f"{data.pushes[0]:.2f} and {data.pushes[1]:.2f} until both are 0.5 at t = 1"
    )
    if data.shown <= PRESENT:
        return f"{met}. Drawn until t = {data.shown:.1f}."
    return f"{met}: at t = {data.shown:.1f} they are {data.now:.4f} apart."


two_pasts = explorable(
    compute,
    draw,
    describe,
    question=(
        "Predict first: both are at 0.5 at t = 1, and obey the same equation from then on. "
        "Are they one curve?"
    ),
    size=(7.2, 3.6),
    controls={
        "alpha": slider("order", 0.1, 1.0, value=0.5, step=0.05),
        "start": slider("start of the second", -1.0, 1.0, value=-0.5, step=0.1, format=".1f"),
        "frame": play("time", FRAMES, value=(FRAMES - 1) // 3),
    },
)
