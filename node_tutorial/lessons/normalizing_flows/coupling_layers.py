"""Lesson 14: stored RealNVP flows, layer by layer: what each coupling does to a grid and to the
density.
"""

import copy
from functools import lru_cache

import torch

from ...course.controls import choice, play
from ...course.explorables import Explorable, explorable
from ...models import RealNVP
from .figures import density_image, draw_density, draw_grid, log_det_key, square_grid
from .runs import HIDDEN, LAYERS, SHOWN, Setting, density_of, flow_of, measures

_LINES = square_grid(3.0, 17, 101)
_MASKS = {"alternate": "alternating", "always keep x₁": "one mask"}


def last_layers(flow, k):
    """The flow of the k couplings next to the noise: the first k of those that noise passes on its
    way to the data.
    """
    first = len(flow.nets) - k
    part = RealNVP(flow.size, max(k, 2), HIDDEN, bound=flow.bound)
    part.nets, part.kept = flow.nets[first:], flow.kept[first:]
    return part


@explorable("14", "coupling_layers")
def coupling_layers():
    """Noise, after k of the layers of a trained RealNVP: a grid colored by log |det dx/dz|, and the
    density.
    """

    def compute(density, masks, layers, k):
        setting = Setting(density, masks, layers)
        k = min(k, layers)
        return {"setting": setting, "k": k, **_pushed(setting, k), **measures(setting)}

    def draw(fig, data):
        left, right = fig.subplots(1, 2, width_ratios=[6, 5])
        setting = data["setting"]
        square = _around(density_of(setting.density).bounds)
        draw_grid(data["lines"], data["log_det"], ax=left, limits=square, linewidth=0.8)
        log_det_key(left)
        left.set(xlabel="x₁", ylabel="x₂")
        left.set_title(
            f"{_masks(setting)}\nafter {data['k']} of {setting.layers} layers, log |det| "
            f"{_span(data)}"
        )
        draw_density(data["image"], ax=right, bounds=square, highest=_highest(setting.density))
        right.set_ylabel("")
        right.set_title(f"its density\nKL gap of the whole flow {data['kl']:.3f} nats")

    def describe(data):
        setting = data["setting"]
        return (
            f"{_masks(setting)}: noise after {data['k']} of {setting.layers} layers, log |det| "
            f"{_span(data)}; "
            f"the whole flow misses the truth by {data['kl']:.3f} nats."
        )

    return Explorable(
        compute,
        draw,
        describe,
        size=(8.8, 4.3),
        question="Predict first: after how many layers have both coordinates moved? Where does the grid stretch most?",
        controls={
            "density": choice("density", list(SHOWN)),
            "masks": choice("masks", _MASKS),
            "layers": choice("layers", LAYERS, value=8),
            "k": play("after layer", max(LAYERS) + 1, value=max(LAYERS), milliseconds=700),
        },
    )


def _masks(setting):
    return f"{setting.density}, {'masks alternate' if setting.kind == 'alternating' else 'x₁ always kept'}"


@lru_cache(maxsize=128)
@torch.no_grad()
def _pushed(setting, k):
    """The grid after k layers, and the density there."""
    part = last_layers(flow_of(setting), k)
    lines, log_det = part.inverse(_LINES)
    single = last_layers(_single(setting), k)
    image = density_image(
        lambda x: single.log_prob(x.float()), _around(density_of(setting.density).bounds), 72
    )
    return {"lines": lines, "log_det": log_det, "image": image}


@lru_cache(maxsize=32)
def _single(setting):
    """The flow in float32, for pictures."""
    flow = flow_of(setting)
    part = last_layers(flow, setting.layers)
    part.nets = torch.nn.ModuleList(copy.deepcopy(net).float() for net in part.nets)
    part.kept = part.kept.float()
    return part


def _around(bounds):
    """A square with the middle of the bounds, as wide as they are."""
    left, right, bottom, top = bounds
    half = max(right - left, top - bottom) / 2
    x, y = (left + right) / 2, (bottom + top) / 2
    return (x - half, x + half, y - half, y + half)


@lru_cache(maxsize=8)
def _highest(name):
    density = density_of(name)
    return float(density_image(density.log_prob, density.bounds, 50).exp().max())


def _span(data):
    low, high = float(data["log_det"].min()), float(data["log_det"].max())
    return f"from {low + 0.0:.1f} to {high + 0.0:.1f}" if data["k"] else "is 0"
