"""Lesson 10: straight lines from one test image to another: of pixels, and of codes, decoded."""

from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ...course.controls import choice
from ...course.explorables import explorable
from ...data.digits import a_digit
from ...plotting import BLUE, GRAY, draw_images
from .runs import ink_digits, to_training_images, trained, trained_coder

VARIATIONAL = "VAE, 16 latents"
PLAIN = "plain, 16 latents"
STEPS = 11  # images on a line, both ends among them


class Line(NamedTuple):
    """Images (STEPS, 64) on a line, and in how many pixels each is expected to differ from the
    nearest training image, (STEPS,).
    """

    images: Tensor
    away: Tensor


class Interpolation(NamedTuple):
    """Two lines from a test image of the digit `first` to one of `second`."""

    first: int
    second: int
    net: str
    pixels: Line
    codes: Line


def compute(first: int, second: int, net: str) -> Interpolation:
    """Both lines; from a digit to itself they join two different images."""
    images = ink_digits()
    ends = images.test[[_image(first, 0), _image(second, int(first == second))]]
    if net == VARIATIONAL:
        vae, _ = trained(16)
        decode = vae.decode
        codes = vae.encode(ends).mean
    else:
        coder, _ = trained_coder(16)
        decode = coder.decode
        codes = coder.encode(ends)
    s = torch.linspace(0, 1, STEPS, dtype=torch.float64)[:, None]
    pixels = ends[0] * (1 - s) + ends[1] * s
    decoded = decode(codes[0] * (1 - s) + codes[1] * s)
    return Interpolation(
        first,
        second,
        net,
        Line(pixels, to_training_images(pixels, images)),
        Line(decoded, to_training_images(decoded, images)),
    )


def _image(digit: int, which: int) -> int:
    """The index of a test image of that digit."""
    return int((ink_digits().test_label == digit).nonzero()[which, 0])


def draw(fig: Figure, data: Interpolation) -> None:
    """The images of both lines above their places, and their distance from the training images."""
    above, below = fig.subplots(2, 1, height_ratios=[1.0, 1.15])
    draw_images(torch.cat([data.pixels.images, data.codes.images]), STEPS, ax=above)
    above.set_title(
        f"from {a_digit(data.first)} to {a_digit(data.second)}; {data.net}\n"
        "above: the line of pixels; below: the line of codes, decoded"
    )
    place = torch.linspace(0, 1, STEPS, dtype=torch.float64)
    half = 0.5 / (STEPS - 1)  # of an image
    below.plot(place, data.pixels.away, ".-", color=GRAY)
    below.plot(place, data.codes.away, ".-", color=BLUE)
    below.text(0, 14, "line of pixels", color=GRAY)
    below.text(0.15, 14, "line of codes", color=BLUE)
    below.set(xlim=(-half, 1 + half), ylim=(0, 16), xlabel="place on the line")
    below.set_ylabel("pixels from the\nnearest training image")


def describe(data: Interpolation) -> str:
    """How far from any training image both lines are half-way."""
    middle = STEPS // 2
    return (
        f"From {a_digit(data.first)} to {a_digit(data.second)}, {data.net}: half-way, the image is "
        f"{data.pixels.away[middle]:.0f} pixels from the nearest training image on the line of "
        f"pixels, {data.codes.away[middle]:.0f} on that of codes."
    )


interpolation = explorable(
    compute,
    draw,
    describe,
    question=(
        "Predict first: half-way between a 3 and a 6 in pixels, and half-way in codes: what do "
        "you see?"
    ),
    size=(8.8, 4.1),
    controls={
        "first": choice("from", range(10), value=3),
        "second": choice("to", range(10), value=6),
        "net": choice("net", [VARIATIONAL, PLAIN]),
    },
)
