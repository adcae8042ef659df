"""Lesson 14: figures, and how grids and densities of a flow are drawn."""

import numpy as np
import torch
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_rgba

from ...data import grid
from ...plotting import BLUE, EXACT, REJECTED, VERMILLION, blank, exact_line, figure, label_line
from .runs import Setting, density_of, flow_of, measures

LOG_DET = LinearSegmentedColormap.from_list(
    "log-det", [BLUE, "#C9C9C9", VERMILLION]
)  # shrinks, keeps, grows
LOG_DET_RANGE = Normalize(-3, 3)


def square_grid(reach=3.0, lines=21, points=81):
    """Vertical, then horizontal lines of a square grid, (2 lines, points, 2), in float64."""
    place, along = (torch.linspace(-reach, reach, n, dtype=torch.float64) for n in (lines, points))
    fixed, free = torch.meshgrid(place, along, indexing="ij")
    return torch.cat([torch.stack([fixed, free], -1), torch.stack([free, fixed], -1)])


def draw_grid(lines, log_det, *, ax, limits, turned=None, linewidth=1.1):
    """Lines (L, P, 2), colored by log_det (L, P): blue where the map shrinks areas, vermillion
    where it stretches them.

    Red where the map has `turned` (L, P) the plane over.
    """
    segments = torch.stack([lines[:, :-1], lines[:, 1:]], dim=2).reshape(-1, 2, 2).numpy()
    colors = LOG_DET(LOG_DET_RANGE(((log_det[:, :-1] + log_det[:, 1:]) / 2).reshape(-1).numpy()))
    if turned is not None:
        colors[turned[:, :-1].reshape(-1).numpy()] = to_rgba(REJECTED)
    ax.add_collection(LineCollection(list(segments), colors=colors, linewidths=linewidth))
    left, right, bottom, top = limits
    ax.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")
    ax.grid(False)
    return ax


def log_det_key(ax):
    """What the colors of `draw_grid` mean, written under the axes' title (a color bar would cost
    half of an update).
    """
    steps = (
        (0.02, "left", BLUE, "log |det| −3"),
        (0.5, "center", "#909090", "0"),
        (0.98, "right", VERMILLION, "+3"),
    )
    style = {"transform": ax.transAxes, "va": "top", "fontsize": 9.5}
    for x, side, color, text in steps:
        behind = {"facecolor": "white", "edgecolor": "none", "pad": 1.5, "alpha": 0.85}
        ax.text(x, 0.985, text, color=color, ha=side, bbox=behind, **style)


@torch.no_grad()
def density_image(log_prob, bounds, points=90):
    """log p on a grid over bounds (points, points), rows from the bottom up."""
    x, _ = grid(bounds, points)
    return log_prob(x).reshape(points, points)


def draw_density(image, *, ax, bounds, highest):
    """The density exp(image) as steps of color, up to `highest`; white below a hundredth of that."""
    draw_levels(
        image.exp(),
        highest * np.array([0.01, 0.05, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9]),
        ax,
        bounds,
        "Blues",
    )
    ax.set(xlabel="x₁", ylabel="x₂")
    return ax


def draw_levels(values, levels, ax, bounds, cmap):
    """Values (n, n) at the midpoints of the cells of bounds, as steps of color. (Small, unlike an
    image.)
    """
    left, right, bottom, top = bounds
    middle = (np.arange(len(values)) + 0.5) / len(values)
    across, up = left + (right - left) * middle, bottom + (top - bottom) * middle
    ax.contourf(across, up, values.numpy(), levels=levels, cmap=cmap, extend="max")
    ax.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")
    ax.grid(False)


def stretched_figure(samples, curves):
    """A figure: samples (N,) as a histogram of area 1, and curves {label: (x, p)} that claim to be
    their density.
    """
    fig, ax = figure(size=(7.2, 3.2))
    ax.hist(
        samples.numpy(),
        bins=np.linspace(0, 6, 61),
        weights=np.full(len(samples), 10 / len(samples)),
        color="#C9DDEA",
    )
    ax.set(xlim=(0, 6), ylim=(0, 0.8), xlabel="x", ylabel="density")
    for (label, (x, p)), color in zip(curves.items(), (VERMILLION, BLUE)):
        (line,) = ax.plot(x, p, color=color)
        label_line(line, label, x=1.6 if color == VERMILLION else 0.85, dy=6)
    return fig


def deformed_figure(map, log_det):
    """A figure: a square grid, and what map (..., 2) -> (..., 2) makes of it, colored by log_det
    (..., 2) -> (...).
    """
    fig, (before, after) = figure(ncols=2, size=(8.4, 3.7))
    lines = square_grid(2.0)
    draw_grid(lines, torch.zeros(lines.shape[:-1]), ax=before, limits=(-2.4, 2.4, -2.4, 2.4))
    draw_grid(map(lines), log_det(lines), ax=after, limits=(-6, 6, -6, 6))
    before.set(title="z", xlabel="z₁", ylabel="z₂")
    after.set(title="x", xlabel="x₁", ylabel="x₂")
    log_det_key(after)
    return fig


def fits_figure(density, flows):
    """A figure: the density, and those of flows {title: flow} fitted to it, in the same colors."""
    fig = blank((2.9 * (1 + len(flows)), 2.9))
    axes = fig.subplots(1, 1 + len(flows), sharey=True)
    images = {"truth": density_image(density.log_prob, density.bounds)}
    images |= {title: density_image(flow.log_prob, density.bounds) for title, flow in flows.items()}
    highest = float(images["truth"].exp().max())
    for ax, (title, image) in zip(axes, images.items()):
        draw_density(image, ax=ax, bounds=density.bounds, highest=highest)
        ax.set(title=title, ylabel="x₂" if ax is axes[0] else "")
    return fig


def bridge_path(flow, start, end, points=301, rounds=8):
    """The curve (points, 2) that the flow makes of the straight line from the noise of `start` to
    that of `end`.

    Its points are about equally far from each other: where a bridge is thin, the line is stretched
    a hundredfold.
    """
    ends = flow(torch.stack([start, end])).y
    share = torch.linspace(0, 1, points, dtype=ends.dtype)
    for _ in range(rounds):
        path = flow.inverse(ends[0] + share[:, None] * (ends[1] - ends[0])).y
        length = torch.cat([torch.zeros(1), path.diff(dim=0).norm(dim=1).cumsum(0)]).numpy()
        share = torch.from_numpy(
            np.interp(np.linspace(0, length[-1], points), length, share.numpy())
        )
    return path


def bridge_figure(density, flow, path):
    """A figure: log p and log q in gray, and along a path (n, 2) from mode to mode."""
    fig = blank((9, 3.1))
    axes = fig.subplots(1, 3, width_ratios=[1, 1, 1.25])
    for ax, log_prob, title in zip(
        axes, (density.log_prob, flow.log_prob), ("log p, truth", "log q, the flow")
    ):
        image = density_image(log_prob, density.bounds, 120)
        draw_levels(image.clamp(min=-99), np.arange(-14.0, 0.0, 2.0), ax, density.bounds, "Greys")
        ax.plot(*path.T, color=VERMILLION, linewidth=1.4)
        ax.set(title=title, xlabel="x₁", ylabel="x₂" if ax is axes[0] else "")
    share = np.linspace(0, 1, len(path))
    (line,) = axes[2].plot(share, flow.log_prob(path), color=VERMILLION)
    axes[2].set(xlim=(0, 1), ylim=(-18, 1), xlabel="along the path", title="log-density")
    exact_line(share, density.log_prob(path), ax=axes[2], label=None)
    label_line(line, "q", x=0.5, dx=-4, dy=10)
    label_line((0.5, -16.5), "p", ax=axes[2], color=EXACT, dx=-4)
    return fig


ENERGIES = ("U1", "U2", "U3", "U4")


def energies_figure(layers=(2, 8, 32)):
    """A figure: the four energies' densities in a row each, and the stored planar flows with more
    and more layers.
    """
    fig = blank((8.2, 8.0))
    axes = fig.subplots(len(ENERGIES), 1 + len(layers))
    for row, name in zip(axes, ENERGIES):
        density = density_of(name)
        images = {"truth": density_image(density.log_prob, density.bounds)}
        for k in layers:
            setting = Setting(name, "planar", k)
            images[f"{k} layers: {measures(setting)['kl']:.2f}"] = density_image(
                flow_of(setting).log_prob, density.bounds, 70
            )
        for ax, (title, image) in zip(row, images.items()):
            draw_density(
                image,
                ax=ax,
                bounds=density.bounds,
                highest=1.1 * float(images["truth"].exp().max()),
            )
            ax.set(
                title=f"{name}, {title}" if title == "truth" else title,
                xlabel="",
                ylabel="",
                xticks=[],
                yticks=[],
            )
    return fig


def share_far_from(centers, x, distance):
    """Which part of the points x (N, 2) is farther than `distance` from all centers (n, 2)."""
    return float((torch.cdist(x, centers).amin(1) > distance).double().mean())
