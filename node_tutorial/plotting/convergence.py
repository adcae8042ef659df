"""Errors and cost: convergence slopes, work-precision diagrams, accepted and rejected steps."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from .lines import array_of, axes_or_new, label_line
from .style import GRAY, REJECTED

Choice = slice | ArrayLike  # of points: a slice, a mask or indices

_ALL = slice(None)


def fitted_slope(x: ArrayLike, y: ArrayLike, fit: Choice = _ALL) -> float:
    """The slope of log y against log x, by least squares over the points `fit`.

    Points that have no logarithm, and values that are not finite, are left out.
    """
    chosen = fit if isinstance(fit, slice) else array_of(fit)
    xs = array_of(x).astype(float)[chosen]
    ys = array_of(y).astype(float)[chosen]
    good = (xs > 0) & (ys > 0) & np.isfinite(ys)
    return float(np.polyfit(np.log(xs[good]), np.log(ys[good]), 1)[0])


def loglog_slope(
    hs: ArrayLike,
    errors: ArrayLike,
    *,
    ax: Axes | None = None,
    label: str = "",
    fit: Choice = _ALL,
    unit: str = "order",
    xlabel: str = "step size h",
    **line_style: Any,
) -> Axes:
    """Draw errors over step sizes, both logarithmic, with the fitted slope at the line's right end.

    Args:
        hs, errors: (N,).
        label: what stands before the slope.
        fit: the points that the slope is fitted to, to leave out a rounding floor.
        unit: the word before the slope, "" for none.
    """
    ax = axes_or_new(ax)
    hs = array_of(hs)
    errors = array_of(errors)
    (line,) = ax.loglog(hs, errors, marker="o", **line_style)
    ax.set_xlabel(xlabel)
    ax.set_ylabel("error")
    slope = f"{unit} {fitted_slope(hs, errors, fit):.2f}".strip()
    right = int(np.argmax(hs))
    label_line(
        (hs[right], errors[right]),
        f"{label}, {slope}" if label else slope,
        ax=ax,
        color=line.get_color(),
    )
    return ax


def work_precision(
    nfe: ArrayLike,
    errors: ArrayLike,
    *,
    ax: Axes | None = None,
    label: str = "",
    **line_style: Any,
) -> Axes:
    """Draw error over cost (N,), both logarithmic; the line of the better method is lower left."""
    ax = axes_or_new(ax)
    (line,) = ax.loglog(array_of(nfe), array_of(errors), marker="o", **line_style)
    ax.set_xlabel("evaluations of f (NFE)")
    ax.set_ylabel("error")
    if label:
        label_line(line, label)
    return ax


def step_rug(steps: Iterable[Any], *, ax: Axes | None = None, height: float = 0.05) -> Axes:
    """Mark every attempted step at the foot of the axes, rejected ones in red above the others.

    An accepted step is marked at its end t + h, a rejected one at the end that it tried to reach.

    Args:
        steps: what `Solution.steps` records: rows with fields or keys `t`, `h` and `accepted`.
        height: of a mark, in heights of the axes.
    """
    ax = axes_or_new(ax)
    rows = [[float(_entry(step, name)) for name in ("t", "h", "accepted")] for step in steps]
    t, h, flags = np.array(rows).reshape(-1, 3).T
    ends = t + h
    accepted = flags.astype(bool)
    across = ax.get_xaxis_transform()  # x in data units, y in fractions of the axes
    ax.vlines(ends[accepted], 0, height, color=GRAY, linewidth=0.9, transform=across)
    ax.vlines(ends[~accepted], height, 2 * height, color=REJECTED, linewidth=1.2, transform=across)
    return ax


def _entry(step: Any, name: str) -> Any:
    return step[name] if isinstance(step, Mapping) else getattr(step, name)
