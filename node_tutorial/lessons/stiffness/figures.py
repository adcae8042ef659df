"""Lesson 04: figures, reference solutions, and what the numbers in an error message say."""

import re
from functools import lru_cache

import numpy as np
import torch
from scipy.integrate import solve_ivp
from torch.func import jacrev, vmap

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
from ..adaptive_steps.figures import step_ends
from .stiff_decay import decay_exact


def decay_figure(runs, lam, t_end=1.5, ylim=(-0.2, 2.1)):
    """A figure: solutions of y' = -lambda (y - cos t), y(0) = 0, one panel for each, over the exact
    one.

    `runs` maps a title to (t (n,), y (n, 1)). Returns (figure, largest |y| of each, largest error
    of each in the second half of its steps).
    """
    fig, axes = figure(ncols=len(runs), size=(8.6, 3.0), sharey=True)
    fine, largest, late = np.linspace(0, t_end, 601), [], []
    for ax, (title, (t, y)) in zip(axes, runs.items()):
        t, y = t.numpy(), y[:, 0].numpy()
        largest.append(float(np.abs(y).max()))
        late.append(float(np.abs(y - decay_exact(lam, t))[len(t) // 2 :].max()))
        exact_line(fine, decay_exact(lam, fine), ax=ax, label=None)
        ax.plot(
            t, y, "o-", color=REJECTED if largest[-1] > 5 else BLUE, linewidth=1.1, markersize=3
        )
        ax.set(xlim=(-0.03, t_end * 1.03), ylim=ylim, xlabel="t", title=title)
    axes[0].set_ylabel("y")
    return fig, largest, late


def spectra(f, solution):
    """The eigenvalues (n, D) of df/dy at the starts of a recorded solution's accepted steps, and
    their sizes h (n,).
    """
    steps = [step for step in solution.steps if step.accepted]
    t, h = (
        torch.tensor([getattr(step, name) for step in steps], dtype=torch.float64)
        for name in ("t", "h")
    )
    return torch.linalg.eigvals(vmap(jacrev(f, argnums=1))(t, solution(t))), h


def border_figure(f, runs, exact, boundary, scale):
    """A figure: a solution with the steps of the first run; below h |lambda| / boundary at the
    steps of all runs.

    lambda is the leftmost eigenvalue of df/dy. `runs` maps a label to a recorded solution, `exact`
    times (n,) to states (n, 2); times are drawn over `scale`. Returns (figure, the share of the
    time that each run spends within 15 % of the boundary).
    """
    fig, (top, bottom) = figure(nrows=2, size=(8.4, 4.4), sharex=True, height_ratios=[2, 3])
    first, shares = next(iter(runs.values())), []
    t = torch.linspace(0, float(first.t[-1]), 801, dtype=torch.float64)
    exact_line(t / scale, exact(t)[:, 0], ax=top, label=None)
    step_rug(
        [step._replace(t=step.t / scale, h=step.h / scale) for step in first.steps],
        ax=top,
        height=0.1,
    )
    top.set(ylim=(-3.6, 2.6), ylabel="x (exact)")
    bottom.axhline(1, color=EXACT, linewidth=1.2, linestyle=(0, (5, 3)))
    for (label, solution), color in zip(runs.items(), (VERMILLION, GREEN, SKY)):
        eigenvalues, h = spectra(f, solution)
        product = -h * eigenvalues.real.amin(dim=1) / boundary
        shares.append(float((h * ((product - 1).abs() < 0.15)).sum() / h.sum()))
        (line,) = bottom.plot(
            step_ends(solution)[:-1] / scale,
            product,
            ".-",
            color=color,
            linewidth=0.6,
            markersize=3,
        )
        bottom.set(
            xlim=(0, 1.19 * float(t[-1]) / scale),
            ylim=(0, 1.7),
            xlabel="t / μ",
            ylabel="h |λ| / boundary",
        )
        label_line(line, label)
    bottom.set_xticks([0, 0.5, 1.0, 1.5, 2.0])
    return fig, shares


def creep_figure(solutions, exact):
    """A figure: x over time, and the step sizes of recorded solutions.

    `solutions` maps labels to them, `exact` times (n,) to states (n, 2).
    """
    fig, (left, right) = figure(ncols=2, size=(8.6, 3.2), width_ratios=[2, 3])
    t = torch.linspace(0, 10, 51, dtype=torch.float64)
    exact_line(t, exact(t)[:, 0], ax=left, label=None)
    left.set(xlabel="t", ylabel="x (dashed: exact)", ylim=(0, 2.2))
    for (label, solution), color, size in zip(
        solutions.items(), (VERMILLION, BLUE, GREEN), (3, 8, 8)
    ):
        ends = step_ends(solution)[:-1]  # the last step is cut short
        left.plot(ends, solution(ends)[:, 0], ".", color=color, markersize=size)
        (line,) = right.semilogy(
            ends[:-1], ends.diff(), ".-", color=color, linewidth=0.8, markersize=4
        )
        right.set(xlabel="t", ylabel="step size h", xlim=(0, 14.5), ylim=(5e-5, 8))
        label_line(line, label)
    right.set_xticks([0, 2, 4, 6, 8, 10])
    return fig


def phase_figure(solution, f, current, boundary):
    """A figure: a neuron's voltage over time and its path in the plane (v, w), and two shares.

    Steps of an implicit method that are longer than an explicit one could take (h |lambda| >
    boundary, lambda the eigenvalue most to the left) are blue, others orange. Returns (figure,
    share of the steps that are blue, share of the time).
    """
    eigenvalues, h = spectra(f, solution)
    long = h * (-eigenvalues.real.amin(dim=1)) > boundary
    ends = step_ends(solution)
    y = solution(ends)
    fig, (left, right) = figure(ncols=2, size=(8.6, 3.4), width_ratios=[3, 2])
    v = torch.linspace(-2.4, 2.4, 200, dtype=torch.float64)
    right.plot(v, v - v**3 / 3 + current, color=GRAY, linewidth=1.0)
    right.plot(v, (v + 0.7) / 0.8, color=GRAY, linewidth=1.0)
    left.plot(ends, y[:, 0], color=EXACT, linewidth=0.7)
    for chosen, color, text, x in (
        (long, BLUE, "implicit pays", 0.02),
        (~long, ORANGE, "explicit would do", 0.3),
    ):
        for ax, horizontal, vertical in ((left, ends[1:], y[1:, 0]), (right, y[1:, 0], y[1:, 1])):
            ax.plot(horizontal[chosen], vertical[chosen], "o", color=color, markersize=3.2)
        left.text(x, 1.02, text, color=color, transform=left.transAxes)
    left.set(xlabel="t", ylabel="voltage v", ylim=(-2.4, 2.6))
    right.set(xlabel="voltage v", ylabel="recovery w", xlim=(-2.4, 2.4), ylim=(-0.7, 1.8))
    right.text(0.45, 0.45, "v' = 0", color=GRAY)
    right.text(0.45, 1.6, "w' = 0", color=GRAY, ha="right")
    return fig, float(long.double().mean()), float((h * long).sum() / h.sum())


def robertson_numpy(t, y):
    """Robertson's three reactions, for scipy."""
    slow, back, fast = 0.04 * y[0], 1e4 * y[1] * y[2], 3e7 * y[1] ** 2
    return np.array([back - slow, slow - back - fast, fast])


def robertson_jacobian(t, y):
    """Its Jacobian (HW II, IV.2)."""
    return np.array(
        [
            [-0.04, 1e4 * y[2], 1e4 * y[1]],
            [0.04, -1e4 * y[2] - 6e7 * y[1], -1e4 * y[1]],
            [0, 6e7 * y[1], 0],
        ]
    )


def robertson_scipy(t_end, solver, rtol, atol):
    """scipy's solution from (1, 0, 0), with its counters `nfev`, `njev`, `nlu`; the Jacobian is
    given.
    """
    start = (1.0, 0.0, 0.0)
    return solve_ivp(
        robertson_numpy, (0, t_end), start, solver, rtol=rtol, atol=atol, jac=robertson_jacobian
    )


@lru_cache(maxsize=8)
def robertson_exact(t_end):
    """The state (3,) at t_end from (1, 0, 0): scipy's Radau with rtol 1e-12."""
    return torch.from_numpy(robertson_scipy(t_end, "Radau", 1e-12, 1e-20).y[:, -1])


def robertson_costs(f, t_end, rtol, atol):
    """Rows (name, steps, NFE, Jacobians, factorizations, largest relative error at t_end) of
    implicit methods.

    `f` is the field for ours; scipy solves `robertson_numpy` and is given the Jacobian.
    """
    start, t = (
        torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64),
        torch.tensor([0.0, t_end], dtype=torch.float64),
    )
    rows = []
    for method in ("trbdf2", "kvaerno3", "kvaerno5"):
        run = solve(f, start, t, rtol=rtol, atol=atol, method=method)
        s = run.stats
        rows.append((method, s.accepted, s.nfe, s.jacobians, s.factorizations, run.y[-1]))
    for solver in ("Radau", "BDF"):
        run = robertson_scipy(t_end, solver, rtol, atol)
        counts = (len(run.t) - 1, run.nfev, run.njev, run.nlu)
        rows.append((f"scipy's {solver}", *counts, torch.from_numpy(run.y[:, -1])))
    return [(*row[:-1], float((row[-1] / robertson_exact(t_end) - 1).abs().max())) for row in rows]


def reaction_figure(solution):
    """A figure: the three concentrations of Robertson's problem over logarithmic time, a dot at
    each step's end.
    """
    ends = step_ends(solution)[1:]
    y = solution(ends)
    fig, ax = figure(size=(8.2, 3.2))
    for i, (factor, text, place, color) in enumerate(
        (
            (1, "A", (1e-5, 0.92), BLUE),
            (1e4, "10 000 B", (2e-3, 0.41), VERMILLION),
            (1, "C", (1e8, 0.92), GREEN),
        )
    ):
        ax.semilogx(ends, factor * y[:, i], ".-", color=color, linewidth=1.2, markersize=4)
        ax.text(*place, text, color=color)
    ax.set(xlim=(1e-6, 2e11), ylim=(-0.05, 1.08), xlabel="t", ylabel="concentration")
    ax.set_xticks([1e-5, 1e-2, 1e1, 1e4, 1e7, 1e10])
    ax.minorticks_off()
    return fig


def plateau_figure(solutions, t_end=0.3):
    """A figure: y2 of Robertson's problem, a panel for each recorded solution, its steps as a rug
    (HW II, Fig. 1.3).
    """
    fig, axes = figure(ncols=len(solutions), size=(8.6, 3.0), sharey=True)
    for ax, (title, solution), color in zip(
        axes, solutions.items(), (VERMILLION, VERMILLION, BLUE)
    ):
        ends = step_ends(solution)
        ax.plot(ends, 1e5 * solution(ends)[:, 1], ".-", color=color, linewidth=0.8, markersize=4)
        step_rug(solution.steps, ax=ax)
        ax.set(
            xlim=(-0.005, t_end),
            ylim=(3.3, 3.85),
            xlabel="t",
            title=title,
            xticks=[0, 0.1, 0.2, 0.3],
        )
    axes[0].set_ylabel("$10^5\\, y_2$")
    return fig


def speed_figure(scales, costs):
    """A figure: NFE over the factor that a field is multiplied by; `costs` maps a method to its NFE
    (n,).
    """
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


def reading(error):
    """A solver's message in short, rounded: what it says, where, how large y is, the error over the
    tolerance.
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
