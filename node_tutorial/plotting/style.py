"""One look for every figure of the course, and figures that notebooks show without pyplot.

pyplot keeps a global list of figures; when widget callbacks run on another thread it draws into the
wrong one. So the course uses `Figure` objects only. A `Figure` made outside pyplot has no display
in a notebook, `Picture` adds it: a PNG beside one sentence that says what the picture means, which
is what nbval compares and a screen reader reads.

Colors: Okabe and Ito, "Color Universal Design" (2008), without its yellow, which is unreadable on
white.
"""

import base64
import io
from typing import Any

import matplotlib
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

BLUE = "#0072B2"
VERMILLION = "#D55E00"
GREEN = "#009E73"
PURPLE = "#CC79A7"
ORANGE = "#E69F00"
SKY = "#56B4E9"
GRAY = "#6B6B6B"
PALETTE = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, GRAY)
EXACT = "#222222"  # exact solutions and true values, in every lesson
REJECTED = "#C1121F"  # rejected steps and failures, in every lesson
# Of ten classes, whose names must stand beside their points:
TEN = (*PALETTE, EXACT, "#8C510A", "#7B7B00")

# An inch of a figure is 96 screen pixels: what is 11 points here reads as 11 points at 100 %.
DPI = 96

STYLE: dict[Any, Any] = {
    "figure.dpi": DPI,
    "savefig.dpi": DPI,
    "figure.facecolor": "white",
    "font.size": 10.5,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.labelsize": 10.5,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#444444",
    "axes.prop_cycle": cycler(color=PALETTE),
    "axes.grid": True,
    # By default all tick labels are laid out once more, to find what stands above the axes.
    "axes.titley": 1.0,
    "axes.axisbelow": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.8,
    "lines.markersize": 4.5,
    "legend.frameon": False,
    "image.cmap": "viridis",
    "mathtext.fontset": "dejavusans",
}


class Picture(Figure):
    """A matplotlib `Figure` that a notebook shows as a PNG with one sentence about its meaning.

    `meaning` is that sentence; set it with `show(fig, "...")`.
    """

    meaning = ""

    def add_subplot(self, *args: Any, **keywords: Any) -> Axes:
        """As in `Figure`, with fewer ticks: they are a third of the time of a picture."""
        ax = super().add_subplot(*args, **keywords)
        if ax.name == "rectilinear":
            for axis in (ax.xaxis, ax.yaxis):
                locator = axis.get_major_locator()
                if isinstance(locator, MaxNLocator):
                    locator.set_params(nbins=6)
        return ax

    def clear(self, keep_observers: bool = False) -> None:
        """As in `Figure`, but quicker: that one clears the axes, too, before it drops them."""
        for ax in self.axes:
            self.delaxes(ax)
        super().clear(keep_observers)

    def png(self) -> bytes:
        """The picture as a PNG, always the same bytes for the same picture.

        Not by `savefig`, which draws everything twice. Line drawings are stored with a palette of
        256 colors: 4 times smaller and quicker to write; images and color meshes, which would show
        bands, in full color.
        """
        # A canvas that is kept remembers the sizes of texts.
        canvas = self.canvas if isinstance(self.canvas, FigureCanvasAgg) else FigureCanvasAgg(self)
        canvas.draw()
        image = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
        if not any(map(_has_many_colors, self.axes)):
            image = image.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
            palette = np.array(image.getpalette() or [], dtype=int).reshape(-1, 3)
            # The octree's white is 254, and would show as a gray box.
            palette[(palette >= 250).all(axis=1)] = 255
            image.putpalette(palette.ravel().tolist())
        buffer = io.BytesIO()
        image.save(buffer, format="png", dpi=(DPI, DPI), compress_level=6)
        return buffer.getvalue()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        text = self.meaning or f"Figure with {len(self.axes)} axes"
        return {"image/png": base64.b64encode(self.png()).decode(), "text/plain": text}


def _has_many_colors(ax: Axes) -> bool:
    return bool(ax.images) or any(isinstance(artist, QuadMesh) for artist in ax.collections)


def blank(size: tuple[float, float] = (7.2, 3.4)) -> Picture:
    """An empty `Picture` of `size` inches (width, height) in the style of the course."""
    # rcParams are read when an artist is made, long after this call: a context manager here would
    # end too early.
    matplotlib.rcParams.update(STYLE)
    return Picture(figsize=size, dpi=DPI, layout="constrained")


def figure(
    ncols: int = 1,
    nrows: int = 1,
    size: tuple[float, float] | None = None,
    **subplots: Any,
) -> tuple[Picture, Any]:
    """A styled `Picture` and its axes: a single `Axes`, or an array as from `Figure.subplots`.

    Args:
        ncols, nrows: numbers of axes.
        size: (width, height) in inches; by default 7.2 wide (8.6 for several columns) and 3.4 high
            (2.7 per row for several rows).
        subplots: of `Figure.subplots`, such as `sharex`, `width_ratios`, `subplot_kw`.
    """
    if size is None:
        size = (7.2 if ncols == 1 else 8.6, 3.4 if nrows == 1 else 2.7 * nrows)
    fig = blank(size)
    return fig, fig.subplots(nrows, ncols, **subplots)


def show(fig: Picture, meaning: str) -> Picture:
    """The figure with the sentence that says what it shows, to be the last line of a cell.

    Args:
        fig: as from `figure`.
        meaning: one line with rounded numbers: it is stored in the notebook and compared when the
            notebook is tested.

    Raises:
        ValueError: if `meaning` is empty, or has several lines.
    """
    if "\n" in meaning or not meaning.strip():
        raise ValueError(
            f"meaning must be one line of text, got {meaning!r}: say in a sentence what the "
            "figure shows"
        )
    fig.meaning = meaning
    return fig
