"""A picture that follows a training: an `on_step` for `fit`."""

import time
from collections.abc import Callable

import torch
from IPython.display import DisplayHandle, display
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import nn

from ..plotting import BLUE, blank, show
from ..training import History

__all__ = ["Live", "draw_loss"]

Draw = Callable[[Figure, nn.Module, History], None]


class Live:
    """fit(..., on_step=Live()) shows the loss while it falls.

    draw(fig, model, history) draws something else instead. The picture is drawn anew when `every`
    seconds have passed, and after the last of a number of steps. (One display that is updated: no
    widget, so that a page without a kernel shows the last picture.)
    """

    def __init__(
        self,
        draw: Draw | None = None,
        every: float = 1.0,
        size: tuple[float, float] = (7.2, 3.2),
    ) -> None:
        self.draw: Draw = draw_loss if draw is None else draw
        self.every = every
        self.figure = blank(size)
        self.display: DisplayHandle | None = None
        self.drawn = float("-inf")  # when

    def __call__(self, model: nn.Module, history: History) -> None:
        done = f"Step {len(history)}"
        if history.steps is not None:  # else the training has a budget of seconds
            done += f" of {history.steps}"
        if time.perf_counter() - self.drawn < self.every and len(history) != history.steps:
            return
        self.figure.clear()
        with torch.no_grad():
            self.draw(self.figure, model, history)
        show(self.figure, f"{done}: the loss is {history['loss'][-1]:.3g}.")
        if self.display is None:
            self.display = display(self.figure, display_id=True)
        else:
            self.display.update(self.figure)
        self.drawn = time.perf_counter()


def draw_loss(fig: Figure, model: nn.Module, history: History, ax: Axes | None = None) -> None:
    """The loss over the steps, on an axis that reaches to the last one.

    The other axis is logarithmic, or, where a loss is not positive, as one of densities, linear.
    """
    ax = fig.subplots() if ax is None else ax
    losses = history["loss"]
    ax.plot(losses, color=BLUE, linewidth=1.4)
    if all(loss > 0 for loss in losses):
        ax.set_yscale("log")
    ax.set(xlim=(0, history.steps), xlabel="step", ylabel="loss")
    ax.minorticks_off()
    of_all = "" if history.steps is None else f" of {history.steps}"
    ax.set_title(f"step {len(history)}{of_all}, loss {history['loss'][-1]:.4f}")
