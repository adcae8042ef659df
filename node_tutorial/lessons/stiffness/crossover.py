"""Lesson 04: van der Pol's oscillator over one jump, by dopri5 and by an implicit method: steps,
limits, counters, and the mu at which the two change places.

All pictures come from one set of solves, made when the first is asked for (about four seconds).
"""

import itertools
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from ...course.controls import choice, power_slider
from ...course.explorables import explorable
from ...data.systems import van_der_pol, van_der_pol_exact
from ...plotting import BLUE, EXACT, GRAY, VERMILLION, label_line
from ...solvers.odeint import solve
from ...solvers.stability import real_boundary, step_ends
from ...solvers.statistics import Stats
from ...solvers.tableaus import DOPRI5

MUS = (1, 2, 4, 8, 16, 32, 64)
_TOLERANCES = (1e-3, 1e-5)
_IMPLICIT = ("kvaerno5", "trbdf2")
_TICKS = 500  # of steps in the picture: more ticks than pixels would only take time


class Run(NamedTuple):
    """One solve over 0 <= t <= mu: the ends of its steps over mu (n + 1,), what it cost, its error
    at the end.
    """

    t: np.ndarray
    stats: Stats
    error: float


class Curve(NamedTuple):
    """The exact x (n,) at times over mu (n,), and the longest stable steps of dopri5 there (n,)."""

    t: np.ndarray
    x: np.ndarray
    limit: np.ndarray


class Crossover(NamedTuple):
    """Two solves at one mu and tolerance, and the evaluations (7,) of both methods at all MUS."""

    mu: int
    tol: float
    method: str
    curve: Curve
    explicit: Run
    implicit: Run
    costs: dict[str, list[int]]


def stability_limit(mu: float, y: ArrayLike, boundary: float) -> np.ndarray:
    """The longest stable steps (n,) at states y (n, 2) of van der Pol's oscillator.

    boundary / |lambda|, lambda the leftmost eigenvalue of df/dy; 1e3 where none is to the left.
    """
    x, v = np.asarray(y).T
    jacobian = np.zeros((len(x), 2, 2))
    jacobian[:, 0, 1] = 1
    jacobian[:, 1, 0] = -2 * mu * x * v - 1
    jacobian[:, 1, 1] = mu * (1 - x**2)
    leftmost = np.linalg.eigvals(jacobian).real.min(axis=1)
    return boundary / np.maximum(-leftmost, boundary / 1e3)


@lru_cache(maxsize=1)
def _runs() -> dict[tuple[str, float, int], Run]:
    """Every solve that can be shown, by method, tolerance and mu."""
    keys = itertools.product(("dopri5", *_IMPLICIT), _TOLERANCES, MUS)
    return {key: _run(*key) for key in keys}


def _run(method: str, tol: float, mu: int) -> Run:
    solution = solve(
        partial(van_der_pol, mu=mu),
        torch.tensor([2.0, 0.0], dtype=torch.float64),
        torch.tensor([0.0, mu], dtype=torch.float64),
        rtol=tol,
        atol=tol,
        method=method,
        options={"controller": "PI"},
        record=True,
    )
    exact = van_der_pol_exact(mu, mu)(solution.t[-1:])[0]
    error = float((solution.y[-1] - exact).abs().max())
    return Run(step_ends(solution).numpy() / mu, solution.stats, error)


@lru_cache(maxsize=len(MUS))
def _curve(mu: int) -> Curve:
    t = np.linspace(0, 1, 401)
    y = van_der_pol_exact(mu, mu)(torch.from_numpy(t * mu)).numpy()
    return Curve(t, y[:, 0], stability_limit(mu, y, real_boundary(DOPRI5)))


def compute(mu: int, tol: float, method: str) -> Crossover:
    runs = _runs()
    return Crossover(
        mu=mu,
        tol=tol,
        method=method,
        curve=_curve(mu),
        explicit=runs["dopri5", tol, mu],
        implicit=runs[method, tol, mu],
        costs={name: [runs[name, tol, m].stats.nfe for m in MUS] for name in ("dopri5", method)},
    )


def draw(fig: Figure, data: Crossover) -> None:
    grid = fig.add_gridspec(2, 2, width_ratios=[1.5, 1], height_ratios=[1, 1])
    top = fig.add_subplot(grid[0, 0])
    bottom = fig.add_subplot(grid[1, 0])
    right = fig.add_subplot(grid[:, 1])
    t, x, limit = data.curve
    top.plot(t, x, color=EXACT, linewidth=1.2)
    bottom.semilogy(t, limit, color=GRAY, linewidth=1.2, linestyle=(0, (5, 3)))
    under = top.get_xaxis_transform()
    for run, color, low in ((data.explicit, VERMILLION, 0.0), (data.implicit, BLUE, 0.09)):
        some = run.t[:: 1 + len(run.t) // _TICKS]
        top.vlines(some, low, low + 0.08, color=color, linewidth=0.8, transform=under)
        bottom.semilogy(run.t[:-1], data.mu * np.diff(run.t), ".", color=color, markersize=3)
    top.set(xlim=(0, 1), ylim=(-4.2, 2.6), ylabel="x", xticklabels=[], yticks=[-2, 0, 2])
    bottom.set(xlim=(0, 1), ylim=(1e-3, 40), xlabel="t / μ", ylabel="step size h")
    for (name, nfe), color in zip(data.costs.items(), (VERMILLION, BLUE)):
        (line,) = right.loglog(MUS, nfe, "o-", color=color, markersize=3)
        right.plot(data.mu, nfe[MUS.index(data.mu)], "o", color=color, markersize=9)
        right.set(xlim=(0.8, 80), ylim=(15, 3e4), xlabel="μ", ylabel="evaluations of f (NFE)")
        label_line(line, name, dx=9)
    bottom.text(0.02, 8, "dashed: stability limit of dopri5", color=GRAY)
    right.set_xticks([1, 10], ["1", "10"])
    bottom.minorticks_off()
    right.minorticks_off()
    e, i = data.explicit.stats, data.implicit.stats
    fig.suptitle(
        f"μ = {data.mu}, tolerance {data.tol:.0e}; dopri5: NFE {e.nfe}, {e.accepted} steps, "
        f"{e.rejected} rejected, error {data.explicit.error:.0e}\n"
        f"{data.method}: NFE {i.nfe}, {i.accepted} steps, {i.rejected} rejected, error "
        f"{data.implicit.error:.0e}; {i.jacobians} Jacobians, {i.factorizations} LU, "
        f"{i.newton} Newton",
        fontsize=10.5,
        x=0.01,
        ha="left",
    )


def describe(data: Crossover) -> str:
    e, i = data.explicit.stats, data.implicit.stats
    winner = data.method if i.nfe < e.nfe else "dopri5"
    return (
        f"μ = {data.mu}, tolerance {data.tol:.0e}: dopri5 takes {e.accepted} steps and {e.nfe} "
        f"evaluations, {data.method} {i.accepted} steps and {i.nfe} evaluations ({i.jacobians} "
        f"Jacobians, {i.factorizations} factorizations, {i.newton} Newton iterations); {winner} "
        "needs fewer evaluations."
    )


crossover = explorable(
    compute,
    draw,
    describe,
    size=(8.8, 4.5),
    question="Predict first: μ doubles. "
    "By what factor does the cost of dopri5 grow, and that of the implicit method?",
    controls={
        "mu": power_slider("μ", MUS[0], MUS[-1], value=16),
        "tol": choice("tolerance", {f"{tol:.0e}": tol for tol in _TOLERANCES}),
        "method": choice("implicit method", list(_IMPLICIT)),
    },
)
