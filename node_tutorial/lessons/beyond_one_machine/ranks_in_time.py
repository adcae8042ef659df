"""Lesson 21: ranks side by side: who computes, who waits, and what it does to the speed-up."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ...course.controls import log_slider, power_slider, slider
from ...course.explorables import explorable
from ...plotting import BLUE, EXACT, GRAY, ORANGE, VERMILLION
from .laws import amdahl, ring_bytes
from .runs import measured_work
from .stragglers import Work, distribution, largest_of, summed

SERIAL = 0.05  # the share of a step that every rank does in full: reading, updating, recording
BANDWIDTH = 1e6  # bytes in a millisecond
LATENCY = 0.02  # milliseconds of a message
RANKS = tuple(2**k for k in range(8))
SHOWN = 8  # ranks that are drawn
STEPS = 3  # sums that are drawn
IDLE = "#DDDDDD"


class Race(NamedTuple):
    """A training on some ranks, in milliseconds.

    Attributes:
        bars: (SHOWN or fewer, STEPS), the computing of a rank between two sums.
        wait: of a step, on the average: what the average rank waits for the last.
        exchange: of a step, its part of a sum.
        speedup: at RANKS, with all this.
        chosen: at the number of ranks that is drawn.
        efficiency: chosen / ranks.
    """

    ranks: int
    together: int
    bars: np.ndarray
    wait: float
    exchange: float
    speedup: np.ndarray
    chosen: float
    efficiency: float


@lru_cache(maxsize=8)
def _drawn(together: int) -> Work:
    return summed(distribution(measured_work()), together)


def all_reduce(ranks: int, megabytes: float) -> float:
    """Milliseconds of a ring's sum: 2 (R - 1) messages, one after the other."""
    if ranks == 1:
        return 0.0
    return 2 * (ranks - 1) * LATENCY + ring_bytes(1e6 * megabytes, ranks) / BANDWIDTH


def step_time(
    ranks: int, work: float, megabytes: float, spread: float, together: int
) -> tuple[float, float, float]:
    """Milliseconds of a step: computing on the average, waiting, and its part of the sum.

    work: of a step on one rank. spread: of a batch, standard deviation over mean. The ranks wait
    for each other once in `together` steps.
    """
    share = work * (1 - SERIAL) / ranks
    drawn = _drawn(together)
    one = _drawn(1)
    late = (largest_of(drawn, ranks) - drawn.mean) / (together * one.deviation)
    return work * SERIAL + share, share * spread * late, all_reduce(ranks, megabytes) / together


def compute(ranks: int, work: float, megabytes: float, spread: float, together: int) -> Race:
    times = [sum(step_time(n, work, megabytes, spread, together)) for n in RANKS]
    speedup = work / np.array(times)
    _, wait, exchange = step_time(ranks, work, megabytes, spread, together)
    one = _drawn(1)
    drawn = np.random.default_rng(0).choice(
        one.values, size=(min(ranks, SHOWN), STEPS, together), p=one.probability
    )
    z = (drawn - one.mean) / one.deviation
    bars = (work * SERIAL + work * (1 - SERIAL) / ranks * np.maximum(1 + spread * z, 0)).sum(2)
    chosen = float(speedup[RANKS.index(ranks)])
    return Race(ranks, together, bars, wait, exchange, speedup, chosen, chosen / ranks)


def draw(fig: Figure, data: Race) -> None:
    """The ranks' time, and the speed-up over the number of ranks."""
    left, right = fig.subplots(1, 2, width_ratios=[6, 5])
    timeline(left, data.bars, data.exchange * data.together)
    left.set_title(f"{data.ranks} rank{'s' * (data.ranks > 1)}: {data.efficiency:.0%} used")
    ranks = np.array(RANKS)
    right.loglog(ranks, ranks, color=EXACT, linewidth=1.2, linestyle=(0, (5, 3)))
    limits = [amdahl(SERIAL, n) for n in RANKS]
    right.loglog(ranks, limits, color=GRAY)
    right.loglog(ranks, data.speedup, "o-", color=BLUE)
    right.plot(data.ranks, data.chosen, "o", color=VERMILLION, markersize=8)
    right.set(xlim=(0.9, 160), ylim=(0.2, 160), xlabel="ranks", ylabel="times faster")
    right.text(20, 40, "ideal", color=EXACT, ha="right", fontsize=9.5)
    right.text(128, 21, "5 % serial", color=GRAY, ha="right", fontsize=9.5)
    right.set_title(f"{data.chosen:.3g} times faster")
    right.minorticks_off()


def timeline(ax: Axes, bars: np.ndarray, exchange: float) -> None:
    """Bars of computing (ranks, steps), the waiting after each, and the sum that ends a step."""
    ranks, steps = bars.shape
    now = 0.0
    for step in range(steps):
        end = now + bars[:, step].max()
        for rank in range(ranks):
            spent = bars[rank, step]
            ax.barh(rank, spent, left=now, height=0.72, color=BLUE, edgecolor="white")
            ax.barh(rank, end - now - spent, left=now + spent, height=0.72, color=IDLE)
            ax.barh(rank, exchange, left=end, height=0.72, color=ORANGE)
        now = end + exchange
    ax.set(xlim=(0, now), ylim=(ranks - 0.4, -0.6), xlabel="milliseconds", ylabel="rank")
    ax.set_yticks(range(ranks))
    ax.grid(visible=False)
    ax.legend(
        handles=[
            Patch(color=color, label=label)
            for color, label in ((BLUE, "computes"), (IDLE, "waits"), (ORANGE, "sums"))
        ],
        loc="upper center",
        bbox_to_anchor=(0.5, -0.2),
        ncols=3,
        fontsize=9.5,
        handlelength=1.2,
    )


def describe(data: Race) -> str:
    """The speed-up, and where the rest goes."""
    often = "every step" if data.together == 1 else f"every {data.together} steps"
    return (
        f"{data.ranks} rank{'s' * (data.ranks > 1)}, a sum {often}: {data.chosen:.3g} times "
        f"faster, {data.efficiency:.0%} used. In a step the average rank waits {data.wait:.2f} ms, "
        f"and the sum takes {data.exchange:.2f} ms."
    )


ranks_in_time = explorable(
    compute,
    draw,
    describe,
    question=(
        "Predict first: 64 ranks, nothing to send, and batches that all cost the same. "
        "How many times faster?"
    ),
    size=(8.6, 3.9),
    controls={
        "ranks": power_slider("ranks", 1, 128, value=4),
        "work": log_slider("a step on one rank, ms", 1, 1e4, value=100, per_decade=2, format=".0f"),
        "megabytes": log_slider("gradient, MB", 0.01, 1e3, value=1, per_decade=2, format=".2f"),
        "spread": slider("spread of work", 0.0, 0.4, value=0.15, step=0.05),
        "together": power_slider("steps between sums", 1, 16, value=1),
    },
)
