"""Lesson 18: digits drawn pixel by pixel, and the bits paid for each."""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from ...course.controls import choice, int_slider, play, slider
from ...course.explorables import explorable
from ...data.pixels import LEVELS, SIDE, counts
from ...models.autoregressive import narrowed
from ...plotting import BLUE, GRAY, ORANGE, VERMILLION
from .runs import SIZE, pixels, transformer

DRAWN = 6  # digits at a time
TO_COME = "#DCE6F0"


class PixelByPixel(NamedTuple):
    """Six digits x (DRAWN, 64) on their way, all from the same rows of a test digit.

    Attributes:
        frame: number of the pixel that is drawn now.
        bits: (64,), paid for the pixels of the first one.
        net, drawn_from: probabilities of the levels of that pixel of the first one, as the net says
            and after temperature and top-k.
        real: bits of all pixels of the test digit.
    """

    digit: int
    rows: int
    temperature: float
    top_k: int
    frame: int
    x: Tensor
    bits: Tensor
    net: Tensor
    drawn_from: Tensor
    real: float


@lru_cache(maxsize=1)
def _examples() -> Tensor:
    """A test image of each digit, (10, 64)."""
    labels = counts().test_labels
    return torch.stack([pixels().test[labels == digit][0] for digit in range(10)])


@lru_cache(maxsize=64)
def completed(digit: int, rows: int, temperature: float, top_k: int) -> tuple[Tensor, Tensor]:
    """Digits (DRAWN, 64) whose first rows are given, and bits for each of their pixels."""
    chance = torch.Generator().manual_seed(0)
    known = _examples()[digit, : SIDE * rows]
    drawn = transformer().sample(
        DRAWN, known=known, temperature=temperature, top_k=top_k, generator=chance
    )
    return drawn.x, -drawn.log_prob / math.log(2)


@torch.no_grad()
def compute(digit: int, rows: int, temperature: float, top_k: int, frame: int) -> PixelByPixel:
    """The stored Transformer at work."""
    model = transformer()
    x, bits = completed(digit, rows, temperature, top_k)
    logits = model.net(x[:1])[0, frame]
    return PixelByPixel(
        digit=digit,
        rows=rows,
        temperature=temperature,
        top_k=top_k,
        frame=frame,
        x=x,
        bits=bits[0],
        net=logits.softmax(-1),
        drawn_from=narrowed(logits, temperature, top_k),
        real=float(model.bits(_examples()[digit : digit + 1])) * SIZE,
    )


def draw(fig: Figure, data: PixelByPixel) -> None:
    """The digits so far; the bits of the first; and what its pixel is drawn from."""
    left, middle, right = fig.subplots(1, 3, width_ratios=[1.45, 1, 1.2])
    shown = data.x.double()
    shown[:, data.frame + 1 :] = math.nan
    gap = 1
    page = np.full((2 * SIDE + gap, 3 * SIDE + 2 * gap), math.nan)
    for i, image in enumerate(shown.reshape(DRAWN, SIDE, SIDE).numpy()):
        row, column = divmod(i, 3)
        page[row * (SIDE + gap) :, column * (SIDE + gap) :][:SIDE, :SIDE] = image
    left.set_facecolor(TO_COME)
    left.imshow(page, cmap="gray_r", vmin=0, vmax=LEVELS - 1)
    line, place = divmod(data.frame, SIDE)
    left.plot(place, line, "s", color=VERMILLION, markersize=8, fillstyle="none")
    left.set_title(f"{data.rows} rows of a {data.digit} given")
    bits = data.bits.clone()
    bits[data.frame + 1 :] = math.nan
    middle.set_facecolor(TO_COME)
    middle.imshow(bits.reshape(SIDE, SIDE).numpy(), cmap="Oranges", vmin=0, vmax=6)
    middle.axhline(data.rows - 0.5, color=GRAY, linewidth=1)
    paid = float(data.bits[: data.frame + 1].sum())
    middle.set_title(f"paid for the first: {paid:.0f} bits")
    for ax in (left, middle):
        ax.set(xticks=[], yticks=[])
        ax.grid(False)
    levels = np.arange(LEVELS)
    right.bar(levels, data.net.numpy(), color=GRAY, alpha=0.45, width=0.9)
    right.bar(levels, data.drawn_from.numpy(), color=BLUE, alpha=0.6, width=0.5)
    taken = int(data.x[0, data.frame])
    right.plot(taken, 1.04, "v", color=ORANGE, markersize=7, clip_on=False)
    right.set(xlim=(-0.7, 16.7), ylim=(0, 1.1), xlabel="dark dots", ylabel="probability")
    right.set_title(f"pixel {data.frame + 1}: {data.bits[data.frame]:.2f} bits")


def describe(data: PixelByPixel) -> str:
    """What the first digit has cost so far, and the real one in all."""
    paid = float(data.bits[: data.frame + 1].sum())
    drawn = f"{data.frame + 1} pixel{'s' * (data.frame > 0)}"
    return (
        f"{data.rows} rows of a {data.digit} given, temperature {data.temperature:.2f}, the "
        f"{data.top_k} likeliest levels: {drawn} of the first cost {paid:.0f} bits; the real "
        f"{data.digit} costs {data.real:.0f} for all 64."
    )


pixel_by_pixel = explorable(
    compute,
    draw,
    describe,
    question="Predict first: which pixels are expensive, white, black or gray ones?",
    size=(9.2, 3.6),
    controls={
        "temperature": slider("temperature", 0.25, 2.0, value=1.0, step=0.25),
        "top_k": int_slider("likeliest levels", 1, LEVELS, value=LEVELS),
        "rows": int_slider("rows given", 0, SIDE, value=3),
        "digit": choice("digit", list(range(10)), value=3),
        "frame": play("pixel", SIZE, value=44),
    },
)
