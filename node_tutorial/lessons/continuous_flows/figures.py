"""Lesson 15: figures."""

import numpy as np
import torch
from matplotlib.colors import LinearSegmentedColormap

from ...data.densities import grid
from ...data.targets import target
from ...plotting import (
    BLUE,
    GRAY,
    ORANGE,
    REJECTED,
    VERMILLION,
    exact_line,
    figure,
    label_line,
    running_mean,
)
from .runs import DENSITIES, PICTURE, SIZES, TARGETS, arrays, models, picture, table

DENSE = LinearSegmentedColormap.from_list(
    "dense", ["#0B1E3F", BLUE, "#F7E9B0"]
)  # of no, some, most probability


def draw_density(p, bounds, *, ax, top=None):
    """A density (n, n) as colors over a rectangle; `top` has the lightest color, its largest value
    if None.

    By filled contours and not as an image: such a picture is a tenth of the size.
    """
    left, right, bottom, high = bounds
    top = max(float(np.max(p)) if top is None else top, 1e-9)
    rows, columns = np.shape(p)
    x = left + (right - left) * (np.arange(columns) + 0.5) / columns
    y = bottom + (high - bottom) * (np.arange(rows) + 0.5) / rows
    levels = np.linspace(0.03, 1, 12) * top
    ax.set_facecolor(DENSE(0.0))
    ax.contourf(x, y, np.minimum(p, top), levels=levels, cmap=DENSE, vmin=0, vmax=top)
    ax.set(xlim=(left, right), ylim=(bottom, high), aspect="equal")
    ax.grid(False)
    return ax


def no_ticks(ax):
    """Leave the ticks out, where only the shape matters."""
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    return ax


@torch.no_grad()
def film(flow, times=(0.0, 0.25, 0.5, 0.75, 1.0), n=400, half=3.6):
    """A figure: densities of a flow at some times, and the same n points on their way from the
    noise.
    """
    fig, axes = figure(ncols=len(times), size=(8.8, 2.15))
    torch.manual_seed(0)
    paths = flow.push(flow.noise(n), torch.tensor(times).to(next(flow.parameters()))).y
    bounds = (-half, half, -half, half)
    x, _ = grid(bounds, 56)
    for ax, t, y in zip(axes, times, paths):
        p = flow.log_prob(x.to(y), time=t).exp().reshape(56, 56)
        no_ticks(draw_density(p.numpy(), bounds, ax=ax))
        ax.scatter(*y.T, s=2, color="white", alpha=0.8, linewidths=0)
        ax.set(title=f"t = {t:g}", xlim=(-half, half), ylim=(-half, half))
    return fig


def area_figure(A, layers=(1, 4, 16)):
    """A figure: the unit square carried by y' = A y, and the logarithm of its area, also for so
    many Euler layers.
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
    for n, color in zip(layers, (VERMILLION, ORANGE, BLUE)):
        step = float(torch.linalg.slogdet(torch.eye(2, dtype=A.dtype) + A / n).logabsdet)
        (line,) = right.plot(
            np.arange(n + 1) / n, step * np.arange(n + 1), "o-", color=color, markersize=4
        )
        label_line(line, f"{n} layer{'s' * (n > 1)}")
    right.set_title("log |det| adds up, layer by layer")
    return fig


def redrawn_figure(rows):
    """A figure: NFE over the tolerance, for rows {label: (tolerances, NFE)}."""
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


def likelihood_figure(density, losses, own, tight, before=None):
    """A figure of three: the loss in training beside the entropy; the density as solved in
    training; solved tightly.

    density: the true one. own, tight: log_prob of the two solves, x (B, 2) -> (B,). before: losses
    of another training.
    """
    fig, axes = figure(ncols=3, size=(9.0, 3.0), width_ratios=[1.25, 1, 1])
    ax = axes[0]
    ax.axhspan(-3, density.entropy, color=REJECTED, alpha=0.09, linewidth=0)
    exact_line([0, len(losses)], [density.entropy] * 2, ax=ax, label=None)
    if before is not None:
        ax.plot(running_mean(before, 21), color=GRAY, linewidth=1.2)
    smooth = running_mean(losses, 21)
    ax.plot(smooth, color=VERMILLION if min(smooth) < density.entropy else BLUE)
    ax.text(
        len(losses),
        density.entropy - 0.12,
        "below the entropy",
        ha="right",
        va="top",
        color=REJECTED,
        fontsize=9.5,
    )
    ax.set(xlim=(0, len(losses)), ylim=(0.9, 4.5), xlabel="update", ylabel="NLL, in nats")
    ax.set_title(f"reported in training:\n{smooth[-1]:.2f} nats, entropy {density.entropy:.2f}")
    top = float(density.log_prob(grid(density.bounds, PICTURE)[0]).exp().max())
    for ax, log_prob, name in (
        (axes[1], own, "the solver of the training"),
        (axes[2], tight, "a tight solver"),
    ):
        p, mass = picture(log_prob, density.bounds)
        no_ticks(draw_density(p, density.bounds, ax=ax, top=top))
        ax.set_title(f"{name}:\nmass {mass:.2f}")
    return fig


def densities_figure():
    """A figure: four densities, and what each model made of them in the same time."""
    names = list(models())
    fig, axes = figure(ncols=len(DENSITIES), nrows=1 + len(names), size=(8.4, 7.6))
    for column, (name, make) in zip(axes.T, DENSITIES.items()):
        density = make()
        p = (
            density.log_prob(grid(density.bounds, PICTURE)[0])
            .exp()
            .reshape(PICTURE, PICTURE)
            .numpy()
        )
        draw_density(p, density.bounds, ax=column[0])
        column[0].set_title(f"{name}: exact")
        for ax, model in zip(column[1:], names):
            row = table()[f"data/{name}/{model}/0"]
            draw_density(
                arrays()[f"data/{name}/{model}/0/picture"] / 255, density.bounds, ax=ax, top=1
            )
            ax.set_title(f"{model}: {row['kl']:.3f}")
    for ax in axes.flat:
        no_ticks(ax)
    return fig


def targets_figure():
    """A figure: three energies, and what planar flow and CNF made of them without data."""
    fig, axes = figure(ncols=3, nrows=len(TARGETS), size=(6.2, 6.2))
    for row, number in zip(axes, TARGETS):
        density = target(number)
        p = (
            density.log_prob(grid(density.bounds, PICTURE)[0])
            .exp()
            .reshape(PICTURE, PICTURE)
            .numpy()
        )
        draw_density(p, density.bounds, ax=row[0])
        row[0].set_title(f"U{number}: exact")
        for ax, model in zip(row[1:], ("planar", "CNF")):
            name = f"target/{number}/{model}/{SIZES[-1]}"
            draw_density(arrays()[f"{name}/picture"] / 255, density.bounds, ax=ax, top=1)
            ax.set_title(f"{model}: {table()[name]['kl']:.3f}")
    for ax in axes.flat:
        no_ticks(ax)
    return fig
