"""Lesson 16: figures of the digits, drawn from what is stored."""

from copy import copy
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes

from ...data.pixels import counted, counts, judge, spread
from ...models.samplers import predictor_corrector
from ...models.time_grids import even, time_of
from ...plotting import (
    BLUE,
    GRAY,
    GREEN,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    Picture,
    draw_image_table,
    figure,
    label_line,
    precision_and_recall,
    quality_over_cost,
)
from .line import seeded
from .runs import GUIDANCE, RUNS, SEEDS, over_seeds, samples, stored

COLORS = {
    "reverse SDE": VERMILLION,
    "ancestral": ORANGE,
    "DDIM": BLUE,
    "DPM-Solver++": SKY,
    "midpoint": GREEN,
    "EDM": PURPLE,
    "MLP, DDIM": GRAY,
}
SAMPLERS = [name for name in COLORS if name != "MLP, DDIM"]
IN_A_ROW = 12
INK = 16  # the darkest pixel
KNOWN = 4  # rows of pixels, of the images whose lower half is filled in


class Few(NamedTuple):
    """How a path in the plane of recall and precision is labeled: numbers of evaluations, where
    they stand, and the way (1 or -1) to its name.
    """

    numbers: dict[int, str]
    offset: tuple[int, int]
    way: int


FEW = {
    "DDIM": Few({1: "1", 2: "2", 4: "4", 8: "8"}, (0, 7), 1),
    "reverse SDE": Few({4: "1, 2, 4", 8: "8"}, (-22, -4), -1),
}


def quality_figure() -> Picture:
    """Left: the energy distance of all samplers over evaluations of the net, seeds as a band.
    Right: precision beside recall, for 1, 2, 4, ... steps.
    """
    null = RUNS.numbers()["reference"]["null"]
    fig, (left, right) = figure(2, size=(9.6, 4.2), width_ratios=[1.35, 1])
    curves = {
        name: (over_seeds("U-Net", name, "nfe"), over_seeds("U-Net", name, "energy"))
        for name in SAMPLERS
    }
    curves["MLP, DDIM"] = (over_seeds("MLP", "DDIM", "nfe"), over_seeds("MLP", "DDIM", "energy"))
    mean, std = null["energy"]
    quality_over_cost(curves, floor=(mean, std), ax=left, colors=COLORS)
    left.set_ylabel("energy distance to test images")
    left.set_title("lines: medians; bands: three seeds")
    _draw_precision(right, (null["recall"][0], null["precision"][0]))
    return fig


def _draw_precision(ax: Axes, real: tuple[float, float]) -> None:
    """Two samplers whose errors with few evaluations are of opposite kinds."""
    points = {}
    for name, few in FEW.items():
        recall, precision = (
            np.median(over_seeds("U-Net", name, m), axis=0) for m in ("recall", "precision")
        )
        nfe = over_seeds("U-Net", name, "nfe")[0].tolist()
        for n, text in few.numbers.items():
            place = nfe.index(n)
            at = (recall[place], precision[place])
            ax.annotate(text, at, few.offset, textcoords="offset points", ha="center", fontsize=9)
        points[name] = (recall[:: few.way], precision[:: few.way])
    precision_and_recall(points, real=real, ax=ax, colors=COLORS)
    ax.set_title("the numbers are evaluations")


def digits_figure() -> Picture:
    """A figure: digits of the stored net, from the same noise with few steps and many, and real
    ones.
    """
    images = RUNS.arrays()
    rows = {
        f"DDIM, NFE {steps}": images[f"U-Net/0/images DDIM {steps}"][:IN_A_ROW] / INK
        for steps in (2, 8, 64)
    }
    rows["test digits"] = counts().test_images[:IN_A_ROW, 0].numpy() / INK
    fig, ax = figure(size=(8.6, 2.9))
    draw_image_table(rows, ax=ax)
    return fig


@torch.no_grad()
def completed_figure() -> Picture:
    """A figure: test digits whose lower half the stored net has filled in, and a way between two.

    The known half is put in, noised, at every step; the way is a turn in the noise.
    """
    model = stored("U-Net")
    test = counts().test_images[:IN_A_ROW]
    mask = (torch.arange(8) < KNOWN)[:, None].expand(8, 8)
    filled = model.inpaint(
        spread(test, seeded(0)),
        mask,
        even(model.path, 24),
        sampler=predictor_corrector,
        corrections=4,
        snr=0.25,
        generator=seeded(1),
    ).x
    hidden = torch.where(mask, test, 0.0)
    first, last = spread(counts().test_images[[1, 4]], seeded(0))
    between = model.interpolate(first, last, IN_A_ROW, rtol=1e-3, atol=1e-3)
    shown = {
        "given": hidden,
        "filled in": counted(filled),
        "truth": test,
        "in between": counted(between),
    }
    fig, ax = figure(size=(8.6, 2.9))
    draw_image_table({name: each.numpy() / INK for name, each in shown.items()}, ax=ax)
    return fig


def edm_from(ratio: float) -> tuple[int, float]:
    """Evaluations and energy distance of EDM with 8 steps, the stored net, if sigma / alpha
    begins at `ratio`.
    """
    model = copy(stored("U-Net"))
    last = float(time_of(model.path, torch.tensor(ratio, dtype=torch.float64)))
    model.path = model.path._replace(last=last)
    found = samples(model, "EDM", 8)
    return found.nfe, judge(found.x).energy


def distances_to_training() -> tuple[float, float]:
    """Median distances to the nearest training digit, in steps of gray: of samples by DDIM with 64
    steps, and of test digits.
    """
    table = RUNS.numbers()
    samples = table["U-Net/0"]["samplers"]["DDIM"]["nearest"][-1]
    return samples, table["reference"]["null"]["nearest"][0]


def evaluations_needed() -> dict[str, int]:
    """Sampler -> evaluations until the energy distance, the median of the seeds, is within twice
    what two sets of real digits give (mean and two standard deviations).
    """
    mean, std = RUNS.numbers()["reference"]["null"]["energy"]
    found = {}
    for name in SAMPLERS:
        nfe = over_seeds("U-Net", name, "nfe")[0]
        medians = np.median(over_seeds("U-Net", name, "energy"), axis=0)
        found[name] = int(nfe[medians < 2 * (mean + 2 * std)][0])
    return found


def bits() -> dict[str, float]:
    """Bits of a pixel of the test digits: median of the seeds of each net, and two yardsticks."""
    table = RUNS.numbers()
    nets = {
        net: float(np.median([table[f"{net}/{seed}"]["bits"] for seed in SEEDS]))
        for net in ("U-Net", "MLP")
    }
    return nets | table["reference"]["bits"]


def guidance_figure() -> Picture:
    """Left: measures over the weight of the guidance. Right: an image of each digit."""
    row = RUNS.numbers()["guided"]
    arrays = RUNS.arrays()
    fig, (left, right) = figure(2, size=(9.6, 2.6), width_ratios=[1, 1.75])
    _draw_measures(left, row)
    shown = {f"w = {w:g}": arrays[f"guided/images {w:g}"][::2] / INK for w in (0, 1, 3, 9)}
    draw_image_table(shown, [str(digit) for digit in range(10)], ax=right)
    return fig


def _draw_measures(ax: Axes, row: dict) -> None:
    place = np.arange(len(GUIDANCE))
    for name, color in (("precision", BLUE), ("recall", VERMILLION), ("right", GREEN)):
        (line,) = ax.plot(place, row[name], ".-", color=color)
        label_line(line, "right digit" if name == "right" else name)
    ax.set(ylim=(0, 1.05), xlabel="weight w of the guidance")
    ax.set_xticks(place, [f"{w:g}" for w in GUIDANCE])
