"""Lesson 22: its figures, and the lines of what was stored. They return what they draw on."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median

import numpy as np
import torch
from torch import Tensor

from ...plotting import (
    BLUE,
    EXACT,
    GRAY,
    GREEN,
    ORANGE,
    VERMILLION,
    Picture,
    exact_line,
    figure,
    label_line,
    room_for_labels,
)
from .longer_swing import measured, spread
from .runs import DATA_SEEDS, EPSILONS, PERIODS, STARTS, table
from .trainings import (
    BOUNDED,
    EVERY,
    KINDS,
    LINEAR,
    OMEGA,
    PERIOD,
    misfit,
    observations,
    over,
    swing_exact,
)

COLORS = dict(zip(KINDS, (BLUE, VERMILLION)))


def training_figure(losses: Sequence[float], errors: Sequence[float]) -> Picture:
    """A figure: loss and error before training, every EVERY updates of Adam, and after L-BFGS."""
    fig, ax = figure(size=(7.4, 3.2))
    place = [EVERY * i for i in (*range(len(losses) - 1), len(losses))]
    ax.set(yscale="log", xlim=(0, place[-1] * 1.02), xlabel="updates of Adam")
    ax.set_xticks(
        [0, place[-2] // 2, *place[-2:]], ["0", *map(str, (place[-2] // 2, place[-2])), "L-BFGS"]
    )
    for values, color, name in ((losses, BLUE, "loss"), (errors, VERMILLION, "error")):
        ax.plot(place[:-1], values[:-1], ".-", color=color, markersize=4)
        ax.plot(place[-2:], values[-2:], ":", color=color)
        (last,) = ax.plot(place[-1], values[-1], "o", color=color, markersize=7)
        label_line(last, name, dx=8)
    ax.minorticks_off()
    room_for_labels(ax, 0.1)
    return fig


def swings_figure(solutions: Mapping[str, Tensor], periods: int) -> Picture:
    """A figure: position over time (n, 2) of some solutions, below each other, with the exact."""
    fig, axes = figure(nrows=len(solutions), size=(7.6, 1.7 * len(solutions) + 0.6))
    t = over(periods)[:, 0].numpy() / PERIOD
    exact = swing_exact(periods)
    for ax, (name, y) in zip(np.atleast_1d(axes), solutions.items()):
        exact_line(t, exact[:, 0], ax=ax, label=None)
        ax.plot(t, y[:, 0].detach(), color=VERMILLION)
        error = float((y.detach() - exact).norm() / exact.norm())
        ax.set(xlim=(0, periods), ylim=(-1.35, 1.35))
        ax.set_title(f"{name}: error {error:.1g}")
    ax.set_xlabel("periods")
    return fig


def losses_figure() -> Picture:
    """A figure: stored losses and errors over the number of periods, by kind of start values."""
    fig, (left, right) = figure(ncols=2, size=(8.6, 3.5))
    for kind in KINDS:
        for ax, place in ((left, 0), (right, 1)):
            rows = [measured(kind, periods, False)[place] for periods in PERIODS]
            ax.plot(PERIODS, [median(row) for row in rows], "o-", color=COLORS[kind], markersize=5)
            low, high = ([end(row) for row in rows] for end in (min, max))
            ax.fill_between(PERIODS, low, high, color=COLORS[kind], alpha=0.15, linewidth=0)
    dying = [1 / (2 * (PERIOD * periods) ** 2) for periods in PERIODS]
    exact_line(PERIODS, dying, ax=left, label=None)
    left.text(2.6, 1.5 * dying[2], "a swing that dies", color=EXACT)
    for ax, name in ((left, "loss"), (right, "error")):
        ax.set(yscale="log", xlabel="periods", title=f"{name}, three seeds")
        ax.set_xticks(PERIODS)
        ax.minorticks_off()
    for i, kind in enumerate(KINDS):
        right.text(
            0.98, 0.05 + 0.09 * i, kind, color=COLORS[kind], transform=right.transAxes, ha="right"
        )
    return fig


def cure_lines() -> Iterator[str]:
    """Lines: over three periods, what was tried to mend one net, and marching."""
    rows = table()
    one_net = {
        "as before": f"whole/{BOUNDED}/3",
        "twice the updates": "longer",
        "  four periods": "longer, four periods",
        "factor t": f"whole/{LINEAR}/3",
    }
    for name, place in one_net.items():
        row = rows[place]
        yield f"{name:23s}: loss {spread(row['loss'])}, error {spread(row['error'])}"
    for epsilon in EPSILONS:
        row = rows[f"causal/{epsilon:g}"]
        yield (
            f"causal, ε = {epsilon:2.0f}, Adam    : least weight {max(row['least weight']):.2g}, "
            f"weighted loss {median(row['weighted']):.0e}, loss {median(row['loss']):.0e}, error "
            f"{spread(row['error'])}"
        )
        yield (
            f"             then L-BFGS: loss {spread(row['polished loss'])}, error "
            f"{spread(row['polished error'])}"
        )
    yield f"one net a period       : error {spread(measured(BOUNDED, 3, True)[1])}"


def price_line(ways: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """A line: how much longer the net takes than the other two, of which each has these errors."""
    net, _ = ways["net, hard"][0]
    steps, steps_error = ways["finite differences"][-1]
    lines, lines_error = ways["lines, implicit"][-1]
    return (
        f"the net takes {net / steps:.0f} times as long as finite differences with the error "
        f"{steps_error:.0e}, {net / lines:.0f} times as long as the lines with {lines_error:.0e}"
    )


def burgers_line(nu: str) -> str:
    """A line: errors and losses of the stored nets."""
    row = table()[f"burgers/{nu}"]
    return (
        f"ν = {nu}: relative error {spread(row['error'])}; loss at the points of L-BFGS "
        f"{spread(row['loss at its points'])}, at fresh points {spread(row['loss'])}"
    )


def inverse_lines() -> Iterator[str]:
    """Lines: how often each way found omega, how near, and in which time."""
    row = table()["inverse"]
    for way in ("net", "solver"):
        omega = np.array(row[way])
        near = np.abs(omega - OMEGA) < 0.1
        by_start = ", ".join(f"{n} from {start:g}" for n, start in zip(near.sum(0), STARTS))
        seconds = row[f"{way} seconds"]
        yield (
            f"{way:6s}: {near.sum()} of {near.size} within 0.1 of the truth ({by_start}), these "
            f"off by {_rms(omega[near] - OMEGA):.3f}; {np.median(seconds):.1f} seconds, at most "
            f"{max(seconds):.1f}"
        )
    right, costs = best_of_three()
    yield (
        f"the best of the solver's three fits: right in {right} of {len(costs)}; the three take "
        f"{min(costs):.1f} to {max(costs):.1f} seconds"
    )
    yield f"formula: all off by {_rms(np.array(row['formula']) - OMEGA):.3f}"


def best_of_three() -> tuple[int, list[float]]:
    """For how many data sets the fit of the three that leaves least is right, and the seconds."""
    row = table()["inverse"]
    right = 0
    for seed, found in zip(DATA_SEEDS, row["solver"]):
        left = misfit(*observations(seed), torch.tensor(found, dtype=torch.float64))
        right += abs(found[int(left.argmin())] - OMEGA) < 0.1
    costs = np.reshape(row["solver seconds"], (len(DATA_SEEDS), len(STARTS))).sum(1)
    return right, costs.tolist()


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.square(values).mean()))


def heat_figure(rows: Mapping[str, Sequence[tuple[float, float]]]) -> Picture:
    """A figure: (seconds, error) of each way, one after the other."""
    fig, ax = figure(size=(7.6, 3.6))
    ax.set(xscale="log", yscale="log", xlabel="seconds", ylabel="largest error at t = 0.1")
    for (name, points), color in zip(rows.items(), (BLUE, GREEN, VERMILLION, ORANGE)):
        (line,) = ax.plot(*zip(*points), "o-", color=color)
        label_line(line, name, dx=8, x=points[0][0])
    ax.minorticks_off()
    room_for_labels(ax, 0.3)
    return fig


def omega_figure() -> Picture:
    """A figure: omega by data set and start of the search, by a net, the solver and the formula."""
    fig, axes = figure(ncols=3, size=(8.0, 3.4), width_ratios=[1, 1, 0.4])
    row = table()["inverse"]
    ways = {"net": row["net"], "through the solver": row["solver"]}
    for ax, (name, values) in zip(axes, ways.items()):
        for place, start in enumerate(STARTS):
            found = [by[place] for by in values]
            ax.plot(np.full(len(found), start), found, "o", color=VERMILLION, alpha=0.5)
            ax.text(start, OMEGA + 0.4, _near(found), color=GRAY, ha="center")
        ax.set(xlim=(0.5, 3.5), xlabel="start of the search", title=name)
        ax.set_xticks(STARTS, [f"{start:g}" for start in STARTS])
    axes[2].plot(np.ones(len(row["formula"])), row["formula"], "o", color=BLUE, alpha=0.5)
    axes[2].set(xlim=(0.5, 1.5), title="best cosine")
    axes[2].set_xticks([])
    for ax in axes:
        ax.axhline(OMEGA, color=EXACT, linewidth=1.2, linestyle=(0, (5, 3)), zorder=1)
        ax.set_ylim(0, 8)
    axes[0].set_ylabel("ω found")
    axes[0].text(0.6, OMEGA - 0.8, "true: 1.7", color=GRAY)
    axes[2].text(1, OMEGA + 0.4, _near(row["formula"]), color=GRAY, ha="center")
    return fig


def _near(found: Sequence[float]) -> str:
    return f"{sum(abs(omega - OMEGA) < 0.1 for omega in found)} of {len(found)}"


def _training() -> Picture:
    return training_figure([1.0, 0.1, 0.05, 0.01, 0.01, 1e-5], [1.0, 0.9, 0.7, 0.3, 0.2, 1e-3])


# A picture of each kind, for the test that all of them can be read.
EXAMPLES: dict[str, Callable[[], Picture]] = {
    "training_figure": _training,
    "swings_figure": lambda: swings_figure(
        {"exact": swing_exact(3), "half": swing_exact(3) / 2}, 3
    ),
    "losses_figure": losses_figure,
    "heat_figure": lambda: heat_figure(
        {
            "finite differences": [(1e-3, 1e-3), (1e-1, 1e-4)],
            "lines, kvaerno5": [(3e-3, 1e-3), (5e-3, 1e-5)],
            "net, hard": [(2.0, 4e-5)],
            "net, soft": [(2.0, 6e-4)],
        }
    ),
    "omega_figure": omega_figure,
}
