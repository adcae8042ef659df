"""Whether a figure can be read: texts that are cut or covered, axes that show no data.

For tests and for authors: a picture is looked at here as its reader does, by its pixels.
"""

import itertools

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

_SLACK = 1.5  # pixels by which a text may reach over the edge of the picture
_COVERED = 0.15  # share of the smaller of two texts that the other may cover
_SEEN = 30  # pixels that the data of each axes have to color


def drawn_texts(figure: Figure) -> list[tuple[str, Bbox]]:
    """All texts that a figure shows, with their extents in pixels.

    Tick labels outside of the limits are not shown.
    """
    renderer = FigureCanvasAgg(figure).get_renderer()
    title = figure._suptitle  # type: ignore[attr-defined]  # there is no public way to its extent
    texts: list[Text] = [*figure.texts, *([title] if title else [])]
    for ax in figure.axes:
        if ax.get_visible():
            texts += _texts_of(ax)
    return [
        (text.get_text(), text.get_window_extent(renderer))
        for text in dict.fromkeys(texts)
        if text.get_visible() and text.get_text().strip()
    ]


def _texts_of(ax: Axes) -> list[Text]:
    texts = [*ax.texts, ax.title, ax._left_title, ax._right_title]  # type: ignore[attr-defined]
    legend = ax.get_legend()
    if legend:
        texts += legend.get_texts()
    if ax.axison and hasattr(ax, "xaxis"):
        for axis in (ax.xaxis, ax.yaxis):
            texts += [axis.label, axis.offsetText]
            # Public ways give the tick labels outside of the limits as well.
            for tick in axis._update_ticks():  # type: ignore[union-attr]
                texts += [tick.label1, tick.label2]
    return texts


def text_problems(figure: Figure) -> list[str]:
    """What a reader could not read: texts that the edge cuts, and texts that others cover."""
    width = figure.bbox.width
    height = figure.bbox.height
    texts = drawn_texts(figure)
    problems = [
        f"{text!r} is cut by the edge"
        for text, box in texts
        if min(box.x0, box.y0) < -_SLACK or box.x1 > width + _SLACK or box.y1 > height + _SLACK
    ]
    for (one, a), (two, b) in itertools.combinations(texts, 2):
        wide = min(a.x1, b.x1) - max(a.x0, b.x0)
        high = min(a.y1, b.y1) - max(a.y0, b.y0)
        smaller = min(a.width * a.height, b.width * b.height)
        if wide > 0 and high > 0 and wide * high > _COVERED * smaller:
            problems.append(f"{one!r} and {two!r} overlap")
    return problems


def empty_axes(figure: Figure) -> list[str]:
    """The axes in which no data can be seen: none drawn, all outside of the limits, or not finite.

    Told by their titles, or else by their numbers. It draws the figure with and without data, and
    looks which pixels change. Axes that are switched off count only if something is drawn in them.
    The figure's layout is fixed from then on.
    """
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # without data nothing else may move
    shown = {ax: _data(ax) for ax in figure.axes if ax.get_visible()}
    everything = _pixels(figure)
    for artist in itertools.chain(*shown.values()):
        artist.set_visible(False)
    changed = (everything != _pixels(figure)).any(axis=2)[::-1]  # the lowest row first
    for artist in itertools.chain(*shown.values()):
        artist.set_visible(True)
    found = []
    for number, (ax, data) in enumerate(shown.items()):
        left, bottom, right, top = map(round, ax.get_window_extent().extents)
        inside = changed[bottom : top + 1, left : right + 1]
        if (data or ax.axison) and inside.sum() < _SEEN:
            found.append(ax.get_title("left") or ax.get_title() or f"axes {number}")
    return found


def _data(ax: Axes) -> list[Artist]:
    data: list[Artist] = [*ax.lines, *ax.collections, *ax.patches, *ax.images, *ax.tables]
    return [artist for artist in data if artist.get_visible()]


def _pixels(figure: Figure) -> np.ndarray:
    """The picture (height, width, 4), as bytes."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.array(canvas.buffer_rgba())
