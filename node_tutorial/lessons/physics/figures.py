"""Lesson 09: figures. They are drawn from what the lesson computed, and return it."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from ...course.runs import middle
from ...data.systems import pendulum
from ...plotting import (
    BLUE,
    EXACT,
    GRAY,
    GREEN,
    PURPLE,
    SKY,
    VERMILLION,
    Picture,
    exact_line,
    figure,
    label_line,
)
from ...solvers.odeint import odeint
from . import disk_of_points
from .least_effort import ARM, Effort
from .robot_arm import draw_arm
from .runs import SEEDS, result, table
from .trainings import ARM_NETS, CURVE, DAMPED_NETS, NETS, SYSTEMS

COLORS = {
    "plain": VERMILLION,
    "Hamiltonian": BLUE,
    "Lagrangian": GREEN,
    "Hamiltonian, momenta": BLUE,
    "Hamiltonian, velocities": PURPLE,
    "Hamiltonian, friction": GREEN,
}
EVALUATIONS = 16
DISKS = ("euler", "rk4_classic", "leapfrog")


def disk_areas() -> dict[str, float]:
    """The area of the disk of pendulums after 2 pi, over that at first, by name."""
    edges = {"exact": _exact_disk()}
    edges |= {name: disk_of_points.edges(name, EVALUATIONS)[1] for name in DISKS}
    first = disk_of_points.area(disk_of_points.edges("leapfrog", EVALUATIONS)[0])
    return {name: float(disk_of_points.area(edge) / first) for name, edge in edges.items()}


def disks_figure() -> Picture:
    """A figure of four: what a disk of pendulums becomes in 2 pi, exactly and under DISKS."""
    fig, axes = figure(ncols=4, size=(9.0, 2.9), sharey=True)
    first = disk_of_points.edges("leapfrog", EVALUATIONS)[0]
    for ax, (name, area) in zip(axes, disk_areas().items()):
        edge = _exact_disk() if name == "exact" else disk_of_points.edges(name, EVALUATIONS)[1]
        color = {"exact": EXACT, "leapfrog": BLUE}.get(name, VERMILLION)
        ax.fill(*first.T, color=GRAY, alpha=0.3, linewidth=0)
        ax.fill(*edge.T, color=color, alpha=0.35, linewidth=0)
        ax.plot(*np.vstack([edge, edge[:1]]).T, color=color, linewidth=0.9)
        ax.set(xlim=(-4, 3), ylim=(-2, 3), xlabel="angle")
        ax.set_title(f"{name}\narea times {area:.2f}")
    axes[0].set_ylabel("angular velocity")
    return fig


@lru_cache(maxsize=1)
def _exact_disk() -> np.ndarray:
    start = torch.from_numpy(disk_of_points.edges("leapfrog", EVALUATIONS)[0])
    t = torch.tensor([0.0, disk_of_points.TURN], dtype=start.dtype)
    return odeint(pendulum, start, t, rtol=1e-9, atol=1e-9)[-1].numpy()


def orbits_figure(
    energy: Mapping[tuple[str, float], Tensor], perihelion: Mapping[tuple[str, float], Tensor]
) -> Picture:
    """A figure of two: the planet's energy error and its ellipse's turn, over 50 orbits; by method
    and eccentricity, of which 0.6 is shown.
    """
    fig, (left, right) = figure(ncols=2, size=(8.8, 3.3))
    for ax, rows, label in (
        (left, energy, "energy error"),
        (right, perihelion, "turn of the ellipse"),
    ):
        for name, color in (("leapfrog", BLUE), ("rk4_classic", VERMILLION)):
            values = rows[name, 0.6]
            (line,) = ax.plot(np.linspace(0, 50, len(values)), values, color=color, linewidth=1.2)
            ax.set(xlim=(0, 63), xlabel="orbits", ylabel=label)
            label_line(line, name.removesuffix("_classic"))
        ax.axhline(0, color=EXACT, linewidth=0.8)
        ax.set_xticks(range(0, 51, 10))
    left.set_title("RK4 loses the energy,")
    right.set_title("leapfrog the direction")
    return fig


def efforts_figure(found: Effort, first: Effort, seconds: float) -> Picture:
    """A figure of two: the arm on its way, and the torques; thin: of the first iteration."""
    fig, (left, right) = figure(ncols=2, size=(8.4, 3.7))
    for effort, color, width in ((first, GRAY, 1.0), (found, BLUE, 1.8)):
        left.plot(*ARM.hand(effort.path[:, :2]).T, color=color, linewidth=width)
    for at in range(0, len(found.path), 8):
        draw_arm(left, found.path[at, :2], SKY, 1.5, joints=3)
    left.plot(*ARM.hand(first.path[-1, :2]), "o", color=GRAY)
    left.plot(*ARM.hand(found.path[-1, :2]), "x", color=VERMILLION, markersize=9, markeredgewidth=2)
    left.set(xlim=(-2, 2), ylim=(-2, 2), aspect="equal", xlabel="x", ylabel="y")
    left.set_title("every eighth state; gray: the hand\nof the first iteration, and its end")
    t = np.linspace(0, seconds, len(found.u) + 1)
    for column, name, color in ((0, "shoulder", BLUE), (1, "elbow", VERMILLION)):
        right.stairs(first.u[:, column], t, color=color, linewidth=0.8, alpha=0.6, baseline=None)
        right.stairs(found.u[:, column], t, color=color, linewidth=1.8, baseline=None)
        label_line((t[-1], float(found.u[-1, column])), name, ax=right, color=color)
    right.set(xlim=(0, 1.25 * seconds), xlabel="seconds", ylabel="torque in N m")
    right.set_title("torques;\nthin: the first iteration's")
    return fig


def energies_figure(t: Tensor, paths: Mapping[str, Tensor], level: float) -> Picture:
    """A figure: the true energy along learned paths, over times t (n,)."""
    fig, ax = figure(size=(7.4, 3.2))
    ax.set(xlim=(0, 1.2 * float(t[-1])), xlabel="time", ylabel="true energy")
    exact_line([0, float(t[-1])], [level, level], ax=ax)
    for name, energy in paths.items():
        (line,) = ax.plot(t, energy, color=COLORS[name])
        label_line(line, name)
    return fig


def curves_figure(kinds: Sequence[str]) -> Picture:
    """A figure: the error of the pendulum's energy over time; a line for each seed."""
    fig, axes = figure(ncols=len(kinds), size=(8.8, 3.4), sharey=True)
    t = np.linspace(0, SYSTEMS["pendulum"].horizon, CURVE) / (2 * np.pi)
    for ax, kind in zip(axes, kinds):
        ax.set(xlim=(0, 29), ylim=(1e-3, 3), yscale="log", xlabel="periods of small swings")
        for net in NETS:
            row = table()[result("pendulum", kind, net)]
            for place, curve in enumerate(row["curve"]):
                (line,) = ax.plot(t, np.sqrt(curve), color=COLORS[net], linewidth=1.1)
                if place == middle(row["energy"]):
                    label = line
            label_line(label, net)
        ax.set_title(f"trained on {kind}")
        ax.set_xticks(range(0, 21, 5))
        ax.minorticks_off()
    axes[0].set_ylabel("energy error")
    return fig


def others_figure() -> Picture:
    """A figure of two: the same for a pendulum with friction, and for the arm."""
    fig, axes = figure(ncols=2, size=(8.8, 3.4))
    for ax, system, nets in zip(axes, ("damped", "arm"), (DAMPED_NETS, ARM_NETS)):
        t = np.linspace(0, SYSTEMS[system].horizon, CURVE)
        ax.set(xlim=(0, 1.55 * t[-1]), yscale="log", xlabel="time")
        for net in nets:
            row = table()[result(system, "derivatives", net)]
            for place, curve in enumerate(row["curve"]):
                (line,) = ax.plot(t[1:], np.sqrt(curve[1:]), color=COLORS[net], linewidth=1.1)
                if place == middle(row["energy"]):
                    label = line
            label_line(label, net.removeprefix("Hamiltonian, "))
        ax.minorticks_off()
    axes[0].set_ylabel("energy error")
    axes[0].set_title("a pendulum with friction")
    axes[1].set_title("the arm, in J")
    return fig


def heading(title: str) -> str:
    """Above the rows of `line_of`."""
    return f"{title:26s} field  places  energy (from, to)       updates  rate"


def line_of(system: str, kind: str, net: str) -> str:
    """A row of the table: medians over the seeds, and the range of the energy error."""
    row = table()[result(system, kind, net)]
    field, places, energy = (sorted(row[key]) for key in ("slope", "state", "energy"))
    half = len(SEEDS) // 2
    return (
        f"  {net:23s} {field[half]:.0e}  {places[half]:.0e}  {energy[half]:.0e} "
        f"({energy[0]:.0e}, {energy[-1]:.0e})  {row['updates']:7d}  {row['rate']}"
    )
