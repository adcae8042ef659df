"""Figures of lesson 02, one function each."""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ... import solve
from ...data.systems import oscillator
from ...plotting import (
    BLUE,
    EXACT,
    GRAY,
    GREEN,
    ORANGE,
    PURPLE,
    REJECTED,
    SKY,
    VERMILLION,
    Picture,
    exact_line,
    figure,
    label_line,
    loglog_slope,
    stability_region,
    trajectory,
    vector_field,
)
from ...solvers.solution import Solution
from ...solvers.stability import stability_function
from ...solvers.tableaus import DOPRI5, EULER, RK4_CLASSIC, Tableau
from .tableau_workbench import bell, stages

COLORS = {
    "euler": VERMILLION,
    "midpoint": BLUE,
    "heun2": ORANGE,
    "heun3": GREEN,
    "rk4_classic": PURPLE,
    "rk4": SKY,
    "kutta3": GRAY,
    "dopri5": EXACT,
    "dopri8": GRAY,
}


def same_cost(f: Callable[..., Tensor], solutions: Mapping[str, Solution]) -> Picture:
    """Paths (T, 2) of one turn side by side: {title: Solution}, over the field and the circle.

    f(t, y) takes states (2,) and (n, 2).
    """
    fig, axes = figure(ncols=len(solutions), size=(8.6, 3.9))
    turn = np.linspace(0, 2 * np.pi, 200)
    for ax, (name, solution), color in zip(axes, solutions.items(), (VERMILLION, PURPLE)):
        vector_field(f, ax=ax, n=15)
        exact_line(np.cos(turn), np.sin(turn), ax=ax, label=None)
        trajectory(solution.y, ax=ax, color=color, marker="o", markersize=3.5)
        miss = float((solution.y[-1] - solution.y[0]).norm())
        ax.set(aspect="equal", xticks=[-2, -1, 0, 1, 2], yticks=[-2, -1, 0, 1, 2])
        ax.set_title(f"{name}: NFE {solution.stats.nfe}, error {miss:.4f}")
    return fig


def error_over_step(hs: Sequence[float], errors: Mapping[str, Sequence[float]]) -> Picture:
    """The figure that the lesson redraws, always with the same limits: {method: errors} over hs."""
    fig, ax = figure(size=(7.2, 3.7))
    ax.set(xscale="log", yscale="log", xlim=(0.011, 0.45), ylim=(2e-10, 2e1))
    for name, values in errors.items():
        line = "--" if name in ("heun2", "rk4") else "-"  # those that lie on another line
        style: dict[str, Any] = {"color": COLORS[name], "linestyle": line}
        loglog_slope(hs, values, ax=ax, label=name, fit=slice(-3, None), **style)
    ax.set_ylabel("error after one turn")
    ax.set_xticks([0.02, 0.05, 0.1, 0.2, 0.4], ["0.02", "0.05", "0.1", "0.2", "0.4"])
    ax.set_xticks([], minor=True)
    return fig


def one_step(
    f: Callable[[float, float], float],
    t: float,
    y: float,
    h: float,
    tableau: Tableau,
    exact: Callable[[np.ndarray], np.ndarray],
) -> Picture:
    """One step of a four-stage method for a scalar problem: each stage, then their average."""
    fig, axes = figure(ncols=5, size=(9.4, 2.9), sharey=True)
    colors = (BLUE, VERMILLION, GREEN, PURPLE)
    ts = np.linspace(t, t + 1.12 * h, 60)
    points, k, y1 = stages(f, t, y, h, tableau)
    for i, ax in enumerate(axes):
        ax.plot(ts, exact(ts), color=EXACT, linewidth=1.2, linestyle=(0, (5, 3)))
        for (t_j, y_j), k_j, color in list(zip(points, k, colors))[: i + 1]:
            half = 0.17 * h / math.hypot(1, h * k_j)
            now = 1.0 if i == 4 or color == colors[i] else 0.3
            ax.plot(
                [t_j - half, t_j + half],
                [y_j - half * k_j, y_j + half * k_j],
                color=color,
                linewidth=3.5,
                alpha=now,
            )
        if i < 4:
            way = sum(w * k_j for w, k_j in zip(tableau.a[i], k))
            ax.plot(
                [t, points[i][0]],
                [y, y + (points[i][0] - t) * way / max(tableau.c[i], 1e-9)],
                ":",
                color=GRAY,
                linewidth=1.3,
            )
            ax.plot(*points[i], "o", color=colors[i])
            ax.set_title(f"k{i + 1} = {k[i] + 0.0:.3f}", color=colors[i])
        else:
            ax.plot([t, t + h], [y, y1], ":", color=GRAY, linewidth=1.3)
            ax.plot(t + h, y1, "o", color=EXACT, markersize=8)
            ax.set_title(f"y1 = {y1:.3f}")
        ax.plot(t, y, "o", color=EXACT)
        ax.set(
            xlim=(t - 0.2 * h, t + 1.2 * h),
            ylim=(0.15, 1.18),
            xlabel="t",
            xticks=[t, t + h / 2, t + h],
        )
    axes[0].set_ylabel("y")
    return fig


def cost_of(target: float, nfe: Sequence[float], errors: Sequence[float]) -> float:
    """The evaluations at which the errors fall below `target`, on a straight line in logarithms.

    Raises:
        ValueError: if they never do, or already the first one does.
    """
    for (n0, e0), (n1, e1) in pairwise(zip(nfe, errors)):
        if e0 > target >= e1:
            share = math.log(e0 / target) / math.log(e0 / e1)
            return n0 * (n1 / n0) ** share
    raise ValueError(f"errors from {errors[0]} to {errors[-1]} do not fall through {target}")


def floor(hs: Sequence[float], curves: Mapping[tuple[str, str], Sequence[float]]) -> Picture:
    """Errors over step sizes in two precisions: {(method, name of the dtype): errors}."""
    fig, ax = figure(size=(7.6, 4.2))
    style = {  # 32 bits are warm, 64 cold
        ("rk4_classic", "float32"): (VERMILLION, "-"),
        ("dopri8", "float32"): (ORANGE, "--"),
        ("rk4_classic", "float64"): (BLUE, "-"),
        ("dopri8", "float64"): (SKY, "--"),
    }
    ax.set(xscale="log", yscale="log", xlim=(min(hs) / 1.4, 2.0), ylim=(1e-17, 20))
    shifts = {  # in points, from the left end of each line to its label
        ("rk4_classic", "float32"): (4, -12),
        ("dopri8", "float32"): (62, -24),
        ("rk4_classic", "float64"): (14, -2),
        ("dopri8", "float64"): (4, 11),
    }
    for key, errors in curves.items():
        color, line = style[key]
        ax.plot(hs[: len(errors)], errors, marker="o", color=color, linestyle=line, markersize=3.5)
        end = (hs[len(errors) - 1], errors[-1])
        dx, dy = shifts[key]
        label_line(end, " ".join(key), ax=ax, color=color, dx=dx, dy=dy)
    for name, bits in (("float32", 24), ("float64", 53)):
        half_eps = 2.0**-bits
        ax.axhline(half_eps, color=GRAY, linewidth=0.8, linestyle=":")
        text = f"eps / 2 of {name}"
        ax.text(min(hs) / 1.3, half_eps / 1.3, text, color=GRAY, fontsize=9, va="top")
    guide = np.array([min(hs), 2**-5])
    ax.plot(guide, 1.3e-6 * np.sqrt(2**-8 / guide) * 1.6, color=GRAY, linewidth=1, linestyle="--")
    ax.annotate(
        "slope -1/2",
        (2**-8, 2.1e-6),
        (0, 8),
        textcoords="offset points",
        color=GRAY,
        fontsize=9,
        ha="center",
    )
    ax.set(xlabel="step size h", ylabel="rms error after one turn")
    return fig


def regions(
    stability_functions: Mapping[str, Callable[..., np.ndarray]], z_shown: Sequence[float]
) -> Picture:
    """Left: where |R| = 1 for {name: R}, the last one shaded, and points z_shown: inside, on and
    outside its boundary. Right: |y| over steps of the last method there.
    """
    fig, (left, right) = figure(ncols=2, size=(8.8, 3.9), width_ratios=[1, 1.3])
    x, y = np.meshgrid(np.linspace(-5, 2, 211), np.linspace(-3.6, 3.6, 211))
    colors = (VERMILLION, BLUE, GREEN, PURPLE)
    places = ((-1.0, 0.25), (-1.0, 1.15), (-1.0, 1.8), (-1.6, 2.75))
    for (name, R), color, at in zip(stability_functions.items(), colors, places):
        size = np.abs(R(x + 1j * y))
        left.contour(x, y, size, levels=[1], colors=[color], linewidths=1.6)
        left.text(*at, name, color=color, ha="center", fontsize=9.5)
    left.contourf(x, y, size, levels=[0, 1], colors=[color], alpha=0.15)
    left.axhline(0, color="#888888", linewidth=0.7, zorder=0)
    left.axvline(0, color="#888888", linewidth=0.7, zorder=0)
    left.set(aspect="equal", xlim=(-5, 2), ylim=(-3.6, 3.6), xlabel="Re hλ", ylabel="Im hλ")
    steps = np.arange(13)
    right.set(yscale="log", ylim=(1e-3, 1e3), xlim=(-0.3, 12.3), xlabel="steps", ylabel="|y|")
    right.set(title=name.split(", ")[-1], xticks=[0, 4, 8, 12])
    fates = {"inside": GREEN, "boundary": ORANGE, "outside": REJECTED}
    for z, (place, color) in zip(z_shown, fates.items()):
        left.plot(z, 0, "o", color=color, markersize=7)
        line = right.plot(steps, np.abs(R(z)) ** steps, "o-", color=color)[0]
        label_line(line, f"{place}, hλ = {z:.2f}")
    return fig


MATRICES = {  # fields y' = A y of four kinds
    "both directions decay": [[-1.4, 0.8], [0.8, -1.4]],
    "decays and turns": [[-0.4, -1.6], [1.6, -0.4]],
    "turns": [[0.0, -1.6], [1.6, 0.0]],
    "decays and grows": [[0.0, 1.0], [1.0, 0.0]],
}


def eigenvalues(matrices: Mapping[str, Sequence[Sequence[float]]]) -> Picture:
    """Fields y' = A y, each titled by its eigenvalues, with paths and, where they are real, the
    directions of the eigenvectors; and all eigenvalues in the plane of the complex numbers.
    """
    fig, axes = figure(ncols=5, size=(10, 2.7), width_ratios=[1, 1, 1, 1, 1.15])
    plane = axes[-1]
    colors = (GREEN, BLUE, ORANGE, REJECTED)
    for ax, (name, rows), color in zip(axes, matrices.items(), colors):
        A = torch.tensor(rows, dtype=torch.float64)
        values, vectors = torch.linalg.eig(A)
        vector_field(_linear(A), ax=ax, n=9, color="#B5B5B5")
        for v in vectors.real.T if not values.imag.any() else ():
            ax.axline((0, 0), tuple(v.tolist()), color=EXACT, linewidth=1, linestyle=(0, (2, 2)))
        moves = torch.matrix_exp(torch.linspace(0, 4, 81, dtype=torch.float64)[:, None, None] * A)
        for angle in np.arange(0.35, 2 * math.pi, math.pi / 3):
            start = torch.tensor([math.cos(angle), math.sin(angle)], dtype=torch.float64)
            path = moves @ (1.6 * start if float(values.real.max()) <= 0 else 0.7 * start)
            ax.plot(*path.T, color=color, linewidth=1.3)
        ax.set(aspect="equal", xlim=(-2, 2), ylim=(-2, 2), xticks=[], yticks=[], xlabel=name)
        ax.set_title("λ = " + _pair(values), fontsize=10, color=color)
        plane.plot(values.real, values.imag, "o", color=color, markersize=7)
    plane.axhline(0, color="#888888", linewidth=0.7, zorder=0)
    plane.axvline(0, color="#888888", linewidth=0.7, zorder=0)
    plane.set(xlim=(-2.6, 2.6), ylim=(-2.6, 2.6), aspect="equal", xlabel="Re λ", ylabel="Im λ")
    plane.text(-2.5, 2.2, "decays", color=GRAY, fontsize=9)
    plane.text(2.5, 2.2, "grows", color=GRAY, fontsize=9, ha="right")
    return fig


def _linear(A: Tensor) -> Callable[[Any, Tensor], Tensor]:
    """The field y' = A y, for states (N, 2)."""
    return lambda t, y: y @ A.T


def _pair(values: Tensor) -> str:
    """Two eigenvalues as a reader writes them: -1 and 2, or -1 ± 2 i."""
    first, second = (complex(value) for value in values)
    if not first.imag:
        return f"{first.real:.1f} and {second.real:.1f}"
    real = f"{first.real:.1f} " if first.real else ""
    return f"{real}± {abs(first.imag):.1f} i"


def step_eigenvalues(f: Callable[..., Tensor], states: Tensor, h: float) -> np.ndarray:
    """h times the eigenvalues (N, 2) of the Jacobian of an autonomous field f at states (N, 2)."""
    J = [torch.autograd.functional.jacobian(lambda y: f(0.0, y), y) for y in states]
    return h * torch.linalg.eigvals(torch.stack(J)).numpy()


def thrown_out(f: Callable[..., Tensor], path: Tensor, loop: Tensor, h: float) -> Picture:
    """Steps of dopri5 (N + 1, 2) beside the exact loop (n, 2), up to the last before the explosion.

    Right: the region of stability, with h times the eigenvalues along the loop and at that state.
    """
    fig, (left, right) = figure(ncols=2, size=(8.6, 3.6), width_ratios=[1.2, 1])
    kept = path[path.norm(dim=1) < 10]
    exact_line(*loop.T, ax=left, label=None)
    trajectory(kept, ax=left, color=PURPLE, marker="o", markersize=4)
    left.plot(*kept[-1], "o", color=REJECTED, markersize=9)
    after = f"next |y| = {float(path[len(kept)].norm()):.3g}"
    label_line(kept[-1].numpy(), after, ax=left, color=REJECTED, dx=8, dy=4)
    left.set(aspect="equal", xlim=(-3.2, 3.2), ylim=(-3.2, 3.9), xlabel="y₁", ylabel="y₂")
    x, y = np.meshgrid(np.linspace(-5, 2, 141), np.linspace(-4, 4, 161))
    stability_region(np.abs(stability_function(DOPRI5)(x + 1j * y)), ax=right)
    right.plot(*_parts(step_eigenvalues(f, loop, h)), ".", color=EXACT, markersize=3)
    right.plot(*_parts(step_eigenvalues(f, kept[-1:], h)), "o", color=REJECTED, markersize=9)
    right.text(-4.9, 3.4, "on the exact loop", color=EXACT, fontsize=9.5)
    right.text(-4.9, 2.8, "before the throw", color=REJECTED, fontsize=9.5)
    right.set(xlabel="Re hλ", ylabel="Im hλ")
    return fig


def _parts(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return z.real.ravel(), z.imag.ravel()


def kepler_orbit(eccentricity: float, n: int) -> Tensor:
    """Exact states (n + 1, 4) of Kepler's problem, positions and velocities, over one period 2 pi.

    At equal times, from the far end on; the sun is at 0. Source: Hairer, Lubich, Wanner,
    "Geometric Numerical Integration", I.2.2.
    """
    M = torch.linspace(0, 2 * math.pi, n + 1, dtype=torch.float64) + math.pi
    E = M.clone()
    e = eccentricity
    for _ in range(60):  # Newton for Kepler's equation E - e sin E = M
        E = E - (E - e * E.sin() - M) / (1 - e * E.cos())
    rate = 1 / (1 - e * E.cos())
    flat = math.sqrt(1 - e * e)
    return torch.stack(
        [E.cos() - e, flat * E.sin(), -E.sin() * rate, flat * E.cos() * rate], dim=-1
    )


def fast_and_slow(t: Tensor, path: Tensor, exact: Tensor, local: Tensor) -> Picture:
    """Left: a computed orbit (n + 1, 4) over the exact one, the sun at 0. Right: the error of each
    single step (n,) over t (n + 1,).
    """
    fig, (left, right) = figure(ncols=2, size=(8.8, 3.4), width_ratios=[1.15, 1])
    exact_line(exact[:, 0], exact[:, 1], ax=left, label=None)
    left.plot(path[:, 0], path[:, 1], ".", color=PURPLE, markersize=3)
    left.plot(0, 0, "o", color=ORANGE, markersize=11)
    left.text(-0.1, 0.0, "sun", color=ORANGE, ha="right", va="center")
    left.text(exact[0, 0] + 0.12, 0.0, "start", color=PURPLE, va="center")
    left.plot(*exact[0, :2], "o", color=PURPLE)
    left.set(aspect="equal", xlim=(-2.1, 0.4), ylim=(-0.95, 0.95), xlabel="position", ylabel="")
    right.semilogy(t[1:], local, color=PURPLE)
    right.set(xlabel="t", ylabel="error of one step", ylim=(1e-15, 1))
    return fig


def _same_cost() -> Picture:
    t = torch.linspace(0, 2 * math.pi, 17, dtype=torch.float64)
    start = torch.tensor([1.0, 0.0], dtype=torch.float64)
    return same_cost(
        oscillator,
        {m: solve(oscillator, start, t, method=m) for m in ("euler", "rk4_classic")},
    )


def _floor() -> Picture:
    h = np.array(_H)
    curves = {}
    for method, order in (("rk4_classic", 4), ("dopri8", 8)):
        for name, bits in (("float32", 24), ("float64", 53)):
            most = 8 if method == "dopri8" else 12
            curves[method, name] = (h**order + 2.0**-bits / np.sqrt(h)).tolist()[:most]
    return floor(_H, curves)


def _thrown_out() -> Picture:
    turn = 2 * math.pi * torch.linspace(0, 1, 40, dtype=torch.float64)
    loop = 2 * torch.stack([turn.cos(), -turn.sin()], dim=1)
    return thrown_out(oscillator, torch.cat([loop[::5], 1e9 * loop[:1]]), loop, 0.6)


def _fast_and_slow() -> Picture:
    exact = kepler_orbit(0.9, 60)
    t = torch.linspace(0, 2 * math.pi, 61)
    return fast_and_slow(t, exact, exact, torch.logspace(-12, -2, 60))


# A picture of each kind, for the test that all of them can be read.
_H = [2 * math.pi / 2**k for k in range(2, 14)]
_TURN = [2 * math.pi / n for n in (16, 32, 64, 128, 256, 512)]
_METHODS = {"1": EULER, "4, RK4": RK4_CLASSIC}
EXAMPLES: dict[str, Callable[[], Picture]] = {
    "same_cost": _same_cost,
    "error_over_step": lambda: error_over_step(
        _TURN, {"euler": _TURN, "rk4_classic": [h**4 for h in _TURN]}
    ),
    "one_step": lambda: one_step(bell, 0.0, 1.0, 1.0, RK4_CLASSIC, lambda t: 1 / (1 + t**2)),
    "floor": _floor,
    "regions": lambda: regions(
        {name: stability_function(m) for name, m in _METHODS.items()}, (-2.6, -2.785293563, -3.0)
    ),
    "eigenvalues": lambda: eigenvalues(MATRICES),
    "thrown_out": _thrown_out,
    "fast_and_slow": _fast_and_slow,
}
