"""Lesson 02: h lambda in a method's region of stability, and beside it y' = lambda y."""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from ...course.controls import choice, play, slider
from ...course.explorables import explorable
from ...plotting import GREEN, ORANGE, REJECTED, exact_line, stability_region
from ...solvers.stability import stability_function
from ...solvers.tableaus import DOPRI5, EULER, HEUN3, MIDPOINT, RK4_CLASSIC

STABILITY = {
    "Euler": EULER,
    "midpoint, Heun (order 2)": MIDPOINT,
    "Heun (order 3)": HEUN3,
    "RK4, both": RK4_CLASSIC,
    "dopri5": DOPRI5,
}
_STEPS = 20
_FINE = 10  # points of the exact solution in a step
_TIMES = np.linspace(0, _STEPS, _FINE * _STEPS + 1)
_RE, _IM = (-5.0, 2.0), (-4.0, 4.0)  # the drawn part of the plane
_HAIR = 1e-9  # a size that differs from 1 by less is 1


class StabilityPoint(NamedTuple):
    """A point z = h lambda, the factor R(z) of one step, and the real parts of the computed
    solution (n + 1,) after n steps and of the exact one (10 n + 1,) until then, held within +-10.
    """

    method: str
    z: complex
    factor: complex
    nfe: int
    y: np.ndarray
    exact: np.ndarray


@lru_cache(maxsize=8)
def _region(method: str) -> np.ndarray:
    """|R| (161, 141) on a grid over _RE and _IM."""
    x, y = np.meshgrid(np.linspace(*_RE, 141), np.linspace(*_IM, 161))
    return np.abs(stability_function(STABILITY[method])(x + 1j * y))


def compute(method: str, re: float, im: float, steps: int = _STEPS) -> StabilityPoint:
    tableau = STABILITY[method]
    n = np.arange(steps + 1)
    times = _TIMES[: _FINE * steps + 1]
    factor = complex(stability_function(tableau)(complex(re, im)))
    y = min(abs(factor), 1e4) ** n * np.cos(n * np.angle(factor))
    exact = np.exp(re * times).clip(0, 10) * np.cos(im * times)
    return StabilityPoint(
        method, complex(re, im), factor, tableau.evaluations, y.clip(-10, 10), exact
    )


def _written(z: complex) -> str:
    return f"hλ = {z.real:.2f} {'-' if z.imag < 0 else '+'} {abs(z.imag):.2f} i"


def draw(fig: Figure, data: StabilityPoint) -> None:
    left, right = fig.subplots(1, 2, width_ratios=[1, 1.35])
    size = abs(data.factor)
    grows_wrongly = size > 1 + _HAIR and data.z.real <= 0
    decays_wrongly = size < 1 - _HAIR and data.z.real > 0
    if grows_wrongly or decays_wrongly:
        color = REJECTED
    else:
        color = ORANGE if abs(size - 1) <= _HAIR else GREEN
    stability_region(_region(data.method), ax=left, xlim=_RE, ylim=_IM)
    left.plot(data.z.real, data.z.imag, "o", color=color, markersize=10, clip_on=False)
    left.set(xlabel="Re hλ", ylabel="Im hλ")
    left.set_title(_written(data.z))
    exact_line(_TIMES[: len(data.exact)], data.exact, ax=right, label=None)
    right.plot(data.y, "o-", color=color)
    right.set(xlim=(-0.5, _STEPS + 0.5), ylim=(-3, 3), xlabel="steps", ylabel="Re y")
    right.set_xticks([0, 5, 10, 15, 20])
    exact = math.exp(data.z.real)
    right.set_title(f"|R| = {size:.3f} per step of NFE {data.nfe}; exact {exact:.3f}")


def _fate(size: float) -> str:
    if size > 1 + _HAIR:
        return "grows"
    return "decays" if size < 1 - _HAIR else "keeps its size"


def describe(data: StabilityPoint) -> str:
    size, exact = abs(data.factor), math.exp(data.z.real)
    places = {"grows": "outside", "decays": "inside", "keeps its size": "on the boundary"}
    fate = _fate(size)
    return (
        f"{data.method}, {_written(data.z)} is {places[fate]}: |R| = {size:.3f}, the computed y "
        f"{fate}; the exact one {_fate(exact)} ({exact:.3f} per step)."
    )


stability_point = explorable(
    compute,
    draw,
    describe,
    size=(8.6, 3.7),
    question="Predict first: up the imaginary axis, from where on does the solution grow?",
    controls={
        "method": choice("method", list(STABILITY), value="RK4, both"),
        "re": slider("Re hλ", *_RE, 0.0, 0.05),
        "im": slider("Im hλ", *_IM, 2.5, 0.05),
        "steps": play("steps taken", _STEPS + 1, value=_STEPS, milliseconds=300),
    },
)
