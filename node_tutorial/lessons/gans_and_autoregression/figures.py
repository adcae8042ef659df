"""Lesson 18: figures."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.patches import Circle
from torch import Tensor

from ...data.pixels import LEVELS, SIDE
from ...models import modes
from ...plotting import (
    BLUE,
    EXACT,
    GRAY,
    GREEN,
    ORANGE,
    VERMILLION,
    Picture,
    draw_image_table,
    figure,
    no_ticks,
)
from .runs import FILMED, MOMENTS, RADIUS, RUNS, STD, WAYS, centers, pixels, transformer

INK = LEVELS - 1
SHOWN = 12  # digits in a row


def rings_figure() -> Picture:
    """A figure: samples of each way to train, on the eight Gaussians; seed 0."""
    fig, axes = figure(nrows=2, ncols=6, size=(10.6, 4.4))
    numbers = RUNS.numbers()
    for ax, name in zip(axes.flat, WAYS):
        row = numbers[f"rings/{name}"]
        _draw_samples(ax, RUNS.arrays()[f"rings/{name}/film"][-1])
        found = f"{row['modes'][0]} mode{'s' * (row['modes'][0] != 1)}"
        ax.set_title(f"{name}\n{found}, off by {row['energy'][0]:.2f}", fontsize=9)
    axes.flat[-1].axis("off")
    return fig


def film_figure() -> Picture:
    """A figure: samples at six moments of two trainings, the collapsed and the cured; seed 0."""
    fig, axes = figure(nrows=len(FILMED), ncols=len(MOMENTS), size=(10.0, 3.7))
    for row, name in zip(axes, FILMED):
        for ax, moment, x in zip(row, MOMENTS, RUNS.arrays()[f"rings/{name}/film"]):
            _draw_samples(ax, x)
            found = modes(torch.tensor(x.astype(np.float32)), centers(), STD).found
            ax.set_title(f"{moment}: {found} mode{'s' * (found != 1)}", fontsize=9.5)
        row[0].set_ylabel(name, fontsize=9.5)
    return fig


def _draw_samples(ax: Axes, x: np.ndarray) -> None:
    """Samples (n, 2) over the eight Gaussians; those outside lie on the frame."""
    for center in centers().tolist():
        ax.add_patch(Circle(center, 3 * STD, color=GRAY, alpha=0.2, linewidth=0))
    reach = 1.75 * RADIUS
    ax.plot(*x.astype(float).clip(-reach, reach).T, ".", color=BLUE, markersize=2, clip_on=False)
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    no_ticks(ax)
    ax.spines[:].set(visible=True, color=GRAY, alpha=0.4)


# Color, and where the name stands, of each way to pull.
PULLS = (
    (VERMILLION, 60, 8.3, "left"),
    (BLUE, 13, 3.8, "left"),
    (GREEN, 25, 5.9, "left"),
    (ORANGE, 45, 1.7, "right"),
)


def pull_figure(ways: Mapping[str, Sequence[float]]) -> Picture:
    """A figure: where each way to pull has the generator after n steps; the data are at 0."""
    fig, ax = figure(size=(6.4, 3.0))
    for (name, places), (color, x, y, side) in zip(ways.items(), PULLS):
        ax.plot(places, color=color)
        ax.text(x, y, name, color=color, ha=side)
    ax.axhline(0, color=EXACT, linewidth=1, linestyle="--")
    longest = max(len(places) for places in ways.values())
    ax.set(xlim=(0, longest), ylim=(-0.6, 9.2), xlabel="steps", ylabel="shift of the samples")
    return fig


def bits_figure(rows: Mapping[str, Sequence[float]], by_pixel: Sequence[float]) -> Picture:
    """A figure: bits of a pixel for each model, one dot a seed; and the Transformer's map.

    Args:
        rows: model -> bits on the test images.
        by_pixel: (64,) of the Transformer.
    """
    fig, (left, right) = figure(ncols=2, size=(9.2, 3.2), width_ratios=[1.7, 1])
    for place, values in enumerate(rows.values()):
        color = BLUE if len(values) > 1 else GRAY
        left.plot(values, [place] * len(values), "o", color=color, markersize=6, alpha=0.7)
        seeds = f"{min(values):.2f} to {max(values):.2f}" if len(values) > 1 else f"{values[0]:.2f}"
        left.text(max(values) + 0.03, place, seeds, va="center", fontsize=9.5)
    left.set_yticks(range(len(rows)), list(rows))
    most = max(max(values) for values in rows.values())
    left.set(xlim=(1.88, most + 0.14), ylim=(len(rows) - 0.4, -0.6))
    left.set_xlabel("bits for a pixel, test digits")
    left.grid(axis="y")
    image = right.imshow(np.reshape(by_pixel, (SIDE, SIDE)), cmap="Oranges", vmin=0)
    fig.colorbar(image, ax=right, label="bits")
    right.set(xticks=[], yticks=[], title="Transformer, by pixel")
    right.grid(False)
    return fig


@torch.no_grad()
def digits_figure() -> Picture:
    """A figure: test digits, and the Transformer's draws at four temperatures."""
    model = transformer()
    rows = {"test digits": pixels().test[:SHOWN].float() / INK}
    for temperature in (2.0, 1.0, 0.5):
        chance = torch.Generator().manual_seed(0)
        drawn = model.sample(SHOWN, temperature=temperature, generator=chance).x
        rows[f"temperature {temperature}"] = drawn.float() / INK
    rows["likeliest level"] = model.sample(SHOWN, top_k=1).x.float() / INK
    fig, ax = figure(size=(8.8, 3.7))
    draw_image_table(rows, ax=ax)
    return fig


def attention_figure(weights: Tensor, source: Sequence[int], target: Sequence[int]) -> Picture:
    """A figure: where each entry of the target looks in the source, weights (T, T)."""
    fig, ax = figure(size=(4.6, 3.6))
    image = ax.imshow(weights.numpy(), cmap="Blues", vmin=0, vmax=1)
    ax.set_xticks(range(len(source)), [str(token) for token in source])
    ax.set_yticks(range(len(target)), [str(token) for token in target])
    ax.set(xlabel="source", ylabel="target, from the top")
    ax.grid(False)
    fig.colorbar(image, ax=ax, label="weight")
    return fig


def discriminator_figure(x: Tensor, learned: Tensor, exact: Tensor, both: Tensor) -> Picture:
    """A figure: a learned discriminator (n,) at x beside the best one; behind them the density of
    data and samples together.
    """
    fig, ax = figure(size=(6.4, 3.0))
    ax.fill_between(x, both / both.max(), color=GRAY, alpha=0.25, linewidth=0)
    ax.plot(x, learned, color=ORANGE, linewidth=2)
    ax.plot(x, exact, "--", color=EXACT)
    ax.text(-1.4, 0.72, "learned", color=ORANGE, ha="right")
    ax.text(2.2, 0.28, "exact, p / (p + q)", color=EXACT)
    ax.text(4.4, 0.1, "p + q", color=GRAY)
    ax.set(xlim=(float(x[0]), float(x[-1])), ylim=(0, 1.05), xlabel="x", ylabel="D")
    return fig


# A picture of each kind, for the test that all of them can be read.
EXAMPLES: dict[str, Callable[[], Picture]] = {
    "rings_figure": rings_figure,
    "film_figure": film_figure,
    "pull_figure": lambda: pull_figure(
        {
            "minimax": [8.0] * 120,
            "non-saturating": [8 * 0.9**k for k in range(120)],
            "Wasserstein": [max(8 - k / 10, 0.0) for k in range(120)],
            "minimax, Adam": [max(8 - k / 8, 0.0) for k in range(120)],
        }
    ),
    "bits_figure": lambda: bits_figure(
        {"64 histograms": [2.43], "GRU": [2.1, 2.2, 2.15]}, [k / 16 for k in range(64)]
    ),
    "digits_figure": digits_figure,
    "attention_figure": lambda: attention_figure(torch.eye(6).flip(1), range(6), range(6)),
    "discriminator_figure": lambda: discriminator_figure(
        torch.linspace(-4, 6, 50),
        torch.linspace(1, 0, 50),
        torch.linspace(0.9, 0.1, 50),
        torch.linspace(1, 2, 50),
    ),
}
