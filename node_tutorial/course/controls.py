"""The controls of explorables: labeled, reachable by keyboard, and quiet until the hand lets go.

Each function returns a `Control`: what makes an ipywidget whose `value` is passed to `compute`.
Every panel makes its own widgets from the one declaration. Sliders report when released or at each
key press (`continuous_update=False`): an ODE solved for every pixel of a drag would only be thrown
away.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import ipywidgets as widgets

__all__ = [
    "Control",
    "choice",
    "int_slider",
    "log_slider",
    "play",
    "power_slider",
    "slider",
    "toggle",
]

Control = Callable[[], Any]  # makes the widget

_LABEL = {"description_width": "initial"}
_WIDE = {"width": "340px"}


def slider(
    label: str, low: float, high: float, value: float, step: float, format: str = ".2f"
) -> Control:
    """A linear slider for a float."""
    return partial(
        widgets.FloatSlider,
        value,
        min=low,
        max=high,
        step=step,
        description=label,
        readout_format=format,
        continuous_update=False,
        style=_LABEL,
        layout=_WIDE,
    )


def int_slider(label: str, low: int, high: int, value: int, step: int = 1) -> Control:
    """A linear slider for an integer."""
    return partial(
        widgets.IntSlider,
        value,
        min=low,
        max=high,
        step=step,
        description=label,
        continuous_update=False,
        style=_LABEL,
        layout=_WIDE,
    )


def log_slider(
    label: str, low: float, high: float, value: float, per_decade: int = 2, format: str = ".1e"
) -> Control:
    """A slider over decades, for tolerances and step sizes.

    low, high, value: numbers, not exponents.
    per_decade: the number of slider positions per factor of ten.
    """
    return partial(
        widgets.FloatLogSlider,
        value,
        base=10,
        min=math.log10(low),
        max=math.log10(high),
        step=1 / per_decade,
        description=label,
        readout_format=format,
        continuous_update=False,
        style=_LABEL,
        layout=_WIDE,
    )


def power_slider(label: str, low: int, high: int, value: int) -> Control:
    """A slider over the powers of two from `low` to `high`, for numbers of steps."""
    powers = [2**k for k in range(round(math.log2(low)), round(math.log2(high)) + 1)]
    return partial(
        widgets.SelectionSlider,
        options=powers,
        value=value,
        description=label,
        continuous_update=False,
        style=_LABEL,
        layout=_WIDE,
    )


def choice(label: str, options: Sequence | Mapping[str, Any], value: Any = None) -> Control:
    """A drop-down list.

    options: hashable values, or a mapping from what is shown to these.

    By keyboard the space bar opens the list; while it is closed, JupyterLab takes the arrow keys
    for itself.
    """
    pairs = (
        list(options.items())
        if isinstance(options, Mapping)
        else [(str(option), option) for option in options]
    )
    return partial(
        widgets.Dropdown,
        options=pairs,
        value=pairs[0][1] if value is None else value,
        description=label,
        style=_LABEL,
        layout={"width": "max-content"},
    )


def toggle(label: str, value: bool = False) -> Control:
    """A check box."""
    return partial(
        widgets.Checkbox,
        value,
        description=label,
        indent=False,
        style=_LABEL,
        layout={"width": "max-content"},
    )


def play(label: str, frames: int, value: int = 0, milliseconds: int = 250) -> Control:
    """An animation: a play button beside a slider over 0, 1, ..., frames - 1.

    milliseconds: between two frames; give each time to be drawn.
    """

    def make() -> widgets.IntSlider:
        control = int_slider(label, 0, frames - 1, value)()
        player = widgets.Play(
            value=value, min=0, max=frames - 1, interval=milliseconds, description=label
        )
        control.link = widgets.jslink((player, "value"), (control, "value"))
        control.row = widgets.HBox([player, control])
        return control

    return make
