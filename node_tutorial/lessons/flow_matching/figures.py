"""Lesson 17: figures."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes

from ...course.runs import numbers_of
from ...data.densities import on_grid
from ...models import FlowMatching, MarginalVelocity
from ...plotting import (
    BLUE,
    EXACT,
    GRAY,
    GREEN,
    ON_DARK,
    ORANGE,
    PURPLE,
    VERMILLION,
    Picture,
    draw_density,
    draw_image_table,
    draw_samples,
    exact_line,
    figure,
    label_line,
    no_ticks,
    running_mean,
)
from . import digits
from .digits_runs import NFE
from .on_a_line import velocity
from .runs import KINDS, arrays, table
from .straightened import single
from .trainings import DENSITIES, HELD_OUT, PICTURE

FLOWS = {"planar": GREEN, "RealNVP": PURPLE, "CNF": ORANGE, "flow matching": BLUE}
MOMENTS = {0.1: GREEN, 0.5: BLUE, 0.9: VERMILLION}  # times of the learned field


@torch.no_grad()
def learned_figure(
    losses: Sequence[float], floor: float, model: FlowMatching, exact: MarginalVelocity
) -> Picture:
    """A figure of two: the loss and its floor, and the learned field at three times.

    Args:
        losses: of every update.
        floor: the least possible loss.
        model: the flow that was learned, on a line.
        exact: its exact field.
    """
    fig, (left, right) = figure(ncols=2, size=(8.6, 3.3))
    smooth = running_mean(losses, 31)
    left.plot(smooth, color=BLUE)
    left.set(xlim=(0, 1.12 * len(losses)), ylim=(0, 2.5 * floor), xlabel="update", ylabel="loss")
    exact_line([0, len(losses)], [floor, floor], ax=left, label="floor")
    left.set_title(f"the loss does not go to 0,\nbut to {floor:.3f}")
    for t, color in MOMENTS.items():
        std = ((1 - t) ** 2 + (0.5 * t) ** 2) ** 0.5
        x = torch.linspace(3 * t - 2.2 * std, 3 * t + 2.2 * std, 40, dtype=torch.float64)[:, None]
        right.plot(x, exact(t, x), color=EXACT, linewidth=1.2)
        found = model.velocity(torch.tensor(t), x.float())
        (line,) = right.plot(x, found, "--", color=color, linewidth=2.2)
        label_line(line, f"t = {t:g}")
    right.set(xlabel="x", ylabel="velocity", xlim=(-2.6, 5.4))
    right.set_title("learned (dashed),\nand exact (black)")
    return fig


@torch.no_grad()
def moons_figure(model: FlowMatching, steps: Sequence[int] = (1, 4, 16)) -> Picture:
    """A figure: samples of a flow with some numbers of Euler's steps, and its own density."""
    density = DENSITIES["moons"]()
    truth = on_grid(density.log_prob, density.bounds, PICTURE).exp()
    fig, axes = figure(ncols=1 + len(steps), size=(8.8, 1.75))
    z = torch.randn(600, 2, generator=torch.Generator().manual_seed(1))
    for ax, n in zip(axes, steps):
        draw_density(truth, density.bounds, ax=ax, shades=ON_DARK)
        draw_samples(model.move(z, steps=n).x, ax=ax, size=2.5)
        no_ticks(ax).set_title(f"Euler, NFE {n}")

    def log_prob(x: torch.Tensor) -> torch.Tensor:
        return model.log_prob(x.float(), rtol=1e-3, atol=1e-3)

    p = on_grid(log_prob, density.bounds, 48).exp()
    draw_density(p, density.bounds, ax=axes[-1], shades=ON_DARK, top=float(truth.max()))
    no_ticks(axes[-1]).set_title("its density, by the CNF")
    return fig


def gaps(density: str, flow: str) -> list[float]:
    """The KL gaps in nats of the seeds: of FLOWS, those of lesson 15 as they are stored there."""
    if flow == "flow matching":
        return table()[f"equal/{density}"]["kl"]
    return numbers_of("continuous_flows")[f"data/{density}/{flow}"]["kl"]


def gaps_line(density: str) -> str:
    """A line: the gaps of all FLOWS on a density, as ranges of the seeds."""
    found = {flow: gaps(density, flow) for flow in FLOWS}
    ranges = [f"{flow} {min(kl):.3f} to {max(kl):.3f}" for flow, kl in found.items()]
    return f"{density:9s}: " + ", ".join(ranges)


def gaps_figure() -> Picture:
    """A figure: exact densities with the ones that flow matching found, and all flows' gaps."""
    fig, axes = figure(ncols=5, nrows=2, size=(9.0, 3.9), width_ratios=[1, 1, 1, 1, 2.6])
    for (first, second), name in zip(axes[:, :4].T, DENSITIES):
        density = DENSITIES[name]()
        truth = on_grid(density.log_prob, density.bounds, PICTURE).exp()
        draw_density(truth, density.bounds, ax=first, shades=ON_DARK)
        stored = arrays()[f"data/{name}/picture"] / 255
        draw_density(stored, density.bounds, ax=second, shades=ON_DARK, top=1)
        no_ticks(first).set_title(name)
        no_ticks(second)
    axes[0, 0].set_ylabel("exact")
    axes[1, 0].set_ylabel("flow matching,\n20 seconds")
    for ax in axes[:, 4]:
        ax.remove()
    right = fig.add_subplot(axes[0, 4].get_gridspec()[:, 4])
    _draw_gaps(right)
    return fig


def _draw_gaps(ax: Axes) -> None:
    for row, name in enumerate(DENSITIES):
        for place, (flow, color) in enumerate(FLOWS.items()):
            values = gaps(name, flow)
            y = -row - 0.18 * place
            ax.plot([min(values), max(values)], [y, y], color=color, linewidth=3, alpha=0.6)
            ax.plot(np.median(values), y, "o", color=color, markersize=5)
    ax.set(xscale="log", ylim=(-3.95, 1.0), xlabel="KL gap, in nats")
    ax.set_title("6 seconds each: range\nand median of three seeds")
    ax.set_yticks([-row - 0.27 for row in range(4)], list(DENSITIES))
    ax.minorticks_off()
    for place, (flow, color) in enumerate(FLOWS.items()):
        ax.text(
            0.02 + 0.5 * (place % 2),
            0.985 - 0.075 * (place // 2),
            flow,
            color=color,
            transform=ax.transAxes,
            va="top",
        )


def over_nfe(net: str, solver: str) -> tuple[np.ndarray, np.ndarray]:
    """NFE and energy distance of digits, (seeds, numbers) each; net "diffusion": of lesson 16."""
    if net != "diffusion":
        measures = ("nfe", "energy")
        return tuple(digits.over_seeds(net, solver, key) for key in measures)  # type: ignore
    rows = numbers_of("diffusion")
    found = [rows[name]["samplers"][solver] for name in rows if name.startswith("U-Net/")]
    return np.array([row["nfe"] for row in found]), np.array([row["energy"] for row in found])


def diffusion_bits() -> float:
    """Bits of a pixel of the test images by lesson 16's U-Net, those of its first seed."""
    return numbers_of("diffusion")["U-Net/0"]["bits"]


def longer_line(density: str) -> str:
    """A line: the gaps after the longer training, and which is beyond measure, and why."""
    kl = table()[f"data/{density}"]["kl"]
    finite = [gap for gap in kl if gap < 1]
    line = f"{density:9s}: {min(finite):.3f} to {max(finite):.3f}"
    if len(finite) < len(kl):
        lost = table()[f"lost/{density}"]
        points, others = max(zip(lost["points"], lost["kl of others"]))
        line += (
            f"; in one seed {max(kl):.0e}, by {points} of {HELD_OUT} points "
            f"(the others {others:.3f})"
        )
    return line


def updates_line() -> str:
    """A line: updates of CNF and flow matching in the same time, and evaluations in each."""
    cnf = [numbers_of("continuous_flows")[f"data/{name}/CNF"] for name in DENSITIES]
    steps = [int(n) for row in cnf for n in row["steps"]]
    nfe = [n for row in cnf for n in row["nfe"]]
    own = max(table()[f"equal/{name}"]["steps"] for name in DENSITIES)
    return (
        f"updates in 6 seconds: CNF {min(steps)} to {max(steps)}, with {min(nfe):.0f} to "
        f"{max(nfe):.0f} evaluations each; flow matching up to {own}, with one each"
    )


CURVES = {
    "flow, Euler": ("U-Net", "Euler"),
    "diffusion, DDIM": ("diffusion", "DDIM"),
    "flow, midpoint": ("U-Net", "midpoint"),
    "diffusion, midpoint": ("diffusion", "midpoint"),
    "reflow, Euler": ("reflow", "Euler"),
}
STYLES: dict[str, dict[str, Any]] = {
    "flow, Euler": {"color": BLUE, "linewidth": 4, "alpha": 0.5},  # DDIM lies on it
    "diffusion, DDIM": {"color": PURPLE, "linestyle": "--"},
    "flow, midpoint": {"color": VERMILLION},
    "diffusion, midpoint": {"color": ORANGE, "linestyle": "--"},
    "reflow, Euler": {"color": GREEN},
}


def digits_figure() -> Picture:
    """A figure: digits by NFE of Euler, and the energy distance of flow matching and diffusion."""
    fig, (left, right) = figure(ncols=2, size=(9.2, 3.7), width_ratios=[1.25, 1.35])
    shown = [("U-Net", nfe) for nfe in (1, 2, 4, 64)] + [("reflow", 1)]
    images = {f"{'reflow, ' * (net == 'reflow')}NFE {nfe}": _images(net, nfe) for net, nfe in shown}
    draw_image_table(images, ax=left)
    left.set_title("flow matching, Euler")
    _draw_distances(right)
    return fig


def real_images() -> float:
    """An energy distance that two sets of real images may have: the mean and two standard
    deviations.
    """
    mean, std = numbers_of("diffusion")["reference"]["null"]["energy"]
    return mean + 2 * std


def _draw_distances(ax: Axes) -> None:
    """The median of the seeds as a line, their range as a band."""
    least = 0.03
    ax.set(xscale="log", yscale="log", ylim=(least, 40))
    for place, (name, curve) in enumerate(CURVES.items()):
        nfe, distance = over_nfe(*curve)
        style = STYLES[name]
        low, high = distance.min(0).clip(least), distance.max(0).clip(least)
        ax.plot(nfe[0], np.median(distance, axis=0).clip(least), marker=".", **style)
        ax.fill_between(nfe[0], low, high, color=style["color"], alpha=0.2, linewidth=0)
        ax.text(
            0.98,
            0.97 - 0.075 * place,
            name + " (dashed)" * ("linestyle" in style),
            color=style["color"],
            transform=ax.transAxes,
            ha="right",
            va="top",
        )
    ax.axhspan(least, real_images(), color=GRAY, alpha=0.18, linewidth=0, zorder=0)
    ax.text(1, 0.034, "two sets of real images", color=GRAY, fontsize=9.5)
    ax.set_xticks(NFE, [str(n) for n in NFE])
    ax.minorticks_off()
    ax.set(xlabel="evaluations of the net (NFE)", ylabel="energy distance to test images")


def _images(net: str, nfe: int) -> np.ndarray:
    return arrays()[f"digits/{net}/0/images Euler {nfe}"][:8] / 16


def _learned() -> Picture:
    model = FlowMatching(velocity("one Gaussian"), 1)
    return learned_figure(np.linspace(2, 0.8, 400).tolist(), 0.785, model, velocity("one Gaussian"))


# A picture of each kind, for the test that all of them can be read.
EXAMPLES: dict[str, Callable[[], Picture]] = {
    "learned_figure": _learned,
    "moons_figure": lambda: moons_figure(single(KINDS[0])),
    "gaps_figure": gaps_figure,
    "digits_figure": digits_figure,
}
