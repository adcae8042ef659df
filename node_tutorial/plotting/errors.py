"""Pictures of error and cost: convergence slopes, work-precision diagrams, accepted and rejected
steps.
"""

import numpy as np

from .lines import array_of, axes_or_new, label_line
from .style import GRAY, REJECTED


def fitted_slope(x, y, fit=slice(None)):
    """Return the slope of log y against log x by least squares over the points `fit` (a slice or
    mask).
    """
    x, y = array_of(x).astype(float), array_of(y).astype(float)
    x, y = x[fit], y[fit]
    good = (x > 0) & (y > 0) & np.isfinite(y)
    return float(np.polyfit(np.log(x[good]), np.log(y[good]), 1)[0])


def loglog_slope(
    hs,
    errors,
    *,
    ax=None,
    label="",
    fit=slice(None),
    unit="order",
    xlabel="step size h",
    **line_style,
):
    """Draw errors over step sizes, both logarithmic, with the fitted slope in the label at the
    line's end.

    `fit` selects the points that the slope is fitted to, to leave out a rounding floor. `unit` is
    the word before the slope ("" for none).
    """
    ax = axes_or_new(ax)
    hs, errors = array_of(hs), array_of(errors)
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


def work_precision(nfe, errors, *, ax=None, label="", **line_style):
    """Draw error over cost, both logarithmic; the method whose line lies lower left is better."""
    ax = axes_or_new(ax)
    (line,) = ax.loglog(array_of(nfe), array_of(errors), marker="o", **line_style)
    ax.set_xlabel("evaluations of f (NFE)")
    ax.set_ylabel("error")
    if label:
        label_line(line, label)
    return ax


def step_rug(steps, *, ax=None, height=0.05):
    """Mark every attempted step under the axes: accepted ones as ticks, rejected ones in red below
    them.

    `steps` is what `Solution.steps` records: rows with fields or keys `t`, `h` and `accepted`. An
    accepted step is marked at its end t + h, a rejected one at the end it tried to reach.
    """
    ax = axes_or_new(ax)
    t, h, accepted = (
        np.array([float(_entry(step, name)) for step in steps]) for name in ("t", "h", "accepted")
    )
    ends, accepted = t + h, accepted.astype(bool)
    across = ax.get_xaxis_transform()  # x in data units, y in fractions of the axes
    ax.vlines(ends[accepted], 0, height, color=GRAY, linewidth=0.9, transform=across)
    ax.vlines(ends[~accepted], height, 2 * height, color=REJECTED, linewidth=1.2, transform=across)
    return ax


def _entry(step, name):
    return step[name] if isinstance(step, dict) else getattr(step, name)
