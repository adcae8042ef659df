"""Lesson 05: a field learned through one solver and solved with another.

It may have learned the solver's error.
"""

import copy
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from ... import solve
from ...course.controls import choice
from ...course.explorables import explorable
from ...plotting import BLUE, EXACT, ORANGE, exact_line
from ...training import fit
from .observations import BOX, END, TIMES, observations, path_errors, truth
from .recipes import WINDOWS, FromStart, trained

SOLVERS: dict[str, dict[str, Any]] = {
    "Euler, h = 0.2": {"method": "euler", "options": {"step_size": 0.2}},
    "Euler, h = 0.1": {"method": "euler", "options": {"step_size": 0.1}},
    "Euler, h = 0.05": {"method": "euler", "options": {"step_size": 0.05}},
    "dopri5, rtol 1e-2": {"rtol": 1e-2, "atol": 1e-3},
    "dopri5, rtol 1e-3": {"rtol": 1e-3, "atol": 1e-4},
    "dopri5, rtol 1e-6": {"rtol": 1e-6, "atol": 1e-7},
}
TRAINED = list(SOLVERS)[:-1]
STEPS = 50  # of the training that follows the recipe


class Solved(NamedTuple):
    """The states (241, 2) of a model up to t = 24, their cost, and their error up to t = 12."""

    path: Tensor
    nfe: int
    error: float


class Swap(NamedTuple):
    """A model that was learned through one solver and is solved by another.

    table: the errors of all models (rows, in the order of TRAINED) with all solvers (columns).
    """

    learned: str
    solver: str
    solved: Solved
    table: list[list[float]]


def solver_loss(t: Tensor, y: Tensor, solver: dict[str, Any]) -> Callable[[FromStart, Any], Tensor]:
    """loss(model, step): the mean squared error over all observations, of a solve by `solver`."""

    def loss(model: FromStart, step: Any) -> Tensor:
        return (solve(model.ode.func, model.start, t, **solver).y - y).square().mean()

    return loss


@lru_cache(maxsize=8)
def trained_through(name: str) -> FromStart:
    """The model of the recipe WINDOWS, trained further through a solver; about a second."""
    model = trained(WINDOWS).model  # by dopri5 with rtol 1e-3
    if name == TRAINED[-1]:
        return model
    model = copy.deepcopy(model)
    fit(model, solver_loss(*observations(), SOLVERS[name]), STEPS, lr=0.02, progress=False)
    return model


@lru_cache(maxsize=40)
def solved(learned: str, name: str) -> Solved:
    """The model that was learned through one solver, solved by another."""
    model = trained_through(learned)
    t = torch.linspace(0, 2 * END, 241, dtype=torch.float64)
    with torch.no_grad():
        solution = solve(model.ode.func, model.start, t, **SOLVERS[name])
    return Solved(solution.y, solution.stats.nfe, path_errors(t, solution.y)[0])


def compute(learned: str, solver: str) -> Swap:
    table = [[solved(row, column).error for column in SOLVERS] for row in TRAINED]
    return Swap(learned, solver, solved(learned, solver), table)


def draw(fig: Figure, data: Swap) -> None:
    left, right = fig.subplots(1, 2, width_ratios=(1, 1.15))
    _draw_path(left, data.solved)
    _draw_table(right, data)


def _draw_path(ax: Axes, solved: Solved) -> None:
    ax.plot(*observations()[1].T, ".", color=ORANGE, markersize=5)
    ax.plot(*solved.path.T.clamp(*BOX), color=BLUE, linewidth=1.4)
    exact_line(*truth(TIMES).T, ax=ax, label=None, zorder=3)
    ax.set(xlim=BOX, ylim=BOX, xlabel="y₁", ylabel="y₂", aspect="equal")
    ax.set_title(f"error {solved.error:.2f}, NFE {solved.nfe}")


def _draw_table(ax: Axes, data: Swap) -> None:
    """The errors of all pairs, the chosen one in a frame."""
    ax.imshow(np.minimum(data.table, 1), cmap="Blues", vmin=0, vmax=1.2, aspect="auto")
    for (i, j), error in np.ndenumerate(data.table):
        color = "white" if error > 0.75 else EXACT
        ax.text(j, i, f"{error:.2f}", ha="center", va="center", color=color, fontsize=9.5)
    i = TRAINED.index(data.learned)
    j = list(SOLVERS).index(data.solver)
    corner = (j - 0.47, i - 0.47)
    ax.add_patch(Rectangle(corner, 0.94, 0.94, fill=False, edgecolor=ORANGE, linewidth=2.5))
    short = [name.replace(", h = ", "\n").replace(", rtol ", "\n") for name in SOLVERS]
    ax.set_xticks(range(len(SOLVERS)), short, fontsize=9)
    ax.set_yticks(range(len(TRAINED)), short[:-1], fontsize=9)
    ax.set(xlabel="solved with", ylabel="trained through")
    ax.grid(False)
    ax.set_title("error of the path, 0 < t < 12")


def describe(data: Swap) -> str:
    bounds = (0.15, 0.3, 0.6, 1.2, 2.5, 9)
    bound = next(bound for bound in bounds if data.solved.error < bound)
    return (
        f"Trained through {data.learned}, solved with {data.solver}: {data.solved.nfe} "
        f"evaluations, and up to t = 12 the path is off by less than {bound}."
    )


solver_swap = explorable(
    compute,
    draw,
    describe,
    question="Predict first: trained through coarse Euler steps, solved with a tight tolerance. "
    "Better or worse?",
    size=(9.2, 4.2),
    controls={
        "learned": choice("trained through", TRAINED, value="Euler, h = 0.1"),
        "solver": choice("solved with", list(SOLVERS), value="Euler, h = 0.1"),
    },
)
