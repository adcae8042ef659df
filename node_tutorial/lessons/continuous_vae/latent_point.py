"""Lesson 11: a latent point, the path that the oscillator's field sends it on, and the series that
it decodes to.
"""

import numpy as np
import torch

from ... import solve
from ...course.controls import slider
from ...course.explorables import Explorable, explorable
from ...models import Oscillator
from ...plotting import BLUE, GRAY, ORANGE, exact_line
from .physics import position_weights

_END = 15.0
_T = torch.linspace(0, _END, 301, dtype=torch.float64)


@explorable("11", "latent_point")
def latent_point():
    """Generation: one point of the latent plane gives a whole series, at any time."""

    def compute(q, v, omega, damping):
        field = Oscillator(omega, damping).double()
        solution = solve(field, torch.tensor([q, v], dtype=torch.float64), _T, rtol=1e-5, atol=1e-6)
        exact = position_weights(_T.numpy(), omega, damping) @ (q, v)
        return {
            "kind": _kind(omega, damping),
            "setting": f"ω = {omega:.2f}, damping {damping:.2f}",
            "start": (q, v),
            "path": solution.y.numpy(),
            "exact": exact,
            "error": float(np.abs(solution.y[:, 0].numpy() - exact).max()),
            "nfe": solution.stats.nfe,
            "zeros": int((exact[1:] * exact[:-1] < 0).sum()),
        }

    def draw(fig, data):
        left, right = fig.subplots(1, 2, width_ratios=[3, 5])
        angle = np.linspace(0, 2 * np.pi, 200)
        for radius in (1, 2):
            left.plot(
                radius * np.cos(angle), radius * np.sin(angle), color="#CFCFCF", linewidth=1.0
            )
        left.plot(*data["path"].T, color=BLUE, linewidth=1.4)
        left.plot(*data["start"], "o", color=ORANGE, markersize=9)
        left.set(xlim=(-3.6, 3.6), ylim=(-6.8, 6.8), xlabel="q", ylabel="v")
        left.set_title(
            f"latent from ({data['start'][0]:.1f}, {data['start'][1]:.1f})\ncircles: 1 and 2 σ of "
            "N(0, I)"
        )
        right.axhline(0, color=GRAY, linewidth=0.6)
        right.plot(_T, data["path"][:, 0], color=BLUE)
        exact_line(_T, data["exact"], ax=right, label=None)
        right.plot(0, data["start"][0], "o", color=ORANGE, markersize=9)
        right.set(xlim=(-0.3, _END), ylim=(-3.6, 3.6), xlabel="t", ylabel="x = q")
        right.set_title(
            f"{data['setting']}: {data['kind']}\nNFE {data['nfe']}, largest error "
            f"{data['error']:.0e}"
        )

    def describe(data):
        return (
            f"{data['setting']}: {data['kind']}; from ({data['start'][0]:.1f}, "
            f"{data['start'][1]:.1f}) the series "
            f"crosses zero {data['zeros']} times in {_END:g} units of time; {data['nfe']} "
            "evaluations."
        )

    return Explorable(
        compute,
        draw,
        describe,
        size=(8.8, 3.9),
        question="Predict first: a larger damping slows the swing. From which damping on is there no swing at all?",
        controls={
            "q": slider("q at t = 0", -2.0, 2.0, value=1.0, step=0.1, format=".1f"),
            "v": slider("v at t = 0", -2.0, 2.0, value=1.0, step=0.1, format=".1f"),
            "omega": slider("ω", 0.5, 3.0, value=1.7, step=0.05),
            "damping": slider("damping", 0.0, 3.0, value=0.15, step=0.05),
        },
    )


def _kind(omega, damping):
    if abs(damping - omega) < 1e-6:  # the sliders' values are rounded
        return "critical"
    if damping > omega:
        return "too damped to swing"
    return "damped" if damping else "no damping"
