"""Lesson 07: digits on their way through an ODE-Net or a ResNet, and what they are taken for.

The classifier was trained for the features at the end; here it is asked at any depth.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ... import solve
from ...course.controls import choice, int_slider, play
from ...course.explorables import explorable
from ...data.digits import a_digit
from ...plotting import BLUE, EXACT, GRAY, ORANGE, REJECTED, TEN, VERMILLION
from .runs import RUNS, flat_map, stored, test_set

FRAMES = 25  # of depth: multiples of 1/24, so that those of six blocks are among them
IMAGES = 12  # from the surest to the least sure


class Way(NamedTuple):
    """The way of B images through a net, at T depths.

    depth (T,); flat map (T, B, 2); scores (T, B, 10); cost: evaluations of f up to there (T,).
    """

    depth: np.ndarray
    flat: np.ndarray
    scores: Tensor
    cost: list[int]


class Stop(NamedTuple):
    """One place on the way through a net, and one image there.

    right (450,): which images would be answered rightly; share: of all.
    which: the image's row; label: its digit; says: what it would be taken for.
    """

    net: str
    way: Way
    place: int
    depth: float
    right: Tensor
    share: float
    image: int
    which: int
    label: int
    says: int


class MapFrame(NamedTuple):
    """Lower and upper corner (2,) of a net's map, and where the ten digits' names stand (10, 2).

    enlarged: how many times, against the map at the end.
    """

    low: np.ndarray
    high: np.ndarray
    names: np.ndarray
    enlarged: float


@lru_cache(maxsize=2)
@torch.no_grad()
def way(net: str) -> Way:
    """Of "ODE-Net" at 25 times, solved at 1e-4; of "ResNet" at its 7 features, from the file."""
    return _way_of_resnet() if net == "ResNet" else _way_of_ode_net()


def _way_of_resnet() -> Way:
    arrays = RUNS.arrays()
    flat, scores = (arrays[f"ResNet/{what}"].astype(np.float32) for what in ("map", "scores"))
    depth = np.linspace(0, 1, len(flat))
    return Way(depth, flat, torch.from_numpy(scores), list(range(len(flat))))


def _way_of_ode_net() -> Way:
    net = stored("ODE-Net")
    t = torch.linspace(0, 1, FRAMES)
    solution = solve(net.block.func, net.stem(test_set()[0]), t, rtol=1e-4, atol=1e-4, record=True)
    begun = [sum(attempt.t < s for attempt in solution.steps or []) for s in t.tolist()]
    cost = [2 + 6 * steps for steps in begun]  # dopri5: six a step
    scores = torch.stack([net.head(x) for x in solution.y])
    return Way(t.numpy(), flat_map(net, solution.y).numpy(), scores, cost)


@lru_cache(maxsize=1)
def chosen() -> list[int]:
    """Rows of twelve test images, from the surest on.

    The ODE-Net gets the first eight right, and the last four wrong.
    """
    labels = test_set()[1]
    scores = way("ODE-Net").scores[-1]
    true = scores.gather(1, labels[:, None])[:, 0]
    lead = true - scores.scatter(1, labels[:, None], -torch.inf).amax(1)
    order = lead.argsort(descending=True).tolist()
    right = int((lead > 0).sum())
    ranks = [
        0,
        *(right - 1 - n for n in (300, 150, 60, 20, 8, 3, 0)),
        *torch.linspace(right, len(order) - 1, 4).long().tolist(),
    ]
    return [order[rank] for rank in ranks]


def compute(depth: int, net: str, image: int) -> Stop:
    path = way(net)
    labels = test_set()[1]
    # For a ResNet the last block that is finished.
    place = depth * (len(path.depth) - 1) // (FRAMES - 1)
    right = path.scores[place].argmax(1) == labels
    which = chosen()[image - 1]
    return Stop(
        net=net,
        way=path,
        place=place,
        depth=float(path.depth[place]),
        right=right,
        share=float(right.float().mean()),
        image=image,
        which=which,
        label=int(labels[which]),
        says=int(path.scores[place, which].argmax()),
    )


def draw(fig: Figure, data: Stop) -> None:
    left, right = fig.subplots(1, 2, width_ratios=(1, 1.15))
    _draw_map(left, data)
    _draw_probabilities(right, data)
    _draw_image(right, data.which)


def _draw_map(ax: Axes, data: Stop) -> None:
    """The features in the plane, the wrong ones in rings, and the way of the chosen image."""
    flat = data.way.flat
    points = flat[data.place]
    frame = _frame(data.net, data.place)
    x, y = points.T
    wrong = ~data.right.numpy()
    rings: dict[str, Any] = {"facecolors": "none", "edgecolors": REJECTED, "linewidths": 0.6}
    ax.scatter(x[wrong], y[wrong], s=22, **rings)
    ax.scatter(x, y, s=6, c=[TEN[k] for k in test_set()[1].tolist()], linewidths=0)
    ax.plot(*flat[: data.place + 1, data.which].T, color=EXACT, linewidth=1.2)
    ax.plot(*points[data.which], "s", color=EXACT, markersize=7, markerfacecolor="none")
    for k, (x, y) in enumerate(frame.names):
        ax.text(x, y, str(k), color=TEN[k], fontsize=12, weight="bold", ha="center", va="center")
    ax.set(xlim=(frame.low[0], frame.high[0]), ylim=(frame.low[1], frame.high[1]))
    much = frame.enlarged > 1.05
    plain = "two directions that separate the digits"
    enlarged = f"separating directions, {frame.enlarged:.1f} times enlarged"
    ax.set(xticks=[], yticks=[], xlabel=enlarged if much else plain)
    cost = data.way.cost[data.place]
    ax.set_title(f"{data.net}: {100 * data.share:.1f} % right so far, NFE {cost}")


def _draw_probabilities(ax: Axes, data: Stop) -> None:
    """Probabilities of the digits over depth; the true one and two rivals are in color."""
    depth = data.way.depth
    chances = data.way.scores[:, data.which].softmax(1).numpy()
    style = "-" if data.net == "ODE-Net" else "o-"
    rivals = sorted(set(range(10)) - {data.label}, key=lambda k: -chances[:, k].max())
    thin: dict[str, Any] = {"color": GRAY, "linewidth": 0.8, "alpha": 0.5, "markersize": 2.5}
    for k in rivals[2:]:
        ax.plot(depth, chances[:, k], style, **thin)
    named = {rivals[1]: ORANGE, rivals[0]: VERMILLION, data.label: BLUE}
    for k, color in named.items():
        ax.plot(depth, chances[:, k], style, color=color)
    height = -1.0
    for k in sorted(named, key=lambda k: chances[-1, k]):
        height = max(float(chances[-1, k]), height + 0.075)
        ax.text(1.02, height, str(k), color=named[k], va="center", weight="bold")
    ax.axvline(data.depth, color=GRAY, linewidth=0.8)
    ax.set(xlim=(0, 1.06), ylim=(-0.03, 1.06), ylabel=f"probability, image {data.image}")
    ax.set_xlabel("t" if data.net == "ODE-Net" else "blocks / 6")
    ax.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1])
    ax.set_title(f"{a_digit(data.label)}, at {data.depth:.2f} taken for {a_digit(data.says)}")


def _draw_image(ax: Axes, which: int) -> None:
    """The chosen image in a corner."""
    inset = ax.inset_axes((0.015, 0.6, 0.2, 0.36))
    inset.imshow(-test_set()[0][which, 0].numpy(), cmap="gray", interpolation="nearest")
    inset.set(xticks=[], yticks=[])
    inset.grid(False)
    for spine in inset.spines.values():
        spine.set_visible(False)


@lru_cache(maxsize=64)
def _frame(net: str, place: int) -> MapFrame:
    """As large as the crowd is there: at t = 0 it is small, and would be a blot.

    A name stands outside of its crowd, seen from the middle of the map; names too close are pushed
    apart.
    """
    flat = way(net).flat
    labels = test_set()[1].numpy()
    low, high = np.quantile(flat[place], (0.002, 0.998), axis=0)
    size = high - low
    crowds = np.stack([np.median(flat[place, labels == k], axis=0) for k in range(10)])
    away = (crowds - (low + high) / 2) / size
    names = crowds / size + 0.13 * away / np.linalg.norm(away, axis=1, keepdims=True)
    for _ in range(100):
        gaps = names[:, None] - names[None]
        far = np.linalg.norm(gaps, axis=2) + np.eye(10)
        push = np.clip(0.09 - far, 0, None) / far
        names = names + 0.2 * (gaps * push[..., None]).sum(1)
    end = np.ptp(np.quantile(flat[-1], (0.002, 0.998), axis=0), axis=0)
    enlarged = float((end / size).mean())
    return MapFrame(low - 0.14 * size, high + 0.14 * size, names * size, enlarged)


def describe(data: Stop) -> str:
    after = f"after block {data.place} of 6"
    where = f"t = {data.depth:.2f}" if data.net == "ODE-Net" else after
    return (
        f"{data.net}, {where}: {100 * data.share:.1f} % of 450 images would be right; "
        f"image {data.image}, {a_digit(data.label)}, would be taken for {a_digit(data.says)}."
    )


digits_on_their_way = explorable(
    compute,
    draw,
    describe,
    question="Predict first: the classifier was trained for t = 1 only. "
    "How many are right at t = 0? At 0.2?",
    size=(9.2, 4.0),
    controls={
        "depth": play("depth (24 is the end)", FRAMES, value=FRAMES - 1),
        "net": choice("net", ["ODE-Net", "ResNet"]),
        "image": int_slider("image, from sure to wrong", 1, IMAGES, 8),
    },
)
