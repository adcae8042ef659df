"""Small gray images, many in one picture."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.image import BboxImage
from matplotlib.transforms import Bbox, TransformedBbox
from numpy.typing import ArrayLike

from .lines import array_of, axes_or_new


def montage(images: ArrayLike, columns: int, gap: int = 1) -> np.ndarray:
    """Square images (N, ...) in rows, ink dark on light, as one array of gray values; gaps are
    white. Ink is from 0 to 1.
    """
    pixels = array_of(images)
    side = math.isqrt(pixels[0].size)
    pixels = pixels.reshape(-1, side, side)
    rows = math.ceil(len(pixels) / columns)
    page = np.zeros((rows * (side + gap) - gap, columns * (side + gap) - gap))
    for i, image in enumerate(pixels):
        row, column = divmod(i, columns)
        page[row * (side + gap) :, column * (side + gap) :][:side, :side] = 0.1 + 0.9 * image
    return 1 - np.round(16 * page) / 16  # few levels of gray make small files


def draw_images(images: ArrayLike, columns: int, *, ax: Axes | None = None) -> Axes:
    """Square images (N, ...), ink from 0 to 1, so many to a row."""
    ax = axes_or_new(ax)
    page = montage(array_of(images).clip(0, 1), columns)
    draw_page(page, (0, page.shape[1], 0, page.shape[0]), ax=ax)
    ax.set_axis_off()
    return ax


def draw_image_table(
    rows: Mapping[str, ArrayLike],
    columns: Sequence[str] = (),
    *,
    ax: Axes | None = None,
    across: int = 1,
) -> Axes:
    """Rows of square images with their names, each (N, ...), ink from 0 to 1; and the names of the
    columns, each of `across` images.

    Raises:
        ValueError: for rows of unequal lengths, or columns that do not fill them.
    """
    ax = axes_or_new(ax)
    images = [array_of(row) for row in rows.values()]
    lengths = {len(row) for row in images}
    if len(lengths) != 1 or (columns and {len(columns) * across} != lengths):
        raise ValueError(
            f"rows must have equally many images, {across} for each column; got "
            f"{[len(row) for row in images]} images for {len(columns)} columns"
        )
    (length,) = lengths
    draw_images(np.concatenate([row.reshape(length, -1) for row in images]), length, ax=ax)
    pitch = math.isqrt(images[0][0].size) + 1
    height = len(images) * pitch - 1
    for k, name in enumerate(rows):
        y = height - (k + 0.5) * pitch + 0.5
        ax.text(-2, y, name, ha="right", va="center", fontsize=10)
    for k, name in enumerate(columns):
        x = (k + 0.5) * across * pitch - 0.5
        ax.text(x, height + 1.5, name, ha="center", va="bottom", fontsize=10)
    return ax


def draw_page(page: np.ndarray, extent: tuple[float, float, float, float], *, ax: Axes) -> None:
    """Gray values (rows, columns) as an image that fills extent (left, right, bottom, top).

    Not by `imshow`: with its kind of image a picture is stored in full color, three times as large.
    """
    left, right, bottom, top = extent
    box = TransformedBbox(Bbox.from_extents(left, bottom, right, top), ax.transData)
    image = BboxImage(box, cmap="gray", norm=Normalize(0, 1), interpolation="nearest", zorder=0.5)
    image.set_data(page)
    ax.add_artist(image)
    ax.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")
