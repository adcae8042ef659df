"""Lesson 14: figures."""

import math
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from ...data import Density, on_grid, two_moons
from ...models.flows import Flow
from ...plotting import (
    BLUE,
    EXACT,
    VERMILLION,
    Picture,
    blank,
    draw_density,
    draw_levels,
    draw_ranges,
    exact_line,
    figure,
    label_line,
)
from .grids import draw_grid, log_det_key, square_grid
from .pixels import counted_digits
from .runs import (
    COMPARED,
    DEPTHS,
    ENERGIES,
    ISLANDS,
    Fitted,
    Setting,
    compared,
    density_of,
    flow_of,
    measures,
)

POINTS = 90  # a side of the picture of a density
BARS = "#C9DDEA"


def stretched_figure(samples: Tensor, curves: Mapping[str, tuple[Tensor, Tensor]]) -> Picture:
    """A figure: samples (N,) as a histogram of area 1, and curves that claim to be their density.

    Args:
        samples: between 0 and 6, or not shown.
        curves: label -> x and p, both (n,); one or two.
    """
    fig, ax = figure(size=(7.2, 3.2))
    weights = np.full(len(samples), 10 / len(samples))  # over bins of width 0.1
    ax.hist(samples.numpy(), bins=np.linspace(0, 6, 61), weights=weights, color=BARS)
    ax.set(xlim=(0, 6), ylim=(0, 0.8), xlabel="x", ylabel="density")
    for (label, (x, p)), color, place in zip(curves.items(), (VERMILLION, BLUE), (1.6, 0.85)):
        (line,) = ax.plot(x, p, color=color)
        label_line(line, label, x=place, dy=6)
    return fig


def deformed_figure(
    map: Callable[[Tensor], Tensor], log_det: Callable[[Tensor], Tensor]
) -> Picture:
    """A figure: a square grid, and what a map (..., 2) -> (..., 2) makes of it.

    Its color is log_det (..., 2) -> (...), of the map's Jacobian.
    """
    fig, (before, after) = figure(ncols=2, size=(8.4, 3.7))
    lines = square_grid(2.0)
    draw_grid(lines, torch.zeros(lines.shape[:-1]), ax=before, limits=(-2.4, 2.4, -2.4, 2.4))
    draw_grid(map(lines), log_det(lines), ax=after, limits=(-6, 6, -6, 6))
    before.set(title="z", xlabel="z₁", ylabel="z₂")
    after.set(title="x", xlabel="x₁", ylabel="x₂")
    log_det_key(after)
    return fig


def fits_figure(density: Density, flows: Mapping[str, Flow]) -> Picture:
    """A figure: the density, and those of flows (by title) fitted to it, in the same colors."""
    fig = blank((2.9 * (1 + len(flows)), 2.9))
    axes = fig.subplots(1, 1 + len(flows), sharey=True)
    shown = {"truth": density.log_prob, **{title: flow.log_prob for title, flow in flows.items()}}
    top = float(on_grid(density.log_prob, density.bounds, POINTS).exp().max())
    for ax, (title, log_prob) in zip(axes, shown.items()):
        p = on_grid(log_prob, density.bounds, POINTS).exp()
        draw_density(p, density.bounds, ax=ax, top=top)
        ax.set(title=title, xlabel="x₁", ylabel="x₂" if ax is axes[0] else "")
    return fig


NAMES = {"planar": "planar", "alternating": "RealNVP"}  # by kind of layers


def gaps_figure(fits: Mapping[tuple[str, str], Fitted]) -> Picture:
    """A figure: the gaps of `runs.compared` by density and kind, a dot for each seed."""
    fig, ax = figure(size=(7.2, 2.6))
    ax.set(xscale="log", xlim=(2e-3, 1.2), xlabel="gap, in nats")
    densities = list(dict.fromkeys(density for density, _ in fits))
    gaps = {
        density: {NAMES[kind]: fits[density, kind].kl for kind in NAMES} for density in densities
    }
    draw_ranges(gaps, ax=ax)
    return fig


def fit_of(fits: Mapping[tuple[str, str], Fitted], density: str, kind: str) -> str:
    """A line: one of these fits, its gaps, and what was chosen for it."""
    fit = fits[density, kind]
    low, *_, high = sorted(fit.kl)
    return (
        f"{density}, {NAMES[kind]:7s}: gap {np.median(fit.kl):.3f} ({low:.3f} to {high:.3f}); "
        f"{fit.layers} layers, rate {fit.rate:g}, {fit.updates} updates"
    )


def bridge_path(flow: Flow, start: Tensor, end: Tensor) -> Tensor:
    """The curve (301, 2) that the flow makes of the straight line between the noise of two points.

    Its points are about equally far from each other, found in eight rounds: where a bridge is thin,
    the line is stretched a hundredfold.

    Args:
        flow: from the data to the noise.
        start, end: (2,), in the space of the data.
    """
    points = 301
    noise = flow(torch.stack([start, end])).y
    share = torch.linspace(0, 1, points, dtype=noise.dtype)
    for _ in range(8):
        path = flow.inverse(noise[0] + share[:, None] * (noise[1] - noise[0])).y
        length = torch.cat([torch.zeros(1), path.diff(dim=0).norm(dim=1).cumsum(0)]).numpy()
        even = np.linspace(0, length[-1], points)
        share = torch.from_numpy(np.interp(even, length, share.numpy()))
    return path


def bridge_figure(density: Density, flow: Flow, path: Tensor) -> Picture:
    """A figure: log p and log q in gray, and along a path (n, 2) from mode to mode."""
    fig = blank((9, 3.1))
    first, second, last = fig.subplots(1, 3, width_ratios=[1, 1, 1.25])
    for ax, log_prob, title in (
        (first, density.log_prob, "log p, truth"),
        (second, flow.log_prob, "log q, the flow"),
    ):
        values = on_grid(log_prob, density.bounds, 120).clamp(min=-99)
        levels = np.arange(-14.0, 0.0, 2.0)
        draw_levels(values, density.bounds, ax=ax, levels=levels, colors="Greys")
        ax.plot(*path.T, color=VERMILLION, linewidth=1.4)
        ax.set(title=title, xlabel="x₁", ylabel="x₂" if ax is first else "")
    share = np.linspace(0, 1, len(path))
    (line,) = last.plot(share, flow.log_prob(path), color=VERMILLION)
    last.set(xlim=(0, 1), ylim=(-18, 1), xlabel="along the path", title="log-density")
    exact_line(share, density.log_prob(path), ax=last, label=None)
    label_line(line, "q", x=0.5, dx=-4, dy=10)
    label_line((0.5, -16.5), "p", ax=last, color=EXACT, dx=-4)
    return fig


def energies_figure() -> Picture:
    """A figure: the four energies' densities in rows, and stored planar flows beside them."""
    fig = blank((8.2, 8.0))
    axes = fig.subplots(len(ENERGIES), 1 + len(DEPTHS))
    for row, name in zip(axes, ENERGIES):
        density = density_of(name)
        truth = on_grid(density.log_prob, density.bounds, POINTS).exp()
        shown = {f"{name}, truth": truth}
        for k in DEPTHS:
            setting = Setting(name, "planar", k)
            image = on_grid(flow_of(setting).log_prob, density.bounds, 70)
            shown[f"{k} layers: {measures(setting)['kl']:.2f}"] = image.exp()
        for ax, (title, p) in zip(row, shown.items()):
            draw_density(p, density.bounds, ax=ax, top=1.1 * float(truth.max()))
            ax.set(title=title, xticks=[], yticks=[])
    return fig


def share_far_from(centers: Tensor, x: Tensor, distance: float) -> float:
    """Which part of the points x (N, 2) is farther than `distance` from all centers (n, 2)."""
    return float((torch.cdist(x, centers).amin(1) > distance).double().mean())


def digits_figure(real: Tensor, drawn: Tensor) -> Picture:
    """A figure: real images and draws of a flow, each (20, 64), counts from 0 to 16."""
    fig = blank((8.4, 1.25))
    axes = fig.subplots(1, 2, gridspec_kw={"wspace": 0.08})
    for ax, counts, title in zip(axes, (real, drawn), ("digits", "draws")):
        page = np.full((2 * 9 - 1, 10 * 9 - 1), 1.0)
        for i, image in enumerate(counts.numpy().reshape(-1, 8, 8) / 16):
            row, column = divmod(i, 10)
            page[9 * row :, 9 * column :][:8, :8] = 0.92 * (1 - image)
        ax.imshow(page, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        ax.set_title(title)
        ax.set_axis_off()
    return fig


def _stretched(curves: int) -> Picture:
    x = torch.linspace(-6, 6, 200, dtype=torch.float64).exp()
    p = torch.exp(-x)
    draws = -torch.log((torch.arange(500) + 0.5) / 500)
    return stretched_figure(
        draws, dict([("p(ln x)", (x, p / 2)), ("p(ln x) / x", (x, p))][:curves])
    )


def _bridge() -> Picture:
    flow = flow_of(ISLANDS)
    left, right = torch.tensor([[-3.0, 0.0], [3.0, 0.0]], dtype=torch.float64)
    return bridge_figure(density_of(ISLANDS.density), flow, bridge_path(flow, left, right))


# A picture of each kind, for the test that all of them can be read.
EXAMPLES: dict[str, Callable[[], Picture]] = {
    "stretched_figure": lambda: _stretched(1),
    "stretched_figure, two curves": lambda: _stretched(2),
    "deformed_figure": lambda: deformed_figure(
        lambda z: 2 * z, lambda z: torch.full(z.shape[:-1], math.log(4))
    ),
    "fits_figure": lambda: fits_figure(
        two_moons(), {"planar: 0.22 ± 0.01 nats": flow_of(Setting("two moons"))}
    ),
    "gaps_figure": lambda: gaps_figure(
        {(name, kind): compared(name, kind) for name in COMPARED for kind in NAMES}
    ),
    "digits_figure": lambda: digits_figure(*(counted_digits()[1][i : i + 20] for i in (0, 20))),
    "bridge_figure": _bridge,
    "energies_figure": energies_figure,
}
