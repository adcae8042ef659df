"""Lesson 16: figures."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from numpy.typing import ArrayLike
from torch import Tensor, nn

from ...data import Density, on_grid, two_moons
from ...models import Diffusion
from ...models.gaussian_paths import cosine
from ...models.samplers import (
    Samples,
    ancestral,
    ddim,
    dpm_solver,
    heun,
    probability_flow,
    reverse_sde,
)
from ...models.time_grids import Grid, even, to_data
from ...plotting import (
    BLUE,
    GRAY,
    ON_DARK,
    ON_WHITE,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    Picture,
    draw_density,
    draw_samples,
    exact_line,
    figure,
    label_line,
    no_ticks,
    room_for_labels,
    running_mean,
)
from . import copies
from .line import DENOISE, PATH, density, distance, floor, noise, seeded
from .one_score import GRIDS

HEIGHT = 2.6  # half of the line that is shown
N = 4000  # samples whose distance is measured
SHOWN_GRIDS = {"even": "steps even in t", "karras": "Karras' grid, ρ = 7"}
EVALUATIONS = (4, 8, 16, 32, 64, 128)
TIMES = (0.1, 0.3, 0.6)  # of the learned noise


def film_figure(film: copies.Film) -> Picture:
    """A figure: digits that dissolve, and digits that come of noise."""
    n = copies.FILM
    fig, axes = figure(ncols=2 * n + 1, nrows=copies.ROWS, size=(8.8, 2.15))
    times = [*film.times.tolist(), None, *film.times.flip(0).tolist()]
    for ax, t in zip(axes[0], times):
        ax.set_title("" if t is None else f"{t:.1f}", loc="center", fontsize=9)
    for row in range(copies.ROWS):
        shown = [*film.dissolving[:, row], None, *film.coming[:, row]]
        for ax, image in zip(axes[row], shown):
            no_ticks(ax)
            if image is not None:
                _draw_digit(image, ax)
    for ax in axes[:, n]:
        ax.set_axis_off()
    fig.suptitle("noise is added, from t = 0 to 1, and taken away, from t = 1 to 0", fontsize=11)
    return fig


def _draw_digit(image: Tensor, ax: Axes) -> None:
    ax.imshow(image.reshape(8, 8).numpy(), cmap="gray_r", vmin=-1, vmax=1, interpolation="nearest")
    ax.grid(False)


@torch.no_grad()
def two_ways_figure() -> Picture:
    """A figure: p_t as columns of color, and paths of the reverse SDE and of the flow on it."""
    fig, (left, right) = figure(ncols=2, size=(8.8, 3.4), sharey=True)
    times = to_data(torch.linspace(1, 0.002, 250, dtype=torch.float64))
    columns = _columns()
    start = noise(40, seed=5)
    sde = reverse_sde(DENOISE, PATH, start, times, generator=seeded(0), keep=True)
    flow = probability_flow(DENOISE, PATH, start, times[:-1], keep=True)
    shown = (
        (left, sde, "reverse SDE", VERMILLION),
        (right, flow, "probability flow, an ODE", VERMILLION),
    )
    for ax, found, name, color in shown:
        draw_density(columns, (1, 0, -HEIGHT, HEIGHT), ax=ax, shades=ON_WHITE, top=1.0)
        assert found.states is not None
        ax.plot(
            times[: len(found.states)], found.states[:, :, 0], color=color, linewidth=0.6, alpha=0.8
        )
        ax.set(xlim=(1, 0), ylim=(-HEIGHT, HEIGHT), aspect="auto", xlabel="t")
        ax.set_title(f"{name}: 40 paths")
    left.set_ylabel("x")
    return fig


@lru_cache(maxsize=1)
def _columns() -> np.ndarray:
    """p_t / max p_t: rows from x = -HEIGHT up, columns from t = 1 to t = 0."""
    x = torch.linspace(-HEIGHT, HEIGHT, 121, dtype=torch.float64)[:, None]
    each = [density(t).log_prob(x).exp() for t in np.linspace(1, 0, 81)]
    return torch.stack([p / p.max() for p in each], dim=1).numpy()


class Row(NamedTuple):
    """A sampler in the figure: its name, color, and the evaluations of a step."""

    name: str
    color: str
    sample: Callable[..., Samples]
    calls: int = 1

    def run(self, x: Tensor, nfe: int, grid: Grid) -> Samples:
        """With `nfe` evaluations, or one more or less where a step takes two."""
        times = grid(PATH, 1 + nfe // 2 if self.calls == 2 else nfe)
        return self.sample(DENOISE, PATH, x, times, generator=seeded(1))


SAMPLERS = (
    Row("reverse SDE", VERMILLION, reverse_sde),
    Row("ancestral", ORANGE, ancestral),
    Row("DDIM", BLUE, ddim),
    Row("EDM", PURPLE, heun, calls=2),  # but for the last step
    Row("DPM-Solver++", SKY, dpm_solver),
)


@lru_cache(maxsize=1)
def sampler_errors() -> dict[tuple[str, str], list[tuple[int, float]]]:
    """(grid, sampler) -> (evaluations, distance to the mixture) of N samples."""
    x = noise(N)
    found = {}
    for grid in SHOWN_GRIDS:
        for row in SAMPLERS:
            samples = [row.run(x, nfe, GRIDS[grid]) for nfe in EVALUATIONS]
            found[grid, row.name] = [(each.nfe, distance(each.x)) for each in samples]
    return found


def samplers_figure() -> Picture:
    """A figure: how far N samples are off over evaluations, on two grids; the floor is chance."""
    fig, axes = figure(ncols=2, size=(8.8, 3.7), sharey=True)
    least = floor(N)
    for ax, (grid, name) in zip(axes, SHOWN_GRIDS.items()):
        ax.set(xscale="log", yscale="log", xlim=(2.7, 160), ylim=(0.008, 2), xlabel="NFE")
        ax.axhspan(0.008, least, color=GRAY, alpha=0.15, linewidth=0)
        room_for_labels(ax, 0.35)
        for row in sorted(SAMPLERS, key=lambda row: -sampler_errors()[grid, row.name][-1][1]):
            nfe, off = zip(*sampler_errors()[grid, row.name])
            (line,) = ax.plot(nfe, off, "o-", color=row.color, markersize=3.5, linewidth=1.5)
            label_line(line, row.name, fontsize=9, down=True)
        ax.set_title(name)
        ax.set_xticks(EVALUATIONS, map(str, EVALUATIONS))
        ax.minorticks_off()
    axes[0].set_ylabel("off by (W₁)")
    axes[0].text(3, least * 0.93, "chance", color=GRAY, fontsize=9, va="top")
    return fig


def regression_figure(bins: Mapping[float, tuple[ArrayLike, ArrayLike]]) -> Picture:
    """A figure: mean noise in bins of x_t, on the exact E[eps | x_t].

    Args:
        bins: time -> middles of the bins, and means.
    """
    fig, axes = figure(ncols=len(bins), size=(8.8, 2.6), sharey=True)
    for ax, (time, (middles, means)) in zip(axes, bins.items()):
        ax.plot(middles, means, "o", color=ORANGE, markersize=4)
        _draw_exact_noise(time, ax)
        ax.set_title(f"t = {time:g}")
    axes[0].set_ylabel("mean of ε")
    return fig


def learned_figure(
    losses: Sequence[float], least: float, learned: Callable[[Tensor, Tensor], Tensor]
) -> Picture:
    """A figure: the loss with its floor, and the learned noise beside the exact one.

    Args:
        losses: of every update; least: the floor.
        learned: (t, x) -> eps, x (B, 1).
    """
    fig, axes = figure(ncols=1 + len(TIMES), size=(8.8, 2.8), width_ratios=[1.5, 1, 1, 1])
    first = axes[0]
    first.plot(losses, color=BLUE, linewidth=0.3, alpha=0.35)
    first.plot(np.arange(50, len(losses) - 49), running_mean(losses, 100), color=BLUE)
    exact_line([0, len(losses)], [least, least], ax=first, label=None)
    first.text(len(losses), least - 0.02, "the floor", ha="right", va="top", fontsize=9.5)
    first.set(xlim=(0, len(losses)), ylim=(0, 1.0), xlabel="update", title="loss")
    x = torch.linspace(-2.4, 2.6, 101)[:, None]
    for ax, time in zip(axes[1:], TIMES):
        with torch.no_grad():
            ax.plot(x, learned(torch.tensor(time), x), color=ORANGE)
        _draw_exact_noise(time, ax)
        ax.set(ylim=(-2.6, 2.6), title=f"ε, t = {time:g}", xlabel="x")
    for ax in axes[2:]:
        ax.set_yticklabels([])
    return fig


def _draw_exact_noise(time: float, ax: Axes) -> None:
    x = torch.linspace(-2.4, 2.6, 201, dtype=torch.float64)[:, None]
    exact_line(x, DENOISE(torch.tensor(time).double(), x).eps, ax=ax, label=None)
    ax.set(xlim=(-2.5, 2.7), ylim=(-2.6, 2.6), xlabel="x")


@torch.no_grad()
def moons_figure(
    models: Mapping[str, Diffusion], truth: Density, evaluations: Sequence[int]
) -> Picture:
    """A figure: the densities of the models beside the true one, and samples of the last model by
    DPM-Solver++, with few evaluations and more.
    """
    fig, axes = figure(ncols=1 + len(models) + len(evaluations), size=(9.6, 1.75))
    exact = on_grid(truth.log_prob, truth.bounds, 48).exp()
    top = float(exact.max())
    densities = {"exact": exact}
    densities |= {name: _density(model, truth) for name, model in models.items()}
    for ax, (name, p) in zip(axes, densities.items()):
        draw_density(p, truth.bounds, ax=ax, shades=ON_DARK, top=top)
        ax.set_title(name)
    name, model = list(models.items())[-1]
    for ax, nfe in zip(axes[1 + len(models) :], evaluations):
        x = model.sample(600, even(model.path, nfe), sampler=dpm_solver, generator=seeded(3)).x
        draw_density(exact, truth.bounds, ax=ax, top=top, shades=ON_DARK)
        draw_samples(x, ax=ax)
        ax.set(xlim=truth.bounds[:2], ylim=truth.bounds[2:], title=f"{name}, NFE {nfe}")
    for ax in axes:
        no_ticks(ax)
    return fig


def _density(model: Diffusion, truth: Density) -> Tensor:
    def log_prob(x: Tensor) -> Tensor:
        return model.log_prob(x.float(), rtol=1e-3, atol=1e-3)

    return on_grid(log_prob, truth.bounds, 48).exp()


class _OfAGaussian(nn.Module):
    """The noise in x_t on the cosine path, for data from N(0, 0.4^2)."""

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        at = cosine().at(t)
        return at.sigma * x / (0.16 * at.alpha**2 + at.sigma**2)


def _losses() -> list[float]:
    return [0.9 - 0.0005 * k for k in range(1200)]


# A picture of each kind, for the test that all of them can be read.
EXAMPLES: dict[str, Callable[[], Picture]] = {
    "film_figure": lambda: film_figure(copies.film()),
    "two_ways_figure": two_ways_figure,
    "samplers_figure": samplers_figure,
    "regression_figure": lambda: regression_figure(
        {t: ([-1.0, 0.0, 1.0], [-0.5, 0.1, 0.4]) for t in (0.1, 0.3, 0.6)}
    ),
    "learned_figure": lambda: learned_figure(_losses(), 0.25, lambda t, x: 0.5 * x),
    "moons_figure": lambda: moons_figure(
        {"one": Diffusion(_OfAGaussian()), "other": Diffusion(_OfAGaussian())}, two_moons(), (4, 16)
    ),
}
