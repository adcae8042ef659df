"""Lesson 21: its figures. They are drawn from what the lesson computed, and return it."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from ...plotting import BLUE, figure


def errors_figure(steps: Sequence[int], errors: Sequence[float]) -> Figure:
    """TODO: the error over the number of steps, both logarithmic."""
    fig, ax = figure()
    ax.loglog(steps, errors, "o-", color=BLUE)
    ax.set(xlabel="steps", ylabel="error at t = 1")
    ax.minorticks_off()
    return fig
