"""Lesson 15: two stored fields under many solvers: the likelihood that each reports."""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...course.controls import choice, log_slider, toggle
from ...course.explorables import explorable
from ...data.densities import two_moons
from ...plotting import EXACT, GRAY, ON_DARK, REJECTED, VERMILLION, draw_density, no_ticks
from .runs import EULER, SWEEP, arrays, table

NETS = {"trained through 5 Euler steps": "trapped", "trained with an adaptive solver": "honest"}
OWN = len(SWEEP) + EULER.index(5)  # the solver that the first net was trained with
ADAPTIVE = slice(None, len(SWEEP))
FIXED = slice(len(SWEEP), None)
LOWEST, HIGHEST = 0.9, 4.6  # NLL that are shown, in nats


class LikelihoodCheck(NamedTuple):
    """A stored field on the moons under all solvers, of SWEEP and then EULER, and the chosen one.

    tolerance is 0 for five Euler steps; picture (64, 64) is the density by the chosen solver, 1 at
    its largest; nll, in nats, mass and nfe (18,) are those of all solvers.
    """

    net: str
    entropy: float
    chosen: int
    tolerance: float
    picture: np.ndarray
    nll: np.ndarray
    mass: np.ndarray
    nfe: np.ndarray


def compute(net: str, tolerance: float, euler: bool) -> LikelihoodCheck:
    """What is stored of a net, and the solver of SWEEP that is next to the tolerance."""
    row = table()[f"sweep/{net}"]
    nearest = int(np.argmin(np.abs(np.log(SWEEP) - np.log(tolerance))))
    chosen = OWN if euler else nearest
    return LikelihoodCheck(
        net=net,
        entropy=table()["data/moons/CNF"]["entropy"],
        chosen=chosen,
        tolerance=0.0 if euler else SWEEP[nearest],
        picture=arrays()[f"sweep/{net}/picture"][chosen] / 255,
        nll=np.array(row["nll"]),
        mass=np.array(row["mass"]),
        nfe=np.array(row["nfe"]),
    )


def draw(fig: Figure, data: LikelihoodCheck) -> None:
    """The density by the chosen solver, and the NLL over NFE of all."""
    left, right = fig.subplots(1, 2, width_ratios=[1.1, 1])
    chosen = data.chosen
    draw_density(data.picture, two_moons().bounds, ax=left, shades=ON_DARK, top=1)
    no_ticks(left)
    left.set_title(
        f"{_solver(data)}: NLL {data.nll[chosen]:.2f} nats,\n"
        f"mass {data.mass[chosen]:.2f}, NFE {data.nfe[chosen]:.0f}"
    )
    _draw_solvers(right, data)


def _draw_solvers(ax: Axes, data: LikelihoodCheck) -> None:
    nll = data.nll.clip(LOWEST, HIGHEST)
    ax.axhspan(LOWEST, data.entropy, color=REJECTED, alpha=0.09, linewidth=0)
    ax.axhline(data.entropy, color=EXACT, linewidth=1.2, linestyle=(0, (5, 3)))
    ax.plot(data.nfe[ADAPTIVE], nll[ADAPTIVE], "o-", color=GRAY, markersize=4)
    ax.plot(data.nfe[FIXED], nll[FIXED], "s:", color=GRAY, markersize=4)
    ax.plot(data.nfe[data.chosen], nll[data.chosen], "o", color=VERMILLION, markersize=10)
    ax.set(xscale="log", xlim=(0.8, 600), ylim=(LOWEST, HIGHEST))
    ax.set(xlabel="NFE of a density", ylabel="reported NLL, in nats")
    ax.minorticks_off()
    ax.set_title("dots: adaptive; squares: Euler;\nred: below the entropy, impossible")


def describe(data: LikelihoodCheck) -> str:
    """The NLL that the chosen solver reports, beside the entropy."""
    nll = data.nll[data.chosen]
    verdict = "below" if nll < data.entropy else "above"
    return (
        f"The {data.net} net, {_solver(data)}: NLL {nll:.2f}, {verdict} the entropy "
        f"{data.entropy:.2f}; mass {data.mass[data.chosen]:.2f}, "
        f"{data.nfe[data.chosen]:.0f} evaluations."
    )


def _solver(data: LikelihoodCheck) -> str:
    return "5 Euler steps" if data.chosen == OWN else f"tolerance {data.tolerance:.0e}"


likelihood_check = explorable(
    compute,
    draw,
    describe,
    question=(
        "Predict first: as the tolerance gets tighter, does the reported NLL go up, or down? For "
        "which net?"
    ),
    size=(8.4, 3.9),
    controls={
        "net": choice("net", NETS),
        "tolerance": log_slider("tolerance", 1e-6, 1e-1, 1e-3),
        "euler": toggle("5 Euler steps instead"),
    },
)
