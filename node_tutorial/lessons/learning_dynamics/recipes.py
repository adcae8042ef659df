"""Lesson 05: two recipes for learning the spiral's field, and what is recorded on the way."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ... import solve
from ...data import spiral
from ...models import MLP, NeuralODE, VectorField
from ...plotting import mesh
from ...training import History, fit
from ...training.precision import default_dtype
from .observations import BOX, TIMES, field_error, observations, path_errors

WINDOW = 16  # observations per window
FRAMES = 21  # the untrained model among them
ARROWS = 13  # per side of the plane
RIGHT = 0.2  # an arrow is right if its error is below this fraction of the true one


class Recipe(NamedTuple):
    """Steps through windows, then steps through the whole and their learning rate."""

    through_windows: int
    through_whole: int
    rate: float


WINDOWS = Recipe(160, 80, 0.015)
WHOLE = Recipe(0, 160, 0.04)  # the budget of the windows


class FromStart(nn.Module):
    """A field, and the state at time 0, which is learned too: t (T,) -> states (T, 2)."""

    def __init__(self, field: nn.Module, start: Tensor) -> None:
        super().__init__()
        self.ode = NeuralODE(field)
        self.start = nn.Parameter(start.clone())

    def forward(self, t: Tensor) -> Tensor:
        return self.ode(self.start, t)


class Frame(NamedTuple):
    """A model after some steps: its field and its path, and how far both are from the truth.

    arrows (169, 2) are the field's values at `points()`; right (169,) says which of them are.
    path (241, 2) is the solution at TIMES; nfe is what it cost.
    """

    step: int
    nfe: int
    arrows: Tensor
    right: Tensor
    path: Tensor
    path_error: float
    field_error: float


class Trained(NamedTuple):
    """A trained model, and FRAMES frames of its training."""

    model: FromStart
    frames: list[Frame]


def window_loss(t: Tensor, y: Tensor, length: int) -> Callable[[nn.Module, Any], Any]:
    """loss(field, step) over all windows of `length` observations, each solved from its first.

    It returns the mean squared error, and the evaluations under the name "nfe".
    """
    t_w = t.unfold(0, length, 1)
    y_w = y.unfold(0, length, 1).transpose(1, 2)

    def loss(field: nn.Module, step: Any) -> tuple[Tensor, dict[str, Any]]:
        solution = solve(field, y_w[:, 0], t_w, rtol=1e-3, atol=1e-4, per_sample=True)
        return (solution.y - y_w).square().mean(), {"nfe": solution.stats.nfe}

    return loss


def whole_loss(t: Tensor, y: Tensor) -> Callable[[nn.Module, Any], Tensor]:
    """loss(model, step): the mean squared error of one solve through all observations."""
    return lambda model, step: (model(t) - y).square().mean()


def new_model() -> FromStart:
    """A `FromStart` in float64 with the weights of seed 0, from the first observation.

    torch's default dtype and generator are left as they were.
    """
    with torch.random.fork_rng(devices=[]), default_dtype(torch.float64):
        torch.manual_seed(0)
        field = VectorField(MLP(2, 32, 2))
    return FromStart(field, observations()[1][0])


@lru_cache(maxsize=2)
def trained(recipe: Recipe) -> Trained:
    """Train by a recipe; takes seconds."""
    t, y = observations()
    model = new_model()
    every = (recipe.through_windows + recipe.through_whole) // (FRAMES - 1)
    done = 0
    frames = [_frame(model, done)]

    def record(part: nn.Module, history: History) -> None:
        nonlocal done
        done += 1
        if done % every == 0:
            frames.append(_frame(model, done))

    settings: dict[str, Any] = {"progress": False, "on_step": record}
    if recipe.through_windows:
        loss = window_loss(t, y, WINDOW)
        fit(model.ode.func, loss, recipe.through_windows, lr=0.04, **settings)
    fit(model, whole_loss(t, y), recipe.through_whole, lr=recipe.rate, **settings)
    return Trained(model, frames)


def points() -> Tensor:
    """The points (169, 2) of the arrows, in float64."""
    return torch.as_tensor(mesh(BOX, BOX, ARROWS))


def _frame(model: FromStart, step: int) -> Frame:
    with torch.no_grad():
        arrows = model.ode.func(0.0, points())
        path = solve(model.ode.func, model.start, TIMES, rtol=1e-5, atol=1e-6)
    true = spiral(0.0, points())
    return Frame(
        step=step,
        nfe=path.stats.nfe,
        arrows=arrows,
        right=(arrows - true).norm(dim=1) < RIGHT * true.norm(dim=1),
        path=path.y,
        path_error=path_errors(TIMES, path.y)[0],
        field_error=field_error(model.ode.func),
    )
