"""How good samples are, for what they cost."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator
from numpy.typing import ArrayLike

from .lines import array_of, axes_or_new, label_line, room_for_labels
from .style import GRAY, PALETTE


def quality_over_cost(
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]],
    *,
    floor: tuple[float, float] | None = None,
    ax: Axes | None = None,
    colors: Mapping[str, str] | None = None,
    least: float | None = None,
    room: float = 0.35,
) -> Axes:
    """A measure over the evaluations of the net, with both axes logarithmic: the median of the
    seeds as a line, their range as a band, and in gray what two sets of real samples give.

    Args:
        curves: name -> (evaluations (N,) or (seeds, N), values (seeds, N)).
        floor: mean and standard deviation between two sets of real samples; the gray area is what
            lies below the mean plus two of the latter.
        least: values below are drawn there; a fifth of the floor if None. (An unbiased distance can
            be negative.)
        room: for the names at the right, see `room_for_labels`.
    """
    ax = axes_or_new(ax)
    top = None if floor is None else floor[0] + 2 * floor[1]
    least = least or (1e-3 if top is None else top / 5)
    lines: dict[str, Line2D] = {}
    for k, (name, (nfe, values)) in enumerate(curves.items()):
        x = np.atleast_2d(array_of(nfe)).mean(0)
        y = np.atleast_2d(array_of(values)).clip(least)
        color = (colors or {}).get(name, PALETTE[k % len(PALETTE)])
        (lines[name],) = ax.plot(x, np.median(y, axis=0), ".-", color=color)
        if len(y) > 1:
            ax.fill_between(x, y.min(0), y.max(0), color=color, alpha=0.15, linewidth=0)
    ax.set(xscale="log", yscale="log")
    ax.set_ylim(bottom=least / 1.1)
    if top is not None:
        ax.axhspan(least / 1.1, top, color=GRAY, alpha=0.18, linewidth=0, zorder=0)
    _powers_of_two(ax, [line.get_xdata() for line in lines.values()])
    ax.set_xlabel("evaluations of the net (NFE)")
    room_for_labels(ax, room)
    ends = {name: np.asarray(line.get_xydata())[-1] for name, line in lines.items()}
    right = max(x for x, _ in ends.values())
    for name, (_, y) in sorted(ends.items(), key=lambda end: -end[1][1]):  # from the top
        label_line((right, y), name, ax=ax, color=lines[name].get_color(), down=True)
    if top is not None:
        ax.annotate(
            "two sets of real images",
            (ax.get_xlim()[0], least / 1.1),
            (4, 4),
            textcoords="offset points",
            va="bottom",
            fontsize=9.5,
            color=GRAY,
        )
    return ax


def precision_and_recall(
    points: Mapping[str, tuple[ArrayLike, ArrayLike]],
    *,
    real: tuple[float, float] | None = None,
    ax: Axes | None = None,
    colors: Mapping[str, str] | None = None,
    labels: Sequence[str] = (),
) -> Axes:
    """Models as paths in the plane of recall and precision, each (N,), for instance over their
    evaluations; `labels` stand beside the points of the first path, `real` is where a second set of
    real samples lies.
    """
    ax = axes_or_new(ax)
    ends = []
    for k, (name, (recall, precision)) in enumerate(points.items()):
        color = (colors or {}).get(name, PALETTE[k % len(PALETTE)])
        (line,) = ax.plot(array_of(recall), array_of(precision), ".-", color=color, markersize=8)
        ends.append((name, line))
        if k == 0:
            for x, y, text in zip(array_of(recall), array_of(precision), labels):
                ax.annotate(
                    text, (x, y), (0, 7), textcoords="offset points", ha="center", fontsize=9
                )
    if real is not None:
        ax.plot(*real, "s", color=GRAY, markersize=7)
    ax.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.08), xlabel="recall", ylabel="precision")
    for name, line in ends:
        label_line(line, name, dx=7)
    if real is not None:
        label_line(real, "real images", ax=ax, color=GRAY, dx=8)
    return ax


def _powers_of_two(ax: Axes, costs: list) -> None:
    """Ticks at 1, 2, 4, ..., as far as the lines go."""
    values = np.concatenate([np.asarray(x, float) for x in costs])
    exponents = np.arange(np.floor(np.log2(values.min())), np.ceil(np.log2(values.max())) + 1)
    ticks = 2**exponents
    ax.xaxis.set_major_locator(FixedLocator(ticks.tolist()))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticklabels([f"{tick:g}" for tick in ticks])
