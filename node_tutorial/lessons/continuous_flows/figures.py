"""Lesson 15: figures."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor

from ...data import Density, grid, on_grid
from ...data.targets import target
from ...models import CNF
from ...plotting import (
    BLUE,
    EXACT,
    GRAY,
    ON_DARK,
    ORANGE,
    REJECTED,
    VERMILLION,
    Picture,
    draw_density,
    draw_ranges,
    draw_samples,
    exact_line,
    figure,
    label_line,
    no_ticks,
    running_mean,
)
from .runs import (
    DENSITIES,
    EULER,
    FLOWS,
    PICTURE,
    SWEEP,
    TARGETS,
    arrays,
    compared,
    picture,
    stored_cnf,
    table,
)

TIMES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the film
HALF = 3.6  # half the side of its pictures
LAYERS = (1, 4, 16)  # of the linear flow


@torch.no_grad()
def film(flow: CNF) -> Picture:
    """A figure: densities of a flow at some times, and the same 400 points on their way."""
    fig, axes = figure(ncols=len(TIMES), size=(8.8, 2.15))
    torch.manual_seed(0)
    paths = flow.push(flow.noise(400), torch.tensor(TIMES).to(next(flow.parameters()))).y
    bounds = (-HALF, HALF, -HALF, HALF)
    x, _ = grid(bounds, 56)
    for ax, t, y in zip(axes, TIMES, paths):
        p = flow.log_prob(x.to(y), time=t).exp().reshape(56, 56)
        no_ticks(draw_density(p, bounds, ax=ax, shades=ON_DARK))
        draw_samples(y, ax=ax)
        ax.set(title=f"t = {t:g}", xlim=(-HALF, HALF), ylim=(-HALF, HALF))
    return fig


def area_figure(A: Tensor) -> Picture:
    """A figure: the unit square carried by y' = A y, and the logarithm of its area.

    Also by a few Euler layers, which tend to t tr A as they get thinner.

    Args:
        A: (2, 2).
    """
    fig, (left, right) = figure(ncols=2, size=(8.4, 3.2))
    corners = torch.tensor([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]], dtype=A.dtype)
    times = torch.linspace(0, 1, 41, dtype=A.dtype)
    for t, color in zip((0.0, 0.5, 1.0), (GRAY, ORANGE, BLUE)):
        square = (corners @ torch.linalg.matrix_exp(t * A).T).numpy()
        left.fill(*square.T, color=color, alpha=0.25, linewidth=0)
        left.plot(*square.T, color=color)
        left.text(*(square[2] + 0.04), f"t = {t:g}", color=color)
    left.set(xlabel="y₁", ylabel="y₂", xlim=(-1.3, 4.4), ylim=(-0.2, 2.6))
    left.set_title("a square on its way")
    right.set(
        xlim=(0, 1.42),
        ylim=(-0.05, 1.5),
        xlabel="t",
        ylabel="log area",
        xticks=[0, 0.25, 0.5, 0.75, 1],
    )
    exact_line(times, times * A.trace(), ax=right, label="t tr A")
    for n, color in zip(LAYERS, (VERMILLION, ORANGE, BLUE)):
        step = float(torch.linalg.slogdet(torch.eye(2, dtype=A.dtype) + A / n).logabsdet)
        (line,) = right.plot(
            np.arange(n + 1) / n, step * np.arange(n + 1), "o-", color=color, markersize=4
        )
        label_line(line, f"{n} layer{'s' * (n > 1)}")
    right.set_title("log |det| adds up, layer by layer")
    return fig


def redrawn_figure(rows: Mapping[str, tuple[Sequence[float], Sequence[int]]]) -> Picture:
    """A figure: NFE over the tolerance, for rows label -> (tolerances, NFE), three at most."""
    fig, ax = figure(size=(7.2, 3.2))
    ax.set(xscale="log", yscale="log", ylim=(10, 1000), xlabel="tolerance", ylabel="NFE of a solve")
    lines = [
        ax.plot(tolerances, nfe, "o-", color=color)[0]
        for color, (tolerances, nfe) in zip((BLUE, ORANGE, VERMILLION), rows.values())
    ]
    ax.set_xlim(2e-2, 3e-6)
    for line, label in zip(lines, rows):
        label_line(line, label)
    ax.minorticks_off()
    return fig


def likelihood_figure(
    density: Density,
    losses: Sequence[float],
    own: Callable[[Tensor], Tensor],
    tight: Callable[[Tensor], Tensor],
    before: Sequence[float] | None = None,
) -> Picture:
    """A figure of three: the loss in training, the density as solved in training, and tightly.

    Args:
        density: the true one.
        losses: of every update, in nats; shown beside the entropy.
        own, tight: log_prob of the two solves, x (B, 2) -> (B,).
        before: losses of another training, to compare with.
    """
    fig, (left, *others) = figure(ncols=3, size=(9.0, 3.0), width_ratios=[1.25, 1, 1])
    smooth = running_mean(losses, 21)
    left.axhspan(-3, density.entropy, color=REJECTED, alpha=0.09, linewidth=0)
    exact_line([0, len(losses)], [density.entropy] * 2, ax=left, label=None)
    if before is not None:
        left.plot(running_mean(before, 21), color=GRAY, linewidth=1.2)
    left.plot(smooth, color=VERMILLION if min(smooth) < density.entropy else BLUE)
    left.text(
        len(losses),
        density.entropy - 0.12,
        "below the entropy",
        ha="right",
        va="top",
        color=REJECTED,
        fontsize=9.5,
    )
    left.set(xlim=(0, len(losses)), ylim=(0.9, 4.5), xlabel="update", ylabel="NLL, in nats")
    left.set_title(f"reported in training:\n{smooth[-1]:.2f} nats, entropy {density.entropy:.2f}")
    top = float(_truth(density).max())
    solvers = {"the solver of the training": own, "a tight solver": tight}
    for ax, (name, log_prob) in zip(others, solvers.items()):
        p, mass = picture(log_prob, density.bounds)
        draw_density(np.minimum(p, top), density.bounds, ax=ax, shades=ON_DARK, top=top)
        no_ticks(ax)
        ax.set_title(f"{name}:\nmass {mass:.2f}")
    return fig


def counted_figure() -> Picture:
    """A figure: what we count for an Euler step backward, by one eigenvalue, and what is true."""
    fig, ax = figure(size=(7.2, 2.9))
    u = np.linspace(-4, 0.95, 200)
    true = np.log(1 - u)
    ax.set(xlim=(-4, 2.2), ylim=(-3, 4.2), xlabel="u = h λ", ylabel="nats")
    ax.fill_between(u, true, -u, color=VERMILLION, alpha=0.12, linewidth=0)
    (counted,) = ax.plot(u, -u, color=VERMILLION)
    exact_line(u, true, ax=ax, label=None)
    label_line(counted, "counted: -u")
    label_line((0.95, -2.7), "true: log(1 - u)", ax=ax, color=EXACT)
    ax.plot([-3, -3], [math.log(4), 3], color=GRAY, linewidth=1.2)
    ax.plot([-3, -3], [math.log(4), 3], "o", color=GRAY, markersize=5)
    ax.text(-3, 0.55, f"{3 - math.log(4):.2f} nats too many", color=GRAY, ha="center")
    return fig


def spread(values: Sequence[float]) -> str:
    """Median and range: "0.024 (0.020 to 0.031)"."""
    low, *_, high = sorted(values)
    return f"{np.median(values):.3f} ({low:.3f} to {high:.3f})"


def line_of(fits: Mapping[tuple[str, str], Mapping[str, Any]], density: str, flow: str) -> str:
    """A line: of `runs.compared`, a flow's gaps to a density, what was chosen, what it costs."""
    row = fits[density, flow]
    nfe = ""
    if flow == "CNF":
        nfe = f", NFE {min(row['nfe_sample']):.0f} to {max(row['nfe_density']):.0f}"
    return (
        f"{density:9s} {flow:7s}: KL {spread(row['kl'])}; size {row['width']}, "
        f"rate {row['rate']:g}, {row['parameters_number']} parameters, "
        f"{np.median(row['steps']):.0f} updates{nfe}"
    )


def gaps_figure(fits: Mapping[tuple[str, str], Mapping[str, Any]]) -> Picture:
    """A figure: the gaps of `runs.compared` by density and flow, a dot for each seed."""
    fig, ax = figure(size=(7.6, 4.2))
    ax.set(xscale="log", xlim=(3e-3, 1.2), xlabel="KL gap, in nats")
    draw_ranges(
        {name: {flow: fits[name, flow]["kl"] for flow in FLOWS} for name in DENSITIES}, ax=ax
    )
    return fig


def densities_figure() -> Picture:
    """A figure: four densities, and what the middle seed of each flow made of them."""
    fig, axes = figure(ncols=len(DENSITIES), nrows=1 + len(FLOWS), size=(8.4, 7.6))
    for (first, *others), (name, make) in zip(axes.T, DENSITIES.items()):
        density = make()
        draw_density(_truth(density), density.bounds, ax=first, shades=ON_DARK)
        first.set_title(f"{name}: exact")
        for ax, flow in zip(others, FLOWS):
            _draw_stored(f"data/{name}/{flow}", flow, density, ax)
    for ax in axes.flat:
        no_ticks(ax)
    return fig


def targets_figure() -> Picture:
    """A figure: three energies, and what planar flow and CNF made of them without data."""
    fig, axes = figure(ncols=3, nrows=len(TARGETS), size=(6.2, 6.2))
    for (first, *others), number in zip(axes, TARGETS):
        density = target(number)
        draw_density(_truth(density), density.bounds, ax=first, shades=ON_DARK)
        first.set_title(f"U{number}: exact")
        for ax, model in zip(others, ("planar", "CNF")):
            _draw_stored(f"target/{number}/{model}", model, density, ax)
    for ax in axes.flat:
        no_ticks(ax)
    return fig


def by_solver(net: str) -> str:
    """A line: the NLL that the stored net "trapped" or "honest" reports, solver by solver."""
    row = table()[f"sweep/{net}"]
    nll = row["nll"]
    steps = ", ".join(f"{n}: {value:.2f}" for n, value in zip(EULER, nll[len(SWEEP) :]))
    tight = f"{nll[len(SWEEP) - 1]:.2f} (NFE {row['nfe'][len(SWEEP) - 1]:.0f})"
    return f"{net}: NLL at 1e-1 {nll[0]:.2f}, at 1e-6 {tight}; Euler's steps {steps}"


def variant(name: str) -> str:
    """A line: a training of VARIANTS with all seeds, its gap, evaluations, price and penalties."""
    row = table()[f"variant/{name}"]
    last = row["nfe_last"]
    price = table()["price"][name]
    return (
        f"{name:11s}: KL {spread(row['kl'])}, NFE in training {min(last):.0f} to "
        f"{max(last):.0f}, at 1e-6 {min(row['nfe_tight']):.0f} to {max(row['nfe_tight']):.0f}; "
        f"kinetic energy {np.median(row['kinetic']):.1f}, Jacobian "
        f"{np.median(row['frobenius']):.1f}; {price:.2f} ms an evaluation"
    )


def _truth(density: Density) -> Tensor:
    """A density (PICTURE, PICTURE)."""
    return on_grid(density.log_prob, density.bounds, PICTURE).exp()


def _draw_stored(job: str, model: str, density: Density, ax: Axes) -> None:
    """The stored picture of what a model made of a density; in the title, how far it is off."""
    p = arrays()[f"{job}/picture"] / 255
    draw_density(p, density.bounds, ax=ax, shades=ON_DARK, top=1)
    ax.set_title(f"{model}: {np.median(table()[job]['kl']):.3f}")


def _likelihood() -> Picture:
    density = DENSITIES["moons"]()
    losses = np.linspace(4, 2.5, 500)
    return likelihood_figure(
        density, losses.tolist(), density.log_prob, density.log_prob, (losses - 3).tolist()
    )


# A picture of each kind, for the test that all of them can be read.
EXAMPLES: dict[str, Callable[[], Picture]] = {
    "film": lambda: film(stored_cnf("moons").float()),
    "area_figure": lambda: area_figure(torch.tensor([[1.2, -0.6], [0.4, 0.1]]).double()),
    "counted_figure": counted_figure,
    "redrawn_figure": lambda: redrawn_figure(
        {"exact": ([1e-2, 1e-5], [20, 60]), "kept": ([1e-2, 1e-5], [26, 90])}
    ),
    "likelihood_figure": _likelihood,
    "gaps_figure": lambda: gaps_figure(
        {(name, flow): compared(name, flow) for name in DENSITIES for flow in FLOWS}
    ),
    "densities_figure": densities_figure,
    "targets_figure": targets_figure,
}
