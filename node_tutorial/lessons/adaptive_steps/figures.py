"""Figures of lesson 03, one function each, and what some of them measure."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter
from scipy.interpolate import CubicHermiteSpline
from torch import Tensor

from ... import METHODS, solve
from ...data.systems import oscillator, oscillator_exact, van_der_pol_exact
from ...plotting import (
    BLUE,
    EXACT,
    GREEN,
    REJECTED,
    SKY,
    VERMILLION,
    Picture,
    exact_line,
    figure,
    fitted_slope,
    label_line,
    step_rug,
    work_precision,
)
from ...solvers.runge_kutta import RungeKutta
from ...solvers.solution import Solution
from ...solvers.stability import step_ends
from ...solvers.statistics import Attempt

Exact = Callable[[Tensor], Tensor]  # times (n,) -> states (n, D)

_SECOND_JUMP = (15.2, 16.2)


def local_errors(f: Callable[..., Tensor], t: Tensor, exact: Exact, method: str) -> Tensor:
    """The errors (n,) of single steps over t (n + 1,), each from the exact state."""
    step = RungeKutta(METHODS[method]).step
    states = exact(t)
    errors = []
    for i, (t0, t1) in enumerate(zip(t[:-1].tolist(), t[1:].tolist())):
        y1 = step(f, t0, states[i], t1 - t0).y1
        errors.append(torch.linalg.vector_norm(y1 - states[i + 1]))
    return torch.stack(errors)


def step_anatomy(t: Tensor, y: Tensor, exact: Exact, errors: Tensor) -> Picture:
    """A solution y (n + 1, D) at its step ends t (n + 1,) over the exact one, also zoomed; below
    the error of each single step (n,).
    """
    fig, axes = figure(nrows=2, ncols=2, size=(8.6, 4.4), width_ratios=[5, 2])
    (top, right), (bottom, spare) = axes
    spare.remove()
    right.set_subplotspec(right.get_gridspec()[:, 1])
    top.sharex(bottom)
    fine = torch.linspace(float(t[0]), float(t[-1]), 4001, dtype=torch.float64)
    for ax in (top, right):
        ax.plot(t, y[:, 0], ".-", color=SKY, linewidth=2.4, markersize=6)
        exact_line(fine, exact(fine)[:, 0], ax=ax, label=None, zorder=3)
        ax.set(ylim=(-2.7, 2.7), ylabel="x")
    right.set(xlim=_SECOND_JUMP, xlabel="t, the second jump")
    bottom.semilogy(t[1:], errors.clamp(min=1e-17), ".", color=VERMILLION, markersize=4)
    bottom.set(ylim=(1e-9, 1e1), xlabel="t", ylabel="error of one step")
    return fig


def draw_step_sizes(steps: Sequence[Attempt] | Sequence[Mapping[str, Any]], *, ax: Axes) -> Axes:
    """Step sizes over time: accepted steps as blue dots, rejected attempts as red crosses."""
    attempts = [step._asdict() if isinstance(step, Attempt) else step for step in steps]
    for accepted, marker, color in ((True, ".", BLUE), (False, "x", REJECTED)):
        chosen = [step for step in attempts if step["accepted"] == accepted]
        if chosen:
            t = [step["t"] for step in chosen]
            ax.semilogy(t, [step["h"] for step in chosen], marker, color=color, markersize=4)
    ax.set_yscale("log")
    ax.set_ylabel("step size h")
    return ax


def rug_figure(
    steps: Sequence[Attempt] | Sequence[Mapping[str, Any]], t: Tensor, x: Tensor
) -> Picture:
    """The exact x (n,) over t (n,) with all attempts as a rug under it; their sizes below."""
    fig, (top, bottom) = figure(nrows=2, size=(8.2, 4.4), sharex=True)
    exact_line(t, x, ax=top, label=None)
    step_rug(steps, ax=top)
    top.set(ylim=(-3.4, 2.7), ylabel="x (exact)")
    draw_step_sizes(steps, ax=bottom).set(xlabel="t", ylim=(2e-2, 1.2))
    return fig


def estimate_figure(h: Tensor, euler: Tensor, heun: Tensor, estimate: Tensor) -> Picture:
    """Errors (n,) of both methods, and the estimate, over step sizes h (n,)."""
    fig, ax = figure(size=(7.2, 3.2))
    for errors, label, color, width, alpha in (
        (euler, "error of Euler", VERMILLION, 6.0, 0.35),
        (heun, "error of Heun", BLUE, 1.8, 1.0),
        (estimate, "estimate", GREEN, 1.2, 1.0),
    ):
        style = {"color": color, "linewidth": width, "alpha": alpha}
        ax.loglog(h, errors, "o-", **style)
        longest = (h[0], errors[0])
        label_line(longest, f"{label}, slope {fitted_slope(h, errors):.2f}", ax=ax, color=color)
    ax.set(xlabel="h", ylabel="error")
    ax.set_xticks([1e-2, 1e-1])
    ax.minorticks_off()
    return fig


def cost_figure(tols: Sequence[float], costs: Mapping[str, Sequence[int]]) -> Picture:
    """NFE over tolerance; `costs` maps the name of a method to its NFE (n,)."""
    fig, ax = figure(size=(7.2, 3.2))
    lines = [ax.loglog(tols, nfe, "o-")[0] for nfe in costs.values()]
    _toward_small_tolerances(ax, tols)
    ax.set(ylabel="NFE")
    for line, (name, nfe) in zip(lines, costs.items()):
        label_line(line, f"{name}, slope {fitted_slope(tols, nfe):.2f}")
    return fig


def _toward_small_tolerances(ax: Axes, tols: Sequence[float]) -> None:
    """A logarithmic axis of tolerances, the smallest at the right."""
    ax.set(xlim=(2 * max(tols), min(tols) / 2), xlabel="tolerance (smaller to the right)")
    ax.set_xticks(tols)


def tolerance_figure(
    tols: Sequence[float], errors: Mapping[float, Sequence[float]], span: float
) -> Picture:
    """What becomes of a disturbance of y' = lambda (y - sin t) + cos t, and the global error.

    `errors` maps lambda to errors (n,) over tolerances (n,); a panel for each lambda shows sin t
    for 0 <= t <= `span` and its neighbors; slopes are fitted without the first tolerance.
    """
    widths = [1] * len(errors) + [2]
    fig, axes = figure(ncols=len(widths), size=(9.2, 3.2), width_ratios=widths)
    last = axes[-1]
    t = torch.linspace(0, span, 400, dtype=torch.float64)
    for ax, (lam, values), color in zip(axes, errors.items(), (VERMILLION, BLUE)):
        for start in (1.0, 3.0, 5.0):
            later = t[t >= start]
            for sign in (-1, 1):
                away = sign * 0.4 * torch.exp(lam * (later - start))
                ax.plot(later, torch.sin(later) + away, color=color, linewidth=1.0)
            ax.plot([start, start], torch.sin(later[:1]) + torch.tensor([-0.4, 0.4]), color=color)
        exact_line(t, torch.sin(t), ax=ax, label=None, zorder=3)
        kind = "expanding" if lam > 0 else "contracting"
        ax.set(xlabel="t", ylim=(-3, 3), title=f"λ = {lam:g}: {kind}")
        (line,) = last.loglog(tols, values, "o-", color=color)
        slope = fitted_slope(tols, values, slice(1, None))
        label_line(line, f"λ = {lam:g}, slope {slope:.2f}")
    exact_line(tols, tols, ax=last, label=None)
    _toward_small_tolerances(last, tols)
    last.set_xticks(tols[::2])
    last.set(ylabel="error")
    label_line((tols[-1], tols[-1]), "error = tolerance", ax=last, color=EXACT, dy=-12)
    return fig


class InsideErrors(NamedTuple):
    """Largest errors of a component at n times inside of each of m steps, by two polynomials."""

    t: Tensor  # (m, n), the last of each step its end
    cubic: Tensor  # (m, n), Hermite's: through both ends and the slopes there
    own: Tensor  # (m, n), the method's own


def inside_steps(
    solution: Solution, f: Callable[..., Tensor], exact: Exact, n: int = 16
) -> InsideErrors:
    """The errors at n equal parts of each step of a recorded solution of y' = f."""
    ends = step_ends(solution)
    share = torch.arange(1, n + 1, dtype=torch.float64) / n
    t = ends[:-1, None] + ends.diff()[:, None] * share
    t[:, -1] = ends[1:]  # free of rounding
    y: Any = solution(ends)
    cubic = CubicHermiteSpline(ends, y, f(ends, y))
    own: Any = solution(t.flatten())
    truth = exact(t.flatten())
    errors = [
        (states - truth).abs().amax(1).reshape(t.shape)
        for states in (torch.from_numpy(cubic(t.flatten())), own)
    ]
    return InsideErrors(t, *errors)


def dense_output_figure(errors: InsideErrors) -> Picture:
    """The errors inside of steps over time, with dots at the ends of the steps."""
    t, cubic, own = errors
    fig, ax = figure(size=(8.2, 3.2))
    lines = [
        ax.semilogy(t.flatten(), values.flatten(), color=color, linewidth=1.3)[0]
        for values, color in ((cubic, VERMILLION), (own, BLUE))
    ]
    ax.semilogy(t[:, -1], own[:, -1], "o", color=EXACT, markersize=3)
    top = float(cubic.max())
    ax.set(xlabel="t", ylabel="error", ylim=(top / 2000, 3 * top))
    label_line(lines[0], "cubic", dy=8)
    label_line(lines[1], "quartic", dy=-4)
    return fig


def error_cost_figure(
    tols: Sequence[float], nfe: Sequence[int], errors: Sequence[float]
) -> Picture:
    """Error (n,) over NFE (n,), some points labeled by their tolerance (n,)."""
    fig, ax = figure(size=(7.2, 3.2))
    work_precision(nfe, errors, ax=ax)
    ax.set_xlim(0.8 * nfe[0], 2.4 * nfe[-1])
    ax.set_xticks([20, 50, 100, 200], ["20", "50", "100", "200"])
    ax.xaxis.set_minor_formatter(NullFormatter())
    for i in range(0, len(tols), 4):
        label_line((nfe[i], errors[i]), f"tolerance {tols[i]:.0e}", ax=ax, dx=7, dy=3)
    return fig


def time_figure(nfe: Sequence[int], milliseconds: Sequence[float]) -> Picture:
    """Time (n,) over NFE (n,), from zero."""
    fig, ax = figure(size=(6.4, 2.8))
    ax.plot(nfe, milliseconds, "o", color=BLUE)
    ax.set(xlabel="evaluations of f (NFE)", ylabel="time (ms)", xlim=(0, None), ylim=(0, None))
    return fig


def creep_figure(solutions: Mapping[str, Solution]) -> Picture:
    """x over time, and the step sizes of recorded solutions by the I and the PI controller."""
    fig, (left, right) = figure(ncols=2, size=(8.6, 3.2))
    for (name, solution), color, width in zip(solutions.items(), (SKY, GREEN), (0.8, 1.6)):
        t = step_ends(solution)[:-1]  # the last step is cut short
        (line,) = right.plot(t[1:], t.diff(), color=color, linewidth=width)
        label_line(line, f"{name} controller")
    right.set(xlabel="t", ylabel="step size h", ylim=(0, None))
    y: Any = solution(t)
    left.plot(t, y[:, 0], color=BLUE)
    left.set(xlabel="t", ylabel="x", ylim=(0, 2.2))
    return fig


# A picture of each kind, for the test that all of them can be read.


def _rotation(t: Tensor) -> Tensor:
    return oscillator_exact(t, torch.tensor([1.0, 0.0], dtype=torch.float64))


def _turned() -> Solution:
    t = torch.tensor([0.0, 6.0], dtype=torch.float64)
    return solve(oscillator, _rotation(t[0]), t, rtol=1e-6, atol=1e-6, record=True)


def _anatomy() -> Picture:
    exact = van_der_pol_exact(8)
    t = torch.linspace(0, 20, 41, dtype=torch.float64)
    return step_anatomy(t, exact(t), exact, 1e-6 + (t[1:] - 9) ** 2 / 100)


def _rug() -> Picture:
    t = torch.linspace(0, 6, 41, dtype=torch.float64)
    rejected = Attempt(1.0, 0.5, 2.0, False)
    return rug_figure([*(_turned().steps or []), rejected], t, _rotation(t)[:, 0])


def _estimate() -> Picture:
    h = 2.0 ** -torch.arange(1, 6, dtype=torch.float64)
    return estimate_figure(h, h**2, h**3, 0.9 * h**2)


_TOLS = [10.0**-k for k in range(1, 10)]

EXAMPLES: dict[str, Callable[[], Picture]] = {
    "step_anatomy": _anatomy,
    "rug_figure": _rug,
    "estimate_figure": _estimate,
    "cost_figure": lambda: cost_figure(
        _TOLS[::4], {"bosh3": [100, 400, 1600], "dopri5": [90, 200, 500], "dopri8": [95, 190, 400]}
    ),
    "tolerance_figure": lambda: tolerance_figure(
        _TOLS[::4], {1.0: [1e1, 1e-1, 1e-5], -1.0: _TOLS[::4]}, 10.0
    ),
    "dense_output_figure": lambda: dense_output_figure(
        inside_steps(_turned(), oscillator, _rotation)
    ),
    "error_cost_figure": lambda: error_cost_figure(
        _TOLS, range(20, 200, 20), [10.0**-k for k in range(9)]
    ),
    "time_figure": lambda: time_figure([10, 20], [1.0, 2.0]),
    "creep_figure": lambda: creep_figure({"I": _turned(), "PI": _turned()}),
}
