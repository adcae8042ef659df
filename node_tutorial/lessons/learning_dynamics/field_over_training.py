"""Lesson 05: the learned field beside the true one, while it is learned in one of two ways."""

from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ...course.controls import choice, play
from ...course.explorables import explorable
from ...data import spiral
from ...plotting import BLUE, GRAY, ORANGE, REJECTED, VERMILLION, exact_line, vector_field
from .observations import BOX, TIMES, observations, truth
from .recipes import ARROWS, FRAMES, WHOLE, WINDOWS, Frame, points, trained

RECIPES = {"windows, then the whole": WINDOWS, "the whole from the start": WHOLE}
COLORS = (BLUE, VERMILLION)
PLACES = ((240, 0.046, "right"), (240, 2.6, "right"))  # of the recipes' names: x, y, alignment


class Training(NamedTuple):
    """One frame of a training, and the field's error over the steps of both recipes.

    change: the step at which windows give way to the whole, or 0.
    """

    recipe: str
    frame: Frame
    change: int
    curves: dict[str, list[tuple[int, float]]]


def compute(frame: int, recipe: str) -> Training:
    frames = {name: trained(steps).frames for name, steps in RECIPES.items()}
    return Training(
        recipe,
        frames[recipe][frame],
        RECIPES[recipe].through_windows,
        {name: [(f.step, f.field_error) for f in row] for name, row in frames.items()},
    )


def draw(fig: Figure, data: Training) -> None:
    left, right = fig.subplots(1, 2)
    _draw_plane(left, data.frame)
    _draw_errors(right, data)


def _draw_plane(ax: Axes, frame: Frame) -> None:
    """Field and path beside the true ones, with the observations."""
    _draw_field(ax, frame.arrows, frame.right)
    exact_line(*truth(TIMES).T, ax=ax, label=None)
    ax.plot(*observations()[1].T, ".", color=ORANGE, markersize=5)
    ax.plot(*frame.path.T.clamp(*BOX), color=BLUE, linewidth=1.5)
    share = 100 * float(frame.right.double().mean())
    ax.set_title(f"NFE {frame.nfe}; blue arrows, {share:.0f} %, are right")


def _draw_field(ax: Axes, arrows: Tensor, right: Tensor) -> None:
    """Arrows (169, 2) over the true ones: blue where they are right, red where they are not."""
    true = spiral(0.0, points())
    vector_field(None, ax=ax, xlim=BOX, ylim=BOX, n=ARROWS, values=true, color="#B5B5B5")
    ax.quiver(
        *points().T,
        *(arrows / arrows.norm(dim=1, keepdim=True).clamp(min=1e-9)).T,
        color=[BLUE if ok else REJECTED for ok in right.tolist()],
        angles="xy",
        pivot="mid",
        width=0.0036,
        scale_units="xy",
        scale=1.35 * ARROWS / (BOX[1] - BOX[0]),  # as in vector_field
        zorder=1.2,
    )
    ax.set(xlabel="y₁", ylabel="y₂", aspect="equal")


def _draw_errors(ax: Axes, data: Training) -> None:
    """The field's error over the steps of both recipes, with a dot at the frame."""
    frame = data.frame
    for (name, curve), color, (x, height, side) in zip(data.curves.items(), COLORS, PLACES):
        now = name == data.recipe
        weight = "bold" if now else "normal"
        ax.plot(*zip(*curve), color=color, alpha=1 if now else 0.35)
        ax.text(x, height, name, color=color, ha=side, va="center", weight=weight)
        if now:
            ax.plot(frame.step, frame.field_error, "o", color=color, markersize=9)
    if data.change:
        ax.vlines(data.change, 0.06, 0.6, color=GRAY, linewidth=0.8)
    ax.set(yscale="log", ylim=(0.035, 4), xlim=(-5, 247))
    ax.set(xlabel="step", ylabel="error of the field")
    ax.set_yticks([0.1, 1], ["10 %", "100 %"])
    ax.minorticks_off()
    ax.set_title(
        f"step {frame.step}: field off by {100 * frame.field_error:.0f} %, "
        f"path by {frame.path_error:.2f}"
    )


def describe(data: Training) -> str:
    off = 100 * data.frame.field_error
    bound = next(bound for bound in (10, 20, 50, 100, 200, 900) if off < bound)
    half = "more" if data.frame.right.double().mean() > 0.5 else "less"
    return (
        f"{data.recipe.capitalize()}, step {data.frame.step}: along the spiral the learned field "
        f"is off by less than {bound} %; {half} than half of all arrows are right."
    )


field_over_training = explorable(
    compute,
    draw,
    describe,
    question="Predict first: which arrows become right first, and which never?",
    size=(8.6, 4.2),
    controls={
        "frame": play("training", FRAMES, value=4),
        "recipe": choice("trained through", list(RECIPES)),
    },
)
