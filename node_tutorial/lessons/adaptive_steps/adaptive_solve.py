"""Lesson 03: where an adaptive method puts its steps, on van der Pol's oscillator."""

import torch

from ... import METHODS
from ...course.controls import choice, log_slider, power_slider
from ...course.explorables import Explorable, explorable
from ...plotting import BLUE, exact_line, step_rug
from ...solvers.control import Tolerance, integral
from ...solvers.integrate import Log, Stop, march
from ...solvers.runge_kutta import RungeKutta, interpolate
from .figures import draw_step_sizes, van_der_pol_exact

_T_END = 15.0  # at least one jump of the oscillator for every mu
_BUDGET = 4000  # evaluations after which a solve stops, so that no picture takes long


@explorable("03", "adaptive_solve")
def adaptive_solve():
    """Van der Pol's oscillator by an adaptive method: where its steps go, and what they cost."""

    def compute(rtol, atol, method, mu):
        solved = _solve_within_budget(rtol, atol, method, mu)
        exact, t = van_der_pol_exact(mu), torch.linspace(0, _T_END, 401, dtype=torch.float64)
        return {
            "setting": f"rtol {rtol:.0e}, atol {atol:.0e}, {method}, μ = {mu}",
            "exact": (t, exact(t)[:, 0]),
            "error": float((solved["y_ends"] - exact(solved["t_ends"]))[:, 0].abs().max()),
            **solved,
        }

    def draw(fig, data):
        top, bottom = fig.subplots(2, 1, sharex=True, height_ratios=[3, 2])
        exact_line(*data["exact"], ax=top, label=None)
        top.plot(data["t"], data["y"], color=BLUE)
        step_rug(data["steps"], ax=top)
        top.set(ylim=(-3.2, 2.6), ylabel="x")
        draw_step_sizes(data["steps"], ax=bottom)
        bottom.set(xlim=(0, _T_END), ylim=(5e-5, 3), xlabel="t")
        stopped = "" if data["reached"] else " (stopped: budget)"
        top.set_title(
            f"{data['setting']}: largest error {data['error']:.1e}\n"
            f"NFE {data['nfe']}{stopped}, {data['accepted']} accepted, {data['rejected']} rejected"
        )

    def describe(data):
        end = data["t_ends"][-1]
        stop = "" if data["reached"] else f", all of the budget, to reach t = {end:.2f}"
        return (
            f"{data['setting']}: {data['nfe']} evaluations{stop}; {data['accepted']} steps "
            f"accepted, {data['rejected']} rejected; x is off by at most {data['error']:.1e}."
        )

    return Explorable(
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


def _solve_within_budget(rtol, atol, method, mu):
    """The loop of `solve`, left when the budget is used up."""
    log, nfe = Log(attempts=[]), 0

    def f(t, y):  # for two numbers, Python floats are quicker than tensors
        nonlocal nfe
        nfe += 1
        x, v = y.tolist()
        return torch.tensor((v, mu * (1 - x * x) * v - x), dtype=torch.float64)

    y0, tol = torch.tensor([2.0, 0.0], dtype=torch.float64), Tolerance(rtol, atol)
    tableau, accepted = METHODS[method], []
    stepper = RungeKutta(tableau)
    for segment in march(f, y0, Stop(0.0), [Stop(_T_END)], stepper, log, tol, integral()):
        accepted.append(segment)
        if nfe >= _BUDGET:
            break
    t, y = _curve(accepted, tableau.dense, y0)
    ends = torch.tensor([0.0] + [end for _, end, _ in accepted], dtype=torch.float64)
    return {
        "t": t,
        "y": y[:, 0],
        "t_ends": ends,
        "y_ends": torch.stack([y0] + [step.y1 for _, _, step in accepted]),
        "steps": [{"t": a.t, "h": a.h, "accepted": a.accepted} for a in log.attempts or []],
        "nfe": nfe,
        "accepted": log.stats.accepted,
        "rejected": log.stats.rejected,
        "reached": bool(ends[-1] == _T_END),
    }


def _curve(accepted, dense, y0):
    """Times and states to draw: several in a long step, only the end of a short one."""
    t, y = [0.0], [y0.unsqueeze(0)]
    for begin, end, step in accepted:
        n = min(8, 1 + int((end - begin) / 0.03))
        inside = [i / n for i in range(1, n)]
        if inside:
            y.append(interpolate(step, inside, dense))
        y.append(step.y1.unsqueeze(0))
        t += [begin + theta * (end - begin) for theta in inside] + [end]
    return torch.tensor(t, dtype=torch.float64), torch.cat(y)
