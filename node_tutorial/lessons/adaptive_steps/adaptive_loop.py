"""Lesson 03: the adaptive loop at work, attempt by attempt: Euler and Heun on van der Pol's
oscillator (mu = 2).
"""

from functools import lru_cache
from typing import NamedTuple

import torch
from matplotlib.figure import Figure

from ...course.controls import choice, play
from ...course.explorables import explorable
from ...data.systems import van_der_pol_exact
from ...plotting import BLUE, GRAY, GREEN, ORANGE, REJECTED, exact_line

_MU = 2.0
_T_END = 5.0  # one jump and a half
_FIRST = 0.1  # the size of the first attempt
_FRAMES = 80
_TIMES = torch.linspace(0, _T_END, 201, dtype=torch.float64)  # of the exact solution


class Tried(NamedTuple):
    """An attempt: from x at t over h to Euler's and Heun's x; the verdict, and the next size."""

    t: float
    x: float
    h: float
    euler: float
    heun: float
    ratio: float
    accepted: bool
    next_h: float


class Loop(NamedTuple):
    """The attempts of a solve up to the present one, the last; exact x (201,) over time."""

    tolerance: float
    safety: float
    attempts: list[Tried]
    total: int  # attempts of the whole solve
    exact: torch.Tensor


def slope(x: float, v: float) -> tuple[float, float]:
    """Van der Pol's field."""
    return v, _MU * (1 - x * x) * v - x


@lru_cache(maxsize=8)
def attempts(tolerance: float, safety: float) -> list[Tried]:
    """The lesson's loop with rtol = atol = tolerance, in Python's floats: they are quicker."""
    t = 0.0
    y = (2.0, 0.0)
    h = _FIRST
    tried = []
    while t < _T_END:
        h = min(h, _T_END - t)
        k1 = slope(*y)
        euler = (y[0] + h * k1[0], y[1] + h * k1[1])
        k2 = slope(*euler)
        heun = (y[0] + h / 2 * (k1[0] + k2[0]), y[1] + h / 2 * (k1[1] + k2[1]))
        squares = [
            ((b - e) / (tolerance * (1 + max(abs(a), abs(b))))) ** 2
            for a, b, e in zip(y, heun, euler)
        ]
        ratio = (sum(squares) / 2) ** 0.5
        factor = min(10.0, max(1.0 if ratio < 1 else 0.2, safety * max(ratio, 1e-9) ** -0.5))
        tried.append(Tried(t, y[0], h, euler[0], heun[0], ratio, ratio <= 1, factor * h))
        if ratio <= 1:
            t += h
            y = heun
        h *= factor
    return tried


@lru_cache(maxsize=1)
def _exact() -> torch.Tensor:
    return van_der_pol_exact(_MU)(_TIMES)[:, 0]


def compute(frame: int, tolerance: float, safety: float) -> Loop:
    tried = attempts(tolerance, safety)
    return Loop(tolerance, safety, tried[: frame + 1], len(tried), _exact())


def draw(fig: Figure, data: Loop) -> None:
    grid = fig.add_gridspec(2, 2, width_ratios=[5, 2], height_ratios=[3, 2])
    top = fig.add_subplot(grid[0, 0])
    bottom = fig.add_subplot(grid[1, 0])
    right = fig.add_subplot(grid[:, 1])
    now = data.attempts[-1]
    end = now.t + now.h
    color = GREEN if now.accepted else REJECTED
    kept = [attempt for attempt in data.attempts[:-1] if attempt.accepted]
    dropped = [attempt for attempt in data.attempts[:-1] if not attempt.accepted]
    past = [(0.0, 2.0), *((attempt.t + attempt.h, attempt.heun) for attempt in kept)]
    exact_line(_TIMES, data.exact, ax=top, label=None)
    top.plot(*zip(*past), ".-", color=BLUE, linewidth=1.2, markersize=6)
    for ax in (top, bottom):
        ax.axvspan(now.t, end, color=color, alpha=0.2, linewidth=0)
    for ax in (top, right):
        for x, line_color, marker in ((now.euler, ORANGE, "s"), (now.heun, BLUE, "o")):
            ax.plot([now.t, end], [now.x, x], color=line_color, linewidth=1.2)
            ax.plot(end, x, marker, color=line_color, markersize=5)
    top.set(xlim=(0, _T_END), ylim=(-2.9, 2.9), ylabel="x", xticklabels=[])
    low, high = sorted((now.euler, now.heun))
    span = max(abs(now.euler - now.x), abs(now.heun - now.x), high - low, 1e-3)
    right.set(
        xlim=(now.t - 0.2 * now.h, end + 0.2 * now.h),
        ylim=(min(now.x, low) - 0.3 * span, max(now.x, high) + 0.3 * span),
        title="this attempt, enlarged",
        xlabel="t",
        xticks=[],
        yticks=[],
    )
    right.text(0.03, 0.09, "Euler", color=ORANGE, transform=right.transAxes)
    right.text(0.03, 0.03, "Heun", color=BLUE, transform=right.transAxes)
    for chosen, marker, dot in ((kept, ".", BLUE), (dropped, "x", REJECTED)):
        t = [attempt.t for attempt in chosen]
        bottom.semilogy(t, [attempt.h for attempt in chosen], marker, color=dot, markersize=5)
    bottom.semilogy(now.t, now.h, "o" if now.accepted else "X", color=color, markersize=8)
    following = end if now.accepted else now.t
    bottom.semilogy(following, now.next_h, "o", color=GRAY, fillstyle="none", markersize=8)
    bottom.set(xlim=(0, _T_END), ylim=(1e-2, 3), xlabel="t", ylabel="step size h")
    verdict = "accepted" if now.accepted else "rejected"
    rejected = len(dropped) + (not now.accepted)
    top.set_title(
        f"attempt {len(data.attempts)} of {data.total}: h = {now.h:.3f}, ratio {now.ratio:.2f}: "
        f"{verdict}\nnext h = {now.next_h:.3f} (gray); so far {rejected} rejected"
    )


def describe(data: Loop) -> str:
    now = data.attempts[-1]
    verdict = "accepted" if now.accepted else "rejected"
    rejected = sum(not attempt.accepted for attempt in data.attempts)
    return (
        f"Tolerance {data.tolerance:g}, safety {data.safety:g}. Attempt {len(data.attempts)} of "
        f"{data.total}, at t = {now.t:.2f} with h = {now.h:.3f}: the estimate is {now.ratio:.2f} "
        f"tolerances, so it is {verdict}, and the next one has h = {now.next_h:.3f}. "
        f"{rejected} of these {len(data.attempts)} were rejected."
    )


adaptive_loop = explorable(
    compute,
    draw,
    describe,
    size=(9, 4.4),
    question="Predict first: where are attempts rejected: where the solution is slow, "
    "on the way into the jump, or behind it?",
    controls={
        "frame": play("attempt (from 0)", _FRAMES, value=20, milliseconds=500),
        "tolerance": choice("rtol = atol", {"0.1": 0.1, "0.01": 0.01}, value=0.01),
        "safety": choice("safety factor", [0.7, 0.8, 0.9, 1.0], value=0.9),
    },
)
