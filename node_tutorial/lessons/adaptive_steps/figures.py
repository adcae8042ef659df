"""Figures of lesson 03, one function each, and what some of them measure."""

import inspect
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from IPython.display import Markdown
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from torch import Tensor

from ... import METHODS
from ...plotting import (
    BLUE,
    EXACT,
    GREEN,
    REJECTED,
    SKY,
    VERMILLION,
    exact_line,
    figure,
    fitted_slope,
    label_line,
    loglog_slope,
    room_for_labels,
    step_rug,
    work_precision,
)
from ...solvers.runge_kutta import RungeKutta, interpolate
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


def step_anatomy(
    f: Callable[..., Tensor], t: Tensor, y: Tensor, exact: Exact, method: str
) -> tuple[Figure, Tensor]:
    """A solution y (n + 1, D) at its step ends t (n + 1,) over the exact one, also zoomed; the
    error of each single step. Returns the figure, and these errors (n,).
    """
    errors = local_errors(f, t, exact, method)
    fig, axes = figure(nrows=2, ncols=2, size=(8.6, 4.4), width_ratios=[5, 2])
    (top, right), (bottom, spare) = axes
    spare.remove()
    right.set_subplotspec(right.get_gridspec()[:, 1])
    top.sharex(bottom)
    fine = torch.linspace(float(t[0]), float(t[-1]), 4001, dtype=torch.float64)
    for ax in (top, right):
        ax.plot(t, y[:, 0], ".-", color=BLUE, linewidth=1.0, markersize=3.5)
        exact_line(fine, exact(fine)[:, 0], ax=ax, label=None)
        ax.set(ylim=(-2.7, 2.7), ylabel="x")
    right.set(xlim=_SECOND_JUMP, xlabel="t, the second jump")
    bottom.semilogy(t[1:], errors.clamp(min=1e-17), ".", color=VERMILLION, markersize=4)
    bottom.set(ylim=(1e-9, 1e1), xlabel="t", ylabel="error of one step")
    return fig, errors


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
) -> Figure:
    """The exact x (n,) over t (n,) with all attempts as a rug under it; their sizes below."""
    fig, (top, bottom) = figure(nrows=2, size=(8.2, 4.4), sharex=True)
    exact_line(t, x, ax=top, label=None)
    step_rug(steps, ax=top)
    top.set(ylim=(-3.4, 2.7), ylabel="x (exact)")
    draw_step_sizes(steps, ax=bottom).set(xlabel="t", ylim=(2e-2, 1.2))
    return fig


def estimate_figure(h: Tensor, euler: Tensor, heun: Tensor, estimate: Tensor) -> Figure:
    """Errors (n,) of both methods, and the estimate, over step sizes h (n,)."""
    fig, ax = figure(size=(7.2, 3.2))
    style = {"ax": ax, "unit": "slope", "xlabel": "h"}
    broad = {"linewidth": 6, "alpha": 0.35}
    loglog_slope(h, euler, label="error of Euler", color=VERMILLION, **broad, **style)
    loglog_slope(h, heun, label="error of Heun", color=BLUE, **style)
    loglog_slope(h, estimate, label="estimate", color=GREEN, linewidth=1.2, **style)
    room_for_labels(ax, 0.5)
    ax.set_xticks([1e-2, 1e-1])
    return fig


def cost_figure(tols: Sequence[float], costs: Mapping[str, Sequence[int]]) -> Figure:
    """NFE over tolerance; `costs` maps the name of a method to its NFE (n,)."""
    fig, ax = figure(size=(7.2, 3.2))
    ax.invert_xaxis()
    lines = [ax.loglog(tols, nfe, "o-")[0] for nfe in costs.values()]
    ax.set(xlabel="tolerance (smaller to the right)", ylabel="NFE")
    ax.set_xlim(2 * tols[0], tols[-1] / 3000)
    ax.set_xticks(tols)
    for line, (name, nfe) in zip(lines, costs.items()):
        label_line(line, f"{name}, slope {fitted_slope(tols, nfe):.2f}")
    return fig


def tolerance_figure(tols: Sequence[float], errors: Mapping[str, Sequence[float]]) -> Figure:
    """Global error over tolerance: {name: errors (n,)}; slopes are fitted without the first."""
    fig, ax = figure(size=(7.6, 3.6))
    style = {"unit": "slope", "xlabel": "tolerance", "fit": slice(1, None)}
    for name, values in errors.items():
        loglog_slope(tols, values, ax=ax, label=name, **style)
    exact_line([1e-12, 1e-2], [1e-12, 1e-2], ax=ax, label="error = tolerance")
    room_for_labels(ax, 0.5)
    ax.set_xticks(tols)
    return fig


class InsideErrors(NamedTuple):
    """Largest errors of a component (m,) at times t (m,) inside of steps, by two polynomials."""

    t: Tensor
    cubic: Tensor
    own: Tensor  # the method's own


def inside_steps(solution: Solution, exact: Exact, n: int = 16) -> InsideErrors:
    """The errors at n equal parts of each step of a recorded solution."""
    theta = [i / n for i in range(1, n + 1)]
    times = []
    cubic = []
    own = []
    for begin, end, step in solution._segments or []:
        t = torch.tensor([begin + x * (end - begin) for x in theta], dtype=torch.float64)
        times.append(t)
        cubic.append((interpolate(step, theta, "cubic") - exact(t)).abs().amax(1))
        own.append((interpolate(step, theta, solution._dense) - exact(t)).abs().amax(1))
    return InsideErrors(torch.cat(times), torch.cat(cubic), torch.cat(own))


def dense_output_figure(solution: Solution, exact: Exact) -> tuple[Figure, float, float]:
    """`inside_steps` over time, with dots at the ends of steps.

    Returns the figure, and the largest errors of the cubic and of the method's own polynomial.
    """
    t, cubic, own = inside_steps(solution, exact)
    ends = step_ends(solution)[1:]
    y: Any = solution(ends)
    fig, ax = figure(size=(8.2, 3.2))
    both = ((cubic, VERMILLION), (own, BLUE))
    lines = [ax.semilogy(t, errors, color=color, linewidth=1.3)[0] for errors, color in both]
    ax.semilogy(ends, (y - exact(ends)).abs().amax(1), "o", color=EXACT, markersize=3)
    ax.set(xlabel="t", ylabel="error", ylim=(float(cubic.max()) / 2000, float(cubic.max()) * 3))
    room_for_labels(ax, 0.08)
    label_line(lines[0], "cubic", dy=8)
    label_line(lines[1], "quartic", dy=-4)
    return fig, float(cubic.max()), float(own.max())


def error_cost_figure(tols: Sequence[float], nfe: Sequence[int], errors: Sequence[float]) -> Figure:
    """Error (n,) over NFE (n,), some points labeled by their tolerance (n,)."""
    fig, ax = figure(size=(7.2, 3.2))
    work_precision(nfe, errors, ax=ax)
    ax.set_xlim(0.8 * nfe[0], 2.4 * nfe[-1])
    ax.set_xticks([20, 50, 100, 200], ["20", "50", "100", "200"])
    ax.xaxis.set_minor_formatter(NullFormatter())
    for i in range(0, len(tols), 4):
        label_line((nfe[i], errors[i]), f"tolerance {tols[i]:.0e}", ax=ax, dx=7, dy=3)
    return fig


def time_figure(nfe: Sequence[int], milliseconds: Sequence[float]) -> Figure:
    """Time (n,) over NFE (n,), from zero."""
    fig, ax = figure(size=(6.4, 2.8))
    ax.plot(nfe, milliseconds, "o", color=BLUE)
    ax.set(xlabel="evaluations of f (NFE)", ylabel="time (ms)", xlim=(0, None), ylim=(0, None))
    return fig


def creep_figure(solutions: Mapping[str, Solution]) -> Figure:
    """x over time, and the step sizes of recorded solutions by the I and the PI controller."""
    fig, (left, right) = figure(ncols=2, size=(8.6, 3.2))
    for (name, solution), color, width in zip(solutions.items(), (SKY, GREEN), (0.8, 1.6)):
        t = step_ends(solution)[:-1]  # the last step is cut short
        right.plot(t[1:], t.diff(), color=color, linewidth=width)
        height = 0.0148 if name == "I" else 0.0085
        right.text(10, height, f"{name} controller", color=color, ha="right")
    right.set(xlabel="t", ylabel="step size h", xlim=(0, 10.2), ylim=(0, 0.02))
    y: Any = solution(t)
    left.plot(t, y[:, 0], color=BLUE)
    left.set(xlabel="t", ylabel="x", ylim=(0, 2.2))
    return fig


def source_of(function: Callable, start: str) -> Markdown:
    """The source of a function from the line on that begins with `start`, as highlighted code."""
    source = inspect.getsource(function)
    line = source.rindex("\n", 0, source.index(start)) + 1
    return Markdown("```python\n" + textwrap.dedent(source[line:]) + "```")
