"""Lesson 18: attention with a mask, and which entries leak into which."""

import math
from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ...course.controls import choice, int_slider, toggle
from ...course.explorables import explorable
from ...plotting import REJECTED

T = 8
WIDTH = 16
HIDDEN = {"minus infinity": -math.inf, "0": 0.0}


class CausalMask(NamedTuple):
    """Attention's weights (T, T), the influence of input j on output i (T, T), and the leaks.

    Attributes:
        leaks: the pairs (i, j) with j >= i in which the input reaches the output of an entry that
            it must not know.
        worst: the share of the first row's weights that goes to places it must not see.
        nowhere: whether the first place may look nowhere, so that softmax is 0/0 there.
    """

    offset: int
    hidden: str
    shifted: bool
    weights: Tensor
    influence: Tensor
    leaks: int
    worst: float
    nowhere: bool


def attended(x: Tensor, parts: Tensor, offset: int, hidden: float) -> tuple[Tensor, Tensor]:
    """One head of self-attention on x (T, WIDTH): outputs (T, WIDTH) and weights (T, T).

    Place i may look at places up to i + offset; others get the score `hidden`.
    """
    query, key, value = (x @ part for part in parts)
    scores = query @ key.T / math.sqrt(WIDTH)
    allowed = torch.ones(T, T).tril(offset).bool()
    weights = scores.masked_fill(~allowed, hidden).softmax(-1)
    weights = weights.nan_to_num(0.0)  # of a row that may look nowhere
    return weights @ value, weights


def compute(offset: int, hidden: str, shifted: bool) -> CausalMask:
    """A head with random weights, and the gradient of each output to each token."""
    generator = torch.Generator().manual_seed(0)
    parts = torch.randn(3, WIDTH, WIDTH, generator=generator) / math.sqrt(WIDTH)
    tokens = torch.randn(T, WIDTH, generator=generator)
    start = torch.randn(1, WIDTH, generator=generator)

    def outputs(tokens: Tensor) -> Tensor:
        x = torch.cat([start, tokens[:-1]]) if shifted else tokens
        return attended(x, parts, offset, HIDDEN[hidden])[0]

    slopes = torch.autograd.functional.jacobian(outputs, tokens)
    influence = slopes.square().sum((1, 3)).sqrt()
    seen = torch.cat([start, tokens[:-1]]) if shifted else tokens
    weights = attended(seen, parts, offset, HIDDEN[hidden])[1]
    return CausalMask(
        offset=offset,
        hidden=hidden,
        shifted=shifted,
        weights=weights,
        influence=influence,
        leaks=int((influence.triu() > 0).sum()),
        worst=float(weights[0, 1:].sum()),
        nowhere=offset < 0 and HIDDEN[hidden] < 0,
    )


def draw(fig: Figure, data: CausalMask) -> None:
    """The weights, and who reaches whom."""
    left, right = fig.subplots(1, 2)
    left.imshow(data.weights.numpy(), cmap="Blues", vmin=0, vmax=1)
    left.set(xlabel="place that is looked at", ylabel="place that looks")
    left.set_title(f"weights of attention; hidden = {data.hidden}")
    right.imshow((data.influence > 0).numpy(), cmap="Blues", vmin=0, vmax=1.6)
    bad = (data.influence.triu() > 0).nonzero()
    right.plot(bad[:, 1], bad[:, 0], "x", color=REJECTED, markersize=8, markeredgewidth=2)
    right.set(xlabel="token j", ylabel="prediction of token i")
    right.set_title(f"j reaches i; leaks: {data.leaks}")
    for ax in (left, right):
        ax.grid(False)
        ax.set(xticks=range(T), yticks=range(T), xlim=(-0.5, T - 0.5), ylim=(T - 0.5, -0.5))


def describe(data: CausalMask) -> str:
    """How many leaks there are."""
    inputs = "shifted by a start token" if data.shifted else "not shifted"
    reach = {-1: "before it", 0: "up to itself", 1: "one ahead", 2: "two ahead"}[data.offset]
    first = "looks nowhere (NaN)"
    if not data.nowhere:
        first = f"gives {data.worst:.2f} of its weight to later ones"
    return (
        f"Inputs {inputs}, a place looks {reach}, hidden scores {data.hidden}: "
        f"{data.leaks} of {T * (T + 1) // 2} pairs leak; the first place {first}."
    )


causal_mask = explorable(
    compute,
    draw,
    describe,
    question=(
        "Predict first: the inputs are shifted by a start token. May a place look at itself?"
    ),
    size=(8.0, 4.2),
    controls={
        "offset": int_slider("looks ahead", -1, 2, value=0),
        "hidden": choice("hidden scores", list(HIDDEN)),
        "shifted": toggle("inputs shifted by a start token", True),
    },
)
