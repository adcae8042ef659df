"""Lesson 19: a set of images with faults of known size, and which measure sees them."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from ...course.controls import choice, slider
from ...course.explorables import explorable
from ...data.pixels import LEVELS, counts
from ...data.two_samples import Comparison, compare, nearest, null_band
from ...plotting import BLUE, EXACT, VERMILLION, draw_images

N = 450
NAMES = ("energy distance", "1-NN accuracy", "precision", "recall", "coverage", "nearest image")
SHOWN = 24
BEYOND = 3.0  # standard deviations of the null, from which a measure has seen it
SPLITS = 20
POOL = 650  # fresh images, of which N are taken


class Fooled(NamedTuple):
    """values, null, spread (6,) are the measures of NAMES, what honest sets give, and its standard
    deviation; seen (6,) is how many of these they are away.
    """

    copies: float
    noise: float
    dropped: int
    blur: float
    images: np.ndarray
    values: np.ndarray
    null: np.ndarray
    spread: np.ndarray
    seen: np.ndarray


class _Sets(NamedTuple):
    """A training set with labels; fresh real images, as a perfect model would make, with labels;
    and those with which what is made is compared. Images are (N, 64).
    """

    train: Tensor
    train_labels: Tensor
    fresh: Tensor
    labels: Tensor
    real: Tensor


@lru_cache(maxsize=1)
def _sets() -> _Sets:
    split = counts()
    images = split.images.flatten(1)
    labels = split.labels
    real = split.test_images.flatten(1)
    return _Sets(images[POOL:], labels[POOL:], images[:POOL], labels[:POOL], real)


@lru_cache(maxsize=1)
def _null() -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of all measures, for sets of real images."""
    sets = _sets()
    everything = torch.cat([sets.train, sets.fresh, sets.real])
    chance = torch.Generator().manual_seed(0)
    rows = null_band(compare, everything, N, SPLITS, chance).numpy()
    away = []
    for _ in range(SPLITS):
        some = everything[torch.randperm(len(everything), generator=chance)]
        away.append(float(nearest(some[:N], some[N:][: len(sets.train)]).median()))
    rows = np.column_stack([rows, away])
    return rows.mean(0), rows.std(0)


def made(copies: float, noise: float, dropped: int, blur: float) -> Tensor:
    """Images (N, 64) of whole dots: fresh ones, without those of a class; a share of them in
    exchange for copies; then all are drawn to the mean of two of a class, and noise is added.
    """
    sets = _sets()
    chance = torch.Generator().manual_seed(1)
    rows = (sets.labels != dropped).nonzero()[:N, 0]
    x = sets.fresh[rows]
    kinds = sets.labels[rows]
    share = torch.randperm(N, generator=chance) < copies * N
    x[share] = sets.train[_like(kinds[share], chance)]
    if blur:
        x = (1 - blur / 2) * x + blur / 2 * sets.train[_like(kinds, chance)]
    if noise:
        x = x + noise * torch.randn(x.shape, generator=chance)
    return x.round().clamp(0, LEVELS - 1)


def _like(kinds: Tensor, chance: torch.Generator) -> Tensor:
    """Places of random training images of given classes (n,)."""
    labels = _sets().train_labels
    return torch.tensor(
        [
            int(alike[torch.randint(len(alike), (1,), generator=chance)])
            for alike in ((labels == kind).nonzero()[:, 0] for kind in kinds)
        ],
        dtype=torch.int64,
    )


def compute(copies: float, noise: float, dropped: int, blur: float) -> Fooled:
    """All measures of one set."""
    train, *_, real = _sets()
    x = made(copies, noise, dropped, blur)
    found: Comparison = compare(real, x)
    values = np.append(np.array(found), float(nearest(x, train).median()))
    null, spread = _null()
    return Fooled(
        copies=copies,
        noise=noise,
        dropped=dropped,
        blur=blur,
        images=x[:SHOWN].numpy() / 16,
        values=values,
        null=null,
        spread=spread,
        seen=(values - null) / spread,
    )


def draw(fig: Figure, data: Fooled) -> None:
    """Some images, and how far each measure is from honest sets."""
    left, right = fig.subplots(1, 2, width_ratios=[1, 1.5])
    draw_images(data.images, 6, ax=left)
    left.set_title("what is made")
    places = np.arange(len(NAMES))[::-1]
    far = np.abs(data.seen) > BEYOND
    lengths = data.seen.clip(-30, 30)
    right.axvspan(-BEYOND, BEYOND, color=EXACT, alpha=0.12, linewidth=0)
    right.barh(places, lengths, height=0.6, color=[VERMILLION if x else BLUE for x in far])
    right.axvline(0, color=EXACT, linewidth=0.8)
    right.set_yticks(places, [f"{n} {v:.2f}" for n, v in zip(NAMES, data.values)])
    right.set(xlim=(-31, 31), xlabel="standard deviations from sets of real images (cut at 30)")
    right.set_title(f"{int(far.sum())} of 6 measures notice")


def describe(data: Fooled) -> str:
    """Who notices."""
    names = [name for name, z in zip(NAMES, data.seen) if abs(z) > BEYOND]
    without = "no class" if data.dropped < 0 else f"class {data.dropped}"
    return (
        f"copies {data.copies:.0%}, noise {data.noise:.1f}, {without} dropped, blur "
        f"{data.blur:.0%}: noticed by {', '.join(names) or 'none'}."
    )


fool_the_metric = explorable(
    compute,
    draw,
    describe,
    question="Predict first: half of the images are copies of the training set. Who notices?",
    size=(9.0, 3.6),
    controls={
        "copies": slider("share of copies", 0.0, 1.0, value=0.0, step=0.1, format=".1f"),
        "noise": slider("noise, dots", 0.0, 4.0, value=0.0, step=0.5, format=".1f"),
        "dropped": choice(
            "dropped", {"no class": -1, **{f"all {digit}s": digit for digit in range(10)}}, -1
        ),
        "blur": slider("blur", 0.0, 1.0, value=0.0, step=0.25, format=".2f"),
    },
)
