"""A picture that follows a training: an `on_step` for `fit`."""

import time

import torch
from IPython.display import display

from ..plotting import BLUE, blank, show


class Live:
    """fit(..., on_step=Live()) shows the loss while it falls; or what `draw(fig, model, history)`
    draws.

    The picture is drawn anew when `every` seconds have passed, and after the last step. (One
    display that is updated: no widget, so that a page without a kernel shows the last picture.)
    """

    def __init__(self, draw=None, every=1.0, size=(7.2, 3.2)):
        self.draw, self.every, self.figure = draw or draw_loss, every, blank(size)
        self.display, self.drawn = None, float("-inf")

    def __call__(self, model, history):
        done = len(history)
        if time.perf_counter() - self.drawn < self.every and done < history.steps:
            return
        self.figure.clear()
        with torch.no_grad():
            self.draw(self.figure, model, history)
        show(self.figure, f"Step {done} of {history.steps}: the loss is {history['loss'][-1]:.3g}.")
        if self.display is None:
            self.display = display(self.figure, display_id=True)
        else:
            self.display.update(self.figure)
        self.drawn = time.perf_counter()


def draw_loss(fig, model, history, ax=None):
    """The loss over the steps, on an axis that reaches to the last one."""
    ax = fig.subplots() if ax is None else ax
    ax.semilogy(history["loss"], color=BLUE, linewidth=1.4)
    ax.set(xlim=(0, history.steps), xlabel="step", ylabel="loss")
    ax.minorticks_off()
    ax.set_title(f"step {len(history)} of {history.steps}, loss {history['loss'][-1]:.4f}")
