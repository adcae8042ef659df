"""Lesson 09: a race of energies over thousands of periods, leapfrog against RK4."""

import math
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from ...course.controls import choice, slider
from ...course.explorables import explorable
from ...plotting import BLUE, GRAY, VERMILLION

POINTS = 600
LARGEST = 50.0  # of the logarithm of the energy
PERIOD = 2 * math.pi
STEPS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 1.5)
RUNGE_KUTTA = {"euler": 1, "heun2": 2, "rk4": 4}


class Race(NamedTuple):
    """Energy errors of y'' = -y from (1, 0), energy 1/2.

    Attributes:
        h, other_h: steps of leapfrog and of the other method.
        t: (n,), times from the other's first step on, evenly on a logarithmic axis.
        leapfrog, other: the size of the energy error there.
        crossing: the time after which the other's error is larger than leapfrog's whole band; inf
            if never.
    """

    method: str
    h: float
    other_h: float
    t: np.ndarray
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


def crossing(method: str, h: float, other_h: float) -> float:
    """The time until the other's energy is off by more than h^2/8, leapfrog's band."""
    rate = math.log(growth(method, other_h)) / other_h
    band = h * h / 4  # relative: the energy is 1/2
    if rate == 0 or (rate < 0 and band >= 1):
        return math.inf
    return math.log(1 + math.copysign(band, rate)) / rate


def compute(method: str, equal: str, h: float, decades: float) -> Race:
    other_h = h * (RUNGE_KUTTA[method] if equal == "evaluations" else 1)
    last = PERIOD * 10**decades
    n = np.unique(np.geomspace(1, last / other_h, POINTS).round())
    t = n * other_h
    grown = np.minimum(n * math.log(growth(method, other_h)), LARGEST)
    other = 0.5 * np.exp(grown)
    return Race(
        method=method,
        h=h,
        other_h=other_h,
        t=t,
        leapfrog=abs(leapfrog_energy(h, (t / h).round()) - 0.5),
        other=abs(other - 0.5),
        crossing=crossing(method, h, other_h),
    )


def draw(fig: Figure, data: Race) -> None:
    """Both energy errors over time, and the crossing."""
    ax = fig.subplots()
    t = data.t / PERIOD
    ax.loglog(t, data.leapfrog.clip(1e-7), color=BLUE, linewidth=0.8, alpha=0.7)
    ax.loglog(t, data.other.clip(1e-7, 10), color=VERMILLION)
    ax.axhline(data.h**2 / 8, color=BLUE, linewidth=1, linestyle=(0, (5, 3)))
    at = data.crossing / PERIOD
    if at < t[-1]:
        ax.axvline(at, color=GRAY, linewidth=1)
    ax.set(xlim=(0.02, t[-1]), ylim=(1e-7, 10), xlabel="periods", ylabel="energy error")
    ax.minorticks_off()
    ax.text(0.02, 1.02, "leapfrog (dashed: its bound)", color=BLUE, transform=ax.transAxes)
    ax.text(0.98, 1.02, _name(data), color=VERMILLION, transform=ax.transAxes, ha="right")
    fig.suptitle(
        f"h = {data.h:.3g}: {_verdict(data)}",
        x=0.02,
        ha="left",
        fontsize=11,
    )


def _name(data: Race) -> str:
    return f"{data.method}, step {data.other_h:.3g}"


def _verdict(data: Race) -> str:
    if not math.isfinite(data.crossing):
        return f"{data.method} is never behind"
    at = data.crossing / PERIOD
    since = "its first step" if data.crossing < data.other_h else f"{at:.4g} periods"
    return f"{data.method} is behind from {since} on"


def describe(data: Race) -> str:
    """Where the crossing is, and the errors at the end."""
    return (
        f"leapfrog with h = {data.h:.3g}, {_name(data)}, {data.t[-1] / PERIOD:.0f} periods: "
        f"leapfrog's energy is off by at most {data.h**2 / 8:.1e}, {data.method}'s by "
        f"{data.other[-1]:.1e} at the end; {_verdict(data)}."
    )


race = explorable(
    compute,
    draw,
    describe,
    question="Predict first: RK4 is more accurate. After how many periods has it lost the race?",
    size=(7.2, 3.7),
    controls={
        "method": choice("against leapfrog", list(RUNGE_KUTTA), "rk4"),
        "equal": choice("both have equal", ["steps", "evaluations"]),
        "h": choice("leapfrog's step h", STEPS, 0.5),
        "decades": slider("periods, log10", 1.0, 5.0, value=3.0, step=0.5, format=".1f"),
    },
)
