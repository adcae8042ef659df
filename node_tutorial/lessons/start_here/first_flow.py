"""Lesson 00: the map of the course, and a first flow that carries noise into a shape."""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.collections import LineCollection
from matplotlib.patches import FancyBboxPatch, Rectangle
from matplotlib.path import Path
from matplotlib.textpath import TextPath

from ... import solve
from ...course import syllabus
from ...course.controls import choice, log_slider, play
from ...course.explorables import Explorable, explorable
from ...plotting import BLUE, EXACT, GRAY, GREEN, REJECTED, VERMILLION, blank

# ---------------------------------------------------------------------------- the map


class Entry(NamedTuple):
    """A lesson on the map: its title, part, place (column, row), and the lessons that it needs."""

    title: str
    part: str
    place: tuple[float, float]
    needs: tuple[str, ...]


LESSONS = {
    "00": Entry("Start here", "I", (1, 0), ()),
    "01": Entry("Euler and\nresidual networks", "I", (1, 1), ("00",)),
    "02": Entry("Runge-Kutta", "I", (1, 2), ("01",)),
    "03": Entry("Adaptive steps", "I", (1, 3), ("02",)),
    "04": Entry("Stiffness", "I", (0, 4), ("03",)),
    "05": Entry("Learning dynamics", "II", (1, 4), ("03",)),
    "06": Entry("Gradients", "II", (1, 5), ("05",)),
    "07": Entry("ODE-Nets", "II", (1, 6), ("06",)),
    "08": Entry("What a flow\ncannot do", "II", (1, 7), ("07",)),
    "09": Entry("Physics", "II", (0, 5), ("05",)),
    "10": Entry("Autoencoders", "III", (2, 1), ("00",)),
    "11": Entry("Continuous-time\nVAE", "III", (2, 5), ("05", "10")),
    "12": Entry("Latent ODE\nand ODE-RNN", "III", (2, 6), ("06", "11")),
    "13": Entry("Motion, forecasts,\nanomalies", "III", (2, 7), ("12",)),
    "14": Entry("Normalizing flows", "III", (3, 2), ("10",)),
    "15": Entry("Continuous\nnormalizing flows", "III", (3, 6), ("06", "14")),
    "16": Entry("Diffusion", "III", (3, 7), ("15",)),
    "17": Entry("Flow matching", "III", (3, 8), ("16",)),
    "18": Entry("GANs and\nTransformers", "III", (4, 2), ("10",)),
    "19": Entry("Scoreboard", "III", (4, 9), ("17", "18")),
    "20": Entry("Fractional orders", "III", (0, 3), ("02",)),
    "21": Entry("Beyond one\nmachine", "III", (0, 7), ("07",)),
}
READY = tuple(syllabus.READY)
_PARTS = {
    "I": ("Part I, solving", BLUE),
    "II": ("Part II, learning", GREEN),
    "III": ("Part III, generating", VERMILLION),
}
_BOX, _PITCH = (1.6, 0.44), (1.78, 0.6)  # inches


def course_map():
    """Return a figure of all lessons; an arrow leads from a lesson to those that need it."""
    width, height = 5 * _PITCH[0], 10 * _PITCH[1]
    fig = blank((width, height))
    fig.set_layout_engine("none")
    ax = fig.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, width), ylim=(height, 0))
    ax.axis("off")
    for number, lesson in LESSONS.items():
        _draw_lesson(ax, number, lesson)
        for needed in lesson.needs:
            _draw_arrow(ax, LESSONS[needed].place, lesson.place, number in READY)
    for row, (name, color) in enumerate(_PARTS.values()):
        ax.text(0.1, 0.22 + 0.23 * row, name, color=color, weight="bold", va="center")
    ax.text(0.1, 0.91, "gray: planned", color=GRAY, va="center")
    return fig


def _draw_lesson(ax, number, lesson):
    ready, color = number in READY, _PARTS[lesson.part][1]
    (x, y), (width, height) = _center(lesson.place), _BOX
    left, top = x - width / 2, y - height / 2
    box = FancyBboxPatch(
        (left, top), width, height, "round,pad=0,rounding_size=0.07", zorder=2, linewidth=1
    )
    box.set(facecolor=color if ready else "#EFEFEF", edgecolor=color if ready else "#BDBDBD")
    ax.add_patch(box)
    ax.add_patch(Rectangle((left, top + 0.08), 0.05, height - 0.16, color=color, zorder=3))
    text = {"va": "center", "zorder": 4, "color": "white" if ready else GRAY}
    ax.text(left + 0.11, y, number, fontsize=10, weight="bold", **text)
    ax.text(left + 0.37, y, lesson.title, fontsize=9, linespacing=1.1, **text)


def _draw_arrow(ax, start, end, ready):
    (x0, y0), (x1, y1) = _center(start), _center(end)
    ends = (x1, y1 - _BOX[1] / 2), (x0, y0 + _BOX[1] / 2)
    arrow = {"arrowstyle": "-|>", "color": EXACT if ready else "#A0A0A0", "linewidth": 1.2}
    ax.annotate("", *ends, arrowprops={**arrow, "shrinkA": 0, "shrinkB": 1}, zorder=1)


def _center(place):
    return (place[0] + 0.5) * _PITCH[0], (place[1] + 0.5) * _PITCH[1]


# -------------------------------------------------------------------------- the flow

FRAMES = 40
BLUR = 0.05  # standard deviation of the Gaussian that every point of the shape becomes


def toward(points):
    """Return the field f(t, y) whose flow carries N(0, I) at t = 0 into blurred `points` (K, 2) at
    t = 1.

    It is the mean velocity of all straight paths, from any z ~ N(0, I) to any point p_k blurred by
    s = BLUR, that pass through y at time t. With r(t) = 1 - (1 - s) t, the size of the cloud on its
    way to one point,

        f(t, y) = sum_k w_k (p_k - (1 - s) y) / r,   w_k = softmax_k(-|y - t p_k|^2 / (2 r^2))

    Source: Lipman et al. 2023, "Flow matching for generative modeling", Theorem 1 and Example II.
    """

    def f(t, y):
        r = 1 - (1 - BLUR) * t
        distance = torch.cdist(y, t * points, compute_mode="donot_use_mm_for_euclid_dist")
        w = torch.softmax(-0.5 * (distance / r).square(), dim=1)
        return (w @ points - (1 - BLUR) * y) / r

    return f


def _moons():
    a = torch.linspace(0, math.pi, 80, dtype=torch.float64)
    upper = torch.stack([a.cos(), a.sin()], dim=1)
    lower = torch.tensor([1.0, 0.5]) - upper
    return 1.7 * (torch.cat([upper, lower]) - torch.tensor([0.5, 0.25]))


def _spiral():
    turns = torch.linspace(0.01, 1, 160, dtype=torch.float64).sqrt() * 2.2  # even along the arm
    angle = 2 * math.pi * turns
    return torch.stack([angle.cos(), angle.sin()], dim=1) * turns[:, None]


def _letters():
    """Points inside the letters: inside an odd number of outlines, since the O has a hole."""
    outlines = TextPath((0, 0), "ODE", size=1).to_polygons()
    (left, low), (right, high) = (f([f(o, 0) for o in outlines], 0) for f in (np.min, np.max))
    x, y = np.meshgrid(np.linspace(left, right, 42), np.linspace(low, high, 17))
    points = np.stack([x.ravel(), y.ravel()], axis=1)
    inside = sum(Path(outline).contains_points(points).astype(int) for outline in outlines) % 2 == 1
    place = (points[inside] - [(left + right) / 2, (low + high) / 2]) / [right - left, high - low]
    return torch.tensor(place * [5.2, 2.6])


SHAPES = {"the letters ODE": _letters, "two moons": _moons, "a spiral": _spiral}


@lru_cache(maxsize=32)
def _carried(shape, rtol, method="dopri5"):
    """The recorded solution with 500 particles at all frames: y is (FRAMES + 1, 500, 2)."""
    random = torch.Generator().manual_seed(0)
    z = torch.randn(500, 2, generator=random, dtype=torch.float64)
    t = torch.linspace(0, 1, FRAMES + 1, dtype=torch.float64)
    return solve(toward(SHAPES[shape]()), z, t, rtol=rtol, atol=rtol, method=method, record=True)


@explorable("00", "first_flow")
def first_flow():
    """A vector field carries 500 particles from noise into a shape."""

    def compute(frame, rtol, shape):
        solution = _carried(shape, rtol)
        exact = _carried(shape, 1e-8, "dopri8").y[frame]
        return {
            "t": frame / FRAMES,
            "rtol": rtol,
            "shape": shape,
            "paths": solution.y[: frame + 1],
            "error": float((solution.y[frame] - exact).norm(dim=1).mean()),
            "steps": solution.steps,
            "nfe": solution.stats.nfe,
            "rejected": solution.stats.rejected,
        }

    def draw(fig, data):
        left, right = fig.subplots(ncols=2, width_ratios=(1.25, 1))
        paths = data["paths"].numpy()
        left.scatter(*paths[-1].T, c=paths[0, :, 0], cmap="viridis", s=8, vmin=-2, vmax=2)
        left.add_collection(
            LineCollection(
                list(paths[:, :12].swapaxes(0, 1)), color=EXACT, linewidth=0.7, alpha=0.7
            )
        )
        left.set(xlim=(-3.4, 3.4), ylim=(-2.6, 2.6), aspect="equal", xlabel="y₁", ylabel="y₂")
        left.set_title(f"t = {data['t']:.2f}, mean error {data['error']:.0e}")
        for accepted, color in ((True, BLUE), (False, REJECTED)):
            steps = [s for s in data["steps"] if s.accepted == accepted]
            right.hlines(
                [s.h for s in steps], [s.t for s in steps], [s.t + s.h for s in steps], color=color
            )
        right.axvline(data["t"], color=GRAY, linewidth=1)
        right.set(yscale="log", xlim=(0, 1), ylim=(8e-3, 2), xlabel="t", ylabel="step size h")
        right.minorticks_off()
        right.text(0.03, 0.13, "accepted", color=BLUE, transform=right.transAxes)
        right.text(0.03, 0.04, "rejected", color=REJECTED, transform=right.transAxes)
        right.set_title(f"rtol {data['rtol']:.0e}, NFE {data['nfe']}, {data['rejected']} rejected")

    def describe(data):
        size = f"{data['error']:.0e}" if data["t"] else "0"
        return (
            f"With rtol {data['rtol']:.0e} the solver evaluates the field {data['nfe']} times on "
            f"the way to {data['shape']}; at t = {data['t']:.2f} the mean error is {size}."
        )

    return Explorable(
        compute,
        draw,
        describe,
        size=(8.6, 3.8),
        question="Predict first: what does a 1000 times smaller tolerance cost?",
        controls={
            "frame": play("time t × 40", FRAMES + 1, value=FRAMES),
            "rtol": log_slider("tolerance rtol", 1e-6, 1e-1, value=1e-3, per_decade=1),
            "shape": choice("shape", list(SHAPES)),
        },
    )
