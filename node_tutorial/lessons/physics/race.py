"""Lesson 09: a race of energies over thousands of periods, leapfrog against RK4."""

import math
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from ...course.controls import choice, slider
from ...course.explorables import explorable
from ...plotting import BLUE, GRAY, VERMILLION

POINTS = 400
PERIOD = 2 * math.pi
RUNGE_KUTTA = {"euler": 1, "heun2": 2, "rk4": 4}


class Race(NamedTuple):
    """Energy errors of y'' = -y from (1, 0), energy 1/2, over steps of size h.

    Attributes:
        steps: (n,), whole numbers up to the last, evenly on a logarithmic axis.
        leapfrog, other: the size of the energy error there.
        crossing: the number of steps after which the other's error is larger than leapfrog's
            whole band; inf if never.
    """

    method: str
    h: float
    steps: np.ndarray
    leapfrog: np.ndarray
    other: np.ndarray
    crossing: float


def growth(method: str, h: float) -> float:
    """By which a step multiplies the energy of the oscillator: |R(ih)|^2."""
    z = 1j * h
    terms = RUNGE_KUTTA[method]
    return abs(sum(z**k / math.factorial(k) for k in range(terms + 1))) ** 2


def leapfrog_energy(h: float, n: np.ndarray) -> np.ndarray:
    """After n steps from (1, 0): p^2 + (1 - h^2/4) q^2 is kept, and q = cos(n phi).

    The step turns by phi = arccos(1 - h^2/2) in the plane of sqrt(1 - h^2/4) q and p. For h < 2.
    """
    phi = math.acos(1 - h * h / 2)
    q = np.cos(n * phi)
    return 0.5 * ((1 - h * h / 4) * (1 - q**2) + q**2)


def crossing(method: str, h: float) -> float:
    """The number of steps until the energy is off by more than h^2/8 of leapfrog's band."""
    rate = math.log(growth(method, h))
    band = h * h / 4  # relative: energies are 1/2
    if rate == 0:
        return math.inf
    if rate < 0:
        return math.log(1 - band) / rate if band < 1 else math.inf
    return math.log(1 + band) / rate


def compute(method: str, h: float, decades: float) -> Race:
    last = 10**decades
    steps = np.unique(np.geomspace(1, last, POINTS).round())
    energy = leapfrog_energy(h, steps)
    with np.errstate(over="ignore"):
        other = 0.5 * growth(method, h) ** steps
    return Race(
        method=method,
        h=h,
        steps=steps,
        leapfrog=abs(energy - 0.5),
        other=abs(other - 0.5),
        crossing=crossing(method, h),
    )


def draw(fig: Figure, data: Race) -> None:
    """Both energy errors over time, and the crossing."""
    ax = fig.subplots()
    t = data.steps * data.h / PERIOD
    ax.loglog(t, data.leapfrog.clip(1e-9), color=BLUE, linewidth=1)
    ax.loglog(t, data.other.clip(1e-9, 10), color=VERMILLION)
    band = data.h**2 / 8
    ax.axhline(band, color=BLUE, linewidth=1, linestyle=(0, (5, 3)))
    at = data.crossing * data.h / PERIOD
    if at < t[-1]:
        ax.axvline(at, color=GRAY, linewidth=1)
    ax.text(0.01, 0.05, "leapfrog; dashed: its bound", color=BLUE, transform=ax.transAxes)
    ax.text(0.99, 0.05, data.method, color=VERMILLION, transform=ax.transAxes, ha="right")
    ax.set(xlim=(t[0], t[-1]), ylim=(1e-9, 10), xlabel="periods", ylabel="energy error")
    ax.minorticks_off()
    ax.set_title(f"h = {data.h:.2f}: {data.method} is behind from {_periods(data)} on")


def _periods(data: Race) -> str:
    at = data.crossing * data.h / PERIOD
    return f"{at:.3g} periods" if math.isfinite(at) else "no time"


def describe(data: Race) -> str:
    """Where the crossing is, and the errors at the end."""
    return (
        f"h = {data.h:.2f}, {data.steps[-1]:.0f} steps: leapfrog's energy is off by at most "
        f"{data.h**2 / 8:.1e}, {data.method}'s by {min(data.other[-1], 9e99):.1e} at the end; "
        f"{data.method} is behind from {_periods(data)} on."
    )


race = explorable(
    compute,
    draw,
    describe,
    question="Predict first: RK4 is far more accurate. After how many periods has it lost the race?",
    size=(7.2, 3.7),
    controls={
        "method": choice("against leapfrog", list(RUNGE_KUTTA), "rk4"),
        "h": slider("step h", 0.1, 1.5, value=0.5, step=0.1, format=".1f"),
        "decades": slider("steps, log10", 2.0, 5.0, value=4.0, step=0.5, format=".1f"),
    },
)
