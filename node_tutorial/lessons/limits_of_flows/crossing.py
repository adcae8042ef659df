"""Lesson 08: paths of a flow on the line keep their order; those of Euler's steps may not."""

import torch

from ...course.controls import int_slider, slider
from ...course.explorables import Explorable, explorable
from ...plotting import BLUE, VERMILLION, exact_line, label_line

_STARTS = torch.linspace(-1, 1, 9, dtype=torch.float64)
_FINE = torch.linspace(0, 1, 101, dtype=torch.float64)


@explorable("08", "crossing")
def crossing():
    """y' = -k y on the line: the flow, and Euler's polygons, which pass through each other where h
    k > 1.
    """

    def compute(k, n):
        factor = 1 - k / n
        paths = _STARTS * factor ** torch.arange(n + 1, dtype=torch.float64)[:, None]
        return {
            "k": k,
            "n": n,
            "hk": k / n,
            "paths": paths,
            "t": torch.linspace(0, 1, n + 1, dtype=torch.float64),
            "flow": _STARTS * torch.exp(-k * _FINE)[:, None],
            "crossings": n if factor < 0 else 0,  # each step turns the line over
            "meet": factor == 0,
            "mse": (factor**n + 1) ** 2,  # of the map -1 -> 1, 1 -> -1
            "mse_flow": float((torch.exp(torch.tensor(-k)) + 1) ** 2),
        }

    def draw(fig, data):
        left, right = fig.subplots(1, 2, width_ratios=[5, 3])
        for flow, path in zip(data["flow"].T, data["paths"].T):
            exact_line(_FINE, flow, ax=left, label=None, linewidth=0.9)
            left.plot(data["t"], path, ".-", color=BLUE, linewidth=1.1, markersize=4)
        left.set(xlim=(0, 1), ylim=(-2.1, 2.1), xlabel="t", ylabel="y")
        exact_line(_STARTS, data["flow"][-1], ax=right, label=None)
        right.plot(_STARTS, data["paths"][-1], "o-", color=BLUE, markersize=4)
        right.plot([-1, 1], [1, -1], "x", color=VERMILLION, markersize=8, markeredgewidth=2)
        right.set(xlim=(-1.3, 1.3), ylim=(-2.1, 2.1), xlabel="start y(0)", ylabel="end y(1)")
        label_line((-1, 1), "target", ax=right, color=VERMILLION, dy=9, dx=-6)
        left.set_title(
            f"k = {data['k']:.1f}, {_steps(data['n'])} (NFE {data['n']}), h k = {data['hk']:.2f}\n"
            f"{_verdict(data)}; MSE {_short(data['mse'])}, of the flow {data['mse_flow']:.2f}"
        )

    def describe(data):
        return (
            f"k = {data['k']:.1f}, {_steps(data['n'])}, h k = {data['hk']:.2f}: {_verdict(data)}; "
            "the MSE of the "
            f"reflection is {_short(data['mse'])} for the steps and {data['mse_flow']:.4f} for "
            "the flow (dashed)."
        )

    return Explorable(
        compute,
        draw,
        describe,
        size=(8.2, 3.5),
        question="Predict first: with k = 2, for which numbers of steps do the blue paths pass through each other?",
        controls={
            "k": slider("k", 0.5, 8.0, value=2.0, step=0.5, format=".1f"),
            "n": int_slider("Euler steps n", 1, 16, value=4),
        },
    )


def _verdict(data):
    if data["meet"]:
        return "all paths meet after one step"
    return "all paths cross in every step" if data["crossings"] else "no paths cross"


def _steps(n):
    return "1 Euler step" if n == 1 else f"{n} Euler steps"


def _short(mse):
    return f"{mse:.2f}" if mse < 1000 else f"{mse:.0e}"
