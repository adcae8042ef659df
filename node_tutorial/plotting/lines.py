"""Lines and their labels: a label at the line's end, in the line's color, replaces the legend."""

import numpy as np

from .style import EXACT, figure


def array_of(data):
    """Return tensors, arrays or sequences as a numpy array."""
    return np.asarray(data.detach().cpu() if hasattr(data, "detach") else data)


def axes_or_new(ax):
    """Return `ax`, or the axes of a new figure where it is None."""
    return figure()[1] if ax is None else ax


def label_line(line, text, *, ax=None, x=None, dx=5, dy=0, gap=1.15, **text_style):
    """Write `text` at the right end of `line` (a `Line2D`) in its color and return the `Axes`.

    Or give `line` as an (x, y) pair, with `color=...`. A line that leaves the axes is labeled at
    its last point inside them, one that is all outside not at all. `x` puts the label at another
    abscissa; `dx`, `dy` shift it, in points. A label that would cover an earlier one moves up or
    down until it is `gap` font sizes away. Call it after the limits of the axes are set;
    `room_for_labels` widens them.
    """
    if hasattr(line, "get_xydata"):
        ax = line.axes if ax is None else ax
        text_style = {"color": line.get_color(), **text_style}
        points = np.asarray(line.get_xydata(), float)
    else:
        ax, points = axes_or_new(ax), np.asarray(line, float).reshape(1, 2)
    points = _visible(points, ax)
    if len(points) == 0:
        return ax
    point = points[-1 if x is None else np.argmin(np.abs(points[:, 0] - x))]
    style = {"va": "center", "ha": "left", "fontsize": 10, **text_style}
    dy += _free_shift(
        ax, point, (dx, dy), (0.6 * style["fontsize"] * len(text), gap * style["fontsize"])
    )
    ax.annotate(text, point, (dx, dy), textcoords="offset points", annotation_clip=False, **style)
    return ax


def _visible(points, ax):
    """Return those of `points` (N, 2) that lie inside the axes, a hair's width outside allowed."""
    ax.get_xlim(), ax.get_ylim()  # brings limits that are still automatic up to date
    with np.errstate(all="ignore"):
        inside = ax.transAxes.inverted().transform(ax.transData.transform(points))
    return points[np.all(np.isfinite(inside) & (np.abs(inside - 0.5) < 0.501), axis=1)]


def _free_shift(ax, point, offset, size):
    """Return how far up or down, in points, a label of `size` (width, height) at `point` + `offset`
    has to move.
    """

    def place(point, offset):
        return ax.transData.transform(point) * 72 / ax.figure.dpi + np.asarray(offset)

    (x, y), (width, height) = place(point, offset), size
    labels = ax.__dict__.setdefault(
        "_line_labels", []
    )  # (point, offset, width), placed anew: limits may have moved
    taken = [(*place(*label[:2]), label[2]) for label in labels]
    shifts = sorted(np.arange(-8, 9) * height / 2, key=abs)
    free = (
        shift
        for shift in shifts
        if not any(
            abs(y + shift - v) < 0.99 * height and x < u + w and u < x + width for u, v, w in taken
        )
    )
    shift = next(free, 0.0)
    labels.append((point, (offset[0], offset[1] + shift), width))
    return shift


def room_for_labels(ax, fraction=0.18):
    """Widen the x axis at the right by a fraction of its width, for labels at line ends; call
    before `label_line`.
    """
    low, high = ax.get_xlim()
    if ax.get_xscale() == "log":
        ax.set_xlim(low, high * (high / low) ** fraction)
    else:
        ax.set_xlim(low, high + fraction * (high - low))
    return ax


def trajectory(y, *, ax=None, label=None, start=True, **line_style):
    """Draw the path of `y` (T, 2) in the plane, with a dot at its start."""
    ax, y = axes_or_new(ax), array_of(y)
    (line,) = ax.plot(y[:, 0], y[:, 1], **line_style)
    if start:
        ax.plot(*y[0], "o", color=line.get_color())
    if label:
        label_line(line, label)
    return ax


def exact_line(x, y, *, ax=None, label="exact", **line_style):
    """Draw an exact solution in the way of the whole course: dark, thin, dashed, behind the rest."""
    ax = axes_or_new(ax)
    style = {
        "color": EXACT,
        "linewidth": 1.2,
        "linestyle": (0, (5, 3)),
        "zorder": 1.5,
        **line_style,
    }
    (line,) = ax.plot(array_of(x), array_of(y), **style)
    if label:
        label_line(line, label)
    return ax


def running_mean(values, n):
    """Return means (N - n + 1,) over n neighbors of `values` (N,), for losses that jump from batch
    to batch.

    >>> running_mean([1, 2, 3, 4], 2).tolist()
    [1.5, 2.5, 3.5]
    """
    return np.convolve(values, np.ones(n) / n, mode="valid")
