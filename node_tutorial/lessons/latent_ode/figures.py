"""Lesson 12: figures."""

import statistics
from collections.abc import Callable, Mapping, Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator
from torch import Tensor

from ...plotting import (
    BLUE,
    EXACT,
    GRAY,
    GREEN,
    ORANGE,
    PURPLE,
    VERMILLION,
    Picture,
    exact_line,
    figure,
    label_line,
)
from .bands import Parts
from .events import wave
from .runs import COUNTS, PAPER, Data, found, thinned

COLORS = {"RNN": VERMILLION, "latent ODE": BLUE, "ODE-RNN": GREEN}
REACH = 5.9  # of the plane that is shown


def plane(ax: Axes) -> None:
    """Make axes a piece of the plane that holds every spiral."""
    ends = (-REACH, REACH)
    ticks = (-4, 0, 4)
    ax.set(xlim=ends, ylim=ends, xticks=ticks, yticks=ticks, aspect="equal")


def spirals_figure(
    data: Data, rows: Sequence[int], paths: Mapping[str, Tensor] = {}, beyond: bool = True
) -> Picture:
    """A figure: in the plane, what is observed of some spirals, the truth, and what is predicted.

    rows: which of the series; paths: name -> predictions (B, S, 2); beyond: show the truth beyond
    the observed time, too; without it, a dot and an arrow say where it begins and where it goes on.
    """
    fig, axes = figure(ncols=len(rows), size=(9.4, 2.75 if paths else 2.55))
    points = len(data.spirals.t)
    for ax, row in zip(axes, rows):
        clean = data.spirals.clean[row]
        seen = data.batch.x[row][data.batch.mask[row, :, 0]]
        plane(ax)
        exact_line(*(clean if beyond else clean[:points]).T, ax=ax, label=None)
        if not beyond:
            _ends(ax, clean[:points])
        ax.plot(*seen.T, ".", color=ORANGE, markersize=5)
        errors = []
        for name, predicted in paths.items():
            x = predicted[row]
            ax.plot(*x.T.clamp(-REACH, REACH), color=COLORS[name], linewidth=1.8)
            error = (x[-(len(clean) - points) :] - clean[points:]).square().mean().sqrt()
            errors.append(f"{name}: off by {error:.2f}")
        if errors:
            color = COLORS[name] if len(errors) == 1 else EXACT
            ax.set_title("\n".join(errors), fontsize=10, color=color)
    return fig


def _ends(ax: Axes, path: Tensor) -> None:
    """A dot where a path (S, 2) begins, an arrow where it ends."""
    ax.plot(*path[0], "o", color=EXACT, markersize=7)
    arrow = {"arrowstyle": "-|>", "color": EXACT, "linewidth": 1.5, "mutation_scale": 16}
    (x, y), (ahead_x, ahead_y) = (path[-1] + k * (path[-1] - path[-2]) for k in (0, 6))
    ax.annotate("", xy=(ahead_x, ahead_y), xytext=(x, y), arrowprops=arrow)


def recurrent_figure(keep: Mapping[str, Sequence[float]]) -> Picture:
    """A figure: a recurrent net, unrolled; and how much of the first reading is still in its state,
    for gates that keep some share of the state at each reading.

    keep: label -> the shares kept at the second, third, .. reading.
    """
    fig, (left, right) = figure(ncols=2, size=(9.4, 3.0), width_ratios=(1.35, 1))
    left.set(xlim=(-1.3, 7.7), ylim=(-1.6, 2.6))
    left.set_axis_off()
    arrow = {"arrowstyle": "-|>", "color": GRAY, "linewidth": 1.3, "shrinkA": 0, "shrinkB": 0}
    box = {"boxstyle": "round,pad=0.5", "facecolor": "white", "edgecolor": BLUE, "linewidth": 1.6}
    for i in range(3):
        x = 2.7 * i + 0.6
        left.text(x, 0.4, "GRU cell", ha="center", va="center", color=BLUE, bbox=box)
        left.text(x, -1.35, f"$x_{i + 1},$ mask, gap", ha="center", va="center", color=ORANGE)
        left.text(x, 2.25, rf"$\hat x_{i + 2}$", ha="center", va="center", color=VERMILLION)
        left.annotate("", xy=(x, -0.1), xytext=(x, -1.0), arrowprops=arrow)
        left.annotate("", xy=(x, 1.95), xytext=(x, 0.9), arrowprops=arrow)
        left.annotate("", xy=(x - 0.85, 0.4), xytext=(x - 1.8, 0.4), arrowprops=arrow)
        left.text(x - 1.33, 0.62, f"$h_{i}$", ha="center", va="bottom")
    left.annotate("", xy=(7.6, 0.4), xytext=(6.85, 0.4), arrowprops=arrow)
    left.text(7.25, 0.62, "$h_3$", ha="center", va="bottom")
    right.set(xlim=(1, 15.5), ylim=(0, 1.05), xlabel="readings", xticks=(1, 5, 10))
    right.set_ylabel("share of the first reading left")
    for (name, shares), color in zip(keep.items(), (VERMILLION, GREEN, BLUE)):
        remains = torch.tensor([1.0, *shares]).cumprod(0)
        line = right.plot(range(1, len(remains) + 1), remains, "o-", color=color, markersize=4)[0]
        label_line(line, name)
    return fig


def generated_figure(
    latents: Tensor, counterclockwise: Tensor, drawn: Tensor, sense: Tensor
) -> Picture:
    """A figure: latent paths (B, S, L) in the plane of their two widest directions, colored by the
    sense (B,) of their spirals; and spirals (N, S, 2) that the model makes up, by theirs (N,).
    """
    fig, (left, right) = figure(ncols=2, size=(8.6, 4.0))
    flat = latents.flatten(0, 1)
    axes = torch.linalg.svd(flat - flat.mean(0), full_matrices=False).Vh[:2]
    for z, forward in zip((latents - flat.mean(0)) @ axes.T, counterclockwise):
        color = BLUE if forward else ORANGE
        left.plot(*z.T, color=color, linewidth=0.8, alpha=0.6)
        left.plot(*z[0], "o", color=color, markersize=3)
    left.set(xlabel="first direction of z", ylabel="second direction of z")
    left.set_title("latent paths; dots: z(0)")
    plane(right)
    for x, forward in zip(drawn, sense):
        right.plot(*x.T.clamp(-REACH, REACH), color=BLUE if forward else ORANGE, linewidth=1.2)
        right.plot(*x[0], "o", color=BLUE if forward else ORANGE, markersize=4)
    right.set(xlabel="x₁", ylabel="x₂")
    right.set_title("made up: z(0) from N(0, I)")
    return fig


def clocks_figure(t: Tensor, mask: Tensor) -> Picture:
    """A figure: the times of some series, each a line; t (B, T), mask (B, T, D)."""
    fig, ax = figure(size=(7.4, 2.1))
    for i, (times, seen) in enumerate(zip(t, mask[..., 0])):
        height = torch.full_like(times[seen], i)
        ax.plot(times[seen], height, "|", color=ORANGE, markersize=13, markeredgewidth=1.6)
    ax.set(xlabel="t", yticks=range(len(t)), ylim=(-0.7, len(t) - 0.3))
    ax.set_yticklabels([f"series {i}" for i in range(len(t))])
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    return fig


def errors_figure(errors: Mapping[str, Tensor]) -> Picture:
    """A figure: which share of the spirals is continued with at most what error; name -> (B,)."""
    fig, ax = figure(size=(7.4, 3.1))
    for name, values in errors.items():
        each = values.sort().values
        share = torch.arange(1, len(each) + 1) / len(each)
        ax.plot(each, 100 * share, color=COLORS[name], drawstyle="steps-post")
        middle = float(each[len(each) // 2])
        ax.plot(middle, 50, "o", color=COLORS[name])
        label_line((middle, 50), name, ax=ax, color=COLORS[name], dx=8, dy=-8)
    ax.set(xscale="log", xlim=(0.05, 12), ylim=(0, 101))
    ax.set_xlabel("error of a spiral's continuation (root mean square)")
    ax.set_xticks([0.1, 0.3, 1, 3, 10], ["0.1", "0.3", "1", "3", "10"])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_ylabel("% of the spirals")
    return fig


def bands_figure(counts: Sequence[int], width: Parts, covered: Parts) -> Picture:
    """A figure: mean half width of the band, and the share of the truth in it, over the number of
    observations.
    """
    fig, (left, right) = figure(ncols=2, size=(9.4, 3.0))
    left.set(ylim=(0, 1.15 * max(width.beyond)), ylabel="mean half width of the band")
    right.set(ylim=(0, 105), ylabel="% of the truth in the band")
    for ax, parts, scale in ((left, width, 1), (right, covered, 100)):
        between, beyond = ([scale * value for value in part] for part in parts)
        ax.set(xlabel="observations", xlim=(0, 1.62 * counts[-1]))
        ax.set_xticks(counts[1:])
        label_line(ax.plot(counts, between, "o-", color=BLUE)[0], "observed time")
        label_line(ax.plot(counts, beyond, "o-", color=PURPLE)[0], "beyond")
    exact_line([0, 1.05 * counts[-1]], [90, 90], ax=right, label="promised: 90 %")
    return fig


def between_figure(
    clean: tuple[Tensor, Tensor],
    seen: tuple[Tensor, Tensor],
    series: Mapping[str, Tensor],
    after: float,
) -> Picture:
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


def table_figure(
    found: Callable[[str, int, str], list[float]],
    counts: Sequence[int],
    paper: Mapping[str, Sequence[float]],
    regression: Mapping[str, Sequence[float]] = {},
) -> Picture:
    """A figure: errors beyond the observations, a dot for each seed; beside them the paper's
    numbers.

    found: found(name, count, "beyond") -> a list over the seeds; paper: name -> (n,), one for each
    of counts; regression: name -> (n,), drawn in gray.
    """
    fig, (left, right) = figure(ncols=2, size=(9.0, 3.7), width_ratios=(2, 1))
    for name, errors in regression.items():
        line = left.plot(range(len(counts)), errors, "s--", color=GRAY, markersize=4)[0]
        label_line(line, name)
    for (name, color), shift in zip(COLORS.items(), (-0.12, 0.12, 0)):
        middle = []
        for i, count in enumerate(counts):
            row = found(name, count, "beyond")
            left.plot([i + shift] * len(row), row, "o", color=color, markersize=5)
            middle.append((i + shift, statistics.median(row) if row else float("nan")))
        left.plot(*zip(*middle), color=color, alpha=0.5)
        label_line(middle[0], name, ax=left, color=color, dx=-9, ha="right")
    for name, errors in paper.items():
        right.plot(range(len(counts)), errors, "o-", color=COLORS[name])
        right.text(0.05, errors[0] + 0.015, name, color=COLORS[name], va="bottom")
    for ax, title in (
        (left, "here: a dot for each seed, lines through the medians"),
        (right, "Chen et al., Table 2"),
    ):
        ax.set_xticks(range(len(counts)), [str(n) for n in counts])
        ax.set(xlabel="observed, of 100 points")
        ax.set_title(title)
    left.set(xlim=(-0.85, 3.0 if regression else 2.3), ylabel="error on 100 points beyond")
    right.set(xlim=(-0.3, 2.5), ylim=(0, 0.5))
    return fig


def events_figure(
    sequences: Sequence[Tensor], times: Tensor, true: Tensor, learned: Tensor
) -> Picture:
    """A figure: events of some sequences as ticks, and their rate, the true one (S,) and the
    learned one (S,), at times (S,).
    """
    fig, (upper, lower) = figure(nrows=2, size=(7.6, 3.7), sharex=True, height_ratios=(1, 2))
    for i, events in enumerate(sequences):
        height = torch.full_like(events, i)
        upper.plot(events, height, "|", color=ORANGE, markersize=6, markeredgewidth=1.4)
    upper.set(yticks=[], ylabel="events", ylim=(-1, len(sequences)))
    upper.grid(visible=False)
    exact_line(times, true, ax=lower, label=None)
    lower.text(0.02, 0.9, "dashed: the true rate", transform=lower.transAxes, color=EXACT)
    lower.plot(times, learned, color=BLUE)
    lower.text(0.36, 0.9, "solid: the learned rate", transform=lower.transAxes, color=BLUE)
    lower.set(xlabel="t", ylabel="events per unit of time", ylim=(0, 1.45 * float(true.max())))
    lower.set_xlim(float(times[0]), float(times[-1]))
    return fig


def _spirals(beyond: bool) -> Picture:
    test = thinned(8, 30, seed=10_000)
    rows = [0, 1, 2, 3]
    if not beyond:
        return spirals_figure(test, rows, beyond=False)
    return spirals_figure(test, rows, {"RNN": test.spirals.clean[:, 100:] + 0.2})


def _generated() -> Picture:
    angle = torch.linspace(0, 6, 40)
    radius = torch.linspace(1, 2, 8)[:, None, None]
    circle = radius * torch.stack([angle.cos(), angle.sin()], dim=-1)
    sense = torch.arange(8) % 2 == 0
    return generated_figure(torch.cat([circle, circle], dim=-1), sense, circle, sense)


def _clocks() -> Picture:
    batch = thinned(6, 30, seed=10_000).batch
    return clocks_figure(batch.t, batch.mask)


def _between() -> Picture:
    test = thinned(2, 30, seed=10_000)
    times = torch.cat([test.spirals.t, test.spirals.later])
    path = test.spirals.clean[1, :, 0]
    seen = (test.batch.t[1], test.batch.x[1, :, 0])
    return between_figure((times, path), seen, {"RNN": path + 1, "ODE-RNN": path}, 1.87)


def _events() -> Picture:
    t = torch.linspace(0, 7, 50)
    return events_figure([torch.tensor([1.0, 3.0])] * 12, t, wave(t), wave(t) + 0.1)


# A picture of each kind, for the test that all of them can be read.
EXAMPLES: dict[str, Callable[[], Picture]] = {
    "spirals_figure": lambda: _spirals(beyond=False),
    "spirals_figure, with what is predicted": lambda: _spirals(beyond=True),
    "recurrent_figure": lambda: recurrent_figure(
        {"forgets": [0.5] * 14, "gated": [0.9] * 14, "keeps": [0.99] * 14}
    ),
    "generated_figure": _generated,
    "clocks_figure": _clocks,
    "errors_figure": lambda: errors_figure(
        {
            "RNN": 10 ** torch.linspace(-0.5, 0.6, 200),
            "latent ODE": 10 ** torch.linspace(-1, 0, 200),
        }
    ),
    "bands_figure": lambda: bands_figure(
        (3, 5, 10, 20, 40),
        Parts([0.8, 0.6, 0.4, 0.3, 0.2], [1.2, 1.0, 0.8, 0.6, 0.5]),
        Parts([0.8, 0.8, 0.7, 0.7, 0.6], [0.7, 0.6, 0.6, 0.5, 0.4]),
    ),
    "between_figure": _between,
    "table_figure": lambda: table_figure(found, COUNTS, PAPER),
    "events_figure": _events,
}
