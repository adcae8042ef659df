"""Lesson 12: figures."""

import statistics

import torch
from matplotlib.ticker import NullLocator

from ...plotting import (
    BLUE,
    EXACT,
    GRAY,
    GREEN,
    ORANGE,
    PURPLE,
    VERMILLION,
    exact_line,
    figure,
    label_line,
)

COLORS = {"RNN": VERMILLION, "latent ODE": BLUE, "ODE-RNN": GREEN}
REACH = 5.9  # of the plane that is shown


def plane(ax):
    """Make axes a piece of the plane that holds every spiral."""
    ax.set(
        xlim=(-REACH, REACH),
        ylim=(-REACH, REACH),
        aspect="equal",
        xticks=(-4, 0, 4),
        yticks=(-4, 0, 4),
    )


def spirals_figure(data, rows, paths=None, beyond=True):
    """A figure: in the plane, what is observed of some spirals, the truth, and what is predicted.

    data: `Data`; rows: which series; paths: None, or name -> predictions (B, S, 2); beyond: show
    the truth there.
    """
    fig, axes = figure(ncols=len(rows), size=(9.4, 2.75 if paths else 2.55))
    points = len(data.spirals.t)
    for ax, row in zip(axes, rows):
        clean, seen = data.spirals.clean[row], data.batch.x[row][data.batch.mask[row, :, 0]]
        plane(ax)
        if beyond:
            exact_line(*clean.T, ax=ax, label=None)
        ax.plot(*seen.T, ".", color=ORANGE, markersize=5)
        errors = []
        for name, x in (paths or {}).items():
            x = x[row]
            ax.plot(*x.T.clamp(-REACH, REACH), color=COLORS[name], linewidth=1.8)
            error = (x[-(len(clean) - points) :] - clean[points:]).square().mean().sqrt()
            errors.append(f"{name}: off by {error:.2f}")
        if errors:
            ax.set_title(
                "\n".join(errors), fontsize=10, color=COLORS[name] if len(errors) == 1 else EXACT
            )
    return fig


def clocks_figure(t, mask):
    """A figure: the times of some series, each a line; t (B, T), mask (B, T, D)."""
    fig, ax = figure(size=(7.4, 2.1))
    for i, (times, seen) in enumerate(zip(t, mask[..., 0])):
        ax.plot(
            times[seen],
            torch.full_like(times[seen], i),
            "|",
            color=ORANGE,
            markersize=13,
            markeredgewidth=1.6,
        )
    ax.set(xlabel="t", yticks=range(len(t)), ylim=(-0.7, len(t) - 0.3))
    ax.set_yticklabels([f"series {i}" for i in range(len(t))])
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    return fig


def errors_figure(errors):
    """A figure: which share of the spirals is continued with at most what error. errors: name ->
    (B,).
    """
    fig, ax = figure(size=(7.4, 3.1))
    for name, each in errors.items():
        each = each.sort().values
        share = torch.arange(1, len(each) + 1) / len(each)
        (line,) = ax.plot(each, 100 * share, color=COLORS.get(name, GRAY), drawstyle="steps-post")
        middle = len(each) // 2
        ax.plot(each[middle], 50, "o", color=line.get_color())
        label_line((float(each[middle]), 50), name, ax=ax, color=line.get_color(), dx=8, dy=-8)
    ax.set(
        xscale="log",
        xlim=(0.05, 12),
        ylim=(0, 101),
        xlabel="error of a spiral's continuation (root mean square)",
    )
    ax.set_xticks([0.1, 0.3, 1, 3, 10], ["0.1", "0.3", "1", "3", "10"])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_ylabel("% of the spirals")
    return fig


def bands_figure(counts, width, covered):
    """A figure: mean half width of the band, and the share of the truth in it, over the number of
    observations.

    width, covered: {"between": (n,), "beyond": (n,)}.
    """
    fig, axes = figure(ncols=2, size=(9.4, 3.0))
    places = {"between": ("observed time", BLUE), "beyond": ("beyond", PURPLE)}
    for ax, values, scale in zip(axes, (width, covered), (1, 100)):
        lines = [
            ax.plot(counts, [scale * v for v in values[key]], "o-", color=c)[0]
            for key, (_, c) in places.items()
        ]
        ax.set(
            xlabel="observations", ylim=(0, 105 if scale == 100 else 1.15 * max(width["beyond"]))
        )
        ax.set_xlim(0, 1.62 * counts[-1])
        ax.set_xticks(counts[1:])
        for line, (name, _) in zip(lines, places.values()):
            label_line(line, name)
    exact_line([0, 1.05 * counts[-1]], [90, 90], ax=axes[1], label="promised: 90 %")
    axes[0].set_ylabel("mean half width of the band")
    axes[1].set_ylabel("% of the truth in the band")
    return fig


def between_figure(clean, seen, series, after):
    """A figure: what recurrent nets predict at every time, from what they have read until then.

    clean: times (S,) and the truth (S,); seen: times (n,) and values (n,); series: name ->
    predictions (S,); after: the last time that is observed.
    """
    fig, axes = figure(nrows=1, ncols=len(series), size=(9.2, 3.1), sharey=True)
    for ax, (name, x) in zip(axes, series.items()):
        exact_line(*clean, ax=ax, label=None)
        ax.plot(clean[0], x, color=COLORS[name], linewidth=1.6)
        ax.plot(*seen, ".", color=ORANGE, markersize=8)
        ax.axvline(after, color=GRAY, linewidth=0.8)
        ax.set(xlabel="t", ylim=(-4.5, 4.5), xlim=(0, float(clean[0][-1])))
        ax.set_title(name, color=COLORS[name])
    axes[0].set_ylabel("x₁")
    return fig


def table_figure(found, counts, paper):
    """A figure: errors beyond the observations, a dot for each seed; beside them the paper's
    numbers.

    found: found(name, count, "beyond") -> a list over the seeds; paper: name -> (n,), one for each
    of counts.
    """
    fig, (left, right) = figure(ncols=2, size=(9.0, 3.3), width_ratios=(2, 1))
    for (name, color), shift in zip(COLORS.items(), (-0.12, 0.12, 0)):
        middle = []
        for i, count in enumerate(counts):
            row = found(name, count, "beyond")
            left.plot([i + shift] * len(row), row, "o", color=color, markersize=5)
            middle.append((i + shift, statistics.median(row)) if row else (i + shift, float("nan")))
        left.plot(*zip(*middle), color=color, alpha=0.5)
        label_line(
            middle[0],
            name,
            ax=left,
            color=color,
            dx=-9,
            dy=-14 if name == "latent ODE" else 0,
            ha="right",
        )
    for name, row in paper.items():
        right.plot(range(len(counts)), row, "o-", color=COLORS[name])
        right.text(0.05, row[0] + 0.015, name, color=COLORS[name], va="bottom")
    for ax, title in (
        (left, "here: a dot for each seed, lines through the medians"),
        (right, "Chen et al., Table 2"),
    ):
        ax.set_xticks(range(len(counts)), [str(n) for n in counts])
        ax.set(xlabel="observed, of 100 points")
        ax.set_title(title)
    left.set(xlim=(-0.85, 2.3), ylim=(0, 2.4), ylabel="error on 100 points beyond")
    right.set(xlim=(-0.3, 2.5), ylim=(0, 0.5))
    return fig


def events_figure(sequences, times, true, learned=None):
    """A figure: events of some sequences as ticks, and their rate: the true one (S,) at times (S,),
    the learned one.
    """
    fig, (upper, lower) = figure(nrows=2, size=(7.6, 3.7), sharex=True, height_ratios=(1, 2))
    for i, events in enumerate(sequences):
        upper.plot(
            events, torch.full_like(events, i), "|", color=ORANGE, markersize=6, markeredgewidth=1.4
        )
    upper.set(yticks=[], ylabel="events", ylim=(-1, len(sequences)))
    upper.grid(visible=False)
    exact_line(times, true, ax=lower, label=None)
    lower.text(0.02, 0.9, "dashed: the true rate", transform=lower.transAxes, color=EXACT)
    if learned is not None:
        lower.plot(times, learned, color=BLUE)
        lower.text(0.36, 0.9, "solid: the learned rate", transform=lower.transAxes, color=BLUE)
    lower.set(xlabel="t", ylabel="events per unit of time", ylim=(0, 1.45 * float(true.max())))
    lower.set_xlim(float(times[0]), float(times[-1]))
    return fig
