"""Lesson 06: the adjoint of x' = theta x, which jumps at three observations; two can be moved."""

from matplotlib.figure import Figure

from ...course.controls import choice, slider
from ...course.explorables import explorable
from ...plotting import REJECTED
from .adjoint import T_END, Adjoint, adjoint_data
from .figures import draw_adjoint


def compute(first: float, second: float, theta: float, rule: str) -> Adjoint:
    return adjoint_data(theta, [first, second, T_END], adds=rule == "add")


def draw(fig: Figure, data: Adjoint) -> None:
    top, bottom = fig.subplots(2, 1, sharex=True, height_ratios=[2, 3])
    draw_adjoint(top, bottom, data)
    top.set(xlim=(0, 2.05), ylim=(-0.1, 1.8))
    bottom.set(ylim=(-2.3, 2.3))
    wrong = abs(data.gradient - data.exact_gradient) > 1e-6
    top.set_title(
        f"θ = {data.theta:.1f}, {'add' if data.adds else 'overwrite'}: "
        f"dL/dx(0) = {data.gradient:.4f}, exact (dashed) {data.exact_gradient:.4f}\n"
        f"backward NFE {data.nfe}{', WRONG' if wrong else ''}",
        color=REJECTED if wrong else "black",
    )


def describe(data: Adjoint) -> str:
    times = ", ".join(f"{s:.1f}" for s in data.times)
    rule = "Adding" if data.adds else "Overwriting"
    return (
        f"{rule} at the observations {times}, θ = {data.theta:.1f}: "
        f"dL/dx(0) = {data.gradient:.4f}, exact {data.exact_gradient:.4f}; {data.nfe} evaluations."
    )


adjoint_jumps = explorable(
    compute,
    draw,
    describe,
    question="Predict first: you move an observation earlier. "
    "On which side of it does a(t) change?",
    size=(8, 4.4),
    controls={
        "first": slider("first observation", 0.1, 1.5, value=0.6, step=0.1, format=".1f"),
        "second": slider("second", 0.1, 1.5, value=1.3, step=0.1, format=".1f"),
        "theta": slider("θ", -1.5, 0.0, value=-0.5, step=0.1, format=".1f"),
        "rule": choice("at an observation", {"add g to a": "add", "overwrite a by g": "overwrite"}),
    },
)
