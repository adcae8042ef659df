"""Lines and their labels: a label at the line's end, in the line's color, replaces the legend."""

from typing import Any, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.text import Annotation
from numpy.typing import ArrayLike
from torch import Tensor

from .style import EXACT, figure

_LABEL = "label of a line"  # the gid of such annotations: later ones keep away from them


def array_of(data: ArrayLike) -> np.ndarray:
    """Tensors (also those that need gradients), arrays or sequences as a numpy array."""
    return np.asarray(data.detach().cpu() if isinstance(data, Tensor) else data)


def axes_or_new(ax: Axes | None) -> Axes:
    """`ax`, or the axes of a new figure where it is None."""
    return figure()[1] if ax is None else ax


def label_line(
    line: Line2D | ArrayLike,
    text: str,
    *,
    ax: Axes | None = None,
    x: float | None = None,
    dx: float = 5,
    dy: float = 0,
    gap: float = 1.15,
    down: bool = False,
    **text_style: Any,
) -> Axes:
    """Write `text` at the right end of a line, in its color. Call it when the limits are set.

    A line that leaves the axes is labeled at its last point inside them, one that is all outside
    not at all. A label that would cover an earlier one moves up or down. `room_for_labels` widens
    the axes.

    Args:
        line: a `Line2D`; or a point (x, y), with `ax` and `color=...`.
        x: another abscissa at which to write.
        dx, dy: a shift, in points.
        gap: the least distance of two labels, in font sizes.
        down: move down only. Labels that come sorted, the highest first, keep their order then.
        text_style: of `Axes.annotate`.
    """
    if isinstance(line, Line2D):
        ax = cast(Axes, line.axes) if ax is None else ax
        text_style = {"color": line.get_color(), **text_style}
        points = np.asarray(line.get_xydata(), float)
    else:
        points = np.asarray(line, float).reshape(1, 2)
    ax = axes_or_new(ax)
    points = _visible(points, ax)
    if len(points) == 0:
        return ax
    point = points[-1 if x is None else np.argmin(np.abs(points[:, 0] - x))]
    style = {"va": "center", "ha": "left", "fontsize": 10, **text_style}
    dy += _free_shift(ax, point, (dx, dy), text, style["fontsize"], gap, down)
    ax.annotate(
        text,
        point,
        (dx, dy),
        textcoords="offset points",
        annotation_clip=False,
        gid=_LABEL,
        **style,
    )
    return ax


def _visible(points: np.ndarray, ax: Axes) -> np.ndarray:
    """Those of `points` (N, 2) that lie inside the axes, a hair's width outside allowed."""
    ax.get_xlim()  # brings a limit that is still automatic up to date
    ax.get_ylim()
    with np.errstate(all="ignore"):
        inside = ax.transAxes.inverted().transform(ax.transData.transform(points))
    return points[np.all(np.isfinite(inside) & (np.abs(inside - 0.5) < 0.501), axis=1)]


def _free_shift(
    ax: Axes,
    point: np.ndarray,
    offset: tuple[float, float],
    text: str,
    fontsize: float,
    gap: float,
    down: bool,
) -> float:
    """How far up or down, in points, a label at `point` + `offset` has to move to cover no other.

    The earlier ones are placed anew: limits may have moved since.
    """

    def place(point: Any, offset: Any) -> np.ndarray:
        return ax.transData.transform(point) * 72 / ax.figure.dpi + np.asarray(offset)

    x, y = place(point, offset)
    width = _width(text, fontsize)
    height = gap * fontsize
    taken = [
        (*place(other.xy, other.xyann), _width(other.get_text(), other.get_fontsize()))
        for other in ax.texts
        if isinstance(other, Annotation) and other.get_gid() == _LABEL
    ]
    if down:  # below all that it could touch, not between two of them
        near = [v for u, v, w in taken if x < u + w and u < x + width]
        return min(0.0, min(near) - height - y) if near else 0.0
    for shift in sorted(np.arange(-8, 9) * height / 2, key=abs):
        if not any(
            abs(y + shift - v) < 0.99 * height and x < u + w and u < x + width for u, v, w in taken
        ):
            return shift
    return 0.0


def _width(text: str, fontsize: Any) -> float:
    """About the width of a text, in points, without laying it out."""
    return 0.6 * fontsize * len(text)


def room_for_labels(ax: Axes, fraction: float = 0.18) -> Axes:
    """Widen the x axis at the right by a fraction of its width; call it before `label_line`."""
    low, high = ax.get_xlim()
    if ax.get_xscale() == "log":
        ax.set_xlim(low, high * (high / low) ** fraction)
    else:
        ax.set_xlim(low, high + fraction * (high - low))
    return ax


def trajectory(
    y: ArrayLike,
    *,
    ax: Axes | None = None,
    label: str | None = None,
    **line_style: Any,
) -> Axes:
    """Draw the path of `y` (T, 2) in the plane, with a dot at its start."""
    ax = axes_or_new(ax)
    path = array_of(y)
    (line,) = ax.plot(path[:, 0], path[:, 1], **line_style)
    ax.plot(*path[0], "o", color=line.get_color())
    if label:
        label_line(line, label)
    return ax


def exact_line(
    x: ArrayLike,
    y: ArrayLike,
    *,
    ax: Axes | None = None,
    label: str | None = "exact",
    **line_style: Any,
) -> Axes:
    """Draw an exact solution as the whole course does: dark, thin, dashed, behind the rest."""
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


def running_mean(values: ArrayLike, n: int) -> np.ndarray:
    """Means (N - n + 1,) over n neighbors of `values` (N,), for losses that jump between batches.

    >>> running_mean([1, 2, 3, 4], 2).tolist()
    [1.5, 2.5, 3.5]
    """
    return np.convolve(array_of(values), np.ones(n) / n, mode="valid")
