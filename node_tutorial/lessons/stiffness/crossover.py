"""Lesson 04: van der Pol's oscillator by an explicit and an implicit method, and the mu at which
they change places.

All pictures come from one set of solves, made when the first is asked for (about four seconds).
"""

import itertools
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch

from ...course.controls import choice, power_slider
from ...course.explorables import Explorable, explorable
from ...plotting import BLUE, EXACT, GRAY, VERMILLION, label_line
from ...solvers.integrate import Stats
from ...solvers.odeint import solve
from ...solvers.tableaus import DOPRI5
from ..adaptive_steps.figures import step_ends, van_der_pol_exact
from .stiff_decay import real_boundary

MUS = (1, 2, 4, 8, 16, 32, 64)
_TOLERANCES, _IMPLICIT = (1e-3, 1e-5), ("kvaerno5", "trbdf2")


class Run(NamedTuple):
    """One solve over 0 <= t <= mu: the ends of its steps over mu (n + 1,), what it cost, its error
    at the end.
    """

    t: np.ndarray
    stats: Stats
    error: float


@explorable("04", "crossover")
def crossover():
    """Van der Pol's oscillator over one jump, by dopri5 and by an implicit method: steps, limits,
    counters.
    """

    def compute(mu, tol, method):
        runs = _runs()
        t, x, limit = _curve(mu)
        return {
            "mu": mu,
            "tol": tol,
            "method": method,
            "t": t,
            "x": x,
            "limit": limit,
            "explicit": runs["dopri5", tol, mu],
            "implicit": runs[method, tol, mu],
            "costs": {
                name: [runs[name, tol, m].stats.nfe for m in MUS] for name in ("dopri5", method)
            },
        }

    def draw(fig, data):
        grid = fig.add_gridspec(2, 2, width_ratios=[1.5, 1], height_ratios=[1, 1])
        top, bottom, right = (
            fig.add_subplot(grid[0, 0]),
            fig.add_subplot(grid[1, 0]),
            fig.add_subplot(grid[:, 1]),
        )
        top.plot(data["t"], data["x"], color=EXACT, linewidth=1.2)
        bottom.semilogy(data["t"], data["limit"], color=GRAY, linewidth=1.2, linestyle=(0, (5, 3)))
        for run, color, low in (
            (data["explicit"], VERMILLION, 0.0),
            (data["implicit"], BLUE, 0.09),
        ):
            some = run.t[:: 1 + len(run.t) // 500]  # more ticks than pixels would only take time
            top.vlines(
                some,
                low,
                low + 0.08,
                color=color,
                linewidth=0.8,
                transform=top.get_xaxis_transform(),
            )
            bottom.semilogy(run.t[:-1], data["mu"] * np.diff(run.t), ".", color=color, markersize=3)
        top.set(xlim=(0, 1), ylim=(-4.2, 2.6), ylabel="x", xticklabels=[], yticks=[-2, 0, 2])
        bottom.set(xlim=(0, 1), ylim=(1e-3, 40), xlabel="t / μ", ylabel="step size h")
        for (name, nfe), color in zip(data["costs"].items(), (VERMILLION, BLUE)):
            (line,) = right.loglog(MUS, nfe, "o-", color=color, markersize=3)
            right.plot(data["mu"], nfe[MUS.index(data["mu"])], "o", color=color, markersize=9)
            right.set(xlim=(0.8, 700), ylim=(15, 3e4), xlabel="μ", ylabel="evaluations of f (NFE)")
            label_line(line, name, dx=9)
        bottom.text(0.02, 8, "dashed: stability limit of dopri5", color=GRAY)
        right.set_xticks([1, 10, 100], ["1", "10", "100"])
        bottom.minorticks_off()
        right.minorticks_off()
        e, i = data["explicit"].stats, data["implicit"].stats
        fig.suptitle(
            f"μ = {data['mu']}, tolerance {data['tol']:.0e}; dopri5: NFE {e.nfe}, {e.accepted} "
            f"steps, {e.rejected} "
            f"rejected, error {data['explicit'].error:.0e}\n{data['method']}: NFE {i.nfe}, "
            f"{i.accepted} steps, "
            f"{i.rejected} rejected, error {data['implicit'].error:.0e}; {i.jacobians} Jacobians, "
            f"{i.factorizations} LU, {i.newton} Newton",
            fontsize=10.5,
            x=0.01,
            ha="left",
        )

    def describe(data):
        e, i = data["explicit"].stats, data["implicit"].stats
        winner = data["method"] if i.nfe < e.nfe else "dopri5"
        return (
            f"μ = {data['mu']}, tolerance {data['tol']:.0e}: dopri5 takes {e.accepted} steps and "
            f"{e.nfe} evaluations, "
            f"{data['method']} {i.accepted} steps and {i.nfe} evaluations ({i.jacobians} "
            "Jacobians, "
            f"{i.factorizations} factorizations, {i.newton} Newton iterations); {winner} needs "
            "fewer evaluations."
        )

    return Explorable(
        compute,
        draw,
        describe,
        size=(8.8, 4.5),
        question="Predict first: μ doubles. By what factor grows the cost of dopri5, and that of the implicit method?",
        controls={
            "mu": power_slider("μ", MUS[0], MUS[-1], value=16),
            "tol": choice("tolerance", {f"{tol:.0e}": tol for tol in _TOLERANCES}),
            "method": choice("implicit method", list(_IMPLICIT)),
        },
    )


def van_der_pol(mu):
    """The vector field of x'' = mu (1 - x^2) x' - x; states (..., 2)."""

    def f(t, y):
        x, v = y[..., 0], y[..., 1]
        return torch.stack([v, mu * (1 - x**2) * v - x], dim=-1)

    return f


def stability_limit(mu, y, boundary):
    """The longest stable steps (n,) at states y (n, 2): boundary / |lambda|, lambda the leftmost
    eigenvalue of df/dy.

    It is held at 1e3 where no eigenvalue is to the left.
    """
    x, v = np.asarray(y).T
    jacobian = np.zeros((len(x), 2, 2))
    jacobian[:, 0, 1], jacobian[:, 1, 0], jacobian[:, 1, 1] = (
        1,
        -2 * mu * x * v - 1,
        mu * (1 - x**2),
    )
    return boundary / np.maximum(-np.linalg.eigvals(jacobian).real.min(axis=1), boundary / 1e3)


@lru_cache(maxsize=1)
def _runs():
    """Every solve that can be shown: (method, tolerance, mu) -> Run."""
    keys = itertools.product(("dopri5", *_IMPLICIT), _TOLERANCES, MUS)
    return {key: _run(*key) for key in keys}


def _run(method, tol, mu):
    t, y0 = (
        torch.tensor([0.0, mu], dtype=torch.float64),
        torch.tensor([2.0, 0.0], dtype=torch.float64),
    )
    solution = solve(
        van_der_pol(mu),
        y0,
        t,
        rtol=tol,
        atol=tol,
        method=method,
        options={"controller": "PI"},
        record=True,
    )
    error = (solution.y[-1] - van_der_pol_exact(mu, mu)(t[-1:])[0]).abs().max()
    return Run(step_ends(solution).numpy() / mu, solution.stats, float(error))


@lru_cache(maxsize=len(MUS))
def _curve(mu):
    """Times over mu (n,), x (n,), and the longest stable step of dopri5 (n,)."""
    t = np.linspace(0, 1, 401)
    y = van_der_pol_exact(mu, mu)(torch.from_numpy(t * mu)).numpy()
    return t, y[:, 0], stability_limit(mu, y, real_boundary(DOPRI5))
