"""Lesson 06: six gradients of the same loss: bytes kept, evaluations, and two errors."""

import warnings
from typing import NamedTuple

from matplotlib.figure import Figure

from ...course.controls import choice, power_slider, slider
from ...course.explorables import explorable
from ...gradients import GRADIENT_MODES
from .costs import Row, all_prices
from .figures import draw_costs


class Prices(NamedTuple):
    """The rows of all modes, at a number of fixed steps and for a leak; `mode` is chosen."""

    mode: str
    steps: int
    leak: float
    rows: dict[str, Row]


def compute(mode: str, steps: int, leak: float) -> Prices:
    with warnings.catch_warnings():  # the picture shows the error of which the adjoint warns
        warnings.simplefilter("ignore", RuntimeWarning)
        return Prices(mode, steps, leak, all_prices(steps, leak))


def draw(fig: Figure, data: Prices) -> None:
    draw_costs(fig, data.rows, data.mode)
    row = data.rows[data.mode]
    paid = row.price
    fig.axes[0].set_title(
        f"{_setting(data)}: {paid.kept / 1024:.0f} KB kept, "
        f"NFE {paid.forward} + {paid.backward}\n"
        f"error {row.error:.0e}; {row.own_error:.0e} against backprop through its own steps"
    )


def describe(data: Prices) -> str:
    row = data.rows[data.mode]
    paid = row.price
    own = "equal to" if row.own_error < 1e-10 else f"{row.own_error:.0e} from"
    return (
        f"{_setting(data)}: {paid.kept / 1024:.0f} KB kept; {paid.forward} evaluations forward, "
        f"{paid.backward} backward; the gradient is off by {row.error:.0e}, and {own} backprop "
        "through its own steps."
    )


def _setting(data: Prices) -> str:
    return f"{data.mode}, {data.steps} steps, leak {data.leak:.2f}"


gradient_price = explorable(
    compute,
    draw,
    describe,
    question="Predict first: twice as many steps. For which modes does the memory double? "
    "Whose error is worst?",
    size=(8.8, 3.9),
    controls={
        "mode": choice("gradient", list(GRADIENT_MODES), value="adjoint"),
        "steps": power_slider("steps", 8, 64, value=32),
        "leak": slider("leak", 0.0, 2.0, value=0.0, step=0.25),
    },
)
