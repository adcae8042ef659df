"""Vector fields and phase portraits in the plane."""

import numpy as np
import torch

from .lines import array_of, axes_or_new
from .style import BLUE


def grid(xlim, ylim, n=20):
    """Return points (n * n, 2), float64, on a regular grid over two intervals."""
    x, y = np.meshgrid(np.linspace(xlim[0], xlim[1], n), np.linspace(ylim[0], ylim[1], n))
    return np.stack([x.ravel(), y.ravel()], axis=1)


def field_values(f, points, t=0.0):
    """Return f(t, points) (N, 2) as numpy, for an `f(t, y)` that takes a batch of torch states (N, 2), float64."""
    with torch.no_grad():
        return array_of(f(torch.tensor(t, dtype=torch.float64), torch.as_tensor(points, dtype=torch.float64)))


def vector_field(
    f, *, ax=None, xlim=(-2, 2), ylim=(-2, 2), n=20, t=0.0, values=None, color="#9A9A9A", equal_length=True
):
    """Draw arrows of f(t, y) on a grid of n x n points.

    `f` takes batches: y (N, 2), float64, to (N, 2). Or give `values` (n * n, 2) at the points of `grid`. Arrows show
    directions only (`equal_length`), darker where the field is faster.
    """
    ax = axes_or_new(ax)
    points = grid(xlim, ylim, n)
    v = array_of(field_values(f, points, t) if values is None else values)
    speed = np.linalg.norm(v, axis=1)
    unit = v / np.maximum(speed, 1e-12)[:, None] if equal_length else v
    fade = 0.35 + 0.65 * speed / max(speed.max(), 1e-12)
    ax.quiver(
        points[:, 0],
        points[:, 1],
        unit[:, 0],
        unit[:, 1],
        color=color,
        alpha=fade if equal_length else 1.0,
        angles="xy",
        pivot="mid",
        width=0.0032,
        scale_units="xy",
        scale=1.35 * n / (xlim[1] - xlim[0]) if equal_length else None,
        zorder=1,
    )
    ax.set(xlim=xlim, ylim=ylim)
    ax.grid(False)
    return ax


def phase_portrait(f, *, ax=None, xlim=(-2, 2), ylim=(-2, 2), n=30, t=0.0, density=0.9, color="#9AB8CC"):
    """Draw streamlines of f(t, y) in the plane; `f` as in `vector_field`. Slower than arrows (about 0.1 s)."""
    ax = axes_or_new(ax)
    points = grid(xlim, ylim, n)
    v = field_values(f, points, t).reshape(n, n, 2)
    ax.streamplot(
        points[:n, 0],
        points[::n, 1],
        v[..., 0],
        v[..., 1],
        density=density,
        color=color,
        linewidth=0.8,
        arrowsize=0.8,
        zorder=1,
    )
    ax.set(xlim=xlim, ylim=ylim)
    ax.grid(False)
    return ax


def heatmap(values, *, ax=None, xlim=(0, 1), ylim=(0, 1), cmap="viridis", **image_style):
    """Draw `values` (rows, columns), first row at the bottom, as colors over two intervals: a density, a loss."""
    ax = axes_or_new(ax)
    ax.imshow(array_of(values), origin="lower", extent=(*xlim, *ylim), aspect="auto", cmap=cmap, **image_style)
    ax.grid(False)  # a grid is drawn over images
    return ax


def stability_region(R, *, ax=None, xlim=(-5, 2), ylim=(-4, 4), n=201, color=BLUE, label=None):
    """Shade where |R(z)| <= 1 in the complex plane, for the stability function `R` of a method.

    `R` takes a complex numpy array to one of the same shape. A step of size h is stable for y' = lambda y where
    z = h lambda lies in the shaded part.
    """
    ax = axes_or_new(ax)
    x, y = np.meshgrid(np.linspace(xlim[0], xlim[1], n), np.linspace(ylim[0], ylim[1], n))
    with np.errstate(all="ignore"):
        size = np.abs(R(x + 1j * y))
    size = np.where(np.isfinite(size), size, np.inf).clip(max=1e3)
    ax.contourf(x, y, size, levels=[0, 1], colors=[color], alpha=0.18)
    ax.contour(x, y, size, levels=[1], colors=[color], linewidths=1.4)
    ax.axhline(0, color="#888888", linewidth=0.7, zorder=0)
    ax.axvline(0, color="#888888", linewidth=0.7, zorder=0)
    ax.set_xlabel("Re hλ")
    ax.set_ylabel("Im hλ")
    ax.set_aspect("equal")
    if label:
        ax.text(0.03, 0.95, label, transform=ax.transAxes, color=color, va="top")
    return ax
