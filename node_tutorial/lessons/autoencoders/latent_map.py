"""Lesson 10: a point of the latent plane and the image that it decodes to, between the map of the
plane and the codes of test images.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from ...course.controls import choice, slider
from ...course.explorables import explorable
from ...data.digits import a_digit
from ...plotting import VERMILLION, draw_images, draw_page, montage
from .figures import draw_codes
from .runs import BETAS, ink_digits, trained

REACH = 3.9  # the map shows the square from -REACH to REACH
CELLS = 9  # as so many decoded images a side


class Plane(NamedTuple):
    """What the latent plane is for one beta: decoded, as gray values of one picture, top row first;
    codes (M, 2) of the test images; their mean ELBO, in nats.
    """

    page: np.ndarray
    codes: Tensor
    elbo: float


class Point(NamedTuple):
    """A point z of the plane, its image (1, 64), how many of its pixels are surely ink or paper,
    and the index and the digit of the test image whose code is nearest.
    """

    z: tuple[float, float]
    beta: float
    plane: Plane
    image: Tensor
    sure: int
    nearest: int
    digit: int


@lru_cache(maxsize=8)
@torch.no_grad()
def decoded_plane(beta: float) -> Plane:
    """The plane of the VAE with two latents that was trained with this beta."""
    model, _ = trained(2, beta)
    images = ink_digits()
    centers = (torch.arange(CELLS, dtype=torch.float64) + 0.5) * (2 * REACH / CELLS) - REACH
    z2, z1 = torch.meshgrid(centers.flip(0), centers, indexing="ij")
    torch.manual_seed(0)
    elbo = model.elbo(images.test, 20).total.mean().item()
    page = montage(model.decode(torch.stack([z1, z2], -1).reshape(-1, 2)), CELLS, gap=0)
    return Plane(page, model.encode(images.test).mean, elbo)


def compute(z1: float, z2: float, beta: float) -> Point:
    """Decode a point, and find the test image whose code is nearest."""
    plane = decoded_plane(beta)
    model, _ = trained(2, beta)
    z = torch.tensor([[z1, z2]], dtype=torch.float64)
    image = model.decode(z)
    sure = int(((image < 0.1) | (image > 0.9)).sum())
    nearest = int(torch.cdist(z, plane.codes).argmin())
    digit = int(ink_digits().test_label[nearest])
    return Point((z1, z2), beta, plane, image, sure, nearest, digit)


def draw(fig: Figure, data: Point) -> None:
    """The plane decoded, the codes in it, and the image of the point above its neighbor."""
    left, middle, right = fig.subplots(1, 3, width_ratios=[1.5, 1.1, 0.55])
    images = ink_digits()
    draw_page(data.plane.page, (-REACH, REACH, -REACH, REACH), ax=left)
    draw_codes(data.plane.codes, images.test_label, ax=middle, reach=REACH, size=9)
    ring = {"markersize": 9, "markerfacecolor": "none", "markeredgewidth": 2.2}
    for ax in (left, middle):
        ax.plot(*data.z, "o", color=VERMILLION, **ring)
        ax.set(xlabel="z₁", xlim=(-REACH, REACH), ylim=(-REACH, REACH))
        ax.grid(visible=False)
    for line in np.linspace(-REACH, REACH, CELLS + 1)[1:-1]:  # the images are told apart
        left.axvline(line, color="white", linewidth=1)
        left.axhline(line, color="white", linewidth=1)
    left.set_ylabel("z₂")
    z1, z2 = data.z
    left.set_title(f"the plane, decoded\nz = ({z1:.1f}, {z2:.1f})", fontsize=10.5)
    middle.set_title(
        f"codes of test images\nβ = {data.beta:g}: ELBO {data.plane.elbo:.1f} nats", fontsize=10.5
    )
    draw_images(torch.cat([data.image, images.test[data.nearest][None]]), 1, ax=right)
    right.set_title(
        f"z: {data.sure}/64 pixels sure\nbelow: nearest code",
        fontsize=10,
    )


def describe(data: Point) -> str:
    """How sure the decoded image is, and which digit has the nearest code."""
    z1, z2 = data.z
    return (
        f"β = {data.beta:g}, z = ({z1:.1f}, {z2:.1f}): {data.sure} of 64 pixels are sure; the test "
        f"image of nearest code is {a_digit(data.digit)}."
    )


latent_map = explorable(
    compute,
    draw,
    describe,
    question=(
        "Predict first: with a larger β, do the codes of two images move apart, or together?"
    ),
    size=(9.4, 4.2),
    controls={
        "z1": slider("z₁", -3.8, 3.8, value=1.0, step=0.1, format=".1f"),
        "z2": slider("z₂", -3.8, 3.8, value=-1.0, step=0.1, format=".1f"),
        "beta": choice("β", {f"{beta:g}": beta for beta in BETAS}, value=1.0),
    },
)
