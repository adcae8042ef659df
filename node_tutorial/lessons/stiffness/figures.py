"""Lesson 04: figures, what solvers cost, and what the numbers in an error message say."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.func import jacrev, vmap

from ...data.systems import (
    decay_to_cosine,
    decay_to_cosine_exact,
    robertson,
    robertson_exact,
    robertson_scipy,
    van_der_pol,
    van_der_pol_exact,
)
from ...plotting import (
    BLUE,
    EXACT,
    GRAY,
    GREEN,
    ORANGE,
    REJECTED,
    SKY,
    VERMILLION,
    Picture,
    exact_line,
    figure,
    label_line,
    step_rug,
)
from ...solvers.errors import SolveError
from ...solvers.odeint import solve
from ...solvers.solution import Solution
from ...solvers.stability import step_ends

Field = Callable[..., Tensor]  # f(t, y)
Exact = Callable[[Tensor], Tensor]  # times (n,) -> states (n, D)


Run = tuple[Tensor, Tensor]  # t (n,), y (n, 1)


def largest_sizes(runs: Mapping[str, Run]) -> list[float]:
    """The largest |y| of each run."""
    return [float(y.abs().max()) for _, y in runs.values()]


def late_errors(runs: Mapping[str, Run], rate: float) -> list[float]:
    """The largest error of each run of y' = -rate (y - cos t) in the second half of its steps."""
    errors = []
    for t, y in runs.values():
        error = np.abs(y[:, 0].numpy() - decay_to_cosine_exact(t.numpy(), rate))
        errors.append(float(error[len(t) // 2 :].max()))
    return errors


def observed_order(method: str, rate: float) -> float:
    """The order of an implicit method on y' = -rate (y - cos t), from the slow curve to t = 1.

    That is log2 of the ratio of its errors with 16 and with 32 equal steps.
    """
    start = torch.tensor([rate**2 / (rate**2 + 1)], dtype=torch.float64)  # without a transient
    t = torch.tensor([0.0, 1.0], dtype=torch.float64)
    exact = (rate**2 * np.cos(1.0) + rate * np.sin(1.0)) / (rate**2 + 1)
    errors = []
    for n in (16, 32):
        run = solve(
            partial(decay_to_cosine, rate=rate),
            start,
            t,
            method=method,
            rtol=1e-13,  # of Newton's method
            atol=1e-15,
            options={"step_size": 1 / n},
        )
        errors.append(abs(float(run.y[-1, 0]) - exact))
    return float(np.log2(errors[0] / errors[1]))


def decay_figure(runs: Mapping[str, Run], rate: float) -> Picture:
    """Solutions of y' = -rate (y - cos t), y(0) = 0, over 0 <= t <= 1.5, one panel for each, over
    the exact one. `runs` maps a title to a run.
    """
    fig, axes = figure(ncols=len(runs), size=(8.6, 3.0), sharey=True)
    fine = np.linspace(0, 1.5, 601)
    for ax, (title, (t, y)), size in zip(axes, runs.items(), largest_sizes(runs)):
        exact_line(fine, decay_to_cosine_exact(fine, rate), ax=ax, label=None, zorder=3)
        color = REJECTED if size > 5 else BLUE
        ax.plot(t, y[:, 0], "o-", color=color, linewidth=1.1, markersize=3)
        ax.set(xlim=(-0.03, 1.5 * 1.03), ylim=(-0.2, 2.1), xlabel="t", title=title)
    axes[0].set_ylabel("y")
    return fig


def spectra(f: Field, solution: Solution) -> tuple[Tensor, Tensor]:
    """The eigenvalues (n, D) of df/dy at the starts of a recorded solution's accepted steps, and
    their sizes h (n,).
    """
    steps = [step for step in solution.steps or [] if step.accepted]
    t = torch.tensor([step.t for step in steps], dtype=torch.float64)
    h = torch.tensor([step.h for step in steps], dtype=torch.float64)
    return torch.linalg.eigvals(vmap(jacrev(f, argnums=1))(t, solution(t))), h


def share_at_boundary(f: Field, solution: Solution, boundary: float) -> float:
    """The share of the time that a recorded solution spends within 15 % of h |lambda| = boundary,
    lambda the leftmost eigenvalue of df/dy.
    """
    eigenvalues, h = spectra(f, solution)
    near = (-h * eigenvalues.real.amin(dim=1) / boundary - 1).abs() < 0.15
    return float((h * near).sum() / h.sum())


def flutter(solution: Solution) -> float:
    """By what factor the size changes from one accepted step to the next: the median."""
    h = torch.tensor([step.h for step in solution.steps or [] if step.accepted])
    return float(h.log().diff().abs().median().exp())


def kinetic_energy(f: Field, solution: Solution) -> float:
    """The integral of |f|^2 along a recorded solution, by the trapezoid rule on its steps."""
    ends = step_ends(solution)
    y: Any = solution(ends)
    speeds = vmap(f)(ends, y).square().sum(dim=-1)
    return float(torch.trapezoid(speeds, ends))


def energy_and_jacobian(f: Field, y0: Tensor, t: Tensor) -> tuple[float, float]:
    """The kinetic energy of the solution from y0 (D,) over t (2,), and the size of df/dy at y0 (the
    spectral norm).
    """
    solution = solve(f, y0, t, rtol=1e-9, atol=1e-12, record=True)
    jacobian = torch.linalg.matrix_norm(jacrev(f, argnums=1)(t[0], y0), 2)
    return kinetic_energy(f, solution), float(jacobian)


def border_figure(
    f: Field, runs: Mapping[str, Solution], exact: Exact, boundary: float, scale: float
) -> Picture:
    """A solution with the steps of the first run; below h |lambda| / boundary at the steps of all.

    lambda is the leftmost eigenvalue of df/dy. `runs` maps a label to a recorded solution; times
    are drawn over `scale`.
    """
    fig, (top, bottom) = figure(nrows=2, size=(8.4, 4.4), sharex=True, height_ratios=[2, 3])
    first = next(iter(runs.values()))
    end = float(first.t[-1]) / scale
    t = torch.linspace(0, float(first.t[-1]), 801, dtype=torch.float64)
    exact_line(t / scale, exact(t)[:, 0], ax=top, label=None)
    steps = [step._replace(t=step.t / scale, h=step.h / scale) for step in first.steps or []]
    step_rug(steps, ax=top, height=0.1)
    top.set(ylim=(-3.6, 2.6), ylabel="x (exact)")
    bottom.axhline(1, color=EXACT, linewidth=1.2, linestyle=(0, (5, 3)))
    bottom.set(xlim=(0, end), xlabel="t / μ", ylim=(0, 1.7), ylabel="h |λ| / boundary")
    for (label, solution), color in zip(runs.items(), (VERMILLION, GREEN, SKY)):
        eigenvalues, h = spectra(f, solution)
        product = -h * eigenvalues.real.amin(dim=1) / boundary
        starts = step_ends(solution)[:-1] / scale
        style = {"color": color, "linewidth": 0.6, "markersize": 3}
        (line,) = bottom.plot(
            starts[:-1], product[:-1], ".-", **style
        )  # the last step is cut short
        label_line(line, label)
    return fig


def creep_figure(solutions: Mapping[str, Solution], exact: Exact) -> Picture:
    """x over time, and the step sizes of recorded solutions {label: solution}."""
    fig, (left, right) = figure(ncols=2, size=(8.6, 3.2), width_ratios=[2, 3])
    end = max(float(solution.t[-1]) for solution in solutions.values())
    right.set(xlabel="t", ylabel="step size h", xlim=(0, end), ylim=(1e-3, 8))
    for (label, solution), color in zip(solutions.items(), (SKY, BLUE, GREEN)):
        ends = step_ends(solution)[:-1]  # the last step is cut short
        y: Any = solution(ends)
        size = 3 if len(ends) > 100 else 9
        left.plot(ends, y[:, 0], ".", color=color, markersize=size)
        (line,) = right.semilogy(ends[:-1], ends.diff(), ".-", color=color, linewidth=0.8)
        label_line(line, label)
    t = torch.linspace(0, end, 51, dtype=torch.float64)
    exact_line(t, exact(t)[:, 0], ax=left, label=None, zorder=3)
    left.set(xlabel="t", ylabel="x (dashed: exact)", ylim=(0, 2.2))
    return fig


def too_long_for_explicit(f: Field, solution: Solution, boundary: float) -> tuple[Tensor, Tensor]:
    """Which steps (n,) of a recorded solution have h |lambda| > boundary, lambda the leftmost
    eigenvalue; and their sizes h (n,).
    """
    eigenvalues, h = spectra(f, solution)
    return h * (-eigenvalues.real.amin(dim=1)) > boundary, h


def phase_figure(solution: Solution, long: Tensor, current: float) -> Picture:
    """A neuron's voltage over time and its path in the plane (v, w), by an implicit method.

    The steps for which `long` (n,) is true are blue, the others orange. Gray: where v' = 0, w' = 0.
    """
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
    return fig


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


def reaction_figure(solution: Solution) -> Picture:
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


def plateau_figure(solutions: Mapping[str, Solution]) -> Picture:
    """y2 of Robertson's problem until t = 0.3, a panel for each recorded solution, its steps as a
    rug (HW II, Fig. 1.3).
    """
    fig, axes = figure(ncols=len(solutions), size=(8.6, 3.0), sharey=True)
    colors = (VERMILLION, VERMILLION, BLUE)
    for ax, (title, solution), color in zip(axes, solutions.items(), colors):
        ends = step_ends(solution)
        y: Any = solution(ends)
        ax.plot(ends, 1e5 * y[:, 1], ".-", color=color, linewidth=0.8, markersize=4)
        step_rug(solution.steps or [], ax=ax)
        ax.set(xlim=(-0.005, 0.3), ylim=(3.3, 3.85), xlabel="t", title=title)
        ax.set_xticks([0, 0.1, 0.2, 0.3])
    axes[0].set_ylabel("$10^5\\, y_2$")
    return fig


def speed_figure(scales: Sequence[float], costs: Mapping[str, Sequence[int]]) -> Picture:
    """NFE over the factor that a field is multiplied by; `costs` maps a method to its NFE (n,)."""
    fig, ax = figure(size=(7.2, 3.0))
    for (name, nfe), color in zip(costs.items(), (VERMILLION, BLUE, GREEN)):
        (line,) = ax.loglog(scales, nfe, "o-", color=color)
        ax.set(xlabel="the field is multiplied by s", ylabel="NFE")
        label_line(line, name)
    ax.set_xticks(scales, [f"{s:g}" for s in scales])
    ax.minorticks_off()
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


def outcome(solver: Callable[..., Any], *args: Any, **settings: Any) -> str:
    """What a solve ends with, in short: the `reading` of its error, or the sign of its least y."""
    try:
        found = solver(*args, **settings)
    except (SolveError, AssertionError) as error:  # torchdiffeq asserts
        return reading(error)
    least = float(found.y[-1].min())
    return f"no message; the least y is {'negative' if least < -1e-5 else 'positive'}"


# A picture of each kind, for the test that all of them can be read.


def _jumping() -> dict[str, Solution]:
    y0 = torch.tensor([2.0, 0.0], dtype=torch.float64)
    t = torch.tensor([0.0, 10.0], dtype=torch.float64)
    f = partial(van_der_pol, mu=5.0)
    return {
        f"tolerance {tol:.0e}": solve(f, y0, t, rtol=tol, atol=tol, record=True)
        for tol in (1e-3, 1e-5)
    }


def _decays() -> Picture:
    t = torch.linspace(0, 1.5, 31, dtype=torch.float64)
    panels = {"36 steps, h = 0.0417": (t, torch.cos(t)[:, None]), "trbdf2": (t, 0 * t[:, None])}
    return decay_figure(panels, 50.0)


def _phases() -> Picture:
    f = partial(van_der_pol, mu=5.0)
    solution = _jumping()["tolerance 1e-03"]
    long, _ = too_long_for_explicit(f, solution, 3.3)
    return phase_figure(solution, long, 0.5)


def _reaction() -> Solution:
    start = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    t = torch.tensor([0.0, 0.3], dtype=torch.float64)
    return solve(robertson, start, t, rtol=1e-3, atol=1e-9, method="kvaerno5", record=True)


def _plateaus() -> Picture:
    titles = ("dopri5, rtol 1e-02: 209 steps", "kvaerno5, rtol 1e-02: 16 steps")
    return plateau_figure(dict.fromkeys(titles, _reaction()))


EXAMPLES: dict[str, Callable[[], Picture]] = {
    "decay_figure": _decays,
    "border_figure": lambda: border_figure(
        partial(van_der_pol, mu=5.0), _jumping(), van_der_pol_exact(5.0), 3.3, 5.0
    ),
    "creep_figure": lambda: creep_figure(_jumping(), van_der_pol_exact(5.0)),
    "phase_figure": _phases,
    "reaction_figure": lambda: reaction_figure(_reaction()),
    "plateau_figure": _plateaus,
    "speed_figure": lambda: speed_figure(
        [1, 16, 1024], {"dopri5": [20, 90, 3000], "kvaerno5": [40, 150, 200]}
    ),
}
