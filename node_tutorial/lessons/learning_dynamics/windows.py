"""Lesson 05: how long a window should be, with equal budgets and three seeds.

python -m node_tutorial.lessons.learning_dynamics.windows      prints STORED anew, in a minute
"""

import copy
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ... import odeint
from ...models import MLP, VectorField
from ...training import fit
from ...training.precision import default_dtype
from .observations import END, Field, field_error, observations, path_errors, truth
from .recipes import WINDOW, FromStart, whole_loss, window_loss

LENGTHS = (2, 6, 16, 60)  # observations per window
STEPS = 160
RATE = 0.04
LONG = torch.linspace(0, 2 * END, 481, dtype=torch.float64)


class Errors(NamedTuple):
    """Of a learned field: of its path up to t = 12 and beyond, and of the field on the spiral."""

    inside: float
    beyond: float
    field: float


def errors_of(field: Field, start: Tensor) -> Errors:
    """The errors of a field, its path solved accurately from a start (2,)."""
    path = odeint(field, start, LONG, rtol=1e-6, atol=1e-6)
    return Errors(*path_errors(LONG, path), field_error(field))


def learn(length: int, seed: int) -> nn.Module:
    """A field learned through all windows of `length` observations; it takes seconds."""
    t, y = observations()
    field = _untrained(seed)
    fit(field, window_loss(t, y, length), STEPS, lr=RATE, progress=False)
    return field


def _untrained(seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]), default_dtype(torch.float64):
        torch.manual_seed(seed)
        return VectorField(MLP(2, 32, 2))


def go_on(field: nn.Module) -> dict[str, Errors]:
    """The errors after 80 more steps at a smaller rate, on windows, and on the whole."""
    t, y = observations()
    windows = copy.deepcopy(field)
    fit(windows, window_loss(t, y, WINDOW), 80, lr=0.015, progress=False)
    whole = FromStart(copy.deepcopy(field), y[0])
    fit(whole, whole_loss(t, y), 80, lr=0.015, progress=False)
    return {
        "80 more on windows": errors_of(windows, y[0]),
        "80 on the whole": errors_of(whole.ode.func, whole.start.detach()),
    }


def study(seed: int) -> dict[str, Errors]:
    """All errors for one seed: of every length from the true start, and of going on with 16."""
    start = truth(LONG[:1])[0]
    found = {}
    for length in LENGTHS:
        field = learn(length, seed)
        found[f"windows of {length}"] = errors_of(field, start)
        if length == WINDOW:
            found.update(go_on(field))
    return found


# What `study` gave for the seeds 0, 1, 2.
STORED: list[dict[str, Errors]] = [
    {
        "windows of 2": Errors(0.233, 0.783, 0.135),
        "windows of 6": Errors(0.200, 0.362, 0.079),
        "windows of 16": Errors(0.115, 0.082, 0.094),
        "80 more on windows": Errors(0.075, 0.057, 0.110),
        "80 on the whole": Errors(0.067, 0.079, 0.082),
        "windows of 60": Errors(1.106, 1.019, 1.750),
    },
    {
        "windows of 2": Errors(0.224, 0.631, 0.143),
        "windows of 6": Errors(0.240, 0.441, 0.082),
        "windows of 16": Errors(0.088, 0.064, 0.069),
        "80 more on windows": Errors(0.069, 0.055, 0.097),
        "80 on the whole": Errors(0.050, 0.054, 0.059),
        "windows of 60": Errors(1.092, 1.022, 1.553),
    },
    {
        "windows of 2": Errors(0.251, 0.839, 0.144),
        "windows of 6": Errors(0.247, 0.519, 0.076),
        "windows of 16": Errors(0.139, 0.248, 0.086),
        "80 more on windows": Errors(0.075, 0.137, 0.091),
        "80 on the whole": Errors(0.079, 0.148, 0.084),
        "windows of 60": Errors(1.059, 1.027, 1.010),
    },
]


if __name__ == "__main__":
    torch.set_num_threads(1)
    for one in range(3):
        for name, errors in study(one).items():
            print(one, name, *(f"{error:.3f}" for error in errors), flush=True)
