"""Pictures: one style sheet and functions `f(data, *, ax=None, **kw) -> ax`, free of pyplot.

    fig, ax = figure()
    trajectory(y, ax=ax)
    show(fig, "The orbit closes after 6.28 units of time.")

Data are numpy arrays, torch tensors or plain sequences. This package imports nothing else of
node_tutorial.
"""

from .convergence import fitted_slope, loglog_slope, step_rug, work_precision
from .densities import ON_DARK, ON_WHITE, draw_density, draw_levels, draw_samples, no_ticks
from .images import draw_image_table, draw_images, draw_page, montage
from .legibility import drawn_texts, empty_axes, text_problems
from .lines import exact_line, label_line, room_for_labels, running_mean, trajectory
from .plane import mesh, stability_region, vector_field
from .quality import precision_and_recall, quality_over_cost
from .ranges import draw_ranges
from .style import (
    BLUE,
    EXACT,
    GRAY,
    GREEN,
    ORANGE,
    PALETTE,
    PURPLE,
    REJECTED,
    SKY,
    STYLE,
    TEN,
    VERMILLION,
    Picture,
    blank,
    figure,
    show,
)

__all__ = [
    "BLUE",
    "EXACT",
    "GRAY",
    "GREEN",
    "ON_DARK",
    "ON_WHITE",
    "ORANGE",
    "PALETTE",
    "PURPLE",
    "REJECTED",
    "SKY",
    "STYLE",
    "TEN",
    "VERMILLION",
    "Picture",
    "blank",
    "draw_density",
    "draw_image_table",
    "draw_images",
    "draw_levels",
    "draw_page",
    "draw_ranges",
    "draw_samples",
    "drawn_texts",
    "empty_axes",
    "exact_line",
    "figure",
    "fitted_slope",
    "label_line",
    "loglog_slope",
    "mesh",
    "montage",
    "no_ticks",
    "precision_and_recall",
    "quality_over_cost",
    "room_for_labels",
    "running_mean",
    "show",
    "stability_region",
    "step_rug",
    "text_problems",
    "trajectory",
    "vector_field",
    "work_precision",
]
