"""Lesson 16: the net with the least possible training loss, on a few points of the moons."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ...course.controls import play, power_slider
from ...course.explorables import explorable
from ...data import gaussian_mixture, on_grid, two_moons
from ...data.two_samples import nearest
from ...models import exact_denoiser
from ...models.gaussian_paths import cosine
from ...models.samplers import ddim
from ...models.time_grids import karras, to_data
from ...plotting import BLUE, GRAY, ON_WHITE, ORANGE, draw_density, no_ticks
from .line import seeded

PATH = cosine()
STEPS = 24
SAMPLES = 300
BOUNDS = (-3.4, 3.4, -2.6, 2.6)
BINS = np.linspace(0, 1.0, 26)


class CopyingMachine(NamedTuple):
    """Samples (SAMPLES, 2) on their way, made of n training points (n, 2).

    distances: of the samples to the nearest training point; others: of new draws of the truth.
    """

    n: int
    frame: int
    t: float
    train: np.ndarray
    x: np.ndarray
    distances: np.ndarray
    others: np.ndarray


def compute(n: int, frame: int) -> CopyingMachine:
    times, states = sampled(n)
    train = training_set(n)
    fresh = two_moons().sample(SAMPLES, seeded(7)).double()
    x = states[frame]
    return CopyingMachine(
        n=n,
        frame=frame,
        t=float(times[frame]),
        train=train.numpy(),
        x=x.numpy(),
        distances=nearest(x, train).numpy(),
        others=nearest(fresh, train).numpy(),
    )


def training_set(n: int) -> Tensor:
    return two_moons().sample(256, seeded(5)).double()[:n]


@lru_cache(maxsize=10)
def sampled(n: int) -> tuple[Tensor, Tensor]:
    """Times (STEPS + 1,) and states (STEPS + 1, SAMPLES, 2) with the exact denoiser of n points."""
    train = gaussian_mixture(torch.ones(n), training_set(n), 0.0)
    times = to_data(karras(PATH, STEPS - 1))
    z = torch.randn(SAMPLES, 2, dtype=torch.float64, generator=seeded(6))
    found = ddim(exact_denoiser(train, PATH), PATH, z, times, keep=True)
    assert found.states is not None
    return times, found.states


@lru_cache(maxsize=1)
def _truth() -> Tensor:
    return on_grid(two_moons().log_prob, BOUNDS, 60).exp()


def draw(fig: Figure, data: CopyingMachine) -> None:
    """The samples among the training points, and the distances to these."""
    left, right = fig.subplots(1, 2, width_ratios=[1.3, 1])
    _draw_plane(left, data)
    _draw_distances(right, data)


def _draw_plane(ax: Axes, data: CopyingMachine) -> None:
    draw_density(_truth(), BOUNDS, ax=ax, shades=ON_WHITE)
    across, up = data.train.T
    ax.scatter(across, up, s=46, marker="o", facecolors="none", edgecolors=ORANGE, linewidths=1.3)
    across, up = data.x.T
    ax.scatter(across, up, s=7, color="black", linewidths=0)
    ax.set(xlim=BOUNDS[:2], ylim=BOUNDS[2:])
    no_ticks(ax)
    ax.set_title(f"{data.n} training points (rings), t = {data.t:.2f}:\n{SAMPLES} samples (dots)")


def _draw_distances(ax: Axes, data: CopyingMachine) -> None:
    for values, color in ((data.others, GRAY), (data.distances, BLUE)):
        counts, _ = np.histogram(np.minimum(values, 0.999), bins=BINS)
        ax.stairs(counts / SAMPLES, BINS, fill=True, color=color, alpha=0.55)
    ax.set(
        xlim=(0, 1), ylim=(0, 1.05), xlabel="distance to the nearest training point (1: or more)"
    )
    ax.set_title(
        f"median: samples {np.median(data.distances):.2f} (blue),\n"
        f"new draws of the moons {np.median(data.others):.2f} (gray)"
    )


def describe(data: CopyingMachine) -> str:
    """How near the samples are to the training set."""
    return (
        f"{data.n} training points, t = {data.t:.2f}: the samples lie "
        f"{np.median(data.distances):.2f} from the nearest one (median), new draws of the moons "
        f"{np.median(data.others):.2f}."
    )


copying_machine = explorable(
    compute,
    draw,
    describe,
    question=(
        "Predict first: the net has the least possible loss on 16 points. Where do its samples end?"
    ),
    size=(8.6, 3.8),
    controls={
        "n": power_slider("training points", 2, 256, value=16),
        "frame": play("step", STEPS + 1, value=STEPS, milliseconds=350),
    },
)
