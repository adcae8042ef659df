"""Lesson 14: square grids that a map has deformed, colored by log |det| of its Jacobian."""

import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_rgba
from torch import Tensor

from ...plotting import BLUE, REJECTED, VERMILLION
from ...plotting.densities import Bounds

# shrinks, keeps, grows
LOG_DET = LinearSegmentedColormap.from_list("log-det", [BLUE, "#C9C9C9", VERMILLION])
LOG_DET_RANGE = Normalize(-3, 3)


def square_grid(reach: float = 3.0, lines: int = 21, points: int = 81) -> Tensor:
    """Vertical, then horizontal lines of a square grid, (2 lines, points, 2), in float64."""
    place = torch.linspace(-reach, reach, lines, dtype=torch.float64)
    along = torch.linspace(-reach, reach, points, dtype=torch.float64)
    fixed, free = torch.meshgrid(place, along, indexing="ij")
    return torch.cat([torch.stack([fixed, free], -1), torch.stack([free, fixed], -1)])


def draw_grid(
    lines: Tensor,
    log_det: Tensor,
    *,
    ax: Axes,
    limits: Bounds,
    turned: Tensor | None = None,
    linewidth: float = 1.1,
) -> Axes:
    """Draw lines (L, P, 2), blue where the map shrinks areas, vermillion where it stretches them.

    Args:
        lines: the image of a grid.
        log_det: (L, P), log |det| of the map's Jacobian at its points.
        limits: (left, right, bottom, top) of the axes.
        turned: (L, P), True where the map has turned the plane over; drawn in red.
    """
    segments = torch.stack([lines[:, :-1], lines[:, 1:]], dim=2).reshape(-1, 2, 2).numpy()
    middle = (log_det[:, :-1] + log_det[:, 1:]) / 2
    colors = LOG_DET(LOG_DET_RANGE(middle.reshape(-1).numpy()))
    if turned is not None:
        colors[turned[:, :-1].reshape(-1).numpy()] = to_rgba(REJECTED)
    ax.add_collection(LineCollection(list(segments), colors=colors, linewidths=linewidth))
    left, right, bottom, top = limits
    ax.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")
    ax.grid(False)
    return ax


def log_det_key(ax: Axes) -> None:
    """Write what the colors of `draw_grid` mean under the axes' title.

    A color bar would take half of the time of an update.
    """
    behind = {"facecolor": "white", "edgecolor": "none", "pad": 1.5, "alpha": 0.85}
    for x, side, color, text in (
        (0.02, "left", BLUE, "log |det| −3"),
        (0.5, "center", "#909090", "0"),
        (0.98, "right", VERMILLION, "+3"),
    ):
        ax.text(
            x,
            0.985,
            text,
            color=color,
            ha=side,
            va="top",
            fontsize=9.5,
            bbox=behind,
            transform=ax.transAxes,
        )
