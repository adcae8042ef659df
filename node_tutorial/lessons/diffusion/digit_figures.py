"""Lesson 16: figures of the digits, drawn from what is stored."""

import numpy as np
from matplotlib.axes import Axes

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
from .runs import GUIDANCE, RUNS, over_seeds

COLORS = {
    "reverse SDE": GRAY,
    "ancestral": VERMILLION,
    "DDIM": BLUE,
    "DPM-Solver++": GREEN,
    "midpoint": ORANGE,
    "EDM": SKY,
    "MLP, DDIM": PURPLE,
}
SHOWN = (1, 2, 4, 8, 16, 64)  # steps


def quality_figure() -> Picture:
    """Left: the energy distance of all samplers over evaluations of the net, seeds as a band.
    Right: precision beside recall, for 1, 2, 4, ... steps.
    """
    null = RUNS.numbers()["reference"]["null"]
    fig, (left, right) = figure(2, size=(9.6, 4.2), width_ratios=[1.35, 1])
    curves = {
        name: (over_seeds("U-Net", name, "nfe"), over_seeds("U-Net", name, "energy"))
        for name in COLORS
        if name != "MLP, DDIM"
    }
    curves["MLP, DDIM"] = (over_seeds("MLP", "DDIM", "nfe"), over_seeds("MLP", "DDIM", "energy"))
    mean, std = null["energy"]
    quality_over_cost(curves, floor=(mean, std), ax=left, colors=COLORS)
    left.set_ylabel("energy distance to test images")
    points = {
        name: tuple(
            np.median(over_seeds("U-Net", name, m), axis=0) for m in ("recall", "precision")
        )
        for name in ("DDIM", "EDM")
    }
    labels = [str(int(n)) if n <= 8 else "" for n in over_seeds("U-Net", "DDIM", "nfe")[0]]
    real = (null["recall"][0], null["precision"][0])
    precision_and_recall(points, real=real, ax=right, colors=COLORS, labels=labels)
    right.set_title("U-Net; DDIM from 1 to 64 steps")
    return fig


def samples_figure() -> Picture:
    """The first images of three samplers, from one noise, for few and many steps."""
    arrays = RUNS.arrays()
    fig, ax = figure(size=(9.6, 2.2))
    rows = {
        name: np.concatenate([arrays[f"U-Net/0/images {name} {steps}"][:2] for steps in SHOWN])
        for name in ("ancestral", "DDIM")
    }
    columns = [f"{steps} step{'s' * (steps > 1)}" for steps in SHOWN]
    draw_image_table({name: row / 16 for name, row in rows.items()}, columns, across=2, ax=ax)
    return fig


def guidance_figure() -> Picture:
    """Left: measures over the weight of the guidance. Right: an image of each digit."""
    row = RUNS.numbers()["guided"]
    arrays = RUNS.arrays()
    fig, (left, right) = figure(2, size=(9.6, 3.4), width_ratios=[1, 1.3])
    _draw_measures(left, row)
    shown = {f"w = {w:g}": arrays[f"guided/images {w:g}"][::2] / 16 for w in (0, 1, 3, 9)}
    draw_image_table(shown, [str(digit) for digit in range(10)], ax=right)
    return fig


def _draw_measures(ax: Axes, row: dict) -> None:
    place = np.arange(len(GUIDANCE))
    for name, color in (("precision", BLUE), ("recall", VERMILLION), ("right", GREEN)):
        (line,) = ax.plot(place, row[name], ".-", color=color)
        label_line(line, "right digit" if name == "right" else name)
    ax.set(ylim=(0, 1.05), xlabel="weight w of the guidance")
    ax.set_xticks(place, [f"{w:g}" for w in GUIDANCE])
