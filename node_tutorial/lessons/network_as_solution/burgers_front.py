"""Lesson 22: Burgers' equation over time: exact, by finite differences, by a stored net."""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ... import odeint
from ...course.controls import choice, play, power_slider
from ...course.explorables import explorable
from ...data.pde import burgers_exact, burgers_field
from ...models import PINN
from ...plotting import BLUE, GREEN, VERMILLION, exact_line
from .runs import stored_burgers
from .trainings import NU

FRAMES = 21  # 0, 1/20, ..., 1
SIDE = 256  # intervals of the grid on which all is compared
LOWEST, HIGHEST = 1e-6, 30.0  # of the sizes that are shown


class BurgersFront(NamedTuple):
    """At x (SIDE + 1,): the exact u, the net's and its residual; finite differences on their own
    grid, and where that meets x the error.
    """

    nu: str
    n: int
    t: float
    x: np.ndarray
    exact: np.ndarray
    net: np.ndarray
    residual: np.ndarray
    grid: np.ndarray
    stepped: np.ndarray
    grid_error: np.ndarray

    @property
    def net_error(self) -> np.ndarray:
        return np.abs(self.net - self.exact)


def compute(nu: str, n: int, frame: int) -> BurgersFront:
    """Ask the stored net and the stored lines for one time."""
    x = torch.linspace(-1, 1, SIDE + 1, dtype=torch.float64)[:, None]
    t = torch.full_like(x, frame / (FRAMES - 1))
    model = net_of(nu)
    exact = exact_over_time(nu)[frame]
    stepped = lines(nu, n)[frame]
    return BurgersFront(
        nu=nu,
        n=n,
        t=frame / (FRAMES - 1),
        x=x[:, 0].numpy(),
        exact=exact,
        net=model(x, t)[:, 0].numpy(),
        residual=model.residuals(x, t)[:, 0].detach().numpy(),
        grid=np.linspace(-1, 1, n + 1),
        stepped=stepped,
        grid_error=np.abs(stepped - exact[:: SIDE // n]),
    )


@lru_cache(maxsize=2)
def net_of(nu: str) -> PINN:
    """The stored net."""
    return stored_burgers(nu)


@lru_cache(maxsize=2)
def exact_over_time(nu: str) -> np.ndarray:
    """u (FRAMES, SIDE + 1)."""
    x = torch.linspace(-1, 1, SIDE + 1, dtype=torch.float64)
    t = torch.linspace(0, 1, FRAMES, dtype=torch.float64)[:, None]
    return burgers_exact(x, t, NU[nu]).numpy()


@lru_cache(maxsize=16)
def lines(nu: str, n: int) -> np.ndarray:
    """The method of lines on n intervals (FRAMES, n + 1); implicit, since it is stiff."""
    x = torch.linspace(-1, 1, n + 1, dtype=torch.float64)[1:-1]
    t = torch.linspace(0, 1, FRAMES, dtype=torch.float64)
    start = -torch.sin(math.pi * x)
    u = odeint(burgers_field(n, NU[nu]), start, t, method="trbdf2", rtol=1e-3, atol=1e-4)
    return torch.nn.functional.pad(u, (1, 1)).numpy()


def draw(fig: Figure, data: BurgersFront) -> None:
    """The three solutions on the left, errors and residual on the right."""
    left, right = fig.subplots(1, 2, width_ratios=[1, 1.2])
    exact_line(data.x, data.exact, ax=left, label=None)
    left.plot(data.grid, data.stepped, ".", color=BLUE, markersize=5)
    left.plot(data.x, data.net, color=VERMILLION)
    left.set(xlim=(-1, 1), ylim=(-1.35, 1.35), xlabel="x")
    left.set_title(
        f"ν = {data.nu}, t = {data.t:.2f}: exact (dashed),\nnet, {data.n} intervals (dots)"
    )
    _draw_sizes(right, data)


def _draw_sizes(ax: Axes, data: BurgersFront) -> None:
    ax.set(yscale="log", xlim=(-1, 1), ylim=(LOWEST, HIGHEST), xlabel="x")
    inner = slice(1, -1)  # at the ends all are 0
    shown = {
        "|residual|": (data.x, np.abs(data.residual), GREEN),
        "net's error": (data.x, data.net_error, VERMILLION),
        "differences' error": (data.grid, data.grid_error, BLUE),
    }
    for place, (name, (x, y, color)) in enumerate(shown.items()):
        ax.plot(x[inner], y[inner].clip(LOWEST, HIGHEST), color=color)
        ax.text(-0.97, 9 / 3.5**place, name, color=color, va="center")
    ax.minorticks_off()
    ax.set_title(
        f"largest error: net {data.net_error.max():.2g},\ndifferences {data.grid_error.max():.2g}"
    )


def describe(data: BurgersFront) -> str:
    """Largest errors, and where the residual is largest."""
    place = abs(data.x[np.abs(data.residual).argmax()])
    return (
        f"ν = {data.nu}, t = {data.t:.2f}: largest error of the net {data.net_error.max():.1e}, of "
        f"{data.n} intervals {data.grid_error.max():.1e}; the residual is largest at |x| = "
        f"{place:.2f}."
    )


burgers_front = explorable(
    compute,
    draw,
    describe,
    question=(
        "Predict first: where will the residual be largest, and where the error? Is it the same "
        "place?"
    ),
    size=(8.8, 3.9),
    controls={
        "nu": choice("viscosity ν", list(NU)),
        "n": power_slider("intervals", 16, SIDE, 64),
        "frame": play("t in twentieths", FRAMES, value=10, milliseconds=350),
    },
)
