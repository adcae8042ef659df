"""Lesson 13: two legs with a clock each, and the coupling that decides how they go together."""

import math
from functools import partial
from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ...course.controls import slider
from ...course.explorables import explorable
from ...data.gait import pose
from ...data.limit_cycles import TURN, Lock, drift_period, lock_of, two_phases
from ...plotting import BLUE, EXACT, SKY, VERMILLION, exact_line
from ...solvers.odeint import odeint
from .drawing import draw_belt, draw_figure
from .trainings import PERIOD

END = 40.0
TIMES = torch.linspace(0, END, 101, dtype=torch.float64)
SPEED = TURN / PERIOD  # mean of both clocks, radians a second


class TwoLegs(NamedTuple):
    """Attributes:
    difference: left less right phase, (101,), at TIMES.
    phases: of both legs at the end, (2,).
    lock: where they stay, or None.
    rest: the difference that they stay at, or creep to at the edge of locking; else None.
    drift: the time for one turn, where they drift; else None.
    """

    detuning: float
    coupling: float
    difference: Tensor
    phases: Tensor
    lock: Lock | None
    rest: float | None
    drift: float | None


def compute(detuning: float, coupling: float, start: float) -> TwoLegs:
    field = partial(
        two_phases, left=SPEED + detuning / 2, right=SPEED - detuning / 2, coupling=coupling
    )
    phases = torch.tensor([start * math.pi, 0.0], dtype=torch.float64)
    path = odeint(field, phases, TIMES, method="rk4_classic")
    lock = lock_of(detuning, coupling)
    edge = coupling != 0 and math.isclose(abs(detuning), 2 * abs(coupling))
    free = abs(detuning) > 2 * abs(coupling) and not edge
    at_edge = math.pi / 2 if detuning * coupling > 0 else 3 * math.pi / 2
    return TwoLegs(
        detuning=detuning,
        coupling=coupling,
        difference=path[:, 0] - path[:, 1],
        phases=path[-1],
        lock=None if edge else lock,
        rest=at_edge if edge else lock.difference if lock else None,
        drift=drift_period(detuning, coupling) if free else None,
    )


def draw(fig: Figure, data: TwoLegs) -> None:
    left, middle, right = fig.subplots(1, 3, width_ratios=[1.7, 1.3, 1])
    left.plot(TIMES, data.difference / math.pi, color=BLUE)
    if data.rest is not None:
        nearest = round(float(data.difference[-1] - data.rest) / TURN)
        level = (data.rest + nearest * TURN) / math.pi
        exact_line([0, END], [level, level], ax=left, label=None)
    low, high = left.get_ylim()
    center = (low + high) / 2
    reach = max(1.6, 0.55 * (high - low))
    left.set(xlim=(0, END), ylim=(center - reach, center + reach))
    left.set(xlabel="t (s)", ylabel="left less right phase / pi")
    left.set_title(f"detuning {data.detuning:.2f}, coupling {data.coupling:.2f}\n{_verdict(data)}")
    middle.fill_between([-1.3, 0, 1.3], [0.65, 0, 0.65], 0.65, color=SKY, alpha=0.35, linewidth=0)
    middle.fill_between(
        [-1.3, 0, 1.3], -0.65, [-0.65, 0, -0.65], color=VERMILLION, alpha=0.25, linewidth=0
    )
    middle.plot(data.detuning, data.coupling, "o", color=EXACT, markersize=8)
    middle.text(0, 0.5, "together", ha="center", fontsize=10)
    middle.text(0, -0.53, "opposite", ha="center", fontsize=10)
    middle.set(xlim=(-1.3, 1.3), ylim=(-0.65, 0.65), xlabel="detuning", ylabel="coupling")
    middle.set_title("where they lock")
    draw_figure(right, pose(data.phases[0], data.phases[1]))
    draw_belt(right, 0.0, [])
    right.set_title(f"after {END:.0f} s")


def _verdict(data: TwoLegs) -> str:
    if data.rest is not None:
        if data.lock is None:
            return f"creep to {data.rest / math.pi:.3f} pi: the edge"
        start, end = float(data.difference[0]), float(data.difference[-1])
        if abs(end - start) < 1e-9 and math.cos(end - data.rest) < 0:
            return f"rest at {end / math.pi:.3f} pi, until touched"
        return f"lock at {data.rest / math.pi:.3f} pi"
    if data.drift is not None and math.isfinite(data.drift):
        return f"drift, a turn in {data.drift:.2f} s"
    return "keep their difference"


def describe(data: TwoLegs) -> str:
    end = float(data.difference[-1]) / math.pi
    return (
        f"Detuning {data.detuning:.2f}, coupling {data.coupling:.2f}: the legs {_verdict(data)}; "
        f"after {END:.0f} s the left one is {end:.3f} pi ahead."
    )


two_legs = explorable(
    compute,
    draw,
    describe,
    question="Predict first: with which sign of the coupling do two legs walk, and do not hop?",
    size=(8.8, 3.8),
    controls={
        "detuning": slider("detuning (rad/s)", -1.2, 1.2, value=0.2, step=0.1),
        "coupling": slider("coupling K", -0.6, 0.6, value=0.4, step=0.1),
        "start": slider("difference at the start / pi", 0.0, 1.95, value=0.5, step=0.05),
    },
)
