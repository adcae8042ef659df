"""Lesson 16: one exact score, many samplers: paths, end points, and how far these are off."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure

from ...course.controls import choice, power_slider, slider
from ...course.explorables import explorable
from ...models.samplers import (
    Samples,
    ddim,
    dpm_solver,
    heun,
    predictor_corrector,
    reverse_sde,
)
from ...models.time_grids import Grid, even, geometric, karras, quadratic, to_data, uniform
from ...plotting import BLUE, exact_line
from .line import DENOISE, MIXTURE, PATH, distance, noise, seeded

N = 2000
SHOWN = 14  # paths
BINS = np.linspace(-2.75, 3.25, 49)
X = torch.linspace(-2.75, 3.25, 241, dtype=torch.float64)
P = MIXTURE.log_prob(X[:, None]).exp().numpy()
STD = 1.1989  # of the mixture
FLOOR = 0.028  # the mean distance of N draws from the mixture itself


class Sampler(NamedTuple):
    """A sampler, its name in the list, and the option that a stochasticity from 0 to 1 sets."""

    name: str
    run: Callable[..., Samples]
    noise: Callable[[float, int], dict[str, float]]


def _none(_share: float, _steps: int) -> dict[str, float]:
    return {}


SAMPLERS = {
    sampler.name: sampler
    for sampler in (
        Sampler("DDIM, at 1 ancestral", ddim, lambda share, steps: {"eta": share}),
        Sampler("Euler in t, at 1 SDE", reverse_sde, lambda share, steps: {"noise": share}),
        Sampler("EDM, with churn", heun, lambda share, steps: {"churn": 0.4 * share * steps}),
        Sampler("DPM-Solver++, never noisy", dpm_solver, _none),
        Sampler("SDE and corrections", predictor_corrector, _none),
    )
}


def _with_data(grid: Grid) -> Grid:
    return lambda path, steps: to_data(grid(path, steps - 1))


# All with so many steps, of which the last is the guess.
GRIDS: dict[str, Grid] = {
    "even": even,
    "quadratic": _with_data(quadratic),
    "geometric": _with_data(geometric),
    "karras": _with_data(karras),
}


class OneScore(NamedTuple):
    """What a sampler made of N points.

    times (T,), paths (T, SHOWN) of the first points, counts: the histogram as a density, over BINS.
    """

    sampler: str
    grid: str
    steps: int
    share: float
    start: float
    nfe: int
    off: float
    std: float
    left: float
    times: np.ndarray
    paths: np.ndarray
    counts: np.ndarray


def compute(sampler: str, grid: str, steps: int, share: float, start: float) -> OneScore:
    """Start from p_1, stretched by `start` about 0."""
    times = GRIDS[grid](PATH, steps)
    chosen = SAMPLERS[sampler]
    found = chosen.run(
        DENOISE,
        PATH,
        start * noise(N),
        times,
        generator=seeded(1),
        keep=True,
        **chosen.noise(share, steps),
    )
    assert found.states is not None
    counts, _ = np.histogram(found.x[:, 0].numpy(), bins=BINS)
    return OneScore(
        sampler=sampler,
        grid=grid,
        steps=steps,
        share=share,
        start=start,
        nfe=found.nfe,
        off=distance(found.x),
        std=float(found.x.std()),
        left=float((found.x < 0.2).double().mean()),
        times=times.numpy(),
        paths=found.states[:, :SHOWN, 0].numpy(),
        counts=counts / (N * (BINS[1] - BINS[0])),
    )


class Ruined(NamedTuple):
    """DPM-Solver++ on a grid with a long last step: the last two steps of log r, and how far N
    points are off, by it alone, and with the second last step by DDIM.
    """

    before: float
    step: float
    off: float
    mended: float


def ruined_by_a_grid(seed: int = 0) -> Ruined:
    """15 even steps to t = 0.0001, and one to 0. In log r the step to 0.0001 is long; the one to
    0, where r is 0, is a guess.
    """
    times = to_data(uniform(PATH, 15))
    at = PATH.at(times[:-1])
    before, step = (at.alpha / at.sigma).log().diff()[-2:].tolist()
    start = noise(N, seed)
    off = distance(dpm_solver(DENOISE, PATH, start, times).x)
    so_far = dpm_solver(DENOISE, PATH, start, times[:-2]).x
    mended = distance(ddim(DENOISE, PATH, so_far, times[-3:]).x)
    return Ruined(before, step, off, mended)


def draw(fig: Figure, data: OneScore) -> None:
    """Paths from the noise, on the left, to the data; and the histogram of all end points."""
    left, right = fig.subplots(1, 2, width_ratios=[1.5, 1])
    left.plot(data.times, data.paths, ".-", color=BLUE, linewidth=0.9, markersize=3.5, alpha=0.8)
    left.set(xlim=(1.02, -0.02), ylim=(-3.2, 3.4), xlabel="t, from noise to data", ylabel="x")
    left.set_title(
        f"{data.sampler}: {data.steps} steps, {data.grid},\n"
        f"NFE {data.nfe}, start with {data.start:g} of its spread"
    )
    right.stairs(data.counts, BINS, fill=True, color=BLUE, alpha=0.45)
    exact_line(X, P, ax=right, label=None)
    right.set(xlim=(BINS[0], BINS[-1]), ylim=(0, 1.5), xlabel="x", yticks=[])
    right.set_title(
        f"off by {data.off:.2f} ({FLOOR:.2f} is chance)\nstd {data.std:.2f}, exact {STD:.2f}"
    )


def describe(data: OneScore) -> str:
    """The cost and the error."""
    return (
        f"{data.sampler}, {data.grid} grid, {data.steps} steps, noise {data.share:.2f}, start "
        f"{data.start:g}: {data.nfe} evaluations, off by {data.off:.2f}, std {data.std:.2f}, "
        f"{100 * data.left:.0f} % in the left hump."
    )


one_score = explorable(
    compute,
    draw,
    describe,
    question=(
        "Predict first: the start has half of its spread. Which sampler forgives that, the ODE "
        "(noise 0) or the SDE (noise 1)?"
    ),
    size=(8.8, 3.9),
    controls={
        "sampler": choice("sampler", list(SAMPLERS)),
        "grid": choice("grid", list(GRIDS)),
        "steps": power_slider("steps", 2, 256, value=16),
        "share": slider("noise", 0.0, 1.0, value=0.0, step=0.25),
        "start": slider("spread of the start", 0.25, 2.0, value=1.0, step=0.25),
    },
)
