"""Lesson 15: Hutchinson's estimate of the trace, with noise that is kept or drawn anew."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ... import SolveError, solve
from ...course.controls import choice, log_slider, power_slider, toggle
from ...course.explorables import explorable
from ...models.trace import draw_noise
from ...plotting import EXACT, GRAY, ORANGE, VERMILLION
from .traces import POINTS, Exact, exact, jacobian, moons_field, spread

LIMIT = 60  # steps until the solver gives up
BACK = torch.tensor([1.0, 0.0], dtype=torch.float64)
State = tuple[Tensor, Tensor]  # y (N, 2) and the integral of the trace (N,)
Field = Callable[[Tensor, State], State]


class Solved(NamedTuple):
    """A solve back to the noise by estimates of the trace.

    errors (N,) are those of log p, 0 where it gave up; seen (nfe, 2) are the time and the estimate
    at the first point of every evaluation; reached is the last time.
    """

    errors: np.ndarray
    seen: np.ndarray
    reached: float
    accepted: int
    rejected: int


class TraceProbes(NamedTuple):
    """A setting, its solve, and what is exact; spread is the error by the formula, noise kept."""

    noise: str
    probes: int
    redraw: bool
    tolerance: float
    exact: Exact
    spread: float
    solved: Solved
    nfe: int
    diverged: bool


def compute(noise: str, probes: int, redraw: bool, tolerance: float) -> TraceProbes:
    """The log-density of POINTS points, and what it costs."""
    solved = estimated(noise, probes, redraw, tolerance)
    return TraceProbes(
        noise=noise,
        probes=probes,
        redraw=redraw,
        tolerance=tolerance,
        exact=exact(),
        spread=spread(noise, probes),
        solved=solved,
        nfe=len(solved.seen),
        diverged=solved.reached > 0,
    )


def estimated(noise: str, probes: int, redraw: bool, tolerance: float) -> Solved:
    """A solve by estimates of the trace, with noise of its own; the global generator is as before.

    The estimate is the mean of e^T J e over the probes e, the sum of the products of J (N, 2, 2)
    with the mean of e e^T.
    """
    func = moons_field()
    x = exact().x
    log: list[tuple[float, float]] = []

    def products() -> Tensor:
        e = draw_noise(noise, probes, x)
        return (e.unsqueeze(-1) * e.unsqueeze(-2)).mean(0)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        kept = products()

        def field(t: Tensor, state: State) -> State:
            dy, J = jacobian(func, t, state[0])
            return dy, (J * (products() if redraw else kept)).sum((1, 2))

        try:
            solution = solve(
                _logged(field, log),
                (x, x.new_zeros(POINTS)),
                BACK,
                rtol=tolerance,
                atol=tolerance,
                options={"max_num_steps": LIMIT},
            )
        except SolveError:
            return Solved(np.zeros(POINTS), np.array(log), min(t for t, _ in log), LIMIT, 0)
    errors = (solution.y[1][-1] - exact().log_det).numpy()
    stats = solution.stats
    return Solved(errors, np.array(log), 0.0, int(stats.accepted), int(stats.rejected))


def _logged(field: Field, log: list[tuple[float, float]]) -> Field:
    """The field, which also writes down when it is evaluated, and the estimate at the first point.

    Here and not read off the solution, because a solve that gives up returns none.
    """

    def f(t: Tensor, state: State) -> State:
        dy, estimate = field(t, state)
        log.append((float(t), float(estimate[0])))
        return dy, estimate

    return f


def draw(fig: Figure, data: TraceProbes) -> None:
    """The trace that the solver saw over time, and the errors of log p."""
    left, right = fig.subplots(1, 2, width_ratios=[1.3, 1])
    color = VERMILLION if data.redraw else ORANGE
    _draw_trace(left, data, color)
    _draw_errors(right, data, color)


def _draw_trace(ax: Axes, data: TraceProbes, color: str) -> None:
    solved = data.solved
    t, estimates = solved.seen.T
    ax.plot(data.exact.times, data.exact.trace, color=EXACT, linewidth=1.6)
    ax.plot(t, estimates.clip(-9.8, 9.8), "o", color=color, markersize=3)
    ax.set(xlim=(1, 0), ylim=(-10, 10), xlabel="t, from the data back to the noise")
    ax.set_ylabel("trace at the first point")
    key = "line: exact; dots: what the solver saw"
    ax.text(0.02, 0.04, key, transform=ax.transAxes, color=GRAY, fontsize=9.5)
    steps = f"{solved.accepted} steps accepted, {solved.rejected} rejected"
    if data.diverged:
        steps = f"gave up after {LIMIT} steps, at t = {solved.reached:.2f}"
    ax.set_title(f"NFE {data.nfe},\n{steps}")


def _draw_errors(ax: Axes, data: TraceProbes, color: str) -> None:
    errors = data.solved.errors
    found = "no result"
    if not data.diverged:
        found = f"error (rms) {_rms(errors):.2f} nats"
        ax.hist(errors.clip(-5.9, 5.9), bins=np.linspace(-6, 6, 25).tolist(), color=color)
    for sign in (-1, 1):
        ax.axvline(sign * data.spread, color=EXACT, linewidth=1, linestyle=(0, (5, 3)))
    ax.set(xlim=(-6, 6), ylim=(0, 20), xlabel="error of log p, in nats")
    ax.set_ylabel(f"of {POINTS} points")
    ax.set_title(f"{found};\nby the formula, noise kept: {data.spread:.2f}")


def describe(data: TraceProbes) -> str:
    """What the solve cost, and how large the errors of log p are."""
    setting = f"{data.noise}, probes: {data.probes}, {'redrawn' if data.redraw else 'kept'}"
    cost = f"{data.nfe} evaluations"
    if data.diverged:
        outcome = f"gave up after {cost}, at t = {data.solved.reached:.2f}."
    else:
        error = _rms(data.solved.errors)
        outcome = f"{cost}; error of log p {error:.2f} nats, by the formula {data.spread:.2f}."
    return f"{setting}, tolerance {data.tolerance:.0e}: {outcome}"


def _rms(errors: np.ndarray) -> float:
    return math.sqrt(float(np.mean(np.square(errors))))


trace_probes = explorable(
    compute,
    draw,
    describe,
    question=(
        "Predict first: noise drawn anew at every evaluation averages out sooner. What does the "
        "solver say?"
    ),
    size=(8.4, 3.9),
    controls={
        "noise": choice("noise", ["rademacher", "gaussian"]),
        "probes": power_slider("probes", 1, 16, 1),
        "redraw": toggle("redraw at every evaluation"),
        "tolerance": log_slider("tolerance", 1e-4, 1e-1, 1e-2),
    },
)
