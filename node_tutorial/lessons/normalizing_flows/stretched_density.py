"""Lesson 14: noise on the line is stretched, and which factor its density needs."""

import math

import numpy as np
import torch

from ...course.controls import choice, slider
from ...course.explorables import Explorable, explorable
from ...plotting import BLUE, EXACT, GRAY, VERMILLION, label_line

_Z = torch.linspace(-12, 12, 2401, dtype=torch.float64)
_P = torch.exp(-_Z.square() / 2) / math.sqrt(2 * math.pi)
_DRAWS = torch.special.ndtri(
    (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000
)  # evenly spread, N(0, 1)
_STEP = (0.5, 0.75)  # a small step of z, whose image is shown

MAPS = {  # name: (x, dx/dz) as functions of z and a
    "x = a z": (lambda z, a: a * z, lambda z, a: torch.full_like(z, a)),
    "x = -a z": (lambda z, a: -a * z, lambda z, a: torch.full_like(z, -a)),
    "x = exp(a z)": (lambda z, a: torch.exp(a * z), lambda z, a: a * torch.exp(a * z)),
    "x = z + a tanh(2 z)": (
        lambda z, a: z + a * torch.tanh(2 * z),
        lambda z, a: 1 + 2 * a * (1 - torch.tanh(2 * z).square()),
    ),
}
FACTORS = {
    "no factor": lambda slope: torch.ones_like(slope),
    "|dz/dx|": lambda slope: 1 / slope.abs(),
    "dz/dx": lambda slope: 1 / slope,
    "|dx/dz|": lambda slope: slope.abs(),
}


@explorable("14", "stretched_density")
def stretched_density():
    """x = map(z) with z from N(0, 1): the histogram of x, and p(z) times a factor that claims to be
    its density.
    """

    def compute(map, a, factor):
        x_of, slope_of = MAPS[map]
        x, slope = x_of(_Z, a), slope_of(_Z, a)
        claimed = _P * FACTORS[factor](slope)
        weights = np.full(
            len(_DRAWS), 5 / len(_DRAWS)
        )  # over bins of width 0.2: the bars' area is the share of draws
        heights, edges = np.histogram(
            x_of(_DRAWS, a).numpy(), bins=np.linspace(-5, 7, 61), weights=weights
        )
        return {
            "map": map,
            "a": a,
            "factor": factor,
            "x": x,
            "claimed": claimed,
            "area": float(torch.trapezoid(claimed * slope.abs(), _Z)),  # over x: dx = |dx/dz| dz
            "heights": heights,
            "edges": edges,
            "step": x_of(torch.tensor(_STEP, dtype=torch.float64), a).tolist(),
        }

    def draw(fig, data):
        left, right = fig.subplots(1, 2, width_ratios=[2, 3])
        left.plot(_Z, data["x"], color=BLUE)
        low, high = sorted(data["step"])
        left.fill_betweenx([-5, 7], *_STEP, color=GRAY, alpha=0.35, linewidth=0)
        left.fill_between([-3, 3], low, high, color=VERMILLION, alpha=0.35, linewidth=0)
        left.set(xlim=(-3, 3), ylim=(-5, 7), xlabel="z", ylabel="x")
        left.set_title(
            f"{data['map']}, a = {data['a']:.1f}\ndz = {_STEP[1] - _STEP[0]:.2f}, dx = "
            f"{high - low:.2f}"
        )
        right.stairs(data["heights"], data["edges"], fill=True, color="#C9DDEA")
        right.plot(data["x"], data["claimed"], color=VERMILLION)
        right.axhline(0, color=EXACT, linewidth=0.8)
        right.set(xlim=(-5, 7), ylim=(-0.8, 1.2), xlabel="x", ylabel="density")
        label_line((-4.6, 1.08), _formula(data), ax=right, color=VERMILLION, dx=0)
        label_line((-4.6, 0.94), "histogram of x", ax=right, color="#5B93B5", dx=0)
        right.set_title(f"area under the curve: {_short(data['area'])}")

    def describe(data):
        verdict = "a density" if abs(data["area"] - 1) < 1e-6 else "no density"
        return f"{data['map']}, a = {data['a']:.1f}: {_formula(data)} has area {_short(data['area'])}: {verdict}."

    return Explorable(
        compute,
        draw,
        describe,
        size=(8.4, 3.7),
        question="Predict first: which factor gives area 1 for all maps, and what goes wrong with the three others?",
        controls={
            "map": choice("map", list(MAPS), value="x = z + a tanh(2 z)"),
            "a": slider("a", 0.4, 2.4, value=1.6, step=0.1, format=".1f"),
            "factor": choice("factor", list(FACTORS)),
        },
    )


def _formula(data):
    return "p(z)" if data["factor"] == "no factor" else f"p(z) {data['factor']}"


def _short(area):
    return f"{area:.4f}" if abs(area) < 100 else f"{area:.0e}"
