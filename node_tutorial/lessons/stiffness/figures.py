"""Lesson 04: figures, what solvers cost, and what the numbers in an error message say."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.func import jacrev, vmap

from ...data.systems import decay_to_cosine_exact, robertson_exact, robertson_scipy
from ...plotting import (
    BLUE,
    EXACT,
    GRAY,
    GREEN,
    ORANGE,
    REJECTED,
    SKY,
    VERMILLION,
    exact_line,
    figure,
    label_line,
    room_for_labels,
    step_rug,
)
from ...solvers.odeint import solve
from ...solvers.solution import Solution
from ...solvers.stability import step_ends

Field = Callable[..., Tensor]  # f(t, y)
Exact = Callable[[Tensor], Tensor]  # times (n,) -> states (n, D)


def decay_figure(
    runs: Mapping[str, tuple[Tensor, Tensor]], lam: float
) -> tuple[Figure, list[float], list[float]]:
    """Solutions of y' = -lambda (y - cos t), y(0) = 0, one panel for each, over the exact one.

    `runs` maps a title to (t (n,), y (n, 1)), 0 <= t <= 1.5. Returns the figure, the largest |y| of
    each, and the largest error of each in the second half of its steps.
    """
    fig, axes = figure(ncols=len(runs), size=(8.6, 3.0), sharey=True)
    fine = np.linspace(0, 1.5, 601)
    largest = []
    late = []
    for ax, (title, run) in zip(axes, runs.items()):
        t = run[0].numpy()
        y = run[1][:, 0].numpy()
        largest.append(float(np.abs(y).max()))
        error = np.abs(y - decay_to_cosine_exact(t, lam))
        late.append(float(error[len(t) // 2 :].max()))
        exact_line(fine, decay_to_cosine_exact(fine, lam), ax=ax, label=None)
        color = REJECTED if largest[-1] > 5 else BLUE
        ax.plot(t, y, "o-", color=color, linewidth=1.1, markersize=3)
        ax.set(xlim=(-0.03, 1.5 * 1.03), ylim=(-0.2, 2.1), xlabel="t", title=title)
    axes[0].set_ylabel("y")
    return fig, largest, late


def spectra(f: Field, solution: Solution) -> tuple[Tensor, Tensor]:
    """The eigenvalues (n, D) of df/dy at the starts of a recorded solution's accepted steps, and
    their sizes h (n,).
    """
    steps = [step for step in solution.steps or [] if step.accepted]
    t = torch.tensor([step.t for step in steps], dtype=torch.float64)
    h = torch.tensor([step.h for step in steps], dtype=torch.float64)
    return torch.linalg.eigvals(vmap(jacrev(f, argnums=1))(t, solution(t))), h


def border_figure(
    f: Field, runs: Mapping[str, Solution], exact: Exact, boundary: float, scale: float
) -> tuple[Figure, list[float]]:
    """A solution with the steps of the first run; below h |lambda| / boundary at the steps of all.

    lambda is the leftmost eigenvalue of df/dy. `runs` maps a label to a recorded solution; times
    are drawn over `scale`. Returns the figure, and the share of the time that each run spends
    within 15 % of the boundary.
    """
    fig, (top, bottom) = figure(nrows=2, size=(8.4, 4.4), sharex=True, height_ratios=[2, 3])
    first = next(iter(runs.values()))
    shares = []
    t = torch.linspace(0, float(first.t[-1]), 801, dtype=torch.float64)
    exact_line(t / scale, exact(t)[:, 0], ax=top, label=None)
    steps = [step._replace(t=step.t / scale, h=step.h / scale) for step in first.steps or []]
    step_rug(steps, ax=top, height=0.1)
    top.set(ylim=(-3.6, 2.6), ylabel="x (exact)")
    bottom.axhline(1, color=EXACT, linewidth=1.2, linestyle=(0, (5, 3)))
    for (label, solution), color in zip(runs.items(), (VERMILLION, GREEN, SKY)):
        eigenvalues, h = spectra(f, solution)
        product = -h * eigenvalues.real.amin(dim=1) / boundary
        shares.append(float((h * ((product - 1).abs() < 0.15)).sum() / h.sum()))
        starts = step_ends(solution)[:-1] / scale
        style = {"color": color, "linewidth": 0.6, "markersize": 3}
        (line,) = bottom.plot(starts, product, ".-", **style)
        bottom.set(xlim=(0, 1.19 * float(t[-1]) / scale), xlabel="t / μ")
        bottom.set(ylim=(0, 1.7), ylabel="h |λ| / boundary")
        label_line(line, label)
    bottom.set_xticks([0, 0.5, 1.0, 1.5, 2.0])
    return fig, shares


def creep_figure(solutions: Mapping[str, Solution], exact: Exact) -> Figure:
    """x over time, and the step sizes of recorded solutions {label: solution}."""
    fig, (left, right) = figure(ncols=2, size=(8.6, 3.2), width_ratios=[2, 3])
    t = torch.linspace(0, 10, 51, dtype=torch.float64)
    exact_line(t, exact(t)[:, 0], ax=left, label=None)
    left.set(xlabel="t", ylabel="x (dashed: exact)", ylim=(0, 2.2))
    styles = ((VERMILLION, 3), (BLUE, 8), (GREEN, 8))
    for (label, solution), (color, size) in zip(solutions.items(), styles):
        ends = step_ends(solution)[:-1]  # the last step is cut short
        y: Any = solution(ends)
        left.plot(ends, y[:, 0], ".", color=color, markersize=size)
        line_style = {"color": color, "linewidth": 0.8, "markersize": 4}
        (line,) = right.semilogy(ends[:-1], ends.diff(), ".-", **line_style)
        right.set(xlabel="t", ylabel="step size h", xlim=(0, 14.5), ylim=(5e-5, 8))
        label_line(line, label)
    right.set_xticks([0, 2, 4, 6, 8, 10])
    return fig


def phase_figure(
    solution: Solution, f: Field, current: float, boundary: float
) -> tuple[Figure, float, float]:
    """A neuron's voltage over time and its path in the plane (v, w), by an implicit method.

    Steps that are longer than an explicit method could take (h |lambda| > boundary, lambda the
    eigenvalue most to the left) are blue, others orange. Returns the figure, the share of the steps
    that are blue, and their share of the time.
    """
    eigenvalues, h = spectra(f, solution)
    long = h * (-eigenvalues.real.amin(dim=1)) > boundary
    ends = step_ends(solution)
    y: Any = solution(ends)
    fig, (left, right) = figure(ncols=2, size=(8.6, 3.4), width_ratios=[3, 2])
    v = torch.linspace(-2.4, 2.4, 200, dtype=torch.float64)
    right.plot(v, v - v**3 / 3 + current, color=GRAY, linewidth=1.0)
    right.plot(v, (v + 0.7) / 0.8, color=GRAY, linewidth=1.0)
    left.plot(ends, y[:, 0], color=EXACT, linewidth=0.7)
    kinds = ((long, BLUE, "implicit pays", 0.02), (~long, ORANGE, "explicit would do", 0.3))
    for chosen, color, text, x in kinds:
        for ax, horizontal, vertical in ((left, ends[1:], y[1:, 0]), (right, y[1:, 0], y[1:, 1])):
            ax.plot(horizontal[chosen], vertical[chosen], "o", color=color, markersize=3.2)
        left.text(x, 1.02, text, color=color, transform=left.transAxes)
    left.set(xlabel="t", ylabel="voltage v", ylim=(-2.4, 2.6))
    right.set(xlabel="voltage v", ylabel="recovery w", xlim=(-2.4, 2.4), ylim=(-0.7, 1.8))
    right.text(0.45, 0.45, "v' = 0", color=GRAY)
    right.text(0.45, 1.6, "w' = 0", color=GRAY, ha="right")
    return fig, float(long.double().mean()), float((h * long).sum() / h.sum())


def robertson_costs(
    f: Field, t_end: float, rtol: float, atol: float
) -> list[tuple[str, int, int, int, int, float]]:
    """Rows (name, steps, NFE, Jacobians, factorizations, largest relative error at t_end) of
    implicit methods on Robertson's problem.

    `f` is the field for ours; scipy's has numbers of its own and is given the Jacobian.
    """
    start = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    t = torch.tensor([0.0, t_end], dtype=torch.float64)

    def error(end: Tensor) -> float:
        return float((end / robertson_exact(t_end) - 1).abs().max())

    rows = []
    for method in ("trbdf2", "kvaerno3", "kvaerno5"):
        run = solve(f, start, t, rtol=rtol, atol=atol, method=method)
        s = run.stats
        counts = (s.accepted, s.nfe, s.jacobians, s.factorizations)
        rows.append((method, *counts, error(run.y[-1])))
    for solver in ("Radau", "BDF"):
        theirs = robertson_scipy(t_end, solver, rtol, atol)
        counts = (len(theirs.t) - 1, theirs.nfev, theirs.njev, theirs.nlu)
        rows.append((f"scipy's {solver}", *counts, error(torch.from_numpy(theirs.y[:, -1]))))
    return rows


def reaction_figure(solution: Solution) -> Figure:
    """Robertson's concentrations over logarithmic time, a dot at each step's end."""
    ends = step_ends(solution)[1:]
    y: Any = solution(ends)
    fig, ax = figure(size=(8.2, 3.2))
    for concentration, text, place, color in (
        (y[:, 0], "A", (1e-5, 0.92), BLUE),
        (1e4 * y[:, 1], "10 000 B", (2e-3, 0.41), VERMILLION),
        (y[:, 2], "C", (1e8, 0.92), GREEN),
    ):
        ax.semilogx(ends, concentration, ".-", color=color, linewidth=1.2, markersize=4)
        ax.text(*place, text, color=color)
    ax.set(xlim=(1e-6, 2e11), ylim=(-0.05, 1.08), xlabel="t", ylabel="concentration")
    ax.set_xticks([1e-5, 1e-2, 1e1, 1e4, 1e7, 1e10])
    ax.minorticks_off()
    return fig


def plateau_figure(solutions: Mapping[str, Solution]) -> Figure:
    """y2 of Robertson's problem until t = 0.3, a panel for each recorded solution, its steps as a
    rug (HW II, Fig. 1.3).
    """
    fig, axes = figure(ncols=len(solutions), size=(8.6, 3.0), sharey=True)
    colors = (VERMILLION, VERMILLION, BLUE)
    for ax, (title, solution), color in zip(axes, solutions.items(), colors):
        ends = step_ends(solution)
        y: Any = solution(ends)
        ax.plot(ends, 1e5 * y[:, 1], ".-", color=color, linewidth=0.8, markersize=4)
        step_rug(solution.steps, ax=ax)
        ax.set(xlim=(-0.005, 0.3), ylim=(3.3, 3.85), xlabel="t", title=title)
        ax.set_xticks([0, 0.1, 0.2, 0.3])
    axes[0].set_ylabel("$10^5\\, y_2$")
    return fig


def speed_figure(scales: Sequence[float], costs: Mapping[str, Sequence[int]]) -> Figure:
    """NFE over the factor that a field is multiplied by; `costs` maps a method to its NFE (n,)."""
    fig, ax = figure(size=(7.2, 3.0))
    for (name, nfe), color in zip(costs.items(), (VERMILLION, BLUE, GREEN)):
        (line,) = ax.loglog(scales, nfe, "o-", color=color)
        ax.set(xlabel="the field is multiplied by s", ylabel="NFE", xlim=(0.8, 2200))
        label_line(line, name)
    ax.set_xticks(scales, [f"{s:g}" for s in scales])
    ax.minorticks_off()
    room_for_labels(ax, 0.05)
    return fig


_PHRASES = (
    "underflow in dt",
    "max_num_steps exceeded",
    "Newton's iteration does not converge",
    "func(t[0], y0) is not finite",
    "the solution is not finite",
)
_NUMBERS = {"|y|": r"Largest \|y\| here: ([-+.\de]*\d)", "ratio": r"the error is ([-+.\de]*\d)"}


def reading(error: Exception) -> str:
    """A solver's message in short, rounded: what it says, where, how large y is, and the error over
    the tolerance.
    """
    text = str(error)
    said = [next(phrase for phrase in _PHRASES if phrase in text)]
    where = re.search(r"(?:at|from|t\[\d+\]) (?:t )?= ([-+.\de]*\d)", text)
    if where:
        said.append(f"t = {float(where.group(1)):.2g}")
    if said[0] == "underflow in dt" and "not finite" in text:
        said.append("not finite")
    for name, pattern in _NUMBERS.items():
        found = re.search(pattern, text)
        if found:
            x = float(found.group(1))
            said.append(f"{name} " + ("huge" if x > 1e6 else "tiny" if x < 1e-6 else f"= {x:.2g}"))
    return ", ".join(said)
