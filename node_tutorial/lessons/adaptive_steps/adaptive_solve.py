"""Lesson 03: van der Pol's oscillator by an adaptive method: where its steps go, what they cost."""

from typing import Any, NamedTuple

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ... import SolveError, solve
from ...course.controls import choice, log_slider, power_slider
from ...course.explorables import explorable
from ...data.systems import van_der_pol_exact
from ...plotting import BLUE, exact_line, step_rug
from ...solvers.solution import Solution
from ...solvers.stability import step_ends
from ...solvers.statistics import Attempt
from .figures import draw_step_sizes

_T_END = 15.0  # at least one jump of the oscillator for every mu
_BUDGET = 4000  # evaluations after which a solve stops, so that no picture takes long
_TIMES = torch.linspace(0, _T_END, 401, dtype=torch.float64)  # of the exact solution


class AdaptiveSolve(NamedTuple):
    """A solve as far as it came: x (n,) over t (n,), every attempted step, the counts, the largest
    error of x at the ends of steps; and the exact x (401,).
    """

    setting: str
    t: Tensor
    x: Tensor
    exact: Tensor
    error: float
    steps: list[Attempt]
    nfe: int
    accepted: int
    rejected: int
    reached: bool  # whether it came to the end within the budget


def compute(rtol: float, atol: float, method: str, mu: int) -> AdaptiveSolve:
    solution = _solve_within_budget(rtol, atol, method, mu)
    exact = van_der_pol_exact(mu)
    ends = step_ends(solution)
    at_ends: Any = solution(ends)
    t = _drawn_times(ends)
    drawn: Any = solution(t)
    return AdaptiveSolve(
        setting=f"rtol {rtol:.0e}, atol {atol:.0e}, {method}, μ = {mu}",
        t=t,
        x=drawn[:, 0],
        exact=exact(_TIMES)[:, 0],
        error=float((at_ends - exact(ends))[:, 0].abs().max()),
        steps=solution.steps or [],
        nfe=solution.stats.nfe,
        accepted=solution.stats.accepted,
        rejected=solution.stats.rejected,
        reached=bool(ends[-1] == _T_END),
    )


def _solve_within_budget(rtol: float, atol: float, method: str, mu: float) -> Solution:
    """The recorded solution from (2, 0), as far as the budget goes."""

    def f(t: Tensor, y: Tensor) -> Tensor:
        x, v = y.tolist()  # for two numbers, Python floats are quicker than tensors
        return torch.tensor((v, mu * (1 - x * x) * v - x), dtype=torch.float64)

    y0 = torch.tensor([2.0, 0.0], dtype=torch.float64)
    t = torch.tensor([0.0, _T_END], dtype=torch.float64)
    options = {"max_num_evaluations": _BUDGET}
    try:
        return solve(f, y0, t, rtol=rtol, atol=atol, method=method, options=options, record=True)
    except SolveError as error:
        return error.solution


def _drawn_times(ends: Tensor) -> Tensor:
    """Times (n,) to draw, from the ends of steps: several in a long step, else its end."""
    t = [0.0]
    for begin, end in zip(ends[:-1].tolist(), ends[1:].tolist()):
        n = min(8, 1 + int((end - begin) / 0.03))
        t += [begin + i / n * (end - begin) for i in range(1, n)]
        t.append(end)
    return torch.tensor(t, dtype=torch.float64)


def draw(fig: Figure, data: AdaptiveSolve) -> None:
    top, bottom = fig.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    exact_line(_TIMES, data.exact, ax=top, label=None)
    top.plot(data.t, data.x, color=BLUE)
    step_rug(data.steps, ax=top)
    top.set(ylim=(-3.2, 2.6), ylabel="x")
    draw_step_sizes(data.steps, ax=bottom)
    bottom.set(xlim=(0, _T_END), ylim=(5e-5, 3), xlabel="t")
    stopped = "" if data.reached else " (stopped: budget)"
    top.set_title(
        f"{data.setting}: largest error {data.error:.1e}\n"
        f"NFE {data.nfe}{stopped}, {data.accepted} accepted, {data.rejected} rejected"
    )


def describe(data: AdaptiveSolve) -> str:
    stopped = "" if data.reached else f", all of the budget, to reach t = {float(data.t[-1]):.2f}"
    return (
        f"{data.setting}: {data.nfe} evaluations{stopped}; {data.accepted} steps accepted, "
        f"{data.rejected} rejected; x is off by at most {data.error:.1e}."
    )


adaptive_solve = explorable(
    compute,
    draw,
    describe,
    size=(8, 4.4),
    question="Predict first: rtol goes down to 1e-10 and atol stays at 1e-6. "
    "Does the number of evaluations keep growing?",
    controls={
        "rtol": log_slider("rtol", 1e-10, 1e-2, value=1e-4, format=".0e", per_decade=1),
        "atol": log_slider("atol", 1e-10, 1e-2, value=1e-6, format=".0e", per_decade=1),
        "method": choice("method", ["bosh3", "dopri5", "tsit5", "dopri8"], value="dopri5"),
        "mu": power_slider("μ", 1, 8, value=4),
    },
)
