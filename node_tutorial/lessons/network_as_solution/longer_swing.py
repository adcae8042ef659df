"""Lesson 22: nets as solutions of the oscillator, over one to five periods, as stored."""

from statistics import median
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...course.controls import choice, int_slider, toggle
from ...course.explorables import explorable
from ...plotting import BLUE, VERMILLION, exact_line, label_line, room_for_labels
from .runs import PERIODS, arrays, table
from .trainings import BOUNDED, FRAMES, KINDS, PERIOD, SOFT, over, swing_exact

LOWEST, HIGHEST = 1e-6, 10.0


class LongerSwing(NamedTuple):
    """A stored solution, of the seed in the middle, at times t (n,).

    u, exact (n,): the position; e, r: sizes of error and residual. losses, errors: by seed;
    bound: start error plus the integral of r, which no error exceeds; None where u jumps.
    """

    kind: str
    periods: int
    marching: bool
    t: np.ndarray
    u: np.ndarray
    exact: np.ndarray
    e: np.ndarray
    r: np.ndarray
    losses: list[float]
    errors: list[float]
    bound: float | None


def compute(kind: str, periods: int, marching: bool) -> LongerSwing:
    """Look it up."""
    n = FRAMES * periods + 1
    name = f"march/{kind}" if marching else f"whole/{kind}/{periods}"
    y = arrays()[f"{name}/y"][:n].astype(float)
    r = arrays()[f"{name}/r"][:n].astype(float)
    exact = swing_exact(periods).numpy()
    e = np.linalg.norm(y - exact, axis=-1)
    losses, errors = measured(kind, periods, marching)
    jumps = marching and kind == SOFT  # where one net ends, the next one does not quite begin
    return LongerSwing(
        kind=kind,
        periods=periods,
        marching=marching,
        t=over(periods)[:, 0].numpy() / PERIOD,
        u=y[:, 0],
        exact=exact[:, 0],
        e=e,
        r=r,
        losses=losses,
        errors=errors,
        bound=None if jumps else float(e[0] + (r[1:] + r[:-1]).sum() / 2 * PERIOD / FRAMES),
    )


def measured(kind: str, periods: int, marching: bool) -> tuple[list[float], list[float]]:
    """Loss and error by seed."""
    if not marching:
        row = table()[f"whole/{kind}/{periods}"]
        return row["loss"], row["error"]
    row = table()[f"march/{kind}"]
    place = PERIODS.index(periods)
    return [by[place] for by in row["loss"]], [by[place] for by in row["error"]]


def spread(values: list[float]) -> str:
    """Median and range: "0.13 (0.10 to 0.21)"."""
    return f"{median(values):.1e} ({min(values):.1e} to {max(values):.1e})"


def draw(fig: Figure, data: LongerSwing) -> None:
    """The solution on the left, residual and error on the right."""
    left, right = fig.subplots(1, 2, width_ratios=[1.1, 1])
    exact_line(data.t, data.exact, ax=left, label=None)
    left.plot(data.t, data.u, color=VERMILLION)
    left.set(xlim=(0, data.periods), ylim=(-1.35, 1.35), xlabel="periods")
    left.set_xticks(range(data.periods + 1))
    how = "one net a period" if data.marching else "one net"
    left.set_title(f"{how}: the swing it learned,\nand cos t (dashed)")
    _draw_sizes(right, data)


def _draw_sizes(ax: Axes, data: LongerSwing) -> None:
    ax.set(yscale="log", xlim=(0, data.periods), ylim=(LOWEST, HIGHEST), xlabel="periods")
    ax.set_xticks(range(data.periods + 1))
    (r,) = ax.plot(data.t, data.r.clip(LOWEST, HIGHEST), color=BLUE)
    (e,) = ax.plot(data.t[1:], data.e[1:].clip(LOWEST, HIGHEST), color=VERMILLION)
    ax.minorticks_off()
    room_for_labels(ax)
    label_line(r, "|residual|")
    label_line(e, "|error|")
    ax.set_title(
        f"loss {median(data.losses):.0e}, error {median(data.errors):.2g}\n"
        f"({min(data.errors):.2g} to {max(data.errors):.2g} with three seeds)"
    )


def describe(data: LongerSwing) -> str:
    """Loss and error, as ranges of the seeds."""
    how = "one net a period" if data.marching else "one net"
    allowed = f"; the residual allows {data.bound:.1g}" if data.bound is not None else ""
    count = f"{data.periods} period{'s' * (data.periods > 1)}"
    return (
        f"{count}, {how}, {data.kind}: loss {spread(data.losses)}, relative error "
        f"{spread(data.errors)}{allowed}."
    )


longer_swing = explorable(
    compute,
    draw,
    describe,
    question="Predict first: over how many periods is one net for all of them still right?",
    size=(8.6, 3.7),
    controls={
        "periods": int_slider("periods", 1, PERIODS[-1], value=1),
        "kind": choice("start values", list(KINDS), BOUNDED),
        "marching": toggle("marching: one net a period"),
    },
)
