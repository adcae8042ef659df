"""Lesson 19: figures and tables, drawn from what is stored."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor

from ...data.pixels import counts
from ...plotting import (
    BLUE,
    EXACT,
    GRAY,
    VERMILLION,
    Picture,
    draw_image_table,
    figure,
    no_ticks,
)
from . import sample_size
from .entry import Entry
from .families import DIGITS, FAMILIES, board
from .runs import BOARDS, SIZES, samples, table
from .sizes import MEASURES as MEASURES_OF_SETS
from .trainings import PRICES

ORDER = (5, 1, 8, 3, 0, 7, 4, 2, 6)  # of the panels; 8 is the data
LETTERS = "ABCDEFGHI"
POINTS = 700  # in a panel
IN_A_ROW = 14
INK = 16
NAMES = tuple(FAMILIES)


def letters() -> dict[str, str]:
    """Which panel of `hook_figure` is which."""
    names = (*NAMES, "data")
    return {names[place]: letter for letter, place in zip(LETTERS, ORDER)}


def hook_figure() -> Picture:
    """Nine panels: eight families on the moons, and the data."""
    fig, axes = figure(3, 3, size=(8.4, 5.4))
    names = {letter: name for name, letter in letters().items()}
    left, right, bottom, top = -4.2, 4.2, -2.6, 3.0
    for ax, letter in zip(np.ravel(axes), LETTERS):
        x = panel_points(names[letter])[:POINTS]
        ax.scatter(x[:, 0], x[:, 1], s=1.6, color=EXACT, linewidths=0)
        ax.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")
        no_ticks(ax)
        ax.set_title(letter)
    return fig


def panel_points(name: str) -> Tensor:
    """Samples of a family on the moons, or the data (2000, 2), float64."""
    if name != "data":
        return samples("moons", name)
    density = board("moons").density
    assert density is not None
    return density.sample(2000, torch.Generator().manual_seed(5)).double()


# -- rows, ranges, and what separates --------------------------------------------------------------


def row(name: str, family: str) -> dict[str, Any]:
    """What is stored of a family on one of BOARDS."""
    return table()[f"board/{name}/{family}"]


def values(name: str, family: str, key: str) -> list[float]:
    """A measure by seed; [] where the family has it not."""
    return row(name, family).get(key, [])


def spread(numbers: Sequence[float], digits: int = 3) -> str:
    """The range of the seeds."""
    return f"{min(numbers):.{digits}f} to {max(numbers):.{digits}f}" if numbers else "none"


def median(name: str, family: str, key: str) -> float:
    """Of the seeds."""
    return float(np.median(values(name, family, key)))


def null(name: str, key: str) -> tuple[float, float]:
    """Mean and standard deviation of a measure of two sets of real data."""
    found = table()[f"null/{name}"][key]
    return found["mean"], found["std"]


def ahead(name: str, key: str, more: bool = False) -> dict[str, list[str]]:
    """family -> those that it is ahead of: all its seeds are better than all of theirs, by more
    than two standard deviations of chance. That is the null's; of both KLs the larger of the two
    models' own standard errors.

    more: whether more is better.
    """
    sign = -1 if more else 1
    found: dict[str, list[str]] = {}
    for a in NAMES:
        mine = [sign * value for value in values(name, a, key)]
        others = {b: [sign * value for value in values(name, b, key)] for b in NAMES if b != a}
        found[a] = [
            b
            for b, theirs in others.items()
            if mine and theirs and max(mine) + 2 * _chance(name, key, a, b) < min(theirs)
        ]
    return found


def _chance(name: str, key: str, *families: str) -> float:
    own = {"kl": "kl error", "reverse kl": "reverse error"}.get(key)
    if own:
        return max(max(values(name, family, own)) for family in families)
    return null(name, key)[1]


def first_seen(fault: str) -> dict[str, int | None]:
    """measure -> from how many points on it sees a fault of `sizes`; None: not with all of them."""
    return {measure: sample_size.compute(fault, measure).seen for measure in MEASURES_OF_SETS}


# -- tuning ----------------------------------------------------------------------------------------


def trials_figure() -> Picture:
    """All trials: the energy distance to validation data, the one that was chosen filled."""
    fig, axes = figure(len(BOARDS), size=(9.4, 3.8), sharey=True)
    for ax, name in zip(axes, BOARDS):
        for place, family in enumerate(NAMES):
            energy = np.array(table()[f"tried/{name}/{family}"]["energy"])
            for size in SIZES:
                shown = energy[size].clip(LEAST[name], 40)
                color = (BLUE, VERMILLION)[size]
                y = np.full(len(shown), place + 0.18 * (2 * size - 1))
                ax.plot(shown, y, "o", color=color, markersize=5, fillstyle="none")
            best = np.unravel_index(energy.argmin(), energy.shape)
            ax.plot(
                energy.min().clip(LEAST[name]),
                place + 0.18 * (2 * int(best[0]) - 1),
                "o",
                color=(BLUE, VERMILLION)[int(best[0])],
                markersize=6,
            )
        ax.set(xscale="log", title=name)
        ax.set_yticks(range(len(NAMES)), NAMES)
        ax.minorticks_off()
    axes[0].set_ylim(len(NAMES) - 0.5, -0.5)
    for ax in axes:
        ax.set_xlabel("energy distance to validation data")
    return fig


LEAST = {"moons": 1e-4, DIGITS: 1e-2}


# -- the plane -------------------------------------------------------------------------------------

MEASURES = {"kl": "KL(p || q), nats", "reverse kl": "KL(q || p), nats", "energy": "energy distance"}
FLOOR = {"kl": 2e-3, "reverse kl": 2e-3, "energy": 1e-4}


def plane_figure(entry: Entry | None = None, name: str = "moons") -> Picture:
    """Each family's seeds by three measures; with an entry in a row of its own."""
    fig, axes = figure(len(MEASURES), size=(9.6, 3.9), sharey=True)
    rows = [*NAMES, *([entry.name] if entry else [])]
    for ax, (key, label) in zip(axes, MEASURES.items()):
        if key in table()[f"null/{name}"]:
            mean, std = null(name, key)
            ax.axvspan(FLOOR[key] / 2, max(mean + 2 * std, FLOOR[key]), color=GRAY, alpha=0.15)
        for place, family in enumerate(rows):
            mine = entry is not None and place == len(NAMES)
            numbers = entry.numbers.get(key, []) if mine and entry else values(name, family, key)
            _draw_row(ax, numbers, place, FLOOR[key], VERMILLION if mine else BLUE)
        ax.set(xscale="log", xlabel=label)
        ax.set_xlim(left=FLOOR[key] / 1.3)
        ax.minorticks_off()
        ax.tick_params(axis="y", length=0)
    axes[0].set_yticks(range(len(rows)), rows)
    axes[0].set_ylim(len(rows) - 0.5, -0.5)
    return fig


def _draw_row(ax: Axes, numbers: Sequence[float], place: int, least: float, color: str) -> None:
    if not numbers:
        ax.annotate("no likelihood", (least * 1.3, place), va="center", color=GRAY, fontsize=9.5)
        return
    x = np.sort(np.clip(numbers, least, None))
    ax.plot(x[[0, -1]], [place, place], color=color, linewidth=1.6)
    ax.plot(x, np.full(len(x), place), "o", color=color, markersize=4)
    ax.plot(np.median(x), place, "|", color=color, markersize=13, markeredgewidth=2.2)


def plane_line(name: str, family: str) -> str:
    """A family in the plane, in a line of text."""
    forward = spread(values(name, family, "kl"))
    back = spread(values(name, family, "reverse kl"))
    return f"{family:15s} KL(p || q) {forward:16s} KL(q || p) {back}"


# -- digits ----------------------------------------------------------------------------------------


def digits_figure() -> Picture:
    """Left: rows of digits, real ones and those of all families. Right: precision and recall of
    all families, each seed, and of the ruler.
    """
    fig, (left, right) = figure(2, size=(10.4, 4.6), width_ratios=[1.15, 1])
    images = {"real": counts().test_images[:IN_A_ROW, 0].numpy() / INK}
    for family in NAMES:
        images[family] = samples(DIGITS, family)[:IN_A_ROW, 0].numpy() / INK
        if family == "VAE":
            means = samples(DIGITS, "VAE", "means")
            images["VAE, means"] = means[:IN_A_ROW, 0].numpy() / INK
    draw_image_table(images, ax=left)
    for name, found in table()["ruler"].items():
        _mark(right, found, name, GRAY, "x")
    for family in NAMES:
        _mark(right, row(DIGITS, family), family, BLUE, "o")
    _mark(right, row(DIGITS, "VAE")["of means"], "VAE, means", VERMILLION, "o")
    right.set(xlabel="recall", ylabel="precision", xlim=(-0.03, 1.45), ylim=(-0.05, 1.08))
    return fig


def _mark(ax: Axes, found: dict[str, Any], name: str, color: str, marker: str) -> None:
    """Recall and precision of the seeds, with a name; of the ruler their mean."""
    x = np.array(found["recall"])
    y = np.array(found["precision"])
    if marker == "x":
        x = x.mean(keepdims=True)
        y = y.mean(keepdims=True)
    ax.plot(x, y, marker, color=color, markersize=4)
    size = 8 if marker == "x" else 9.5
    ax.annotate(
        RULER_NAMES.get(name, name),
        (float(x.mean()), float(y.mean())),
        PLACES.get(name, (6, 3)),
        textcoords="offset points",
        fontsize=size,
        color=color,
    )


PLACES: dict[str, tuple[int, int]] = {
    "class Gaussians": (-30, 7),
    "one Gaussian, not rounded": (-116, -3),
    "VAE, means": (-74, -4),
    "VAE": (-38, 0),
    "diffusion": (-40, -16),
    "RealNVP": (9, -7),
    "flow matching": (9, -1),
    "planar": (12, 2),
    "CNF": (-36, -5),
    "autoregressive": (9, -6),
    "training images": (7, 4),
}

RULER_NAMES = {
    "one Gaussian, not rounded": "Gaussian, not rounded",
    "one Gaussian": "Gaussian",
    "training images": "real, copies, no eights",
    "copies": "",
    "no eights": "",
}


def digits_line(name: str, numbers: dict[str, list[float]]) -> str:
    """The measures of a set of images, in a line of text: means of its seeds."""
    mean = {key: float(np.mean(numbers[key])) for key in COLUMNS}
    return f"{name:26s}" + "".join(f"{mean[key]:>{w}.{d}f}" for key, (_, w, d) in COLUMNS.items())


COLUMNS = {
    "energy": ("energy", 8, 2),
    "sliced": ("sliced", 8, 2),
    "neighbors": ("1-NN", 7, 2),
    "precision": ("prec.", 7, 2),
    "recall": ("recall", 8, 2),
    "coverage": ("cover", 7, 2),
    "nearest": ("nearest", 9, 1),
}
HEAD = f"{'':26s}" + "".join(f"{title:>{width}s}" for title, width, _ in COLUMNS.values())


# -- costs -----------------------------------------------------------------------------------------


def milliseconds(name: str, family: str, what: str) -> float | None:
    """For a "sample" or a "likelihood", by turns with all others, on the machine that made the
    store; scaled by the evaluations of the trained models, where these differ.
    """
    cost = table()[f"cost/{name}"][family]
    if what not in cost:
        return None
    key = {"sample": "nfe", "likelihood": "nfe of density"}[what]
    found = values(name, family, key)
    calls = float(np.median(found)) if found else 1.0
    return float(cost[what]) * calls / max(1.0, cost[f"nfe of {what}"])


def per_evaluation(name: str, family: str) -> float:
    """Milliseconds for a sample by one evaluation of the net."""
    cost = table()[f"cost/{name}"][family]
    return float(cost["sample"] / max(1.0, cost["nfe of sample"]))


def cost_line(name: str, family: str) -> str:
    """What a family costs, in a line of text."""
    found = row(name, family)
    sample = milliseconds(name, family, "sample")
    likelihood = milliseconds(name, family, "likelihood")
    density = "    none" if likelihood is None else f"{likelihood:8.3f}"
    return (
        f"{family:15s}{found['parameters']:>11,d}{np.median(found['updates']):>9.0f}"
        f"{np.median(found['nfe']):>5.0f}{sample:>10.3f}{density:>12s}{found['bytes'] / 1e6:>8.1f}"
    )


COST_HEAD = (
    f"{'':15s}{'parameters':>11s}{'updates':>9s}{'NFE':>5s}{'ms/sample':>10s}{'ms/log p':>12s}"
    f"{'MB':>8s}"
)


def price_line(kind: str, family: str) -> str:
    """The prices of an update, in a line of text."""
    parts = [
        f"{price.update:.1f}" + (f" + {price.evaluation:.2f} NFE" if price.evaluation else "")
        for price in PRICES[kind][family]
    ]
    return f"{family:15s} " + ", ".join(parts) + " ms"


# -- Parzen windows --------------------------------------------------------------------------------


def parzen(samples: Tensor, test: Tensor, width: float) -> float:
    """The mean log-density, in nats, of test images under Gaussians about samples, (N, 64) each."""
    squares = torch.cdist(test.double(), samples.double()).square()
    size = samples.shape[1]
    logs = (-squares / (2 * width**2)).logsumexp(1) - math.log(len(samples))
    return float((logs - size * math.log(width * math.sqrt(2 * math.pi))).mean())
