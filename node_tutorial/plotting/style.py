"""One look for every figure of the course, and figures that a notebook can show without pyplot.

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
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

BLUE, VERMILLION, GREEN = "#0072B2", "#D55E00", "#009E73"
PURPLE, ORANGE, SKY, GRAY = "#CC79A7", "#E69F00", "#56B4E9", "#6B6B6B"
PALETTE = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, GRAY)
EXACT = "#222222"  # exact solutions and true values, in every lesson
TEN = (
    *PALETTE,
    EXACT,
    "#8C510A",
    "#7B7B00",
)  # of ten classes, whose names must stand beside their points
REJECTED = "#C1121F"  # rejected steps and failures, in every lesson

DPI = (
    96  # a figure inch is then 96 screen pixels: what is 11 points here reads as 11 points at 100 %
)

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

    def add_subplot(self, *args, **keywords):
        """As in `Figure`, with fewer ticks: easier to read, and a third of the time of a picture
        goes into ticks.
        """
        ax = super().add_subplot(*args, **keywords)
        if ax.name == "rectilinear":
            for axis in (ax.xaxis, ax.yaxis):
                if isinstance(axis.get_major_locator(), MaxNLocator):
                    axis.get_major_locator().set_params(nbins=6)
        return ax

    def png(self):
        """Return the picture as PNG bytes, always the same bytes for the same picture.

        Not `savefig`, which draws everything twice. Line drawings are stored with a palette of 256
        colors: 4 times smaller and quicker to write; images and color meshes, which would show
        bands, in full color.
        """
        canvas = FigureCanvasAgg(self)
        canvas.draw()
        image = Image.fromarray(np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3]))
        if not any(
            ax.images or any(isinstance(c, QuadMesh) for c in ax.collections) for ax in self.axes
        ):
            image = image.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
            palette = np.array(image.getpalette() or [], dtype=int).reshape(-1, 3)
            palette[(palette >= 250).all(axis=1)] = (
                255  # the octree's white is 254, and would show as a gray box
            )
            image.putpalette(palette.ravel().tolist())
        buffer = io.BytesIO()
        image.save(buffer, format="png", dpi=(DPI, DPI), compress_level=6)
        return buffer.getvalue()

    def _repr_mimebundle_(self, include=None, exclude=None):
        text = self.meaning or f"Figure with {len(self.axes)} axes"
        return {"image/png": base64.b64encode(self.png()).decode(), "text/plain": text}


def blank(size=(7.2, 3.4)):
    """Return an empty `Picture` of `size` inches (width, height) in the style of the course."""
    # rcParams are read when an artist is made, long after this call: a context manager here would
    # end too early.
    matplotlib.rcParams.update(STYLE)
    return Picture(figsize=size, dpi=DPI, layout="constrained")


def figure(ncols=1, nrows=1, size=None, **subplots):
    """Return `(fig, axes)`: a styled `Picture` and its axes, a single `Axes` or an array as from
    `Figure.subplots`.

    `size` is (width, height) in inches, by default 7.2 wide (8.6 for several columns) and 3.4 high
    per row. Other keywords (`sharex`, `width_ratios`, `subplot_kw`, ...) go to `Figure.subplots`.
    """
    fig = blank(size or (7.2 if ncols == 1 else 8.6, 3.4 if nrows == 1 else 2.7 * nrows))
    return fig, fig.subplots(nrows, ncols, **subplots)


def show(fig, meaning):
    """Give `fig` the sentence that says what it shows and return it, to be the last line of a cell.

    `meaning` is one line with rounded numbers: it is stored in the notebook and compared when the
    notebook is tested.
    """
    if "\n" in meaning or not meaning.strip():
        raise ValueError(
            f"meaning must be one line of text, got {meaning!r}: say in a sentence what the "
            "figure shows"
        )
    fig.meaning = meaning
    return fig
