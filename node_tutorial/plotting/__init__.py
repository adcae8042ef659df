"""Pictures: one style sheet and functions `f(data, *, ax=None, **kw) -> ax`, free of pyplot.

    fig, ax = figure()
    trajectory(y, ax=ax)
    show(fig, "The orbit closes after 6.28 units of time.")

Data are numpy arrays, torch tensors or plain sequences. This package imports nothing else of
node_tutorial.
"""

from .errors import fitted_slope, loglog_slope, step_rug, work_precision
from .fields import grid, stability_region, vector_field
from .legibility import drawn_texts, text_problems
from .lines import exact_line, label_line, room_for_labels, running_mean, trajectory
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
