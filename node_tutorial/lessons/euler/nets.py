"""Lesson 01: residual networks beside the ODE that they may approximate."""

from functools import lru_cache

import numpy as np
import torch
from matplotlib.collections import LineCollection
from sklearn.datasets import make_moons

from ...course.controls import choice, power_slider
from ...course.explorables import Explorable, explorable
from ...plotting import (
    BLUE,
    EXACT,
    GRAY,
    GREEN,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    exact_line,
    figure,
    label_line,
)

# ------------------------------------------------------------------ three trained nets

DEPTH, HIDDEN, COUNT = 16, 16, 120  # blocks and hidden units of the nets, training points
DEPTHS = (1, 2, 4, 8, 16, 32, 64)
LIMIT = 1024  # Euler steps that stand for infinitely many
NETS = {
    "shared by all blocks": "shared",
    "smooth in t": "smooth",
    "free in each block": "free",
}
_SETS = {"shared": 1, "smooth": 2, "free": DEPTH}  # how many sets of weights each net has


def _moons():
    """Points (COUNT, 2) around the origin, and their classes -1 and 1."""
    x, label = make_moons(COUNT, noise=0.08, random_state=0)
    return torch.tensor(x) - torch.tensor([0.5, 0.25], dtype=torch.float64), 2.0 * torch.tensor(
        label
    ) - 1


def _at(kind, theta, t):
    """The weights of the block at time t, from the tensors (sets, ...) of the net."""
    if kind == "smooth":
        return [torch.add(p[0], p[1], alpha=t) for p in theta]
    return [p[min(int(len(p) * t + 1e-9), len(p) - 1)] for p in theta]


def _features(kind, theta, x, depth):
    """The features (depth + 1, B, 2) of `depth` residual blocks x + h V tanh(W x + b), with h = 1 /
    depth.
    """
    features = [x]
    for k in range(depth):
        W, b, V = _at(kind, theta, k / depth)
        features.append(
            torch.addmm(
                features[-1], torch.tanh(torch.addmm(b, features[-1], W)), V, alpha=1 / depth
            )
        )
    return torch.stack(features)


@lru_cache(maxsize=3)
def trained(kind):
    """Weights trained at depth 16 to bring the first feature of the moons to -1 and 1. About 0.4 s."""
    random = torch.Generator().manual_seed(0)
    x, label = _moons()
    shapes = ((2, HIDDEN), (HIDDEN,), (HIDDEN, 2))
    theta = [
        4 * torch.rand(_SETS[kind], *shape, generator=random, dtype=torch.float64) - 2
        for shape in shapes
    ]
    theta[2] /= HIDDEN**0.5
    with torch.enable_grad():
        for p in theta:
            p.requires_grad_()
        optimizer = torch.optim.Adam(theta, lr=0.03)
        for _ in range(200):
            loss = (_features(kind, theta, x, DEPTH)[-1, :, 0] - label).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return [p.detach() for p in theta]


def change_between_blocks(kind):
    """How much the weights change from a block to the next, over their size (root mean squares,
    largest of W, b, V).
    """
    blocks = [_at(kind, trained(kind), k / DEPTH) for k in range(DEPTH)]
    sizes = []
    for weights in map(torch.stack, zip(*blocks)):
        sizes.append(
            float(
                (weights[1:] - weights[:-1]).square().mean().sqrt() / weights.square().mean().sqrt()
            )
        )
    return max(sizes)


@lru_cache(maxsize=3)
def _evaluated(kind):
    """{depth: (features, accuracy, mean distance of the last features from the limit)}."""
    x, label = _moons()
    limit = _features(kind, trained(kind), x, LIMIT)[-1]
    found = {}
    for depth in DEPTHS:
        features = _features(kind, trained(kind), x, depth)
        accuracy = (features[-1, :, 0] * label > 0).double().mean()
        found[depth] = features, float(accuracy), float((features[-1] - limit).norm(dim=1).mean())
    return found


@explorable("01", "depth_of_a_net")
def depth_of_a_net():
    """Nets trained at depth 16, run with more or fewer blocks and h = 1 / depth."""

    def compute(depth, weights):
        kind = NETS[weights]
        features, accuracy, distance = _evaluated(kind)[depth]
        return {
            "depth": depth,
            "weights": weights,
            "features": features,
            "accuracy": accuracy,
            "distance": distance,
            "curves": {name: [_evaluated(k)[d][2] for d in DEPTHS] for name, k in NETS.items()},
        }

    def draw(fig, data):
        left, right = fig.subplots(ncols=2, width_ratios=(1, 1.15))
        features, label = data["features"].numpy(), _moons()[1]
        for sign, color in ((-1, BLUE), (1, VERMILLION)):
            paths = features[:, label == sign].swapaxes(0, 1)
            left.add_collection(LineCollection(list(paths), color=color, linewidth=0.7, alpha=0.35))
            left.plot(*paths[:, -1].T, "o", color=color, markersize=3)
        left.axvline(0, color=EXACT, linewidth=1)
        left.set(
            xlim=(-3.5, 3.5),
            ylim=(-4.4, 4.4),
            xlabel="feature 1",
            ylabel="feature 2",
            xticks=range(-3, 4),
        )
        left.set_title(
            f"depth {data['depth']}, h = 1/{data['depth']}, {100 * data['accuracy']:.0f} % right"
        )
        right.set(xscale="log", yscale="log", xlim=(0.9, 500), ylim=(0.01, 6), xlabel="depth")
        right.set_xticks(DEPTHS, DEPTHS, minor=False)
        right.minorticks_off()
        right.set_ylabel("mean distance from the limit")
        right.axvline(DEPTH, color=GRAY, linewidth=0.8)
        right.text(DEPTH * 1.12, 4, "trained at this depth", color=GRAY, fontsize=9.5)
        for (name, distances), color in zip(data["curves"].items(), (GREEN, PURPLE, ORANGE)):
            now = name == data["weights"]
            (line,) = right.plot(DEPTHS, distances, "o-", color=color, alpha=1 if now else 0.5)
            label_line(line, name, weight="bold" if now else "normal")
            if now:
                right.plot(data["depth"], data["distance"], "o", color=color, markersize=11)
        right.set_title(f"NFE {data['depth']}, distance {data['distance']:.2f}")

    def describe(data):
        return (
            f"Weights {data['weights']}: at depth {data['depth']} the net trained at depth "
            f"{DEPTH} puts "
            f"{100 * data['accuracy']:.0f} % of its training points on their side, "
            f"on average {data['distance']:.2f} from where infinitely many blocks put them."
        )

    return Explorable(
        compute,
        draw,
        describe,
        size=(8.6, 3.8),
        question="Predict first: skip every second block and double h. Which net still works?",
        controls={
            "depth": power_slider("depth (number of blocks)", DEPTHS[0], DEPTHS[-1], value=DEPTH),
            "weights": choice("weights", list(NETS)),
        },
    )


# ----------------------------------------------------------------------- fixed weights


def feature_paths(panels, curve=None):
    """Return a figure of one input's features, for {title: {depth: path (depth + 1, 2)}}; and the
    ODE's `curve`.
    """
    fig, axes = figure(
        ncols=len(panels), size=(4.4 * len(panels) if len(panels) > 1 else 6, 3.8), squeeze=False
    )
    for ax, (title, paths) in zip(axes[0], panels.items()):
        colors = dict(zip(paths, (SKY, ORANGE, GREEN, PURPLE, BLUE)))
        for depth, path in paths.items():
            ax.plot(*path.T, "o-", color=colors[depth], markersize=3, linewidth=1.3)
        if curve is not None and ax is axes[0, 0]:
            exact_line(*curve.T, ax=ax, label=None, zorder=5)
        ax.margins(0.12)
        ax.autoscale_view()  # brings transData up to date
        for depths in _ends(paths, ax):
            text = "depth " * (depths[0] == min(paths)) + ", ".join(map(str, depths))
            _label_end(ax, paths[depths[-1]], text, colors[depths[-1]])
        ax.set(title=title, xlabel="feature 1", ylabel="feature 2")
    return fig


def _label_end(ax, path, text, color):
    """Write `text` beyond the end of a path, in the direction from its start to its end."""
    start, end = ax.transData.transform(path[[0, -1]])
    away = (end - start) / max(np.linalg.norm(end - start), 1e-9) * (9 + 2 * len(text), 11)
    white = {"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.7}
    style = {
        "ha": "center",
        "va": "center",
        "fontsize": 10,
        "color": color,
        "bbox": white,
        "zorder": 6,
    }
    ax.annotate(text, path[-1], away, textcoords="offset points", annotation_clip=False, **style)


def _ends(paths, ax):
    """Group consecutive depths whose paths end so close together that their labels would cover each
    other.
    """
    groups, last = [], None
    for depth, path in paths.items():
        end = ax.transData.transform(path[-1])
        if last is not None and abs(end - last).max() < 20:  # pixels
            groups[-1].append(depth)
        else:
            groups.append([depth])
        last = end
    return groups
