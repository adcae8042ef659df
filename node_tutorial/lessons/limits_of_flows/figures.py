"""Lesson 08: figures, and how states of two and more dimensions are drawn in the plane."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from torch import Tensor, nn
from torch.nn.functional import smooth_l1_loss

from ... import History, odeint
from ...data import disk_in_annulus
from ...models import MLP, AugmentedODE, NeuralODE, VectorField
from ...plotting import (
    BLUE,
    EXACT,
    GRAY,
    ORANGE,
    VERMILLION,
    Picture,
    blank,
    exact_line,
    figure,
    label_line,
    running_mean,
)
from .runs import (
    EPOCHS,
    FRAMES,
    PENALTIES,
    SPAN,
    Classifier,
    Setting,
    measures,
    model_of,
    stored,
)

# From a light BLUE to a light ORANGE.
CLASSES = LinearSegmentedColormap.from_list("classes", ["#7FB8D8", "#FFFFFF", "#F3C98B"])
REACH = 1.7  # half the width of a decision map
RADIUS = 1.25  # of a circle in the middle of the annulus

Limits = tuple[tuple[float, float], tuple[float, float]]  # (left, right), (low, high)


def color_of(label: Tensor) -> list[str]:
    """Blue for the disk, orange for the annulus, for labels (N, 1)."""
    return [BLUE if value < 0 else ORANGE for value in label[:, 0].tolist()]


@lru_cache(maxsize=1)
def shown_points() -> tuple[Tensor, Tensor]:
    """The points (400, 2) that the explorables show, and their labels (400, 1).

    100 are of the disk, 300 of the annulus.
    """
    x, label = disk_in_annulus(100, 300, seed=7)
    return x.double(), label.double()


class Verdict(NamedTuple):
    """The Huber loss of a classifier's outputs, and how many of them have the wrong sign."""

    loss: float
    wrong: int


def verdict(output: Tensor, label: Tensor) -> Verdict:
    """Judge outputs (N, 1) by labels (N, 1)."""
    wrong = int(((output > 0) != (label > 0)).sum())
    return Verdict(float(smooth_l1_loss(output, label)), wrong)


def view(states: Tensor, weight: Tensor) -> Tensor:
    """States (..., 2 + p) as points of a picture (..., 2), obliquely if there are extra dimensions.

    Their height is then the extra coordinate in which the readout, of `weight` (1, 2 + p), rises.
    """
    if states.shape[-1] == 2:
        return states
    rise = weight[0, 2:].to(states.dtype)
    height = states[..., 2:] @ (rise / rise.norm().clamp(min=1e-9))
    across, deep = states[..., 0], states[..., 1]
    return torch.stack([across + 0.45 * deep, height + 0.3 * deep], dim=-1)


def limits_of(points: Tensor) -> Limits:
    """Limits of a square picture of points (..., 2), with a margin."""
    points = points.reshape(-1, 2)
    low, high = points.amin(0), points.amax(0)
    half = 0.55 * float((high - low).max())
    x, y = ((low + high) / 2).tolist()
    return (x - half, x + half), (y - half, y + half)


@torch.no_grad()
def decision_map(model: Callable[[Tensor], Tensor], n: int) -> Tensor:
    """The output of a model in float64 on a grid (n, n) over the plane of inputs."""
    side = torch.linspace(-REACH, REACH, n, dtype=torch.float64)
    points = torch.stack(torch.meshgrid(side, side, indexing="xy"), dim=-1).reshape(-1, 2)
    return model(points).reshape(n, n)


def draw_map(output: Tensor, *, ax: Axes) -> None:
    """The inputs colored by the output (n, n): blue is called disk, orange annulus.

    The line is where the output is 0.
    """
    side = np.linspace(-REACH, REACH, len(output))
    levels = np.linspace(-1.2, 1.2, 9)
    ax.contourf(side, side, output.clamp(-1.1, 1.1).numpy(), levels=levels, cmap=CLASSES)
    if output.min() < 0 < output.max():
        ax.contour(side, side, output.numpy(), levels=[0], colors=[EXACT], linewidths=1.2)
    angle = np.linspace(0, 2 * math.pi, 100)
    for radius in (0.5, 1, 1.5):
        circle = (radius * np.cos(angle), radius * np.sin(angle))
        ax.plot(*circle, color=GRAY, linewidth=0.8, linestyle=":")
    ax.set(xlabel="x₁", ylabel="x₂", xlim=(-REACH, REACH), ylim=(-REACH, REACH), aspect="equal")
    ax.grid(False)


def draw_paths(
    states: Tensor, label: Tensor, weight: Tensor, *, ax: Axes, limits: Limits, every: int
) -> None:
    """The points states[-1] of states (T, N, 2 + p), colored by their class.

    The paths of every so many lead there. label (N, 1); weight: see `view`.
    """
    paths = view(states, weight)
    lines = paths[:, ::every]
    if len(lines) > 1:  # one line with gaps is much quicker than many lines
        gap = torch.full_like(lines[:1], math.nan)
        x, y = torch.cat([lines, gap]).transpose(0, 1).reshape(-1, 2).T
        ax.plot(x, y, color=GRAY, linewidth=0.5, alpha=0.6)
    x, y = paths[-1].T
    ax.scatter(x, y, c=color_of(label), s=6, linewidths=0, zorder=2)
    if states.shape[-1] == 2:
        ax.set(xlabel="y₁", ylabel="y₂")
    else:
        ax.set(xlabel="y₁, y₂ (seen obliquely)", ylabel="extra dimension")
    ax.set(xlim=limits[0], ylim=limits[1])


def draw_output(states: Tensor, label: Tensor, readout: nn.Linear, *, ax: Axes) -> None:
    """Final states (N, D): upward the output of `readout`, rightward where they spread most beside.

    label (N, 1).
    """
    output = readout(states)
    normal = readout.weight / readout.weight.norm()
    rest = states - states.mean(0)
    rest = rest - (rest @ normal.T) * normal
    across = rest @ torch.linalg.svd(rest, full_matrices=False).Vh[0]
    ax.scatter(across, output[:, 0], c=color_of(label), s=5, linewidths=0, zorder=2)
    ax.axhline(0, color=EXACT, linewidth=1.2)
    ax.set(xlabel="widest direction beside the output", ylabel="output", ylim=(-1.9, 1.9))


@torch.no_grad()
def reflection_figure(model: nn.Module, history: History) -> Picture:
    """A figure: the paths of -1 and 1 among others, with their targets; the loss in training.

    model(starts (N, 1), t (T,)) -> states (T, N, 1 + p); if there are extra dimensions, the paths
    are shown in the plane, too.
    """
    t = torch.linspace(0, 1, 101)
    y = model(torch.linspace(-2, 2, 17)[:, None], t)
    two = model(torch.tensor([[-1.0], [1.0]]), t)
    plane = y.shape[-1] > 1
    fig, axes = figure(ncols=2 + plane, size=(8.6, 3.0))
    axes[0].plot(t, y[..., 0], color=GRAY, linewidth=0.7, alpha=0.6)
    for i, color in enumerate((BLUE, VERMILLION)):
        axes[0].plot(t, two[:, i, 0], color=color, linewidth=2.2)
        cross = {"color": color, "markersize": 9, "markeredgewidth": 2.2}
        axes[0].plot(1, 1 - 2 * i, "x", **cross, clip_on=False, zorder=3)
        if plane:
            axes[1].plot(*two[:, i].T, color=color, linewidth=2.2)
            axes[1].plot(*two[0, i], "o", color=color)
            # Of the state at t = 1 only the first entry is asked for.
            axes[1].axvline(1 - 2 * i, color=color, linewidth=1.6, linestyle=(0, (1, 2)))
            axes[1].set(xlabel="y₁", ylabel="y₂", xlim=(-2, 2), ylim=(-2, 2))
    axes[0].set(xlabel="t", ylabel="y₁" if plane else "y", xlim=(0, 1), ylim=(-2.1, 2.1))
    axes[-1].semilogy(history["loss"], color=GRAY)
    axes[-1].minorticks_off()
    exact_line([0, len(history)], [1, 1], ax=axes[-1], label=None)
    low = 1e-9 if min(history["loss"]) < 0.1 else 0.5
    axes[-1].set(xlabel="update", ylabel="loss (MSE)", ylim=(low, 10), xlim=(0, len(history)))
    axes[-1].text(len(history), 1.03, "1.0", ha="right", va="bottom", color=EXACT)
    if low == 0.5:
        axes[-1].set_yticks([0.5, 1, 2, 5, 10], ["0.5", "1", "2", "5", "10"])
    return fig


@torch.no_grad()
def five_figures(
    model: Classifier,
    history: History,
    x: Tensor,
    label: Tensor,
    before: History | None = None,
) -> Picture:
    """A figure of five: paths, final states, decision map; loss and NFE in training.

    x (N, 2), label (N, 1): points, of which every fourth is drawn. before: the training of another
    model, to compare.
    """
    fig = blank((8.8, 5.4))
    rows: Any = fig.add_gridspec(2, 1, height_ratios=[3, 2])
    top, bottom = rows
    paths, final, plane = top.subgridspec(1, 3).subplots()
    loss, nfe = bottom.subgridspec(1, 2).subplots()
    some = slice(None, None, 4)
    states = model.ode(x[some], torch.linspace(0, 1, 31))
    limits = limits_of(view(states, model.readout.weight))
    draw_paths(states, label[some], model.readout.weight, ax=paths, limits=limits, every=9)
    draw_output(states[-1], label[some], model.readout, ax=final)
    draw_map(decision_map(model, 100), ax=plane)
    loss.set(yscale="log", ylim=(1e-4, 1), ylabel="loss (Huber)")
    loss.minorticks_off()
    nfe.set(ylim=(10, 45), ylabel="NFE of a solve")
    for ax, name in ((loss, "loss"), (nfe, "nfe")):
        for run, color, words in ((before, GRAY, "before"), (history, BLUE, "now")):
            if run is not None:
                steps = range(15, len(run) - 15)
                (line,) = ax.plot(steps, running_mean(run[name], 31), color=color)
                if before is not None:
                    ax.set_xlim(0, 1.14 * len(run))
                    label_line(line, words)
        ax.set_xlabel("update")
    for ax, title in ((paths, "paths"), (final, "states at t = 1"), (plane, "decision map")):
        ax.set_title(title)
    return fig


@torch.no_grad()
def accurate(model: Classifier, x: Tensor) -> Tensor:
    """The outputs (N,) of a classifier at points (N, 2), solved accurately.

    That is at 1e-6, whatever tolerance it was trained with.
    """
    start = model.ode.augment(x.to(model.readout.weight.dtype))
    return model.readout(odeint(model.ode.func, start, SPAN, rtol=1e-6, atol=1e-6)[-1])[:, 0]


def around(model: Classifier, n: int = 3001) -> tuple[Tensor, Tensor]:
    """Angles, rising, and outputs on a circle in the middle of the annulus.

    First at n angles, then twice at n angles around the place where the outputs are least.
    """

    def walk(angle: Tensor) -> tuple[Tensor, Tensor]:
        circle = torch.stack([torch.cos(angle), torch.sin(angle)], dim=1)
        return angle, accurate(model, RADIUS * circle)

    walks = [walk(torch.linspace(-math.pi, math.pi, n, dtype=torch.float64))]
    reach = math.pi
    for _ in range(2):
        angle, output = walks[-1]
        reach *= 6 / n
        center = float(angle[output.argmin()])
        walks.append(walk(torch.linspace(center - reach, center + reach, n, dtype=torch.float64)))
    angle, order = torch.cat([angle for angle, _ in walks]).sort()
    return angle, torch.cat([output for _, output in walks])[order]


class Openings(NamedTuple):
    """Where a walk around the ring meets outputs below 0: how many slits, and their share of it."""

    number: int
    share: float


def openings(model: Classifier, n: int = 1201) -> Openings:
    """The tunnels of a classifier through the ring, solved accurately."""
    angle, output = around(model, n)
    below = output < 0
    number = int((below & ~below.roll(1)).sum())
    return Openings(number, float(torch.trapezoid(below.double(), angle)) / (2 * math.pi))


def frames_figure(frames: Sequence[int] = (7, 10, 13, 14, 18)) -> Picture:
    """A figure: decision maps of the filmed training without extra dimensions, at some FRAMES."""
    fig, axes = figure(ncols=len(frames), size=(9.4, 2.5), sharey=True)
    for ax, frame in zip(axes, frames):
        model = model_of(Setting(), frame)
        number, share = openings(model)
        draw_map(decision_map(model, 56), ax=ax)
        holes = "opening" if number == 1 else "openings"
        ax.set_title(f"update {FRAMES[frame]}:\n{number} {holes}, {share:.0%}", fontsize=10)
        ax.set(xticks=[-1, 0, 1])
    for ax in axes[1:]:
        ax.set_ylabel("")
    return fig


def ring_figure(models: Mapping[str, Classifier]) -> Picture:
    """A figure: outputs on a walk around the ring, and close to the first model's lowest place."""
    fig, (whole, close) = figure(ncols=2, size=(8.6, 3.0), sharey=True, width_ratios=[5, 3])
    colors = dict(zip(models, (VERMILLION, BLUE)))
    walks = {name: around(model) for name, model in models.items()}
    angle, output = next(iter(walks.values()))
    lowest = float(angle[output.argmin()])
    for name, (angle, output) in walks.items():
        whole.plot(angle / math.pi, output, color=colors[name])
        turned = (angle - lowest + math.pi) % (2 * math.pi) - math.pi
        order = turned.argsort()
        close.plot(180 / math.pi * turned[order], output[order], color=colors[name])
    for ax in (whole, close):
        ax.axhline(0, color=EXACT, linewidth=0.9)
    whole.set(xlim=(-1, 1), ylim=(-2, 2), xlabel="angle / π", ylabel="output on the ring")
    close.set(xlim=(-20, 20), xlabel="degrees from the lowest place")
    for name, height in zip(models, (-0.75, 1.45)):
        close.text(19, height, name, color=colors[name], ha="right")
    return fig


def seeds_figure(runs: dict[str, np.ndarray] | None = None) -> Picture:
    """A figure: loss and NFE over the epochs with the paper's settings.

    Shown are medians and ranges of ten seeds. runs: instead of those that are stored.
    """
    fig, axes = figure(ncols=2, size=(8.6, 3.2))
    epochs = np.arange(1, EPOCHS + 1)
    labels = {"loss": "loss (Huber)", "nfe": "NFE of a solve"}
    for ax, (name, label) in zip(axes, labels.items()):
        ax.set(xlim=(0, 1.3 * EPOCHS), xlabel="epoch", ylabel=label)
        ax.set_yscale("log" if name == "loss" else "linear")
        ax.minorticks_off()
        for extra, color in ((0, VERMILLION), (5, BLUE)):
            values = (runs or stored())[f"{Setting(extra, paper=True).name}/{name}"]
            ends = (values.min(0), values.max(0))
            ax.fill_between(epochs, *ends, color=color, alpha=0.15, linewidth=0)
            (line,) = ax.plot(epochs, np.median(values, axis=0), color=color)
            label_line(line, f"{extra} extra")
    return fig


# Where the names of penalties stand beside the last points, by extra dimensions: offset in points,
# alignment.
_PLACES: dict[tuple[str, int], dict[str, Any]] = {
    ("kinetic energy", 0): {"dx": -2, "dy": -12, "ha": "right"},
    ("kinetic energy", 1): {"dx": -6, "dy": 22},
    ("Jacobian", 1): {"dx": 5, "dy": -15},
    ("both", 0): {"dx": -8, "ha": "right"},
    ("random end", 0): {"dx": 0, "dy": 11, "ha": "center"},
    ("both", 1): {"dx": -10, "ha": "right"},
}


def penalty_figure(runs: dict[str, np.ndarray] | None = None) -> Picture:
    """A figure: loss over NFE at a tight tolerance, for each penalty as its weight grows.

    Small dots are seeds, large ones their medians. Without and with an extra dimension. runs:
    instead of those that are stored.
    """
    fig, axes = figure(ncols=2, size=(9.2, 4.0), sharey=True)
    for ax, extra in zip(axes, (0, 1)):
        ax.set(xlabel="NFE at tolerance 1e-6", xlim=(0, 160), ylim=(4e-4, 0.7), yscale="log")
        ax.minorticks_off()
        ax.set_title(f"extra dimensions: {extra}")
        _draw_seeds(ax, Setting(extra), EXACT, runs)
        for (name, settings), color in zip(PENALTIES.items(), (BLUE, VERMILLION, GRAY, ORANGE)):
            tables = [measures(row._replace(extra=extra), runs) for row in (Setting(), *settings)]
            nfe = [np.median(table["nfe_tight"]) for table in tables]
            loss = [np.median(table["test_loss"]) for table in tables]
            ax.plot(nfe, loss, "-", color=color, linewidth=1.2)
            ax.scatter(nfe[1:], loss[1:], s=(20, 45, 80), color=color, zorder=2)
            for row in settings:
                _draw_seeds(ax, row._replace(extra=extra), color, runs)
            place = {"dx": 9, **_PLACES.get((name, extra), {})}
            label_line((nfe[-1], loss[-1]), name, ax=ax, color=color, **place)
        ax.plot(nfe[0], loss[0], "s", color=EXACT, markersize=7, zorder=3)
    axes[0].set_ylabel("loss on new points")
    return fig


def _draw_seeds(ax: Axes, setting: Setting, color: str, runs: dict[str, np.ndarray] | None) -> None:
    table = measures(setting, runs)
    ax.scatter(table["nfe_tight"], table["test_loss"], s=12, color=color, alpha=0.55, linewidths=0)


def _history(steps: int) -> History:
    history = History(steps)
    for i in range(steps):
        history.append({"loss": math.exp(-i / steps), "nfe": 20.0})
    return history


def _classifier(extra: int) -> Classifier:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Classifier(extra).double()


def _five(extra: int, before: History | None = None) -> Picture:
    x, label = (part.double() for part in disk_in_annulus(40, 120))
    return five_figures(_classifier(extra), _history(200), x, label, before=before)


# A picture of each kind, for the test that all of them can be read.
EXAMPLES: dict[str, Callable[[], Picture]] = {
    "reflection_figure": lambda: reflection_figure(
        NeuralODE(VectorField(MLP(1, 8, 1))), _history(150)
    ),
    "reflection_figure, augmented": lambda: reflection_figure(
        AugmentedODE(VectorField(MLP(2, 8, 2)), 1), _history(150)
    ),
    "five_figures": lambda: _five(0),
    "five_figures, compared": lambda: _five(1, before=_history(200)),
    "ring_figure, one model": lambda: ring_figure({"0 extra": _classifier(0)}),
    "ring_figure, two models": lambda: ring_figure(
        {"0 extra": _classifier(0), "1 extra": _classifier(1)}
    ),
    "seeds_figure": seeds_figure,
    "penalty_figure": penalty_figure,
    "frames_figure": frames_figure,
}
