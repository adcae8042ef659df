"""Lesson 07: what happens to digits between the first feature and the last, in an ODE-Net and in a
ResNet.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ... import solve
from ...course.controls import choice, int_slider, play
from ...course.explorables import Explorable, explorable
from ...course.runs import load
from ...data.digits import a_digit
from ...plotting import BLUE, EXACT, GRAY, ORANGE, REJECTED, TEN, VERMILLION
from .runs import flat_map, stored, test_set

FRAMES = 25  # of depth: multiples of 1/24, so that those of six blocks are among them
IMAGES = 12  # from the surest to the least sure


class Way(NamedTuple):
    """The way of B images through a net: depths (T,), flat map (T, B, 2), scores (T, B, 10), NFE so
    far (T,).
    """

    depth: np.ndarray
    flat: np.ndarray
    scores: Tensor
    cost: list[int]


@lru_cache(maxsize=2)
@torch.no_grad()
def way(name):
    """Of "ODE-Net" at 25 times, solved at 1e-4; of "ResNet" at its 7 features, from the file."""
    if name == "ResNet":
        arrays = load("ode_nets.npz")
        flat, scores = (arrays[f"ResNet/{what}"].astype(np.float32) for what in ("map", "scores"))
        return Way(
            np.linspace(0, 1, len(flat)), flat, torch.from_numpy(scores), list(range(len(flat)))
        )
    net, t = stored("ODE-Net"), torch.linspace(0, 1, FRAMES)
    solution = solve(net.block.func, net.stem(test_set()[0]), t, rtol=1e-4, atol=1e-4, record=True)
    begun = [
        2 + 6 * sum(attempt.t < s for attempt in solution.steps or []) for s in t.tolist()
    ]  # dopri5: six a step
    scores = torch.stack([net.head(x) for x in solution.y])
    return Way(t.numpy(), flat_map(net, solution.y).numpy(), scores, begun)


@lru_cache(maxsize=1)
def chosen():
    """Twelve test images: eight that the ODE-Net gets right, from the surest on, and four that it
    gets wrong.
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
        *torch.linspace(right, len(order) - 1, 4).long(),
    ]
    return [order[rank] for rank in ranks]


@explorable("07", "digits_on_their_way")
def digits_on_their_way():
    """The features of 450 digits at any depth of an ODE-Net or a ResNet, and what the classifier
    says of them there.
    """

    def compute(depth, net, image):
        path, labels = way(net), test_set()[1]
        place = (
            depth * (len(path.depth) - 1) // (FRAMES - 1)
        )  # for a ResNet the last block that is finished
        right = path.scores[place].argmax(1) == labels
        which = chosen()[image - 1]
        return {
            "net": net,
            "place": place,
            "depth": float(path.depth[place]),
            "path": path._asdict(),
            "right": right,
            "share": float(right.float().mean()),
            "cost": path.cost[place],
            "image": image,
            "which": which,
            "label": int(labels[which]),
            "says": int(path.scores[place, which].argmax()),
        }

    def describe(data):
        where = (
            f"t = {data['depth']:.2f}"
            if data["net"] == "ODE-Net"
            else f"after block {data['place']} of 6"
        )
        return (
            f"{data['net']}, {where}: {100 * data['share']:.1f} % of 450 images would be right; "
            f"image {data['image']}, {a_digit(data['label'])}, would be taken for "
            f"{a_digit(data['says'])}."
        )

    return Explorable(
        compute,
        _draw,
        describe,
        size=(9.2, 4.0),
        question="Predict first: the classifier was trained for t = 1 only. How many are right at t = 0? At 0.2?",
        controls={
            "depth": play("depth (24 is the end)", FRAMES, value=FRAMES - 1),
            "net": choice("net", ["ODE-Net", "ResNet"]),
            "image": int_slider("image, from sure to wrong", 1, IMAGES, 8),
        },
    )


def _draw(fig, data):
    left, right = fig.subplots(1, 2, width_ratios=(1, 1.15))
    labels, path, place, which = (
        test_set()[1].numpy(),
        Way(**data["path"]),
        data["place"],
        data["which"],
    )
    points, wrong = path.flat[place], ~data["right"].numpy()
    left.scatter(*points.T, s=5, c=[TEN[k] for k in labels], linewidths=0)
    left.scatter(*points[wrong].T, s=20, facecolors="none", edgecolors=REJECTED, linewidths=0.6)
    left.plot(*path.flat[: place + 1, which].T, color=EXACT, linewidth=1.2)
    left.plot(*points[which], "s", color=EXACT, markersize=7, markerfacecolor="none")
    low, high, names = _frame(data["net"])
    for k, (x, y) in enumerate(names):
        left.text(x, y, str(k), color=TEN[k], fontsize=12, weight="bold", ha="center", va="center")
    left.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), xticks=[], yticks=[])
    left.set_xlabel("two directions that separate the digits")
    left.set_title(f"{data['net']}: {100 * data['share']:.1f} % right so far, NFE {data['cost']}")
    _draw_probabilities(right, data, path)
    inset = right.inset_axes((0.015, 0.6, 0.2, 0.36))
    inset.imshow(-test_set()[0][which, 0].numpy(), cmap="gray", interpolation="nearest")
    inset.set(xticks=[], yticks=[])
    inset.grid(False)
    for spine in inset.spines.values():
        spine.set_visible(False)


def _draw_probabilities(ax, data, path):
    """The probabilities of the ten digits over depth: the true one, its two strongest rivals, the
    others in gray.
    """
    label, chances = data["label"], path.scores[:, data["which"]].softmax(1).numpy()
    style = "-" if data["net"] == "ODE-Net" else "o-"
    first, second, *others = sorted(set(range(10)) - {label}, key=lambda k: -chances[:, k].max())
    for k in others:
        ax.plot(
            path.depth, chances[:, k], style, color=GRAY, linewidth=0.8, alpha=0.5, markersize=2.5
        )
    named = {second: ORANGE, first: VERMILLION, label: BLUE}
    for k, color in named.items():
        ax.plot(path.depth, chances[:, k], style, color=color)
    height = -1.0
    for k in sorted(named, key=lambda k: chances[-1, k]):
        height = max(float(chances[-1, k]), height + 0.075)
        ax.text(1.02, height, str(k), color=named[k], va="center", weight="bold")
    ax.axvline(data["depth"], color=GRAY, linewidth=0.8)
    ax.set(xlim=(0, 1.06), ylim=(-0.03, 1.06), ylabel=f"probability, image {data['image']}")
    ax.set_xlabel("t" if data["net"] == "ODE-Net" else "blocks / 6")
    ax.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1])
    ax.set_title(f"{a_digit(label)}, at {data['depth']:.2f} taken for {a_digit(data['says'])}")


@lru_cache(maxsize=2)
def _frame(name):
    """Of a net's map, the same at all depths: lower and upper corner, and where the ten digits'
    names stand.

    A name stands outside of its crowd at the end, seen from the middle of the map; names too close
    are pushed apart.
    """
    flat, labels = way(name).flat, test_set()[1].numpy()
    low, high = np.quantile(flat, 0.002, axis=(0, 1)), np.quantile(flat, 0.998, axis=(0, 1))
    size = high - low
    ends = np.stack([np.median(flat[-1, labels == k], axis=0) for k in range(10)])
    away = (ends - (low + high) / 2) / size
    names = ends / size + 0.13 * away / np.linalg.norm(away, axis=1, keepdims=True)
    for _ in range(100):
        gaps = names[:, None] - names[None]
        far = np.linalg.norm(gaps, axis=2) + np.eye(10)
        names = names + 0.2 * (gaps / far[..., None] * np.clip(0.09 - far, 0, None)[..., None]).sum(
            1
        )
    return low - 0.14 * size, high + 0.14 * size, names * size
