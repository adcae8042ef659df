"""The plane: meshes of points, arrows of vector fields, and regions of stability."""

from collections.abc import Callable

import numpy as np
import torch
from matplotlib.axes import Axes
from numpy.typing import ArrayLike
from torch import Tensor

from .lines import array_of, axes_or_new
from .style import BLUE

Interval = tuple[float, float]
_AXIS = "#888888"


def mesh(xlim: Interval, ylim: Interval, n: int = 20) -> np.ndarray:
    """Points (n * n, 2), float64, on a regular mesh over two intervals, their ends included.

    The first entry changes fastest. (`data.grid` has the midpoints of cells, for integrals.)
    """
    x, y = np.meshgrid(np.linspace(*xlim, n), np.linspace(*ylim, n))
    return np.stack([x.ravel(), y.ravel()], axis=1)


def vector_field(
    f: Callable[[Tensor, Tensor], Tensor] | None,
    *,
    ax: Axes | None = None,
    xlim: Interval = (-2, 2),
    ylim: Interval = (-2, 2),
    n: int = 20,
    t: float = 0.0,
    values: ArrayLike | None = None,
    color: str = "#9A9A9A",
) -> Axes:
    """Draw arrows of f(t, y) at the points of a mesh: directions only, darker where f is larger.

    Args:
        f: a field for batches, y (N, 2), float64, to (N, 2). None, if values are given.
        xlim, ylim, n: of the mesh.
        t: the time that f is given.
        values: (n * n, 2), instead of f, at the points of `mesh(xlim, ylim, n)`.
    """
    ax = axes_or_new(ax)
    points = mesh(xlim, ylim, n)
    v = _evaluated(f, points, t) if values is None else array_of(values)
    speed = np.linalg.norm(v, axis=1)
    unit = v / np.maximum(speed, 1e-12)[:, None]
    ax.quiver(
        *points.T,
        *unit.T,
        color=color,
        alpha=0.35 + 0.65 * speed / max(speed.max(), 1e-12),
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


def _evaluated(
    f: Callable[[Tensor, Tensor], Tensor] | None, points: np.ndarray, t: float
) -> np.ndarray:
    if f is None:
        raise ValueError("f and values are both None; give a field f(t, y), or its values")
    with torch.no_grad():
        return array_of(f(torch.tensor(t, dtype=torch.float64), torch.from_numpy(points)))


def stability_region(
    size: ArrayLike, *, ax: Axes | None = None, xlim: Interval = (-5, 2), ylim: Interval = (-4, 4)
) -> Axes:
    """Shade where |R(z)| <= 1 in the complex plane, for the stability function R of a method.

    A step of size h is stable for y' = lambda y where z = h lambda lies in the shaded part.

    Args:
        size: |R| (rows, columns) on a regular mesh over the two intervals, the first row at the
            bottom.
    """
    ax = axes_or_new(ax)
    heights = array_of(size)
    rows, columns = heights.shape
    x = np.linspace(*xlim, columns)
    y = np.linspace(*ylim, rows)
    ax.contourf(x, y, heights, levels=[0, 1], colors=[BLUE], alpha=0.18)
    ax.contour(x, y, heights, levels=[1], colors=[BLUE], linewidths=1.4)
    ax.axhline(0, color=_AXIS, linewidth=0.7, zorder=0)
    ax.axvline(0, color=_AXIS, linewidth=0.7, zorder=0)
    ax.set(xlim=xlim, ylim=ylim, aspect="equal")
    return ax
