"""Lesson 16: guidance: how far samples of a class are pushed from those of no class."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ...course.controls import choice, slider
from ...course.explorables import explorable
from ...data import GaussianMixture, gaussian_mixture
from ...models import Denoised, exact_denoiser
from ...models.gaussian_paths import cosine
from ...models.samplers import dpm_solver
from ...plotting import BLUE, GREEN, ORANGE, PURPLE
from .line import seeded

PATH = cosine()
STEPS = 20
SAMPLES = 400
MEANS = torch.tensor([[-1.0, -0.6], [1.0, -0.6], [0.0, 1.1]], dtype=torch.float64)
STD = 0.75
CLASSES = {"left": 0, "right": 1, "top": 2}
COLORS = (BLUE, ORANGE, GREEN)
HALF = 4.2


class GuidanceWeight(NamedTuple):
    """Samples (SAMPLES, 2) of a class with guidance w.

    sure: the mean probability of the class, given the sample. spread: the standard deviation of the
    samples, that of the class is STD. away: how far their mean is from that of the class.
    """

    label: int
    w: float
    x: np.ndarray
    sure: float
    spread: float
    away: float
    nfe: int


@lru_cache(maxsize=1)
def whole() -> GaussianMixture:
    """All classes together."""
    return gaussian_mixture(torch.ones(3), MEANS, STD)


def compute(label: int, w: float) -> GuidanceWeight:
    of_none = exact_denoiser(whole(), PATH)
    of_class = exact_denoiser(gaussian_mixture([1.0], MEANS[label : label + 1], STD), PATH)

    def guided(t: Tensor, x: Tensor) -> Denoised:
        none, own = of_none(t, x), of_class(t, x)
        return Denoised(*(a + w * (b - a) for a, b in zip(none, own)))

    z = torch.randn(SAMPLES, 2, dtype=torch.float64, generator=seeded(2))
    times = torch.linspace(PATH.last, 0, STEPS + 1, dtype=torch.float64)
    x = dpm_solver(guided, PATH, z, times).x
    return GuidanceWeight(
        label=label,
        w=w,
        x=x.numpy(),
        sure=float(whole().responsibilities(x)[:, label].mean()),
        spread=float(x.var(0).mean().sqrt()),
        away=float((x.mean(0) - MEANS[label]).norm()),
        nfe=STEPS if w in (0, 1) else 2 * STEPS,
    )


def draw(fig: Figure, data: GuidanceWeight) -> None:
    """The samples over circles for the classes; fidelity and spread against w."""
    left, right = fig.subplots(1, 2, width_ratios=[1, 1.1])
    _draw_plane(left, data)
    _draw_trade(right, data)


def _draw_plane(ax: Axes, data: GuidanceWeight) -> None:
    angle = np.linspace(0, 2 * np.pi, 80)
    for k, mean in enumerate(MEANS.numpy()):
        for radius in (STD, 2 * STD):
            ring = mean + radius * np.stack([np.cos(angle), np.sin(angle)], 1)
            ax.plot(*ring.T, color=COLORS[k], linewidth=1.2 if k == data.label else 0.7)
    across, up = data.x.T
    ax.scatter(across, up, s=6, color=COLORS[data.label], alpha=0.75, linewidths=0)
    ax.set(xlim=(-HALF, HALF), ylim=(-HALF, HALF), aspect="equal", xticks=[], yticks=[])
    ax.set_title(
        f"w = {data.w:.1f}: NFE {data.nfe}, mean moved\nby {data.away:.2f} from the class's"
    )


def _draw_trade(ax: Axes, data: GuidanceWeight) -> None:
    curve = trade(data.label)
    ax.plot(*curve[:, 1:].T, color=PURPLE)
    for w, place in ((0, (6, -8)), (1, (8, -8)), (4, (-42, -14))):
        _, spread, sure = curve[2 * w]
        ax.annotate(f"w = {w:g}", (spread, sure), place, textcoords="offset points", fontsize=9)
    ax.plot(data.spread, data.sure, "o", color=COLORS[data.label], markersize=9, zorder=3)
    ax.set(xlim=(0, 1.45), ylim=(0.25, 1.04), xlabel="diversity: spread of the samples")
    ax.set_ylabel("fidelity: p(class | sample)")
    ax.set_title(f"fidelity {data.sure:.2f}, spread {data.spread:.2f}\n(the class's own: {STD})")


@lru_cache(maxsize=3)
def trade(label: int) -> np.ndarray:
    """Rows (w, spread, fidelity) for w = 0, 0.5, ..., 8."""
    rows = [compute(label, w / 2) for w in range(17)]
    return np.array([(row.w, row.spread, row.sure) for row in rows])


def describe(data: GuidanceWeight) -> str:
    """Fidelity and diversity."""
    name = list(CLASSES)[data.label]
    return (
        f"class {name}, w = {data.w:.1f}: fidelity {data.sure:.2f}, spread {data.spread:.2f} (the "
        f"class's own {STD}), mean moved by {data.away:.2f}; {data.nfe} evaluations."
    )


guidance_weight = explorable(
    compute,
    draw,
    describe,
    question=(
        "Predict first: from w = 1 to w = 4, what becomes of the spread of the samples, and where "
        "do they go?"
    ),
    size=(8.4, 4.0),
    controls={
        "label": choice("class", CLASSES),
        "w": slider("guidance w", 0.0, 8.0, value=1.0, step=0.5, format=".1f"),
    },
)
