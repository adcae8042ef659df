"""Lesson 05: fields that were learned through one solver, and solved with another."""

import copy
from functools import lru_cache

import numpy as np
import torch
from matplotlib.patches import Rectangle

from ... import solve
from ...course.controls import choice
from ...course.explorables import Explorable, explorable
from ...plotting import BLUE, EXACT, ORANGE, exact_line
from ...training import fit
from .field_over_training import BOX, END, observations, trained, truth

SOLVERS: dict[str, dict] = {
    "Euler, h = 0.2": {"method": "euler", "options": {"step_size": 0.2}},
    "Euler, h = 0.1": {"method": "euler", "options": {"step_size": 0.1}},
    "Euler, h = 0.05": {"method": "euler", "options": {"step_size": 0.05}},
    "dopri5, rtol 1e-2": {"rtol": 1e-2, "atol": 1e-3},
    "dopri5, rtol 1e-3": {"rtol": 1e-3, "atol": 1e-4},
    "dopri5, rtol 1e-6": {"rtol": 1e-6, "atol": 1e-7},
}
TRAINED = list(SOLVERS)[:-1]
_STEPS = 50


def solver_loss(t, y, solver):
    """loss(model, step): the mean squared error over all observations, of a solve by the given
    solver.
    """

    def loss(model, step):
        return (solve(model.ode.func, model.start, t, **solver).y - y).square().mean()

    return loss


@lru_cache(maxsize=8)
def trained_through(name):
    """The model of the recipe "windows, then the whole", trained further through a solver. About a
    second.
    """
    model = trained("windows")[0]  # by dopri5 with rtol 1e-3
    if name == TRAINED[-1]:
        return model
    model = copy.deepcopy(model)
    t, y = observations()
    fit(model, solver_loss(t, y, SOLVERS[name]), _STEPS, lr=0.02, progress=False)
    return model


@lru_cache(maxsize=40)
def solved(learned, name):
    """The states (241, 2) up to t = 24 of the model learned through one solver, by another; NFE;
    error up to t = 12.
    """
    model, t = trained_through(learned), torch.linspace(0, 2 * END, 241, dtype=torch.float64)
    with torch.no_grad():
        solution = solve(model.ode.func, model.start, t, **SOLVERS[name])
    error = (solution.y - truth(t))[:121].square().sum(1).mean().sqrt()
    return solution.y, solution.stats.nfe, float(error)


@explorable("05", "solver_swap")
def solver_swap():
    """A field learned through one solver and solved with another: it may have learned the solver's
    error.
    """
    y = observations()[1]
    exact = truth(torch.linspace(0, END, 241, dtype=torch.float64))

    def compute(learned, solver):
        path, nfe, error = solved(learned, solver)
        table = [[solved(row, column)[2] for column in SOLVERS] for row in TRAINED]
        return {
            "learned": learned,
            "solver": solver,
            "path": path,
            "nfe": nfe,
            "error": error,
            "table": table,
        }

    def draw(fig, data):
        left, right = fig.subplots(1, 2, width_ratios=(1, 1.15))
        left.plot(*y.T, ".", color=ORANGE, markersize=5)
        left.plot(*data["path"].T.clamp(*BOX), color=BLUE, linewidth=1.4)
        exact_line(*exact.T, ax=left, label=None, zorder=3)
        left.set(xlim=BOX, ylim=BOX, xlabel="y₁", ylabel="y₂", aspect="equal")
        left.set_title(f"error {data['error']:.2f}, NFE {data['nfe']}")
        right.imshow(np.minimum(data["table"], 1), cmap="Blues", vmin=0, vmax=1.2, aspect="auto")
        for i, row in enumerate(data["table"]):
            for j, error in enumerate(row):
                color = "white" if error > 0.75 else EXACT
                right.text(
                    j, i, f"{error:.2f}", ha="center", va="center", color=color, fontsize=9.5
                )
        i, j = TRAINED.index(data["learned"]), list(SOLVERS).index(data["solver"])
        right.add_patch(
            Rectangle((j - 0.47, i - 0.47), 0.94, 0.94, fill=False, edgecolor=ORANGE, linewidth=2.5)
        )
        short = [name.replace(", h = ", "\n").replace(", rtol ", "\n") for name in SOLVERS]
        right.set_xticks(range(len(SOLVERS)), short, fontsize=9)
        right.set_yticks(range(len(TRAINED)), short[:-1], fontsize=9)
        right.set(xlabel="solved with", ylabel="trained through")
        right.grid(False)
        right.set_title("error of the path, 0 < t < 12")

    def describe(data):
        bound = next(bound for bound in (0.15, 0.3, 0.6, 1.2, 2.5, 9) if data["error"] < bound)
        return (
            f"Trained through {data['learned']}, solved with {data['solver']}: {data['nfe']} "
            "evaluations, and up to "
            f"t = 12 the path is off by less than {bound}."
        )

    return Explorable(
        compute,
        draw,
        describe,
        size=(9.2, 4.2),
        question="Predict first: trained through coarse Euler steps, solved with a tight tolerance. Better or worse?",
        controls={
            "learned": choice("trained through", TRAINED, value="Euler, h = 0.1"),
            "solver": choice("solved with", list(SOLVERS), value="Euler, h = 0.1"),
        },
    )
