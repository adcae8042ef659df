"""Lesson 15: Hutchinson's estimate of the trace, with noise that is kept or drawn anew."""

import math
from functools import lru_cache

import numpy as np
import torch

from ... import SolveError, solve
from ...course.controls import choice, log_slider, power_slider, toggle
from ...course.explorables import Explorable, explorable
from ...data.densities import two_moons
from ...models.trace import draw_noise
from ...plotting import EXACT, GRAY, ORANGE, VERMILLION
from .runs import arrays, restored

LIMIT = 60  # steps until it gives up
_POINTS, _BACK = 40, torch.tensor([1.0, 0.0], dtype=torch.float64)


@explorable("15", "trace_probes")
def trace_probes():
    """The log-density of 40 points by estimates of the trace: their errors, and what the solve
    costs.
    """

    def compute(noise, probes, redraw, tolerance):
        exact, spread = _exact(), _formula(noise, probes)
        errors, log, t, accepted, rejected = _solve(noise, probes, redraw, tolerance)
        return {
            "noise": noise,
            "probes": probes,
            "redraw": redraw,
            "tolerance": tolerance,
            "errors": errors,
            "spread": spread,
            "trace": exact["trace"],
            "seen": np.array(log),
            "reached": t,
            "diverged": t > 0,
            "nfe": len(log),
            "accepted": accepted,
            "rejected": rejected,
        }

    def draw(fig, data):
        left, right = fig.subplots(1, 2, width_ratios=[1.3, 1])
        left.plot(*data["trace"], color=EXACT, linewidth=1.6)
        color = VERMILLION if data["redraw"] else ORANGE
        left.plot(
            data["seen"][:, 0], data["seen"][:, 1].clip(-9.8, 9.8), "o", color=color, markersize=3
        )
        left.set(xlim=(1, 0), ylim=(-10, 10), xlabel="t, from the data back to the noise")
        left.set_ylabel("trace at the first point")
        style = {"transform": left.transAxes, "color": GRAY, "fontsize": 9.5}
        left.text(0.02, 0.04, "line: exact; dots: what the solver saw", **style)
        found = f"error (rms) {_rms(data['errors']):.2f} nats"
        steps = f"{data['accepted']} steps accepted, {data['rejected']} rejected"
        if data["diverged"]:
            found, steps = "no result", f"gave up after {LIMIT} steps, at t = {data['reached']:.2f}"
        else:
            right.hist(data["errors"].clip(-5.9, 5.9), bins=np.linspace(-6, 6, 25), color=color)
        for sign in (-1, 1):
            right.axvline(sign * data["spread"], color=EXACT, linewidth=1, linestyle=(0, (5, 3)))
        right.set(
            xlim=(-6, 6),
            ylim=(0, 20),
            xlabel="error of log p, in nats",
            ylabel=f"of {_POINTS} points",
        )
        left.set_title(f"NFE {data['nfe']},\n{steps}")
        right.set_title(f"{found};\nby the formula, noise kept: {data['spread']:.2f}")

    def describe(data):
        setting = (
            f"{data['noise']}, probes: {data['probes']}, {'redrawn' if data['redraw'] else 'kept'}"
        )
        cost = f"{data['nfe']} evaluations"
        if data["diverged"]:
            return f"{setting}, tolerance {data['tolerance']:.0e}: gave up after {cost}, at t = {data['reached']:.2f}."
        return (
            f"{setting}, tolerance {data['tolerance']:.0e}: {cost}; error of log p "
            f"{_rms(data['errors']):.2f} nats, "
            f"by the formula {data['spread']:.2f}."
        )

    return Explorable(
        compute,
        draw,
        describe,
        size=(8.4, 3.9),
        question="Predict first: noise drawn anew at every evaluation averages out sooner. What does the solver say?",
        controls={
            "noise": choice("noise", ["rademacher", "gaussian"]),
            "probes": power_slider("probes", 1, 16, 1),
            "redraw": toggle("redraw at every evaluation"),
            "tolerance": log_slider("tolerance", 1e-4, 1e-1, 1e-2),
        },
    )


def _rms(errors):
    return math.sqrt(float(np.mean(np.square(errors))))


@lru_cache(maxsize=1)
def moons_field():
    """The stored field of the moons, in float64."""
    return restored(arrays()["data/moons/CNF/0/parameters"])


def jacobian(func, t, y):
    """The field (B, 2) of a net with two hidden layers, and its Jacobian (B, 2, 2), by a formula."""
    a, b, c = (layer.slope(t) for layer in func.layers)
    one = torch.tanh(func.layers[0](t, y))
    two = torch.tanh(func.layers[1](t, one))
    inner = b @ ((1 - one * one).unsqueeze(-1) * a)
    return func.layers[2](t, two), c @ ((1 - two * two).unsqueeze(-1) * inner)


@lru_cache(maxsize=1)
def _exact():
    """The points, their log_det and the integral of S along their paths; the exact trace of the
    first over time.
    """
    func, x = moons_field(), two_moons().sample(_POINTS, torch.Generator().manual_seed(5)).double()

    def f(t, state):
        dy, J = jacobian(func, t, state[0])
        return dy, J

    times = torch.linspace(1, 0, 101, dtype=torch.float64)
    y, J = solve(f, (x, x.new_zeros(_POINTS, 2, 2)), times, rtol=1e-7, atol=1e-7).y
    trace = [float(jacobian(func, t, state[:1])[1][0].trace()) for t, state in zip(times, y)]
    total = J[-1]
    return {
        "x": x,
        "log_det": total.diagonal(dim1=1, dim2=2).sum(1),
        "J": total,
        "trace": (times.numpy(), np.array(trace)),
    }


def _formula(noise, probes):
    """The root mean square over the points of the estimate's error: the formula for the integral of
    S.
    """
    J = _exact()["J"]
    S = (J + J.transpose(1, 2)) / 2
    variance = 2 * S.square().sum((1, 2))
    if noise == "rademacher":
        variance = variance - 2 * S.diagonal(dim1=1, dim2=2).square().sum(1)
    return math.sqrt(float(variance.mean()) / probes)


def _solve(noise, probes, redraw, tolerance):
    """Errors of log p (N,), evaluations (t, estimate at the first point), the time reached, steps
    taken and refused.
    """
    func, exact = moons_field(), _exact()
    x = exact["x"]
    log: list[tuple[float, float]] = []

    def outer():  # the mean of e e^T over the probes (N, 2, 2): e^T J e is the sum of its products with J
        e = draw_noise(noise, probes, x)
        return (e.unsqueeze(-1) * e.unsqueeze(-2)).mean(0)

    def f(t, state):
        dy, J = jacobian(func, t, state[0])
        estimate = (J * (outer() if redraw else once)).sum((1, 2))
        log.append((float(t), float(estimate[0])))
        return dy, estimate

    solver = {"rtol": tolerance, "atol": tolerance, "options": {"max_num_steps": LIMIT}}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        once = outer()
        try:
            solution = solve(f, (x, x.new_zeros(_POINTS)), _BACK, **solver)
        except SolveError:
            return np.zeros(_POINTS), log, min(t for t, _ in log), LIMIT, 0
    errors = (solution.y[1][-1] - exact["log_det"]).numpy()
    return errors, log, 0.0, solution.stats.accepted, solution.stats.rejected
