"""Lesson 05: figures."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm
from matplotlib.figure import Figure
from torch import Tensor, nn

from ... import odeint
from ...course.live import draw_loss
from ...data import exact_spiral, spiral
from ...plotting import (
    BLUE,
    EXACT,
    GRAY,
    ORANGE,
    VERMILLION,
    Picture,
    exact_line,
    figure,
    mesh,
    vector_field,
)
from ...training import History
from .observations import BOX, END, NOISE, TIMES, Field, observations, smoothed, truth

LONG = torch.linspace(0, 2 * END, 481, dtype=torch.float64)  # the observations' time, twice
LEVELS = [0, 2, 5, 10, 20, 40, 80, 160]  # of errors, in percent
SLOWEST = 0.2  # errors of a field are relative to its length, or to this where it is shorter


def forecast_figure(
    t: Tensor, y: Tensor, curves: Mapping[str, tuple[Tensor, Tensor]] | None = None
) -> Picture:
    """A figure: observations in the plane and over time, and up to two curves up to t = 24.

    t, y: times (n,) and states (n, 2); curves: name -> times (T,) and states (T, 2).
    """
    fig, (left, right) = figure(ncols=2, size=(8.6, 3.5), width_ratios=(1, 1.5))
    dots = {"color": ORANGE, "markersize": 5, "zorder": 2.5}
    left.plot(*y.T, ".", **dots)
    right.plot(t, y[:, 0], ".", **dots)
    right.axvspan(END, 2 * END, color="#ECECEC", zorder=0)
    right.text(1.5 * END, -2.35, "no observations", color=GRAY, ha="center")
    for (name, (times, path)), color, side in zip(
        (curves or {}).items(), (BLUE, VERMILLION), ("left", "right")
    ):
        width = 1.6 if color == BLUE else 1.1
        left.plot(*path.detach().T.clamp(-4, 4), color=color, linewidth=width)
        right.plot(times, path.detach()[:, 0].clamp(-4, 4), color=color, linewidth=width)
        place = float(side == "right")
        right.text(place, 1.02, name, color=color, ha=side, transform=right.transAxes)
    if curves:
        exact_line(*truth(LONG)[:241].T, ax=left, label=None)
        exact_line(LONG, truth(LONG)[:, 0], ax=right, label=None)
    left.set(xlim=BOX, ylim=BOX, xlabel="y₁", ylabel="y₂", aspect="equal")
    _over_time(right)
    return fig


def _over_time(ax: Axes) -> None:
    """The limits and labels of y₁ over a time twice as long as that of the observations."""
    ax.set(xlim=(0, 2 * END), ylim=(-2.6, 2.6), xlabel="t", ylabel="y₁", xticks=range(0, 25, 4))


def slopes_figure(t: Tensor, y: Tensor, path: Tensor) -> Picture:
    """A figure: errors of slopes over the gaps between observations; the path of a field.

    On the left slopes from differences, and those of smoothing splines. t, y: times (n,) and states
    (n, 2) of the observations; path: states (T, 2) up to t = 24 of a field learned from the latter.
    """
    gaps = t.diff()
    slopes = y.diff(dim=0) / gaps[:, None]
    middles = (t[1:] + t[:-1]) / 2
    errors = (slopes - spiral(0.0, truth(middles))).norm(dim=1)
    smooth = (smoothed(t, y, middles)[1] - spiral(0.0, truth(middles))).norm(dim=1)
    fig, (left, right) = figure(ncols=2, size=(8.6, 3.4), width_ratios=(1, 1.2))
    left.loglog(gaps, errors, "o", color=VERMILLION, markersize=4)
    left.loglog(gaps, smooth, ".", color=BLUE, markersize=4)
    line = torch.tensor([3e-3, 1.0])
    left.loglog(line, 2 * NOISE / line, color=GRAY, linewidth=1)
    left.text(0.03, 50, "noise alone: 2σ / gap", color=GRAY)
    left.text(0.1, 10, "differences", color=VERMILLION)
    left.text(0.0034, 0.06, "smoothing splines", color=BLUE)
    left.axhline(2.0, color=EXACT, linewidth=0.8)
    left.text(0.0035, 1.7, "speed on the circle", color=EXACT, va="top")
    left.set(
        xlabel="gap between two observations",
        ylabel="error of the slope",
        xlim=(3e-3, 1.1),
        ylim=(0.05, 200),
    )
    left.minorticks_off()
    fine = torch.linspace(0, 2 * END, len(path), dtype=torch.float64)
    right.plot(t, y[:, 0], ".", color=ORANGE, markersize=5)
    right.plot(fine, path.detach()[:, 0].clamp(-4, 4), color=BLUE, linewidth=1.4)
    right.text(0, 1.02, "learned from the splines' slopes", color=BLUE, transform=right.transAxes)
    exact_line(fine, truth(fine)[:, 0], ax=right, label=None)
    _over_time(right)
    return fig


def draw_training(fig: Figure, field: nn.Module, history: History, t: Tensor, y: Tensor) -> None:
    """What a live picture shows: the field so far, with the observations; the loss."""
    left, right = fig.subplots(1, 2, width_ratios=(1, 1.4))
    points = torch.as_tensor(mesh(BOX, BOX, 15))
    vector_field(None, ax=left, xlim=BOX, ylim=BOX, n=15, values=field(0.0, points), color=BLUE)
    left.plot(*y.T, ".", color=ORANGE, markersize=5)
    left.set(aspect="equal", xlabel="y₁", ylabel="y₂")
    draw_loss(fig, field, history, ax=right)
    right.set_ylim(0.005, 3)


def length_figure(lengths: Sequence[int], errors: Sequence[Sequence[float]]) -> Picture:
    """A figure: the error of the forecast over the number of observations in a window.

    errors: for each seed a list over lengths.
    """
    fig, ax = figure(size=(6.6, 3.1))
    for seed in errors:
        ax.loglog(lengths, seed, "o-", color=BLUE, linewidth=1.1, alpha=0.7)
        ax.plot(lengths[-1], seed[-1], "o", color=VERMILLION, markersize=7)
    top = 1.35 * max(map(max, errors))
    ax.text(lengths[-1], top, "stuck", color=VERMILLION, ha="center")
    ax.text(lengths[0], top, "noisy starts", color=BLUE, ha="left")
    ax.set(
        xlabel="observations per window",
        ylabel="error, 12 < t < 24",
        ylim=(0.03, 4),
        xlim=(1.7, 75),
    )
    ax.set_xticks(lengths, lengths)
    ax.set_yticks([0.1, 1], ["0.1", "1"])
    ax.minorticks_off()
    return fig


def disagreement(fields: Sequence[Field], points: Tensor) -> Tensor:
    """The spread (N,) of several fields at points (N, 2), relative to their mean's length."""
    values = torch.stack([field(0.0, points).detach() for field in fields])
    mean = values.mean(0)
    spread = (values - mean).square().sum(2).mean(0).sqrt()
    return spread / mean.norm(dim=1).clamp(min=SLOWEST)


def relative_error(field: Field, points: Tensor) -> Tensor:
    """The error (N,) of a field at points (N, 2), relative to the true field's length."""
    true = spiral(0.0, points)
    return (field(0.0, points).detach() - true).norm(dim=1) / true.norm(dim=1).clamp(min=SLOWEST)


class Trust(NamedTuple):
    """The first field's error on the spiral (mean) and in the corners (least); the spread there.

    The spread of all fields in the corners is the largest; so is the length of theirs there,
    relative to the true field's.
    """

    error_on_the_data: float
    error_in_the_corners: float
    spread_in_the_corners: float
    length_in_the_corners: float


def trust(fields: Sequence[Field]) -> Trust:
    """How far the spread of fields can be trusted, with data and without."""
    corners = torch.cartesian_prod(*2 * [torch.tensor([-2.4, 2.4], dtype=torch.float64)])
    true = spiral(0.0, corners)
    return Trust(
        float(relative_error(fields[0], truth(TIMES)).mean()),
        float(relative_error(fields[0], corners).min()),
        float(disagreement(fields, corners).max()),
        max(float((f(0.0, corners).detach().norm(dim=1) / true.norm(dim=1)).max()) for f in fields),
    )


def trust_figure(fields: Sequence[Field], y: Tensor, n: int = 51) -> Picture:
    """A figure: where fields disagree, and where the first is wrong; its paths from odd starts.

    y: the observed states (60, 2); n: points per side of the plane.
    """
    points = torch.as_tensor(mesh(BOX, BOX, n))
    norm = BoundaryNorm(LEVELS, 256)
    fig, axes = figure(ncols=2, size=(8.6, 4.0))
    for ax, values in zip(axes, (disagreement(fields, points), relative_error(fields[0], points))):
        shown = 100 * values.reshape(n, n).clamp(max=1.59)
        grid = points.T.reshape(2, n, n)
        colors = ax.contourf(*grid, shown, levels=LEVELS, cmap="Purples", norm=norm)
        ax.plot(*y.T, ".", color=ORANGE, markersize=5)
        ax.set(xlim=BOX, ylim=BOX, xlabel="y₁", aspect="equal")
    starts = torch.tensor([[0.5, 0.0], [-2.2, 2.2]], dtype=torch.float64)
    t = torch.linspace(0, 6, 121, dtype=torch.float64)
    learned = odeint(fields[0], starts, t).detach()
    exact = exact_spiral(t, starts)
    for i in range(len(starts)):
        axes[1].plot(*learned[:, i].T, color=BLUE, linewidth=1.6)
        axes[1].plot(*starts[i], "o", color=BLUE)
        exact_line(*exact[:, i].T, ax=axes[1], label=None)
    axes[0].set(ylabel="y₂", title="spread of three learned fields")
    axes[1].set_title("error of the first of them")
    fig.colorbar(colors, ax=axes, ticks=LEVELS, format="%d %%", fraction=0.04)
    return fig


def demo_figure(
    true: Tensor, learned: Tensor, constant: Sequence[float], falling: Sequence[float]
) -> Picture:
    """A figure: the demo's spiral (T, 2), true and learned; the path's error every 100 steps.

    constant: the errors at a constant rate. falling: those of a branch with a falling rate, at the
    last steps.
    """
    fig, (left, right) = figure(ncols=2, size=(8.6, 3.5), width_ratios=(1, 1.3))
    left.plot(*learned.T, color=BLUE, linewidth=1.3)
    exact_line(*true.T, ax=left, label=None)
    left.set(xlim=(-2.3, 2.3), ylim=(-2.3, 2.3), xlabel="y₁", ylabel="y₂", aspect="equal")
    steps = [100 * (i + 1) for i in range(len(constant))]
    split = len(constant) - len(falling)
    right.semilogy(steps, constant, "o-", color=VERMILLION)
    right.semilogy(steps[split - 1 :], [constant[split - 1], *falling], "o-", color=BLUE)
    right.text(100, 2, "constant rate", color=VERMILLION)
    right.text(steps[-1], 0.06, "falling rate", color=BLUE, ha="right")
    right.set(xlabel="step", ylabel="mean absolute error", xlim=(50, 1050), ylim=(0.05, 4))
    right.set_yticks([0.1, 1], ["0.1", "1"])
    right.minorticks_off()
    return fig


_SHORT = torch.linspace(0, 2 * END, 121, dtype=torch.float64)
_PATH = truth(_SHORT) + 0.1
_CONSTANT = [0.5, 0.4, 0.3, 0.5, 0.6, 0.4, 0.7, 0.4, 0.5, 0.6]


def _both(*names: str) -> dict[str, tuple[Tensor, Tensor]]:
    return dict.fromkeys(names, (_SHORT, _PATH))


def _scaled(factor: float) -> Field:
    return lambda t, y: factor * spiral(t, y)


# A picture of each kind, for the test that all of them can be read.
EXAMPLES: dict[str, Callable[[], Picture]] = {
    "forecast_figure, data": lambda: forecast_figure(*observations()),
    "forecast_figure, two curves": lambda: forecast_figure(
        *observations(), _both("one curve of some length", "and another of this length")
    ),
    "slopes_figure": lambda: slopes_figure(*observations(), _PATH),
    "length_figure": lambda: length_figure(
        (2, 6, 16, 60), [[1.0, 0.5, 0.1, 1.0], [0.7, 0.4, 0.2, 1.1]]
    ),
    "trust_figure": lambda: trust_figure(
        [_scaled(0.9), _scaled(1.0), _scaled(1.2)], observations()[1], n=11
    ),
    "demo_figure": lambda: demo_figure(_PATH, _PATH, _CONSTANT, [0.4, 0.2, 0.2, 0.1]),
}
