"""Lesson 06: figures."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from torch import Tensor

from ...plotting import (
    BLUE,
    EXACT,
    GRAY,
    GREEN,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    Picture,
    exact_line,
    figure,
    label_line,
)
from .adjoint import Adjoint, adjoint_data
from .costs import Row
from .round_trip import RoundTrip, round_trip

COLORS = {
    "direct": BLUE,
    "adjoint": VERMILLION,
    "interpolated": ORANGE,
    "replay": SKY,
    "checkpoint": GREEN,
    "reversible": PURPLE,
}


def memory_figure(
    steps: Sequence[int],
    kept: Mapping[str, Sequence[int]],
    peak: Mapping[str, Sequence[int]] | None = None,
) -> Picture:
    """A figure: bytes over steps (n,), one line per mode, logarithmic.

    kept, peak: mode -> bytes (n,), after the forward pass, and the most at any time.
    """
    panels = {"kept for the backward pass (KB)": kept}
    if peak:
        panels["peak of both passes (KB)"] = peak
    size = (9.0, 3.4) if peak else (6.6, 3.4)
    fig, _ = figure(ncols=len(panels), size=size, sharey=True)
    for ax, (what, table) in zip(fig.axes, panels.items()):
        lines = {}
        for mode, values in table.items():
            (lines[mode],) = ax.loglog(steps, [v / 1024 for v in values], "o-", color=COLORS[mode])
        ax.set(xlabel="steps", ylabel=what, ylim=(1, 1e4), xlim=(steps[0] / 1.2, steps[-1] * 1.1))
        ax.set_xticks(steps, [str(n) for n in steps])
        ax.xaxis.set_minor_locator(NullLocator())
        ax.yaxis.set_minor_locator(NullLocator())
        ax.tick_params(labelleft=True)
        for mode, line in sorted(lines.items(), key=lambda pair: -table[pair[0]][-1]):
            label_line(line, mode)
    return fig


def draw_costs(fig: Figure, rows: Mapping[str, Row], chosen: str) -> None:
    """Bytes, evaluations and errors of every mode, one row each, the chosen one in color."""
    left, middle, right = fig.subplots(1, 3, sharey=True, width_ratios=[1, 1, 1.15])
    for i, (mode, row) in enumerate(rows.items()):
        color = COLORS[mode] if mode == chosen else GRAY
        style: dict[str, Any] = {"marker": "o", "color": color}
        style["alpha"] = 1.0 if mode == chosen else 0.45
        dot = {"markersize": 6, **style}
        ring = {"markersize": 10, "markerfacecolor": "none", **style}
        left.plot(row.price.kept / 1024, i, **dot)
        middle.plot(row.price.forward, i, **dot)
        if row.price.backward:
            middle.plot(row.price.backward, i, **ring)
        own, error = (min(max(value, 1e-17), 1e4) for value in (row.own_error, row.error))
        right.plot(own, i, **ring)
        right.plot(error, i, **dot)
    left.set_yticks(range(len(rows)), list(rows))
    left.set(xscale="log", xlim=(1, 4e3), xlabel="KB kept")
    left.set_xticks([1, 10, 100, 1000], ["1", "10", "100", "1000"])
    middle.set_xscale("log")
    middle.set_xticks([10, 100, 1000], ["10", "100", "1000"])
    middle.set(xlim=(7, 2e3), xlabel="evaluations: forward (dot),\nbackward (ring)")
    right.set(
        xscale="log",
        xlim=(1e-18, 1e5),
        xlabel="error: of the gradient (dot),\nagainst its own steps (ring)",
    )
    # Words are drawn quicker than powers.
    right.set_xticks([1e-16, 1e-12, 1e-8, 1e-4, 1], ["1e-16", "1e-12", "1e-8", "1e-4", "1"])
    left.set_ylim(len(rows) - 0.5, -0.5)
    for ax in (left, middle, right):
        ax.xaxis.set_minor_locator(NullLocator())
        ax.tick_params(axis="y", length=0)


def draw_adjoint(top: Axes, bottom: Axes, data: Adjoint, down_to: float = 0.0) -> None:
    """The solution with its data above, the adjoint with its jumps below.

    The adjoint is drawn from T down to the time `down_to`.
    """
    top.plot(data.t, data.x, color=BLUE)
    top.vlines(data.times, data.x_at, data.targets, color=GRAY, linewidth=1)
    top.plot(data.times, data.targets, "o", color=EXACT, markersize=5)
    top.set(ylabel="x, and data")
    color = _color_of(data)
    for t, a in data.pieces:
        bottom.plot(t[t >= down_to - 1e-9], a[t >= down_to - 1e-9], color=color)
    for jump in data.jumps:
        if jump.time >= down_to:
            bottom.plot(2 * [jump.time], jump[1:], ":", color=color, linewidth=1.4)
            bottom.plot(jump.time, jump.after, "o", color=color, markersize=4)
    for t, a in data.exact:
        exact_line(t, a, ax=bottom, label=None, zorder=3, linewidth=1.4)
    bottom.axhline(0, color=GRAY, linewidth=0.7)
    bottom.set(xlabel="t", ylabel="adjoint a")


def _color_of(data: Adjoint) -> str:
    return BLUE if data.adds else VERMILLION


def jumps_figure(good: Adjoint, bad: Adjoint) -> Picture:
    """A figure: solution and adjoint, by adding and by overwriting."""
    fig, axes = figure(nrows=2, ncols=2, size=(8.6, 4.2), sharex=True, sharey="row")
    for (top, bottom), data, title in zip(axes.T, (good, bad), ("add", "overwrite")):
        draw_adjoint(top, bottom, data)
        top.set_title(title, color=_color_of(data))
    for ax in axes[:, 1]:
        ax.set_ylabel("")
    return fig


def draw_round_trip(left: Axes, right: Axes, data: RoundTrip, down_to: float = 0.0) -> None:
    """y(t), exact and as it comes back, and the distance between the two.

    The way back is drawn from T down to the time `down_to`.
    """
    way = data.t >= down_to - 1e-9
    left.plot(data.t[way], data.back[way].clamp(-10, 10), color=VERMILLION)
    if abs(float(data.back[way][0])) < 2.4:
        left.plot(data.t[way][0], data.back[way][0], "o", color=VERMILLION, markersize=6)
    exact_line(data.t, data.exact, ax=left, label=None)
    left.set(xlim=(0, 2), ylim=(-2.4, 2.6), ylabel="y")
    left.set_xlabel("t  (the way back goes to the left)")
    left.text(0.05, -1.9, "y on the way back", color=VERMILLION)
    left.text(1.95, -2.3, "exact (dashed)", color=EXACT, ha="right")
    error = (data.back - data.exact).abs()
    right.semilogy(data.t[way], error[way].clamp(1e-17, 1e19), color=VERMILLION)
    right.plot(
        data.t[way][0], error[way][0].clamp(1e-16, 1e19), "o", color=VERMILLION, markersize=6
    )
    right.semilogy(data.t, data.growth.clamp(1e-17, 1e19), ":", color=GRAY)
    right.set(xlim=(0, 2), ylim=(1e-16, 1e20), xlabel="t", ylabel="error of y")
    # Words are drawn quicker than powers.
    right.set_yticks([1e-16, 1e-8, 1, 1e8, 1e16], ["1e-16", "1e-8", "1", "1e8", "1e16"])
    right.yaxis.set_minor_locator(NullLocator())
    words = "dotted: error at T, times exp(λ(T - t))"
    right.text(1.97, 1e18, words, color=GRAY, ha="right", fontsize=9.5)


def round_trip_figure(trips: Sequence[RoundTrip]) -> Picture:
    """A figure: y on the way back, and its error, one line per rate lambda (at most four).

    Each has an exact solution of its own, all of which are dashed.
    """
    fig, (left, right) = figure(ncols=2, size=(9.0, 3.4), width_ratios=(1, 1.25))
    lines = {}
    for data, color in zip(trips, (SKY, BLUE, ORANGE, VERMILLION)):
        left.plot(data.t, data.back.clamp(-9, 9), color=color)
        exact_line(data.t, data.exact, ax=left, label=None, zorder=3, linewidth=0.9)
        error = (data.back - data.exact).abs().clamp(min=1e-17)
        (lines[data.lam],) = right.semilogy(data.t.flip(0), error.flip(0), color=color)
    left.set(xlim=(2, 0), ylim=(-1, 3), ylabel="y on the way back")
    right.axhline(1, color=EXACT, linewidth=0.8, linestyle=(0, (5, 3)))
    right.set(ylabel="error of y", xlim=(2, 0), ylim=(1e-9, 1e12))
    right.set_yticks([1e-8, 1e-4, 1, 1e4, 1e8])
    right.yaxis.set_minor_locator(NullLocator())
    for ax in (left, right):
        ax.set(xlabel="t, from T = 2 back to 0", xticks=[2, 1.5, 1, 0.5, 0])
    for lam, line in lines.items():
        label_line(line, f"λ = {lam:g}")
    return fig


def product_figure(jacobian: Tensor, a: Tensor) -> Picture:
    """A figure: a row a (n,), the matrix (n, n) that it is multiplied by, and the product, a row.

    Blue is positive, red negative.
    """
    n = len(a)
    fig, axes = figure(ncols=3, size=(8.6, 3.0))
    shown = [a[None], jacobian, (a @ jacobian)[None]]
    titles = [f"a: {n} numbers", f"the Jacobian: {n} × {n} numbers", f"a times it: {n} numbers"]
    for ax, values, title in zip(axes, shown, titles):
        top = float(values.abs().max())
        ax.imshow(values.numpy(), cmap="RdBu", vmin=-1.2 * top, vmax=1.2 * top)
        ax.set_xlim(-0.5, n - 0.5)
        ax.set(xticks=[], yticks=[])
        ax.set_title(title)
    for ax, sign in zip(axes[1:], ("×", "=")):
        ax.text(-0.09, 0.5, sign, transform=ax.transAxes, ha="center", va="center", fontsize=18)
    return fig


def tolerance_figure(
    tols: Sequence[float], errors: Mapping[str, Mapping[str, Sequence[float]]]
) -> Picture:
    """A figure: errors of gradients over tolerances (n,).

    errors: title of a panel -> mode -> errors (n,).
    """
    fig, axes = figure(ncols=len(errors), size=(9.0, 3.5), sharey=True)
    for ax, (title, table) in zip(axes, errors.items()):
        lines = {}
        for mode, values in table.items():
            (lines[mode],) = ax.loglog(tols, values, "o-", color=COLORS[mode])
        exact_line([1e-8, 1e-2], [1e-8, 1e-2], ax=ax, label=None, color=GRAY)
        ax.invert_xaxis()
        ax.set(xlabel="rtol (smaller to the right)", xlim=(2e-2, 7e-9), ylim=(1e-10, 10))
        ax.set_title(title)
        ax.set_xticks([1e-2, 1e-4, 1e-6, 1e-8])
        ax.xaxis.set_minor_locator(NullLocator())
        ax.yaxis.set_minor_locator(NullLocator())
        for mode, line in sorted(lines.items(), key=lambda pair: -table[pair[0]][-1]):
            label_line(line, mode, gap=1.3)
    axes[0].text(2e-5, 3e-7, "error = rtol", color=GRAY, ha="right", fontsize=9.5)
    axes[0].set_ylabel("relative error of the gradient")
    return fig


def ratio_figure(tols: Sequence[float], ratios: Mapping[str, Sequence[float]]) -> Picture:
    """A figure: evaluations backward / forward over tolerances (n,), and the paper's half.

    ratios: name of a problem -> ratios (n,).
    """
    fig, ax = figure(size=(7.2, 3.3))
    lines = {}
    for (name, values), color in zip(ratios.items(), (BLUE, SKY, VERMILLION, ORANGE)):
        (lines[name],) = ax.semilogx(tols, values, "o-", color=color)
    ax.invert_xaxis()
    ax.set(
        xlabel="rtol (smaller to the right)",
        ylabel="NFE backward / forward",
        xlim=(2e-3, 7e-10),
        ylim=(0, 2.6),
    )
    ax.set_xticks(tols[::2])
    ax.xaxis.set_minor_locator(NullLocator())
    (half,) = ax.plot(
        [2e-3, tols[-1]], [0.5, 0.5], color=EXACT, linestyle=(0, (5, 3)), linewidth=1.2
    )
    ax.axhline(1, color=GRAY, linewidth=0.7)
    for name, line in lines.items():
        label_line(line, name)
    label_line(half, "paper: half")
    return fig


_STEPS = (8, 32, 128)
_TOLS = [10.0**-k for k in range(2, 9)]
_KEPT = {mode: [2048 * n * (i + 1) for n in _STEPS] for i, mode in enumerate(COLORS)}
_ERRORS = {
    "direct": _TOLS,
    "adjoint": [3 * tol for tol in _TOLS],
    "interpolated": [0.9 * tol for tol in _TOLS],
}


def _matrix(n: int) -> Tensor:
    return torch.sin(torch.arange(float(n * n))).reshape(n, n)


# A picture of each kind, for the test that all of them can be read.
EXAMPLES: dict[str, Callable[[], Picture]] = {
    "memory_figure, one mode": lambda: memory_figure(_STEPS, {"direct": _KEPT["direct"]}),
    "memory_figure, all modes": lambda: memory_figure(_STEPS, _KEPT, _KEPT),
    "jumps_figure": lambda: jumps_figure(
        adjoint_data(-0.5, [0.6, 1.3, 2.0]), adjoint_data(-0.5, [0.6, 1.3, 2.0], adds=False)
    ),
    "round_trip_figure": lambda: round_trip_figure([round_trip(lam) for lam in (5, 10, 15, 20)]),
    "product_figure": lambda: product_figure(_matrix(16), torch.ones(16)),
    "tolerance_figure": lambda: tolerance_figure(_TOLS, {"leak 0": _ERRORS, "leak 2": _ERRORS}),
    "ratio_figure": lambda: ratio_figure(
        _TOLS[1:], {"a": [2.0] * 6, "b": [1.1] * 6, "network, batch 20": [1.6] * 6, "c": [2.1] * 6}
    ),
}
