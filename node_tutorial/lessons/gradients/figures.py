"""Lesson 06: figures."""

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
    exact_line,
    figure,
    label_line,
    room_for_labels,
)

COLORS = {
    "direct": BLUE,
    "adjoint": VERMILLION,
    "interpolated": ORANGE,
    "replay": SKY,
    "checkpoint": GREEN,
    "reversible": PURPLE,
}


def memory_figure(steps, kept, peak=None):
    """A figure: bytes over steps (n,), one line per mode, logarithmic.

    kept, peak: from the name of a mode to its bytes (n,): after the forward pass, and the most at
    any time.
    """
    panels = [("kept for the backward pass (KB)", kept), ("peak of both passes (KB)", peak)]
    panels = [panel for panel in panels if panel[1]]
    fig, axes = figure(ncols=len(panels), size=(6.6 if len(panels) == 1 else 9.0, 3.4), sharey=True)
    for ax, (what, table) in zip([axes] if len(panels) == 1 else axes, panels):
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


def draw_costs(fig, rows, chosen):
    """Bytes, evaluations and errors of every mode, one row each, the chosen one in color."""
    names = list(rows)
    left, middle, right = fig.subplots(1, 3, sharey=True, width_ratios=[1, 1, 1.15])
    for i, name in enumerate(names):
        row, picked = rows[name], name == chosen
        color, alpha = (COLORS[name], 1.0) if picked else (GRAY, 0.45)
        left.barh(i, row["kept"] / 1024, 0.6, left=0.1, color=color, alpha=alpha)
        middle.barh(i - 0.17, row["forward"], 0.26, left=1, color=color, alpha=alpha)
        if row["backward"]:
            middle.barh(
                i + 0.17,
                row["backward"],
                0.26,
                left=1,
                color=color,
                alpha=alpha,
                hatch="////",
                edgecolor="w",
            )
        own, error = (min(max(row[key], 1e-17), 1e4) for key in ("own_error", "error"))
        right.plot(own, i, "o", color=color, markerfacecolor="none", markersize=8, alpha=alpha)
        right.plot(error, i, "o", color=color, markersize=6, alpha=alpha)
    left.set_yticks(range(len(names)), names)
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
    right.set_xticks(
        [1e-16, 1e-12, 1e-8, 1e-4, 1], ["1e-16", "1e-12", "1e-8", "1e-4", "1"]
    )  # quicker than powers
    left.invert_yaxis()
    for ax in (left, middle, right):
        ax.grid(axis="y", visible=False)
        ax.xaxis.set_minor_locator(NullLocator())
        ax.tick_params(axis="y", length=0)


def draw_adjoint(axes, data):
    """The solution with its data above, the adjoint with its jumps below."""
    top, bottom = axes
    t, observed = data["t"], data["times"]
    top.plot(t, data["x"], color=BLUE)
    top.vlines(observed, data["x_at"], data["targets"], color=GRAY, linewidth=1)
    top.plot(observed, data["targets"], "o", color=EXACT, markersize=5)
    top.set(ylabel="x, and data")
    color = BLUE if data["adds"] else VERMILLION
    for piece_t, piece_a in data["pieces"]:
        bottom.plot(piece_t, piece_a, color=color)
    for time, before, after in data["jumps"]:
        bottom.plot([time, time], [before, after], ":", color=color, linewidth=1.4)
        bottom.plot(time, after, "o", color=color, markersize=4)
    for piece_t, piece_a in data["exact"]:
        exact_line(piece_t, piece_a, ax=bottom, label=None, zorder=3, linewidth=1.4)
    bottom.axhline(0, color=GRAY, linewidth=0.7)
    bottom.set(xlabel="t", ylabel="adjoint a")


def jumps_figure(good, bad):
    """A figure: solution and adjoint, by adding and by overwriting; `draw_adjoint`'s data for both."""
    fig, axes = figure(nrows=2, ncols=2, size=(8.6, 4.2), sharex=True, sharey="row")
    for column, (data, title) in enumerate(((good, "add"), (bad, "overwrite"))):
        draw_adjoint(axes[:, column], data)
        axes[0, column].set_title(title, color=BLUE if data["adds"] else VERMILLION)
    for ax in axes[:, 1]:
        ax.set_ylabel("")
    return fig


def draw_reverse(axes, data):
    """x(t), exact and as it comes back, and the distance between the two."""
    left, right = axes
    exact_line(data["t"], data["exact"], ax=left, label=None)
    left.plot(data["t"], data["back"].clamp(-10, 10), color=VERMILLION)
    left.set(
        xlim=(0, 2), ylim=(-0.35, 1.6), xlabel="t  (the way back goes to the left)", ylabel="x"
    )
    left.text(0.05, -0.25, "x on the way back", color=VERMILLION)
    left.text(1.95, -0.25, "exact (dashed)", color=EXACT, ha="right")
    error = (data["back"] - data["exact"]).abs().clamp(1e-17, 1e17)
    right.semilogy(data["t"], error, color=VERMILLION)
    right.semilogy(data["t"], data["growth"].clamp(1e-17, 1e17), ":", color=GRAY)
    right.set(xlim=(0, 2), ylim=(1e-16, 1e17), xlabel="t", ylabel="error of x")
    right.set_yticks(
        [1e-16, 1e-8, 1, 1e8, 1e16], ["1e-16", "1e-8", "1", "1e8", "1e16"]
    )  # quicker than powers
    right.yaxis.set_minor_locator(NullLocator())
    right.text(
        1.97, 1e15, "dotted: error at T, times exp(λ(T - t))", color=GRAY, ha="right", fontsize=9.5
    )


def reverse_figure(data_of):
    """A figure: errors of x on the way back, one line per rate; `data_of` maps lambda to
    `draw_reverse`'s data.
    """
    fig, ax = figure(size=(7.2, 3.4))
    lines = {}
    for (lam, data), color in zip(data_of.items(), (SKY, BLUE, ORANGE, VERMILLION)):
        error = (data["back"] - data["exact"]).abs().clamp(min=1e-17)
        (lines[lam],) = ax.semilogy(data["t"].flip(0), error.flip(0), color=color)
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


def tolerance_figure(tols, errors):
    """A figure: error of the gradient over tolerance (n,). `errors`: panel's title -> mode ->
    errors (n,).
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


def ratio_figure(tols, ratios):
    """A figure: evaluations backward / forward over tolerance (n,), one line per problem, and the
    paper's half.
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
