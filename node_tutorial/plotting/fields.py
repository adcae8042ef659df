"""Vector fields in the plane, and regions of stability."""

import numpy as np
import torch

from .lines import array_of, axes_or_new
from .style import BLUE


def grid(xlim, ylim, n=20):
    """Return points (n * n, 2), float64, on a regular grid over two intervals."""
    x, y = np.meshgrid(np.linspace(xlim[0], xlim[1], n), np.linspace(ylim[0], ylim[1], n))
    return np.stack([x.ravel(), y.ravel()], axis=1)


def field_values(f, points, t=0.0):
    """Return f(t, points) (N, 2) as numpy, for an `f(t, y)` that takes a batch of torch states (N,
    2), float64.
    """
    with torch.no_grad():
        return array_of(
            f(torch.tensor(t, dtype=torch.float64), torch.as_tensor(points, dtype=torch.float64))
        )


def vector_field(
    f, *, ax=None, xlim=(-2, 2), ylim=(-2, 2), n=20, t=0.0, values=None, color="#9A9A9A"
):
    """Draw arrows of f(t, y) on a grid of n x n points.

    `f` takes batches: y (N, 2), float64, to (N, 2). Or give `values` (n * n, 2) at the points of
    `grid`. Arrows show directions only, darker where the field is faster.
    """
    ax = axes_or_new(ax)
    points = grid(xlim, ylim, n)
    v = array_of(field_values(f, points, t) if values is None else values)
    speed = np.linalg.norm(v, axis=1)
    unit = v / np.maximum(speed, 1e-12)[:, None]
    fade = 0.35 + 0.65 * speed / max(speed.max(), 1e-12)
    ax.quiver(
        points[:, 0],
        points[:, 1],
        unit[:, 0],
        unit[:, 1],
        color=color,
        alpha=fade,
        angles="xy",
        pivot="mid",
        width=0.0032,
        scale_units="xy",
        scale=1.35 * n / (xlim[1] - xlim[0]),
        zorder=1,
    )
    ax.set(xlim=xlim, ylim=ylim)
    ax.grid(False)
    return ax


def stability_region(size, *, ax=None, xlim=(-5, 2), ylim=(-4, 4)):
    """Shade where |R(z)| <= 1 in the complex plane, for the stability function R of a method.

    `size` (rows, columns) is |R| on a regular grid over the two intervals, the first row at the
    bottom. A step of size h is stable for y' = lambda y where z = h lambda lies in the shaded part.
    """
    ax = axes_or_new(ax)
    rows, columns = np.shape(size)
    x, y = np.linspace(xlim[0], xlim[1], columns), np.linspace(ylim[0], ylim[1], rows)
    ax.contourf(x, y, size, levels=[0, 1], colors=[BLUE], alpha=0.18)
    ax.contour(x, y, size, levels=[1], colors=[BLUE], linewidths=1.4)
    ax.axhline(0, color="#888888", linewidth=0.7, zorder=0)
    ax.axvline(0, color="#888888", linewidth=0.7, zorder=0)
    ax.set(xlim=xlim, ylim=ylim, aspect="equal")
    return ax
