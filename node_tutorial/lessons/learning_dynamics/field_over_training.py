"""Lesson 05: two trainings on the observations of a spiral, recorded, and the learned field beside
the true one.
"""

from functools import lru_cache

import torch
from torch import nn

from ... import solve
from ...course.controls import choice, play
from ...course.explorables import Explorable, explorable
from ...data import exact_spiral, observe, spiral
from ...models import MLP, NeuralODE, VectorField
from ...plotting import BLUE, GRAY, ORANGE, REJECTED, VERMILLION, exact_line, mesh, vector_field
from ...training import fit
from ...training.precision import default_dtype

END, NOISE, COUNT = 12.0, 0.1, 60  # the observations: their time span, noise and number
WINDOW = 16  # observations per window
BOX = (-2.5, 2.5)
RIGHT = 0.2  # an arrow is right if its error is below this fraction of the true one
_FRAMES, _ARROWS = 21, 13
RECIPES = {"windows, then the whole": "windows", "the whole from the start": "whole"}
_STEPS = {"windows": (160, 80), "whole": (0, 80)}  # through windows, through the whole


def truth(t):
    """The exact states (T, 2) at times (T,)."""
    return exact_spiral(t, torch.tensor([2.0, 0.0], dtype=torch.float64))


def observations():
    """Times (60,) and noisy states (60, 2)."""
    return observe(truth, COUNT, END, NOISE)


class FromStart(nn.Module):
    """A field, and the state at time 0, which is learned too: t (T,) -> states (T, 2)."""

    def __init__(self, field, start):
        super().__init__()
        self.ode, self.start = NeuralODE(field), nn.Parameter(start.clone())

    def forward(self, t):
        return self.ode(self.start, t)


def window_loss(t, y, length):
    """loss(field, step): the mean squared error over all windows of `length` observations, each
    from its first.
    """
    t_w, y_w = t.unfold(0, length, 1), y.unfold(0, length, 1).transpose(1, 2)

    def loss(field, step):
        solution = solve(field, y_w[:, 0], t_w, rtol=1e-3, atol=1e-4, per_sample=True)
        return (solution.y - y_w).square().mean(), {"nfe": solution.stats.nfe}

    return loss


def field_error(field):
    """The error of a field along the spiral, up to t = 12: root mean square, as a fraction of the
    true field's.
    """
    y = truth(torch.linspace(0, END, 241, dtype=torch.float64))
    with torch.no_grad():
        true = spiral(0.0, y)
        return float((field(0.0, y) - true).norm() / true.norm())


def path_errors(t, path):
    """Root mean square distances of states (T, 2) at times (T,) from the exact ones: up to t = 12,
    and beyond.
    """
    square = (path.detach() - truth(t)).square().sum(1)
    return float(square[t <= END].mean().sqrt()), float(square[t > END].mean().sqrt()) if t[
        -1
    ] > END else 0.0


def new_model():
    """A `FromStart` with the weights of seed 0 in float64, from the first observation; torch's
    settings stay.
    """
    with torch.random.fork_rng(devices=[]), default_dtype(torch.float64):
        torch.manual_seed(0)
        field = VectorField(MLP(2, 32, 2))
    return FromStart(field, observations()[1][0])


def whole_loss(t, y):
    """loss(model, step): the mean squared error of one solve through all observations."""
    return lambda model, step: (model(t) - y).square().mean()


@lru_cache(maxsize=2)
def trained(recipe):
    """The model that a recipe gives, and what was recorded on the way: a list of one dict per
    frame. Takes seconds.
    """
    t, y = observations()
    model = new_model()
    through_windows, through_whole = _STEPS[recipe]
    every, done = (through_windows + through_whole) // (_FRAMES - 1), 0
    frames = [_frame(model, 0)]

    def record(part, history):
        nonlocal done
        done += 1
        if done % every == 0:
            frames.append(_frame(model, done))

    if through_windows:
        fit(
            model.ode.func,
            window_loss(t, y, WINDOW),
            through_windows,
            lr=0.04,
            progress=False,
            on_step=record,
        )
    rate = 0.015 if through_windows else 0.02
    fit(model, whole_loss(t, y), through_whole, lr=rate, progress=False, on_step=record)
    return model, frames


def _frame(model, step):
    """What is shown of a model."""
    times = torch.linspace(0, END, 241, dtype=torch.float64)
    points = torch.as_tensor(mesh(BOX, BOX, _ARROWS))
    with torch.no_grad():
        arrows, true = model.ode.func(0.0, points), spiral(0.0, points)
        path = solve(model.ode.func, model.start, times, rtol=1e-5, atol=1e-6)
    return {
        "step": step,
        "nfe": path.stats.nfe,
        "arrows": arrows,
        "right": (arrows - true).norm(dim=1) < RIGHT * true.norm(dim=1),
        "path": path.y,
        "off": path_errors(times, path.y)[0],
        "field_error": field_error(model.ode.func),
    }


def draw_field(ax, arrows, right):
    """Arrows of a field (n * n, 2) over the true ones: blue where they are right, red where they
    are not.
    """
    points = torch.as_tensor(mesh(BOX, BOX, _ARROWS))
    vector_field(
        None, ax=ax, xlim=BOX, ylim=BOX, n=_ARROWS, values=spiral(0.0, points), color="#B5B5B5"
    )
    scale = 1.35 * _ARROWS / (BOX[1] - BOX[0])  # as there
    unit = arrows / arrows.norm(dim=1, keepdim=True).clamp(min=1e-9)
    colors = [BLUE if ok else REJECTED for ok in right.tolist()]
    style = {
        "angles": "xy",
        "pivot": "mid",
        "width": 0.0036,
        "scale_units": "xy",
        "scale": scale,
        "zorder": 1.2,
    }
    ax.quiver(*points.T, *unit.T, color=colors, **style)
    ax.set(xlabel="y₁", ylabel="y₂", aspect="equal")


@explorable("05", "field_over_training")
def field_over_training():
    """The learned field beside the true one, while it is learned in one of two ways."""
    y = observations()[1]
    exact = truth(torch.linspace(0, END, 241, dtype=torch.float64))

    def compute(frame, recipe):
        frames = {name: trained(kind)[1] for name, kind in RECIPES.items()}
        return {
            **frames[recipe][frame],
            "recipe": recipe,
            "change": _STEPS[RECIPES[recipe]][0],
            "curves": {
                name: [(f["step"], f["field_error"]) for f in those]
                for name, those in frames.items()
            },
        }

    def draw(fig, data):
        left, right = fig.subplots(1, 2)
        draw_field(left, data["arrows"], data["right"])
        exact_line(*exact.T, ax=left, label=None)
        left.plot(*y.T, ".", color=ORANGE, markersize=5)
        left.plot(*data["path"].T.clamp(*BOX), color=BLUE, linewidth=1.5)
        share = 100 * float(data["right"].double().mean())
        left.set_title(f"NFE {data['nfe']}; blue arrows, {share:.0f} %, are right")
        places = ((240, 0.046, "right"), (86, 1.3, "left"))
        for (name, curve), color, (x, height, side) in zip(
            data["curves"].items(), (BLUE, VERMILLION), places
        ):
            now = name == data["recipe"]
            right.plot(*zip(*curve), color=color, alpha=1 if now else 0.35)
            right.text(
                x,
                height,
                name,
                color=color,
                ha=side,
                va="center",
                weight="bold" if now else "normal",
            )
            if now:
                right.plot(data["step"], data["field_error"], "o", color=color, markersize=9)
        if data["change"]:
            right.vlines(data["change"], 0.06, 0.6, color=GRAY, linewidth=0.8)
        right.set(
            yscale="log",
            ylim=(0.035, 4),
            xlim=(-5, 247),
            xlabel="step",
            ylabel="error of the field",
        )
        right.set_yticks([0.1, 1], ["10 %", "100 %"])
        right.minorticks_off()
        right.set_title(
            f"step {data['step']}: field off by {100 * data['field_error']:.0f} %, path by "
            f"{data['off']:.2f}"
        )

    def describe(data):
        bound = next(
            bound for bound in (10, 20, 50, 100, 200, 900) if 100 * data["field_error"] < bound
        )
        half = "more" if data["right"].double().mean() > 0.5 else "less"
        return (
            f"{data['recipe'].capitalize()}, step {data['step']}: along the spiral the learned "
            "field is off by less "
            f"than {bound} %; {half} than half of all arrows are right."
        )

    return Explorable(
        compute,
        draw,
        describe,
        size=(8.6, 4.2),
        question="Predict first: which arrows become right first, and which never?",
        controls={
            "frame": play("training", _FRAMES, value=4),
            "recipe": choice("trained through", list(RECIPES)),
        },
    )
