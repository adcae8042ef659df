"""Figures of lesson 02, one function each."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

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
    exact_line,
    figure,
    label_line,
    loglog_slope,
    room_for_labels,
    trajectory,
    vector_field,
)
from ...solvers.solution import Solution
from ...solvers.tableaus import Tableau
from .tableau_workbench import stages

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


def same_cost(f: Callable[..., Tensor], solutions: Mapping[str, Solution]) -> Figure:
    """Paths (T, 2) of one turn side by side: {title: Solution}, over the field and the circle.

    f(t, y) takes states whose first axis holds the components, (2,) or (2, n).
    """
    fig, axes = figure(ncols=len(solutions), size=(8.6, 3.9))
    turn = np.linspace(0, 2 * np.pi, 200)
    for ax, (name, solution), color in zip(axes, solutions.items(), (VERMILLION, PURPLE)):
        vector_field(lambda t, y: f(t, y.T).T, ax=ax, n=15)
        exact_line(np.cos(turn), np.sin(turn), ax=ax, label=None)
        trajectory(solution.y, ax=ax, color=color, marker="o", markersize=3.5)
        miss = float((solution.y[-1] - solution.y[0]).norm())
        ax.set(aspect="equal", xticks=[-2, -1, 0, 1, 2], yticks=[-2, -1, 0, 1, 2])
        ax.set_title(f"{name}: NFE {solution.stats.nfe}, error {miss:.4f}")
    return fig


def error_over_step(hs: Sequence[float], errors: Mapping[str, Sequence[float]]) -> Figure:
    """The figure that the lesson redraws, always with the same limits: {method: errors} over hs."""
    fig, ax = figure(size=(7.2, 3.7))
    ax.set(xscale="log", yscale="log", xlim=(0.009, 1.6), ylim=(2e-10, 2e1))
    for name, values in errors.items():
        line = "--" if name in ("heun2", "rk4") else "-"  # those that lie on another line
        style = {"color": COLORS[name], "linestyle": line}
        loglog_slope(hs, values, ax=ax, label=name, fit=slice(-3, None), **style)
    ax.set_ylabel("error after one turn")
    return fig


def one_step(
    f: Callable[[float, float], float],
    t: float,
    y: float,
    h: float,
    tableau: Tableau,
    exact: Callable[[np.ndarray], np.ndarray],
) -> Figure:
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


def floor(hs: Sequence[float], curves: Mapping[tuple[str, str], Sequence[float]]) -> Figure:
    """Errors over step sizes in two precisions: {(method, name of the dtype): errors}."""
    fig, ax = figure(size=(7.6, 4.2))
    style = {  # 32 bits are warm, 64 cold
        ("rk4_classic", "float32"): (VERMILLION, "-"),
        ("dopri8", "float32"): (ORANGE, "--"),
        ("rk4_classic", "float64"): (BLUE, "-"),
        ("dopri8", "float64"): (SKY, "--"),
    }
    ax.set(xscale="log", yscale="log", xlim=(min(hs) / 20, 2.2), ylim=(1e-17, 20))
    for key, errors in curves.items():
        color, line = style[key]
        ax.plot(hs[: len(errors)], errors, marker="o", color=color, linestyle=line, markersize=3.5)
        end = (hs[len(errors) - 1], errors[-1])
        label_line(end, " ".join(key), ax=ax, color=color, ha="right", dx=-6)
    for name, bits in (("float32", 24), ("float64", 53)):
        half_eps = 2.0**-bits
        ax.axhline(half_eps, color=GRAY, linewidth=0.8, linestyle=":")
        text = f"eps / 2 of {name}"
        ax.text(min(hs) / 18, half_eps * 1.3, text, color=GRAY, fontsize=9, va="bottom")
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
    stability_functions: Mapping[str, Callable[..., np.ndarray]],
    z_shown: Sequence[float],
    R: Callable[..., np.ndarray],
) -> Figure:
    """Left: where |R| = 1 for {name: R}, and the points z_shown. Right: |y| over steps there."""
    fig, (left, right) = figure(ncols=2, size=(8.8, 3.9), width_ratios=[1, 1.3])
    x, y = np.meshgrid(np.linspace(-5, 2, 211), np.linspace(-3.6, 3.6, 211))
    colors = (VERMILLION, BLUE, GREEN, PURPLE)
    places = ((-1.0, 0.25), (-1.0, 1.15), (-1.0, 1.8), (-1.25, 2.75))
    for (name, function), color, at in zip(stability_functions.items(), colors, places):
        left.contour(x, y, np.abs(function(x + 1j * y)), levels=[1], colors=[color], linewidths=1.6)
        left.text(*at, name, color=color, ha="center", fontsize=9.5)
    left.axhline(0, color="#888888", linewidth=0.7, zorder=0)
    left.axvline(0, color="#888888", linewidth=0.7, zorder=0)
    left.set(aspect="equal", xlim=(-5, 2), ylim=(-3.6, 3.6), xlabel="Re hλ", ylabel="Im hλ")
    steps = np.arange(13)
    right.set(yscale="log", ylim=(1e-5, 1e5), xlim=(-0.5, 12.5), xlabel="steps", ylabel="|y|")
    room_for_labels(right, 0.28)
    fates = {"inside": GREEN, "boundary": ORANGE, "outside": REJECTED}
    for z, (place, color) in zip(z_shown, fates.items()):
        left.plot(z, 0, "o", color=color, markersize=8)
        line = right.plot(steps, np.abs(R(z)) ** steps, "o-", color=color)[0]
        label_line(line, f"{place}, hλ = {z:.2f}")
    return fig


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


def fast_and_slow(t: Tensor, path: Tensor, exact: Tensor, local: Tensor) -> Figure:
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
