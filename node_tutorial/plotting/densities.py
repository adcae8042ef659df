"""Densities in the plane as steps of color: one way for every flow, diffusion and target.

    fig, ax = figure()
    draw_density(p, bounds, ax=ax, shades=ON_DARK)
    draw_samples(x, ax=ax)

Densities are blue in the whole course, in one of two shades. `ON_WHITE` goes from white to dark
blue, for a density beside axes, grids and curves; it takes steps close together at low density, so
that a thin bridge between two modes is seen. `ON_DARK` goes from dark blue to light yellow, for
points in white on top of it. In both, equal colors mean equal shares of `top`, so that pictures
with one `top` can be compared.

All are filled contours and not images: such a picture is a tenth of the size.
"""

from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap
from numpy.typing import ArrayLike

from .lines import array_of
from .style import BLUE

Bounds = tuple[float, float, float, float]  # left, right, bottom, top


class Shades(NamedTuple):
    """How a density is colored, in shares of the largest value.

    Attributes:
        colors: the colormap.
        ground: the color of what lies below the first level.
        levels: where the color changes; above the last one the color is that of `last`.
        first, last: the shares that have the first and the last color of the colormap.
    """

    colors: Colormap
    ground: str
    levels: tuple[float, ...]
    first: float
    last: float


_NIGHT = "#0B1E3F"
ON_WHITE = Shades(
    matplotlib.colormaps["Blues"],
    ground="white",
    levels=(0.01, 0.05, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9),
    first=0.01,
    last=0.9,
)
ON_DARK = Shades(
    LinearSegmentedColormap.from_list("dense", [_NIGHT, BLUE, "#F7E9B0"]),
    ground=_NIGHT,
    levels=tuple(np.linspace(0.03, 1, 12).tolist()),
    first=0.0,
    last=1.0,
)


def draw_density(
    p: ArrayLike,
    bounds: Bounds,
    *,
    ax: Axes,
    shades: Shades = ON_WHITE,
    top: float | None = None,
) -> Axes:
    """Draw a density over a rectangle.

    Args:
        p: (rows, columns), at the midpoints of equal cells, the first row at the bottom: what
            `data.on_grid` returns, after `.exp()`.
        bounds: (left, right, bottom, top) of the rectangle, which becomes that of the axes.
        shades: ON_WHITE or ON_DARK.
        top: the value that counts as 1 in the levels; the largest one of p if None. Give that of
            the truth, to compare models with it.
    """
    values = array_of(p)
    top = max(float(np.max(values)) if top is None else top, 1e-9)
    ax.set_facecolor(shades.ground)
    return draw_levels(
        values,
        bounds,
        ax=ax,
        levels=np.array(shades.levels) * top,
        colors=shades.colors,
        span=(shades.first * top, shades.last * top),
    )


def draw_levels(
    values: ArrayLike,
    bounds: Bounds,
    *,
    ax: Axes,
    levels: ArrayLike,
    colors: Colormap | str,
    span: tuple[float, float] | None = None,
) -> Axes:
    """Draw values (rows, columns) at the midpoints of the cells of a rectangle as steps of color.

    Nothing is drawn below the first of the `levels`. The first and the last color stand for the
    values `span`, by default the first and the last level.
    """
    heights = array_of(values)
    steps = array_of(levels)
    low, high = (steps[0], steps[-1]) if span is None else span
    rows, columns = heights.shape
    left, right, bottom, top = bounds
    x = left + (right - left) * (np.arange(columns) + 0.5) / columns
    y = bottom + (top - bottom) * (np.arange(rows) + 0.5) / rows
    ax.contourf(x, y, heights, levels=steps, cmap=colors, vmin=low, vmax=high, extend="max")
    ax.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")
    ax.grid(False)
    return ax


def draw_samples(x: ArrayLike, *, ax: Axes, size: float = 2.0, alpha: float = 0.8) -> Axes:
    """Draw points (N, 2) as small white dots, on a density that is `ON_DARK`."""
    across, up = array_of(x).T
    ax.scatter(across, up, s=size, color="white", alpha=alpha, linewidths=0)
    return ax


def no_ticks(ax: Axes) -> Axes:
    """Leave ticks and frame out, where only the shape matters."""
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    return ax
