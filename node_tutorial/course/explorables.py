"""Explorables: a picture with controls, made of three pure functions and a thin shell.

    compute(**values) -> data    the mathematics: one argument per control; data is a NamedTuple
    draw(fig, data)              the picture, onto an empty figure in the style of the course
    describe(data) -> str        its meaning, one sentence with rounded numbers

A lesson's file declares them, `euler_polygon = explorable(compute, draw, describe, question=...,
controls={...})`, and `explore.py` has its name. Because the three are pure they are tested without
a browser, and because a display carries a PNG and the sentence beside the live view, a page without
a kernel shows a useful figure. Moving a control from code takes the path of a hand:

    panel = explore.euler_polygon()
    panel.controls["steps"].value = 32
    assert "32 Euler steps" in panel.text

Redrawing happens in the call that changes the control. A key press thus costs one redraw, and no
queue can build up: the browser holds back a control's changes while the kernel is busy with that
control's last one and then sends the newest (measured in tests/browser).
"""

import base64
import contextlib
import functools
import gc
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from html import escape
from typing import Any, NamedTuple, TypeVar

import ipywidgets as widgets
import torch
import traitlets
from IPython.core.getipython import get_ipython
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from ..plotting import blank
from .controls import Control

__all__ = ["Explorable", "View", "explorable"]

Data = TypeVar("Data")
Values = dict[str, Any]  # a setting: the name of a control -> its value

# matplotlib is not thread-safe, and some kernels run callbacks on another thread.
_DRAWING = threading.RLock()
# So many pictures are kept per explorable, about 40 KB each: going back to a setting is instant.
_REMEMBERED = 48


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """While a picture is made: one at a time, in one thread of torch, and no garbage is collected.

    What a picture computes is small. Of two threads one would wait for the other, and where the
    browser takes a core, for long: ten times was measured, and more.
    """
    with _DRAWING:
        threads = torch.get_num_threads()
        collects = gc.isenabled()
        torch.set_num_threads(1)
        gc.disable()
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            if collects:
                gc.enable()


@functools.cache  # before the first panel is made
def _freeze_what_is_loaded() -> None:
    """Let the garbage collector pass over what has been loaded until now.

    A picture leaves ten thousand objects that refer to each other. So every ten pictures all
    objects are gone through, which takes 0.2 seconds where those of torch are among them.
    """
    gc.collect()
    gc.freeze()


class _NamedImage(widgets.Image):
    """An image whose tooltip, its name for screen readers, can be set.

    The browser's code asks for a description first, which plain images lack, and fails.
    """

    description = traitlets.Unicode("").tag(sync=True)


class View(NamedTuple):
    """One evaluated setting of an explorable."""

    data: Any
    text: str
    png: bytes


class Explorable:
    """A picture with labeled controls, see the module's docstring.

    Its arguments are those of `explorable`, which declares one.

    Attributes:
        controls: the widgets by name.
        connected: does one of them move others?
        values, data, text, png: of the current setting.
        error: None, or the exception that the last change met; data, text and png are then those of
            the last setting that worked.
    """

    def __init__(
        self,
        compute: Callable[..., Any],
        draw: Callable[[Figure, Any], None],
        describe: Callable[[Any], str],
        controls: Mapping[str, Control],
        question: str,
        size: tuple[float, float] = (8, 3.6),
        connect: Callable[["Explorable"], None] | None = None,
    ) -> None:
        _freeze_what_is_loaded()
        self.compute = compute
        self.draw = draw
        self.describe = describe
        self.controls = {name: make() for name, make in controls.items()}
        self.question = question
        self.size = size
        self.connected = connect is not None
        self.defaults = self.values
        self.figure = blank(size)
        self.error: Exception | None = None
        self._positions: list[Bbox] | None = None  # of the axes
        self._view: View | None = None
        self._shown_values: Values | None = None
        self._remembered: OrderedDict[tuple, View] = OrderedDict()
        self._resetting = False
        if connect is not None:
            # First, so that a control that others follow has moved them before the redrawing.
            connect(self)
        self._build_widgets()

    # -- the three functions, put together ---------------------------------------------------------

    @property
    def values(self) -> Values:
        """The current setting: name -> value of every control."""
        return {name: control.value for name, control in self.controls.items()}

    def evaluate(self, **values: Any) -> View:
        """Compute, draw and describe a setting; no control is moved.

        values: by name of control; the current ones stand in for those left out.
        """
        with _undisturbed():
            data, text = self.redraw(**values)
            return View(data, text, self.figure.png())

    def redraw(self, **values: Any) -> tuple[Any, str]:
        """As `evaluate`, but the picture stays on `figure`, as it is before it becomes a PNG."""
        with _undisturbed(), torch.no_grad():
            data = self.compute(**{**self.values, **values})
            text = self.describe(data)
            self.figure.clear()
            self.draw(self.figure, data)
            self._keep_axes_in_place()
            return data, text

    def _keep_axes_in_place(self) -> None:
        """Lay the axes out at the first picture only.

        A picture whose axes shift with the tick labels seems to jump.
        """
        axes = self.figure.axes
        if self._positions is None or len(self._positions) != len(axes):
            # The padding is room for longer tick labels to come.
            self.figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.06)
            self.figure.draw_without_rendering()
            self._positions = [ax.get_position(original=True) for ax in axes]
        self.figure.set_layout_engine("none")
        for ax, position in zip(axes, self._positions):
            ax.set_position(position)

    # -- the shell ---------------------------------------------------------------------------------

    def update(self, _change: object = None) -> None:
        """Bring picture and text up to date with the controls; the widgets call this."""
        if self._resetting:
            return
        with _undisturbed():
            values = self.values
            if values == self._shown_values:
                return
            try:
                view = self._recall(values)
            except Exception as error:
                self.error = error
                setting = ", ".join(f"{name} = {value!r}" for name, value in values.items())
                self._message.value = _error_box(f"{type(error).__name__}: {error}", setting)
                self._shown_values = None
                raise
            self.error = None
            self._view = view
            self._shown_values = values
            with self._image.hold_sync():  # one message: the browser loads the picture anew at each
                self._image.value = view.png
                self._image.tooltip = view.text
            self._caption.value = _caption(view.text)
            self._message.value = ""

    def _recall(self, values: Values) -> View:
        key = tuple(values.items())
        if key not in self._remembered:
            self._remembered[key] = self.evaluate(**values)
            if len(self._remembered) > _REMEMBERED:
                self._remembered.popitem(last=False)
        self._remembered.move_to_end(key)
        return self._remembered[key]

    def reset(self, _button: object = None) -> None:
        """Return every control to its default, with one redraw."""
        self.start_at(**self.defaults)
        self.update()

    def start_at(self, **values: Any) -> "Explorable":
        """Make `values` the defaults and go there; returns this panel.

        Raises:
            TypeError: that lists the controls, for a name that is none.
            ValueError: that names the options or the range, for a value that a control cannot take;
                the panel stays as it was.
        """
        unknown = sorted(set(values) - set(self.controls))
        if unknown:
            raise TypeError(
                f"no control named {unknown[0]!r}; the controls are {', '.join(self.controls)}"
            )
        before = self.values
        self._resetting = True
        try:
            for name, value in values.items():
                _set(name, self.controls[name], value)
        except ValueError:
            for name, value in before.items():
                self.controls[name].value = value
            raise
        finally:
            self._resetting = False
        self.defaults = {**self.defaults, **values}
        return self

    def close(self) -> None:
        """Take the panel out of the notebook, and its widgets out of the kernel's memory.

        Data, text and png remain.
        """
        for control in self.controls.values():
            control.unobserve_all()
            if hasattr(control, "link"):
                control.link.close()
        _close(self.widget)

    @property
    def view(self) -> View:
        """Data, text and PNG of the last good setting; drawn when first asked for."""
        if self._view is None:
            self.update()
        assert self._view is not None  # else `update` has raised
        return self._view

    @property
    def data(self) -> Any:
        return self.view.data

    @property
    def text(self) -> str:
        return self.view.text

    @property
    def png(self) -> bytes:
        return self.view.png

    def _build_widgets(self) -> None:
        width = f"{round(self.size[0] * 96)}px"
        height = f"{round(self.size[1] * 96)}px"
        reset = widgets.Button(
            description="Reset",
            tooltip="Return all controls to their defaults",
            layout=widgets.Layout(width="72px"),
        )
        reset.on_click(self.reset)
        row = widgets.Layout(
            flex_flow="row wrap", width="100%", align_items="center", grid_gap="4px 20px"
        )
        shown = [getattr(control, "row", control) for control in self.controls.values()]
        self._image = _NamedImage(
            format="png",
            layout=widgets.Layout(
                width=width,
                height=height,
                max_width="100%",
                object_fit="contain",
                object_position="left top",
            ),
        )
        self._caption = widgets.HTML()
        self._message = widgets.HTML()
        self.widget = widgets.VBox(
            [
                widgets.HTML(f"<b>{escape(self.question)}</b>"),
                widgets.HBox([*shown, reset], layout=row),
                self._image,
                self._caption,
                self._message,
            ]
        )
        self.widget.add_class("explorable")  # by this style sheets and browser tests find it
        for control in self.controls.values():
            control.tooltip = control.description
            control.observe(self.update, names="value")

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        view = self.view
        _close_earlier_panels(self)
        bundle: dict[str, Any] = {
            "image/png": base64.b64encode(view.png).decode(),
            "text/plain": view.text,
        }
        if self.widget.comm is not None:  # it was not closed
            # Written here, for ipywidgets 7 and 8 have no method in common that gives this.
            bundle["application/vnd.jupyter.widget-view+json"] = {
                "version_major": 2,
                "version_minor": 0,
                "model_id": self.widget.model_id,
            }
        return bundle


def explorable(
    compute: Callable[..., Data],
    draw: Callable[[Figure, Data], None],
    describe: Callable[[Data], str],
    *,
    question: str,
    controls: Mapping[str, Control],
    size: tuple[float, float] = (8, 3.6),
    connect: Callable[["Explorable"], None] | None = None,
) -> Callable[..., "Explorable"]:
    """Declare an explorable; the function that is returned makes a new panel at each call.

    Its keyword arguments are the values at which the controls start: `euler_polygon(steps=32)`.

    Args:
        compute, draw, describe: see the module's docstring.
        question: "Predict first: ...", shown above the controls.
        controls: the name of an argument of `compute` -> a control made by `slider`, `choice`, ...
        size: (width, height) of the picture in inches of 96 pixels.
        connect: connect(panel) is called for each new panel, before it observes its controls; for
            those that move others.
    """

    def make(**start: Any) -> Explorable:
        panel = Explorable(compute, draw, describe, controls, question, size, connect)
        return panel.start_at(**start)

    make.__doc__ = f"{question}\n\nThe controls are {', '.join(controls)}."
    return make


# By cell of the notebook: the execution that has shown panels there last, and which.
_SHOWN: dict[str, tuple[str, list[Explorable]]] = {}


def _close_earlier_panels(shown: Explorable) -> None:
    """Close what an earlier execution of this cell has shown; else each one stays in memory.

    A panel that another cell shows too remains. Where the cell is not known, as in a script,
    nothing is closed.
    """
    place = _cell_and_execution()
    if place is None:
        return
    cell, execution = place
    last, panels = _SHOWN.get(cell, ("", []))
    if last == execution:
        panels.append(shown)
        return
    _SHOWN[cell] = (execution, [shown])
    in_use = [panel for _, others in _SHOWN.values() for panel in others]
    for panel in panels:
        if panel not in in_use:
            panel.close()


def _cell_and_execution() -> tuple[str, str] | None:
    """The ids of the cell that is executed, and of this execution; None outside of notebooks."""
    kernel = getattr(get_ipython(), "kernel", None)
    if kernel is None or not hasattr(kernel, "get_parent"):
        return None
    request = kernel.get_parent()
    cell = request.get("metadata", {}).get("cellId")
    return None if cell is None else (cell, request["header"]["msg_id"])


def _close(widget: widgets.Widget) -> None:
    for child in getattr(widget, "children", ()):
        _close(child)
    for name in ("layout", "style"):
        part = getattr(widget, name, None)
        if isinstance(part, widgets.Widget):
            part.close()
    widget.close()


def _set(name: str, control: Any, value: Any) -> None:
    """Move a control.

    Raises:
        ValueError: the control cannot take the value.
    """
    can = "True or False"
    if hasattr(control, "options"):
        options = (o[1] if isinstance(o, tuple) else o for o in control.options)
        can = f"one of {', '.join(map(repr, options))}"
    elif hasattr(control, "min"):
        base = getattr(control, "base", None)  # of a slider over decades
        low, high = (base**end if base else end for end in (control.min, control.max))
        can = f"from {low:g} to {high:g}"
    try:
        control.value = value
    except traitlets.TraitError:
        raise ValueError(f"{name} must be {can}, got {value!r}") from None
    if control.value != value:  # sliders stop at their ends
        raise ValueError(f"{name} must be {can}, got {value!r}")


def _caption(text: str) -> str:
    return f'<div role="status" aria-live="polite">{escape(text)}</div>'


def _error_box(problem: str, setting: str) -> str:
    # This red is readable on white and on black; the rest takes the page's color.
    return (
        f'<div role="alert" style="border-left:4px solid #E03131;padding:2px 8px">'
        f'<b style="color:#E03131">{escape(problem)}</b><br>while computing {escape(setting)}. '
        f"The picture above is the last one that worked.</div>"
    )
