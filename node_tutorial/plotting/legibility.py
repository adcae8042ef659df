"""Whether a figure can be read: texts cut by its edge, texts covered by other texts. For tests and
for authors.
"""

import itertools

from matplotlib.backends.backend_agg import FigureCanvasAgg


def drawn_texts(figure):
    """All texts that a figure shows, as (text, extent in pixels); tick labels outside of the limits
    are not shown.
    """
    renderer = FigureCanvasAgg(figure).get_renderer()
    texts = [*figure.texts, *([figure._suptitle] if figure._suptitle else [])]
    for ax in figure.axes:
        if not ax.get_visible():
            continue
        texts += [*ax.texts, ax.title, ax._left_title, ax._right_title]
        if ax.get_legend():
            texts += ax.get_legend().get_texts()
        if ax.axison and hasattr(ax, "xaxis"):
            for axis in (ax.xaxis, ax.yaxis):
                texts += [axis.label, axis.offsetText]
                texts += [
                    label for tick in axis._update_ticks() for label in (tick.label1, tick.label2)
                ]
    found = [
        (text.get_text(), text.get_window_extent(renderer))
        for text in dict.fromkeys(texts)
        if text.get_visible() and text.get_text().strip()
    ]
    return found


def text_problems(figure):
    """What a reader could not read: texts cut by the picture's edge, and texts covered by others."""
    width, height = figure.bbox.width, figure.bbox.height
    texts, slack = drawn_texts(figure), 1.5
    problems = [
        f"{text!r} is cut by the edge"
        for text, box in texts
        if box.x0 < -slack or box.y0 < -slack or box.x1 > width + slack or box.y1 > height + slack
    ]
    for (one, a), (two, b) in itertools.combinations(texts, 2):
        wide, high = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
        if (
            wide > 0
            and high > 0
            and wide * high > 0.15 * min(a.width * a.height, b.width * b.height)
        ):
            problems.append(f"{one!r} and {two!r} overlap")
    return problems
