"""Lesson 01: nets trained at depth 16, run with more or fewer blocks and h = 1 / depth."""

import math
from typing import NamedTuple

import torch
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from torch import Tensor

from ...course.controls import choice, play, power_slider
from ...course.explorables import explorable
from ...plotting import BLUE, EXACT, GRAY, GREEN, ORANGE, PURPLE, SKY, VERMILLION, label_line
from .nets import DEPTH, DEPTHS, NETS, evaluated, moons

FRAMES = 16  # of the points on their way through the blocks


class NetAtDepth(NamedTuple):
    """One net at one depth, see `nets.Evaluation`, and the distances from the limit of all nets at
    all depths. The features go until time t; the last of them lie within a block, if t does.
    """

    depth: int
    weights: str
    t: float
    features: Tensor
    accuracy: float
    distance: float
    curves: dict[str, list[float]]


def compute(depth: int, weights: str, frame: int = FRAMES) -> NetAtDepth:
    curves = {name: [evaluated(kind)[at].distance for at in DEPTHS] for name, kind in NETS.items()}
    features, accuracy, distance = evaluated(NETS[weights])[depth]
    return NetAtDepth(
        depth=depth,
        weights=weights,
        t=frame / FRAMES,
        features=_until(features, depth * frame / FRAMES),
        accuracy=accuracy,
        distance=distance,
        curves=curves,
    )


def _until(features: Tensor, blocks: float) -> Tensor:
    """The features (depth + 1, B, 2) behind the first `blocks` blocks, the last one in part."""
    whole = math.floor(blocks)
    if whole == blocks:
        return features[: whole + 1]
    part = torch.lerp(features[whole], features[whole + 1], blocks - whole)
    return torch.cat([features[: whole + 1], part[None]])


def draw(fig: Figure, data: NetAtDepth) -> None:
    left, right = fig.subplots(ncols=2, width_ratios=(1, 1.15))
    features = data.features.numpy()
    _, label = moons()
    for sign, color in ((-1, BLUE), (1, VERMILLION)):
        paths = features[:, label == sign].swapaxes(0, 1)
        left.add_collection(LineCollection(list(paths), color=color, linewidth=0.7, alpha=0.35))
        left.plot(*paths[:, -1].T, "o", color=color, markersize=3)
    left.axvline(0, color=EXACT, linewidth=1)
    left.set(xlim=(-3.5, 3.5), ylim=(-4.4, 4.4), xlabel="feature 1", ylabel="feature 2")
    left.set_xticks(range(-3, 4))
    place = f"{100 * data.accuracy:.0f} % right" if data.t == 1 else f"t = {data.t:.2f}"
    left.set_title(f"depth {data.depth}, h = 1/{data.depth}, {place}")
    right.set(xscale="log", yscale="log", xlim=(0.9, 500), ylim=(0.01, 6), xlabel="depth")
    right.set_xticks(DEPTHS, DEPTHS, minor=False)
    right.minorticks_off()
    right.set_ylabel("mean distance from the limit")
    right.axvline(DEPTH, color=GRAY, linewidth=0.8)
    right.text(DEPTH * 1.12, 4, "trained at this depth", color=GRAY, fontsize=9.5)
    for (name, distances), color in zip(data.curves.items(), (GREEN, PURPLE, SKY, ORANGE)):
        now = name == data.weights
        (line,) = right.plot(DEPTHS, distances, "o-", color=color, alpha=1 if now else 0.5)
        label_line(line, name, weight="bold" if now else "normal")
        if now:
            right.plot(data.depth, data.distance, "o", color=color, markersize=11)
    right.set_title(f"NFE {data.depth}, distance {data.distance:.2f}")


def describe(data: NetAtDepth) -> str:
    if data.t < 1:
        return (
            f"Weights {data.weights}: the training points at t = {data.t:.2f} on their way through "
            f"{data.depth} blocks."
        )
    return (
        f"Weights {data.weights}: at depth {data.depth} the net trained at depth {DEPTH} puts "
        f"{100 * data.accuracy:.0f} % of its training points on their side, on average "
        f"{data.distance:.2f} from where infinitely many blocks put them."
    )


depth_of_a_net = explorable(
    compute,
    draw,
    describe,
    size=(8.6, 3.8),
    question="Predict first: skip every second block and double h. Which net still works?",
    controls={
        "depth": power_slider("depth (number of blocks)", DEPTHS[0], DEPTHS[-1], value=DEPTH),
        "weights": choice("weights", list(NETS)),
        "frame": play("way shown × 16", FRAMES + 1, value=FRAMES, milliseconds=300),
    },
)
