"""Lesson 02: where a step is stable, and what the solution does there."""

import math
from functools import lru_cache

import numpy as np

from ...course.controls import choice, slider
from ...course.explorables import Explorable, explorable
from ...plotting import GREEN, ORANGE, REJECTED, exact_line, stability_region
from ...solvers.tableaus import DOPRI5, EULER, HEUN3, MIDPOINT, RK4_CLASSIC
from .tableau_workbench import stages

STABILITY = {
    "Euler": EULER,
    "midpoint, Heun (order 2)": MIDPOINT,
    "Heun (order 3)": HEUN3,
    "RK4, both": RK4_CLASSIC,
    "dopri5": DOPRI5,
}
N_SHOWN = 20
_RE, _IM = (-5.0, 2.0), (-4.0, 4.0)  # the drawn part of the plane


@explorable("02", "stability_point")
def stability_point():
    """h lambda in the stability region of a method, and the solution of y' = lambda y beside it."""

    def compute(method, re, im):
        z, tableau = complex(re, im), STABILITY[method]
        factor = complex(stability_function(tableau)(z))
        n = np.arange(N_SHOWN + 1)
        size = min(abs(factor), 1e4)
        return {
            "method": method,
            "tableau": tableau.name,
            "z": z,
            "factor": factor,
            "nfe": tableau.evaluations,
            "y": (size**n * np.cos(n * np.angle(factor))).clip(-10, 10),
            "exact": np.exp(re * np.linspace(0, N_SHOWN, 201)).clip(0, 10)
            * np.cos(im * np.linspace(0, N_SHOWN, 201)),
        }

    def draw(fig, data):
        left, right = fig.subplots(1, 2, width_ratios=[1, 1.35])
        z, size = data["z"], abs(data["factor"])
        wrong = (size > 1 + 1e-9 and z.real <= 0) or (size < 1 - 1e-9 and z.real > 0)
        color = REJECTED if wrong else ORANGE if abs(size - 1) <= 1e-9 else GREEN
        stability_region(_region(data["tableau"]), ax=left, xlim=_RE, ylim=_IM)
        left.plot(z.real, z.imag, "o", color=color, markersize=10, clip_on=False)
        left.set(xlabel="Re hλ", ylabel="Im hλ")
        left.set_title(f"hλ = {z.real:.2f} {'-' if z.imag < 0 else '+'} {abs(z.imag):.2f} i")
        exact_line(np.linspace(0, N_SHOWN, 201), data["exact"], ax=right, label=None)
        right.plot(data["y"], "o-", color=color)
        right.set(xlim=(-0.5, N_SHOWN + 0.5), ylim=(-3, 3), xlabel="steps", ylabel="Re y")
        right.set_xticks([0, 5, 10, 15, 20])
        right.set_title(
            f"|R| = {size:.3f} per step of NFE {data['nfe']}; exact {math.exp(z.real):.3f}"
        )

    def describe(data):
        size, exact = abs(data["factor"]), math.exp(data["z"].real)

        def says(size):
            return "grows" if size > 1 + 1e-9 else "decays" if size < 1 - 1e-9 else "keeps its size"

        place = {"grows": "outside", "decays": "inside", "keeps its size": "on the boundary"}[
            says(size)
        ]
        return (
            f"{data['method']}, hλ = {data['z'].real:.2f} {'-' if data['z'].imag < 0 else '+'} "
            f"{abs(data['z'].imag):.2f} i is {place}: |R| = {size:.3f}, the computed y "
            f"{says(size)}; "
            f"the exact one {says(exact)} ({exact:.3f} per step)."
        )

    return Explorable(
        compute,
        draw,
        describe,
        size=(8.6, 3.7),
        question="Predict first: along the axis Im hλ = 0, where does the computed solution start to grow?",
        controls={
            "method": choice("method", list(STABILITY), value="RK4, both"),
            "re": slider("Re hλ", *_RE, -2.0, 0.05),
            "im": slider("Im hλ", *_IM, 0.0, 0.05),
        },
    )


def stability_function(tableau):
    """R(z): what one step of size 1 makes of y = 1 for y' = z y; z may be an array."""
    return lambda z: stages(lambda t, y: z * y, 0.0, 1.0, 1.0, tableau)[2]


@lru_cache(maxsize=8)
def _region(name):
    """|R| (161, 141) on a grid over _RE and _IM."""
    tableau = next(tableau for tableau in STABILITY.values() if tableau.name == name)
    x, y = np.meshgrid(np.linspace(*_RE, 141), np.linspace(*_IM, 161))
    return np.abs(stability_function(tableau)(x + 1j * y))
