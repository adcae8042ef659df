"""Lesson 06: figures."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

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
    room_for_labels,
)
from .adjoint import Adjoint, Reverse
from .costs import Row

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
        ax.set(xlabel="steps", ylabel=what, ylim=(1, 1e4), xlim=(steps[0] / 1.2, steps[-1] * 1.2))
        ax.set_xticks(steps, [str(n) for n in steps])
        ax.xaxis.set_minor_locator(NullLocator())
        ax.yaxis.set_minor_locator(NullLocator())
        ax.tick_params(labelleft=True)
        room_for_labels(ax, 0.38)
        for mode, line in sorted(lines.items(), key=lambda pair: -table[pair[0]][-1]):
            label_line(line, mode)
    return fig


def draw_costs(fig: Figure, rows: Mapping[str, Row], chosen: str) -> None:
    """Bytes, evaluations and errors of every mode, one row each, the chosen one in color."""
    left, middle, right = fig.subplots(1, 3, sharey=True, width_ratios=[1, 1, 1.15])
    for i, (mode, row) in enumerate(rows.items()):
        color = COLORS[mode] if mode == chosen else GRAY
        alpha = 1.0 if mode == chosen else 0.45
        style = {"color": color, "alpha": alpha}
        left.barh(i, row.price.kept / 1024, 0.6, left=0.1, **style)
        middle.barh(i - 0.17, row.price.forward, 0.26, left=1, **style)
        if row.price.backward:
            hatched = {**style, "hatch": "////", "edgecolor": "w"}
            middle.barh(i + 0.17, row.price.backward, 0.26, left=1, **hatched)
        own, error = (min(max(value, 1e-17), 1e4) for value in (row.own_error, row.error))
        right.plot(own, i, "o", markerfacecolor="none", markersize=8, **style)
        right.plot(error, i, "o", markersize=6, **style)
    left.set_yticks(range(len(rows)), list(rows))
    left.set(xscale="log", xlim=(1, 4e3), xlabel="KB kept")
    left.set_xticks([1, 10, 100, 1000], ["1", "10", "100", "1000"])
    middle.set_xscale("log")
    middle.set_xticks([10, 100, 1000], ["10", "100", "1000"])
    middle.set(xlim=(8, 2e3), xlabel="evaluations: forward,\nbackward (hatched)")
    right.set(
        xscale="log",
        xlim=(1e-18, 1e5),
        xlabel="error: of the gradient (dot),\nagainst its own steps (ring)",
    )
    # Words are drawn quicker than powers.
    right.set_xticks([1e-16, 1e-12, 1e-8, 1e-4, 1], ["1e-16", "1e-12", "1e-8", "1e-4", "1"])
    left.invert_yaxis()
    for ax in (left, middle, right):
        ax.grid(axis="y", visible=False)
        ax.xaxis.set_minor_locator(NullLocator())
        ax.tick_params(axis="y", length=0)


def draw_adjoint(top: Axes, bottom: Axes, data: Adjoint) -> None:
    """The solution with its data above, the adjoint with its jumps below."""
    top.plot(data.t, data.x, color=BLUE)
    top.vlines(data.times, data.x_at, data.targets, color=GRAY, linewidth=1)
    top.plot(data.times, data.targets, "o", color=EXACT, markersize=5)
    top.set(ylabel="x, and data")
    color = _color_of(data)
    for t, a in data.pieces:
        bottom.plot(t, a, color=color)
    for jump in data.jumps:
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


def draw_reverse(left: Axes, right: Axes, data: Reverse) -> None:
    """x(t), exact and as it comes back, and the distance between the two."""
    exact_line(data.t, data.exact, ax=left, label=None)
    left.plot(data.t, data.back.clamp(-10, 10), color=VERMILLION)
    left.set(xlim=(0, 2), ylim=(-0.35, 1.6), ylabel="x")
    left.set_xlabel("t  (the way back goes to the left)")
    left.text(0.05, -0.25, "x on the way back", color=VERMILLION)
    left.text(1.95, -0.25, "exact (dashed)", color=EXACT, ha="right")
    error = (data.back - data.exact).abs()
    right.semilogy(data.t, error.clamp(1e-17, 1e17), color=VERMILLION)
    right.semilogy(data.t, data.growth.clamp(1e-17, 1e17), ":", color=GRAY)
    right.set(xlim=(0, 2), ylim=(1e-16, 1e17), xlabel="t", ylabel="error of x")
    # Words are drawn quicker than powers.
    right.set_yticks([1e-16, 1e-8, 1, 1e8, 1e16], ["1e-16", "1e-8", "1", "1e8", "1e16"])
    right.yaxis.set_minor_locator(NullLocator())
    words = "dotted: error at T, times exp(λ(T - t))"
    right.text(1.97, 1e15, words, color=GRAY, ha="right", fontsize=9.5)


def reverse_figure(data_of: Mapping[float, Reverse]) -> Picture:
    """A figure: errors of x on the way back, one line per rate lambda."""
    fig, ax = figure(size=(7.2, 3.4))
    lines = {}
    for (lam, data), color in zip(data_of.items(), (SKY, BLUE, ORANGE, VERMILLION)):
        error = (data.back - data.exact).abs().clamp(min=1e-17)
        (lines[lam],) = ax.semilogy(data.t.flip(0), error.flip(0), color=color)
    ax.axhline(1, color=EXACT, linewidth=0.8, linestyle=(0, (5, 3)))
    ax.set(
        xlabel="t, from T = 2 back to 0", ylabel="error of x", xlim=(2, -0.35), ylim=(1e-12, 1e10)
    )
    ax.set_yticks([1e-12, 1e-8, 1e-4, 1, 1e4, 1e8])
    ax.set_xticks([2, 1.5, 1, 0.5, 0])
    ax.yaxis.set_minor_locator(NullLocator())
    for lam, line in lines.items():
        label_line(line, f"λ = {lam:g}")
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
        ax.set(xlabel="rtol (smaller to the right)", xlim=(2e-2, 1e-12), ylim=(1e-10, 10))
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
    for (name, values), color in zip(ratios.items(), (BLUE, SKY, VERMILLION)):
        (lines[name],) = ax.semilogx(tols, values, "o-", color=color)
    ax.invert_xaxis()
    ax.set(
        xlabel="rtol (smaller to the right)",
        ylabel="NFE backward / forward",
        xlim=(2e-3, 1e-11),
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
