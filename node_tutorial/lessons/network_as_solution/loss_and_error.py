"""Lesson 22: one loss, many errors: u' = lambda (u - cos t) - sin t + r(t), exactly."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ...course.controls import choice, log_slider, slider
from ...course.explorables import explorable
from ...models import error_from_residual
from ...plotting import BLUE, VERMILLION, exact_line, label_line, room_for_labels

TIMES = 101
SHAPES: dict[str, Callable[[Tensor], Tensor]] = {  # of s / T
    "constant": torch.ones_like,
    "early": lambda s: torch.exp(-(((s - 0.12) / 0.08) ** 2)),
    "late": lambda s: torch.exp(-(((s - 0.88) / 0.08) ** 2)),
    "swinging": lambda s: torch.cos(8 * math.pi * s),
}
LOWEST, HIGHEST = 1e-7, 1e2  # of the sizes that are shown
BOTTOM, TOP = -2.0, 5.5  # of the solutions


class LossAndError(NamedTuple):
    """u' = rate (u - cos t) - sin t + r(t), u(0) = 1, at times t (TIMES,).

    u - cos t is the error e, whatever the rate. loss: the mean square of r, the same for all shapes
    of r. bound: the largest error at the end that a residual with this largest value can make.
    """

    rate: float
    end: float
    shape: str
    t: np.ndarray
    r: np.ndarray
    e: np.ndarray
    loss: float
    bound: float


def compute(rate: float, end: float, size: float, shape: str) -> LossAndError:
    """The error by the integral over the residual, at each time."""
    residual = scaled(shape, size, end)
    t = torch.linspace(0, end, TIMES, dtype=torch.float64)
    r = residual(t)
    growth = math.expm1(rate * end) / rate if rate else end
    return LossAndError(
        rate=rate,
        end=end,
        shape=shape,
        t=t.numpy(),
        r=r.numpy(),
        e=error_from_residual(residual, rate, t).numpy(),
        loss=size**2,
        bound=float(r.abs().max()) * growth,
    )


def scaled(shape: str, size: float, end: float) -> Callable[[Tensor], Tensor]:
    """A residual of a shape, as a function of the time, with the root mean square `size`."""
    s = torch.linspace(0, 1, 2001, dtype=torch.float64)
    mean = torch.trapezoid(SHAPES[shape](s).square(), s)
    return lambda t: size * SHAPES[shape](t / end) / mean.sqrt()


def draw(fig: Figure, data: LossAndError) -> None:
    """The solution and u; and the sizes of residual and error."""
    left, right = fig.subplots(1, 2, width_ratios=[1, 1.2])
    left.plot(data.t, (np.cos(data.t) + data.e).clip(BOTTOM, TOP), color=VERMILLION)
    exact_line(data.t, np.cos(data.t), ax=left, label=None)
    left.set(xlim=(0, data.end), ylim=(BOTTOM, TOP), xlabel="t")
    left.set_title(f"λ = {data.rate:g}: u, and\nthe solution cos t (dashed)")
    _draw_sizes(right, data)


def _draw_sizes(ax: Axes, data: LossAndError) -> None:
    ax.set(yscale="log", xlim=(0, data.end), ylim=(LOWEST, HIGHEST), xlabel="t")
    (r,) = ax.plot(data.t, np.abs(data.r).clip(LOWEST, HIGHEST), color=BLUE)
    (e,) = ax.plot(data.t[1:], np.abs(data.e[1:]).clip(LOWEST, HIGHEST), color=VERMILLION)
    ax.minorticks_off()
    room_for_labels(ax)
    label_line(r, "|residual|")
    label_line(e, "|error|")
    ax.set_title(
        f"loss {data.loss:.2g}, its root {math.sqrt(data.loss):.2g};\n"
        f"error at the end {abs(data.e[-1]):.2g}"
    )


def describe(data: LossAndError) -> str:
    """Loss, error at the end and the largest possible one."""
    return (
        f"λ = {data.rate:g} up to t = {data.end:g}, {data.shape} residual: loss {data.loss:.1e}, "
        f"error at the end {abs(data.e[-1]):.2e}, at most {data.bound:.2e} for its largest value."
    )


loss_and_error = explorable(
    compute,
    draw,
    describe,
    question=(
        "Predict first: the residual is 0.001, everywhere up to t = 2. How wrong is u at the end "
        "with λ = -1, and with λ = 5?"
    ),
    size=(8.4, 3.6),
    controls={
        "rate": slider("λ", -5.0, 5.0, value=0.0, step=0.5, format=".1f"),
        "end": slider("end T", 0.5, 4.0, value=2.0, step=0.5, format=".1f"),
        "size": log_slider("root of the loss", 1e-4, 1e-1, 1e-3),
        "shape": choice("shape of r", list(SHAPES)),
    },
)
