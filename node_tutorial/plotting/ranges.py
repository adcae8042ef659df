"""Several trainings of each of several models: dots, with their medians and ranges."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from .lines import axes_or_new
from .style import BLUE, GRAY, GREEN, ORANGE, VERMILLION

COLORS = (ORANGE, BLUE, VERMILLION, GREEN)


def draw_ranges(
    groups: Mapping[str, Mapping[str, Sequence[float]]], *, ax: Axes | None = None
) -> Axes:
    """A row for each model, group by group: a dot for each value, a line over their range, and a
    bar at their median. Set the scale and the limits of the axes before.

    Args:
        groups: name of a group -> {name of a model: values}; the same models in each, four at
            most. Leave room at the right, where their names stand.
    """
    ax = axes_or_new(ax)
    names = list(next(iter(groups.values())))
    middles = []
    y = 0.0
    for rows in groups.values():
        middles.append(y + (len(names) - 1) / 2)
        for name, color in zip(names, COLORS):
            values = np.sort(rows[name])
            ax.plot(values[[0, -1]], [y, y], color=color, linewidth=1.6)
            ax.plot(values, np.full(len(values), y), "o", color=color, markersize=4)
            ax.plot(np.median(values), y, "|", color=color, markersize=14, markeredgewidth=2.2)
            ax.annotate(
                name,
                (values[-1], y),
                xytext=(9, 0),
                textcoords="offset points",
                color=color,
                va="center",
                fontsize=9.5,
            )
            y += 1
        y += 0.8
    for below in middles[1:]:
        ax.axhline(below - len(names) / 2 - 0.4, color=GRAY, linewidth=0.5, alpha=0.5)
    ax.set_yticks(middles, list(groups))
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(y - 1.3, -0.7)
    ax.minorticks_off()
    return ax
