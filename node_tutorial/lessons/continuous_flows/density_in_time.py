"""Lesson 15: a trained flow in between: its density at every time, and particles on their way."""

from functools import lru_cache

import numpy as np
import torch

from ...course.controls import choice, play
from ...course.explorables import Explorable, explorable
from ...data.densities import grid
from ...models import CNF
from ...plotting import GRAY, PALETTE
from .figures import draw_density, no_ticks
from .runs import DENSITIES, stored_field

TIMES = torch.linspace(0, 1, 21)
WAYS = {"noise, forward": True, "data, backward": False}
_POINTS, _COLORED, _SIDE = 250, 5, 48


@explorable("15", "density_in_time")
def density_in_time():
    """Stored flows: the density at time t by a solve back to the noise, and points moved there."""

    def compute(density, forward, frame):
        p, nfe, mass = _frame(density, frame)
        paths, log_p, own = _paths(density, forward)
        return {
            "density": density,
            "forward": forward,
            "frame": frame,
            "t": float(TIMES[frame]),
            "p": p,
            "nfe": nfe,
            "mass": mass,
            "points": paths[frame],
            "log_p": log_p,
            "own": own,
            "half": reach(density),
        }

    def draw(fig, data):
        left, right = fig.subplots(1, 2, width_ratios=[1, 1.15])
        half, colors = data["half"], PALETTE[1 : 1 + _COLORED]
        draw_density(data["p"], (-half, half, -half, half), ax=left)
        left.scatter(*data["points"][_COLORED:].T, s=3, color="white", alpha=0.75, linewidths=0)
        left.scatter(
            *data["points"][:_COLORED].T, s=42, c=colors, edgecolors="white", linewidths=1, zorder=3
        )
        left.set_title(
            f"t = {data['t']:.2f}: mass {data['mass']:.3f},\nNFE of this density {data['nfe']}"
        )
        no_ticks(left)
        for i, color in enumerate(colors):
            right.plot(TIMES, data["log_p"][:, i], color=color, linewidth=1.6)
            right.plot(data["t"], data["log_p"][data["frame"], i], "o", color=color, markersize=7)
        right.axvline(data["t"], color=GRAY, linewidth=0.8)
        right.set(
            xlim=(-0.02, 1.02), ylim=(-9, 1.5), xlabel="t", ylabel="log pₜ along the path, in nats"
        )
        way = "noise at t = 0" if data["forward"] else "data at t = 1"
        right.set_title(
            f"five of {_POINTS} points that were {way},\nNFE of all their paths {data['own']}"
        )

    def describe(data):
        where = "noise, moved forward" if data["forward"] else "data, moved backward"
        spread = data["points"].std(0)
        return (
            f"{data['density']}, t = {data['t']:.2f}: the density takes {data['nfe']} evaluations "
            "and has mass "
            f"{data['mass']:.2f}; the points ({where}) spread by {spread[0]:.1f} and "
            f"{spread[1]:.1f}."
        )

    return Explorable(
        compute,
        draw,
        describe,
        size=(8.4, 4.3),
        question="Predict first: where does the gap between the moons come from? Is it torn, or squeezed empty?",
        controls={
            "density": choice("density", list(DENSITIES)),
            "forward": choice("points", WAYS),
            "frame": play("t in twentieths", len(TIMES), value=10, milliseconds=350),
        },
    )


def reach(density):
    """Half the side of a square that holds the noise and the density."""
    return max(3.4, *map(abs, DENSITIES[density]().bounds))


@lru_cache(maxsize=4)
def stored_flow(density):
    """The stored CNF of a density, in float32, which is enough for pictures."""
    return CNF(stored_field(density).float(), rtol=1e-4, atol=1e-4)


@lru_cache(maxsize=96)
@torch.no_grad()
def _frame(density, frame):
    """The density (n, n) at one of TIMES, the evaluations that it took, and its mass."""
    half, flow = reach(density), stored_flow(density)
    x, area = grid((-half, half, -half, half), _SIDE)
    p = flow.log_prob(x.float(), time=float(TIMES[frame])).exp()
    nfe = flow.stats.nfe if frame else 0
    return p.reshape(_SIDE, _SIDE).numpy(), nfe, float(p.sum() * area)


@lru_cache(maxsize=8)
@torch.no_grad()
def _paths(density, forward):
    """Points (T, N, 2) at TIMES, log p_t along their paths (T, 5), evaluations of one solve for
    all.
    """
    flow, chance = stored_flow(density), torch.Generator().manual_seed(3)
    if forward:
        start = torch.randn(_POINTS, 2, generator=chance)
        y, log_p = flow.push(start, TIMES)
    else:
        start = DENSITIES[density]().sample(_POINTS, chance)
        y, log_det = flow.path(start, TIMES.flip(0))
        log_p = flow.log_prob(start) - log_det
        y, log_p = y.flip(0), log_p.flip(0)
    return y.numpy(), np.asarray(log_p[:, :_COLORED]).clip(-9, 1.5), flow.stats.nfe
