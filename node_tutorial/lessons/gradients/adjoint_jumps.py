"""Lesson 06: the adjoint jumping at observations, and a state that is solved backwards."""

import math

import torch

from ... import odeint_dense
from ...course.controls import choice, log_slider, slider
from ...course.explorables import Explorable, explorable
from ...plotting import REJECTED
from .figures import draw_adjoint, draw_reverse

T_END, X0 = 2.0, 1.5


def target(t):
    """What was observed at time t."""
    return 1 + 0.6 * math.cos(3 * t)


def adjoint_data(theta, times, adds=True):
    """The adjoint of L = sum of (x(t_i) - d_i)^2 / 2 for x' = theta x, x(0) = 1.5, at observations
    in (0, 2].

    a(t) is solved from each observation to the one before, to t = 0 at last. adds: whether an
    observation adds its g_i to a, as it must, or overwrites it. Returns a dict for `draw_adjoint`.
    """
    times = sorted(times)
    x = [X0 * math.exp(theta * s) for s in times]
    g = [x_i - target(s) for x_i, s in zip(x, times)]
    t = torch.linspace(0, T_END, 121, dtype=torch.float64)
    a, pieces, jumps, nfe = 0.0, [], [], 0
    for end, start, g_i in zip(reversed(times), [*reversed(times[:-1]), 0.0], reversed(g)):
        before, a = a, (a + g_i if adds else g_i)
        jumps.append((end, before, a))
        if end > start:  # two observations may be at one time
            y = torch.tensor([a], dtype=torch.float64)
            solved = odeint_dense(lambda t, a: -a * theta, y, end, start, rtol=1e-8, atol=1e-10)
            s = torch.linspace(end, start, 2 + int(40 * (end - start)), dtype=torch.float64)
            values = torch.as_tensor(solved(s))[:, 0]
            pieces.append((s, values))
            a, nfe = float(values[-1]), nfe + solved.stats.nfe
    return {
        "theta": theta,
        "adds": adds,
        "t": t,
        "x": X0 * torch.exp(theta * t),
        "times": times,
        "x_at": x,
        "targets": [target(s) for s in times],
        "pieces": pieces,
        "jumps": jumps,
        "exact": _exact_adjoint(theta, times, g),
        "gradient": a,
        "exact_gradient": sum(g_i * math.exp(theta * s) for g_i, s in zip(g, times)),
        "nfe": nfe,
    }


def _exact_adjoint(theta, times, g):
    """dL/dx(t) in closed form, sum of g_i exp(theta (t_i - t)) over the observations ahead, in
    pieces.
    """
    pieces = []
    for start, end in zip([0.0, *times[:-1]], times):
        s = torch.linspace(start, end, 40, dtype=torch.float64)
        ahead = [(t_i, g_i) for t_i, g_i in zip(times, g) if t_i >= end]
        pieces.append((s, sum(g_i * torch.exp(theta * (t_i - s)) for t_i, g_i in ahead)))
    return pieces


@explorable("06", "adjoint_jumps")
def adjoint_jumps():
    """The adjoint of x' = theta x with three observations, of which two can be moved."""

    def compute(first, second, theta, rule):
        return adjoint_data(theta, [first, second, T_END], rule == "add")

    def draw(fig, data):
        axes = fig.subplots(2, 1, sharex=True, height_ratios=[2, 3])
        draw_adjoint(axes, data)
        axes[0].set(xlim=(0, 2.05), ylim=(-0.1, 1.8))
        axes[1].set(ylim=(-2.3, 2.3))
        wrong = abs(data["gradient"] - data["exact_gradient"]) > 1e-6
        axes[0].set_title(
            f"θ = {data['theta']:.1f}, {'add' if data['adds'] else 'overwrite'}: dL/dx(0) = "
            f"{data['gradient']:.4f}, "
            f"exact (dashed) {data['exact_gradient']:.4f}\nbackward NFE "
            f"{data['nfe']}{', WRONG' if wrong else ''}",
            color=REJECTED if wrong else "black",
        )

    def describe(data):
        times = ", ".join(f"{s:.1f}" for s in data["times"])
        rule = "Adding" if data["adds"] else "Overwriting"
        return (
            f"{rule} at the observations {times}, θ = {data['theta']:.1f}: dL/dx(0) = "
            f"{data['gradient']:.4f}, "
            f"exact {data['exact_gradient']:.4f}; {data['nfe']} evaluations."
        )

    return Explorable(
        compute,
        draw,
        describe,
        size=(8, 4.4),
        question="Predict first: you move an observation earlier. On which side of it does a(t) change?",
        controls={
            "first": slider("first observation", 0.1, 1.5, value=0.6, step=0.1, format=".1f"),
            "second": slider("second", 0.1, 1.5, value=1.3, step=0.1, format=".1f"),
            "theta": slider("θ", -1.5, 0.0, value=-0.5, step=0.1, format=".1f"),
            "rule": choice(
                "at an observation", {"add g to a": "add", "overwrite a by g": "overwrite"}
            ),
        },
    )


def reverse_data(lam, rtol, dense=False):
    """x' = -lambda x from x(0) = 1 to T = 2, and the way back, with atol = rtol / 1000.

    dense: read x on the way back from the forward solve, instead of solving for it. Returns a dict
    for `draw_reverse`: times (201,), the exact x, x on the way back, and `growth`, the error at T
    times exp(lambda (T - t)).
    """

    def f(t, x):
        return -lam * x

    solver = {"rtol": rtol, "atol": rtol / 1000}
    forward = odeint_dense(f, torch.ones(1, dtype=torch.float64), 0.0, T_END, **solver)
    end = forward(T_END)
    backward = odeint_dense(f, end, T_END, 0.0, **solver)
    t = torch.linspace(0, T_END, 201, dtype=torch.float64)
    exact = torch.exp(-lam * t)
    back = torch.as_tensor((forward if dense else backward)(t))[:, 0]
    return {
        "lam": lam,
        "rtol": rtol,
        "dense": dense,
        "t": t,
        "exact": exact,
        "back": back,
        "growth": (end[0] - exact[-1]).abs().clamp(min=1e-17) * torch.exp(lam * (T_END - t)),
        "x0": float(back[0]),
        "forward": forward.stats.nfe,
        "backward": 0 if dense else backward.stats.nfe,
    }


@explorable("06", "reverse_solve")
def reverse_solve():
    """x' = -lambda x solved to T = 2, and x on the way back, solved for or read from the forward
    solve.
    """

    def draw(fig, data):
        axes = fig.subplots(1, 2, width_ratios=[4, 5])
        draw_reverse(axes, data)
        way = "read from the forward solve" if data["dense"] else "solved backwards"
        axes[0].set_title(
            f"λ = {data['lam']:.0f}, rtol {data['rtol']:.0e}, {way}\n"
            f"x(0) = {data['x0']:.5g} instead of 1; NFE {data['forward']} + {data['backward']}"
        )

    def describe(data):
        way = "read from the forward solve" if data["dense"] else "solved backwards"
        # Large values differ in their first digits from one processor to the next.
        came = (
            f"{data['x0']:.3f}"
            if abs(data["x0"]) < 10
            else f"of size 1e{math.log10(abs(data['x0'])):.0f}"
        )
        return (
            f"λ = {data['lam']:.0f}, rtol {data['rtol']:.0e}, x {way}: x(0) comes back as {came}, "
            "it was 1; "
            f"{data['forward']} evaluations forward, {data['backward']} backward."
        )

    return Explorable(
        reverse_data,
        draw,
        describe,
        size=(8.8, 3.8),
        question="Predict first: how much tighter must rtol be to go from λ = 10 to λ = 20 and still come back to 1?",
        controls={
            "lam": slider("λ", 1, 25, value=10, step=1, format=".0f"),
            "rtol": log_slider("rtol", 1e-8, 1e-3, value=1e-6, per_decade=1, format=".0e"),
            "dense": choice(
                "x on the way back",
                {"solved backwards": False, "read from the forward solve": True},
            ),
        },
    )
