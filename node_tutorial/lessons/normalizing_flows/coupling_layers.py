"""Lesson 14: stored RealNVP flows, layer by layer: what each does to a grid and to the noise."""

import copy
from functools import lru_cache
from typing import NamedTuple, cast

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ...course.controls import choice, play
from ...course.explorables import explorable
from ...data import on_grid
from ...models import RealNVP
from ...plotting import draw_density
from ...plotting.densities import Bounds
from .grids import draw_grid, log_det_key, square_grid
from .runs import HIDDEN, LAYERS, SHOWN, Setting, density_of, flow_of, measures

LINES = square_grid(3.0, 17, 101)
POINTS = 72  # a side of the picture of the density
MASKS = {"alternate": "alternating", "always keep x₁": "one mask"}


class Pushed(NamedTuple):
    """Noise after some layers.

    lines (34, 101, 2) is the image of LINES, log_det (34, 101) is log |det dx/dz| there; image
    (POINTS, POINTS) is the log-density over the square of the density.
    """

    lines: Tensor
    log_det: Tensor
    image: Tensor


class CouplingLayers(NamedTuple):
    """A stored flow after k of its layers, as in `Pushed`, and the KL gap of all of it, in nats."""

    setting: Setting
    k: int
    lines: Tensor
    log_det: Tensor
    image: Tensor
    kl: float


def compute(density: str, masks: str, layers: int, k: int) -> CouplingLayers:
    """Noise after the first k layers that it passes on its way to the data, or after all."""
    setting = Setting(density, masks, layers)
    k = min(k, layers)
    return CouplingLayers(setting, k, *_pushed(setting, k), kl=measures(setting)["kl"])


def last_layers(flow: RealNVP, k: int) -> RealNVP:
    """The flow of the k couplings next to the noise, which noise passes first."""
    first = len(flow.nets) - k
    part = RealNVP(flow.size, max(k, 2), HIDDEN, bound=flow.bound)
    part.nets = flow.nets[first:]
    part.kept = flow.kept[first:]
    return part


@lru_cache(maxsize=128)
@torch.no_grad()
def _pushed(setting: Setting, k: int) -> Pushed:
    part = last_layers(cast(RealNVP, flow_of(setting)), k)
    single = last_layers(_single(setting), k)
    lines, log_det = part.inverse(LINES)
    image = on_grid(lambda x: single.log_prob(x.float()), _square(setting.density), POINTS)
    return Pushed(lines, log_det, image)


@lru_cache(maxsize=32)
def _single(setting: Setting) -> RealNVP:
    """The flow in float32, for pictures."""
    part = last_layers(cast(RealNVP, flow_of(setting)), setting.layers)
    part.nets = torch.nn.ModuleList(copy.deepcopy(net).float() for net in part.nets)
    part.kept = part.kept.float()
    return part


def _square(name: str) -> Bounds:
    """A square with the middle of a density's bounds, as wide as they are."""
    left, right, bottom, top = density_of(name).bounds
    half = max(right - left, top - bottom) / 2
    x = (left + right) / 2
    y = (bottom + top) / 2
    return (x - half, x + half, y - half, y + half)


@lru_cache(maxsize=8)
def _highest(name: str) -> float:
    """The largest value of a density, about."""
    density = density_of(name)
    return float(on_grid(density.log_prob, density.bounds, 50).exp().max())


def draw(fig: Figure, data: CouplingLayers) -> None:
    """The image of a grid, colored by log |det dx/dz|, and the density of the noise there."""
    left, right = fig.subplots(1, 2, width_ratios=[6, 5])
    name = data.setting.density
    square = _square(name)
    draw_grid(data.lines, data.log_det, ax=left, limits=square, linewidth=0.8)
    log_det_key(left)
    left.set(xlabel="x₁", ylabel="x₂")
    left.set_title(
        f"{_masks(data.setting)}\n"
        f"after {data.k} of {data.setting.layers} layers, log |det| {_span(data)}"
    )
    draw_density(data.image.exp(), square, ax=right, top=_highest(name))
    right.set(xlabel="x₁")
    right.set_title(f"its density\nKL gap of the whole flow {data.kl:.3f} nats")


def describe(data: CouplingLayers) -> str:
    """How far noise has come, and how good the whole flow is."""
    return (
        f"{_masks(data.setting)}: noise after {data.k} of {data.setting.layers} layers, log |det| "
        f"{_span(data)}; the whole flow misses the truth by {data.kl:.3f} nats."
    )


def _masks(setting: Setting) -> str:
    masks = "masks alternate" if setting.kind == "alternating" else "x₁ always kept"
    return f"{setting.density}, {masks}"


def _span(data: CouplingLayers) -> str:
    low = float(data.log_det.min()) + 0.0  # -0.0 becomes 0.0
    high = float(data.log_det.max()) + 0.0
    return f"from {low:.1f} to {high:.1f}" if data.k else "is 0"


coupling_layers = explorable(
    compute,
    draw,
    describe,
    question=(
        "Predict first: after how many layers have both coordinates moved? Where does the grid "
        "stretch most?"
    ),
    size=(8.8, 4.3),
    controls={
        "density": choice("density", list(SHOWN)),
        "masks": choice("masks", MASKS),
        "layers": choice("layers", LAYERS, value=8),
        "k": play("after layer", max(LAYERS) + 1, value=max(LAYERS), milliseconds=700),
    },
)
