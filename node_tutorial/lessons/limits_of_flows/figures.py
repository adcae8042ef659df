"""Lesson 08: figures, and how states of two and more dimensions are drawn in the plane."""

import math
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from matplotlib.colors import LinearSegmentedColormap

from ... import odeint
from ...data import disk_in_annulus
from ...plotting import (
    BLUE,
    EXACT,
    GRAY,
    ORANGE,
    VERMILLION,
    blank,
    exact_line,
    figure,
    label_line,
    running_mean,
)
from .runs import EPOCHS, PENALTIES, SPAN, Setting, measures, stored

CLASSES = LinearSegmentedColormap.from_list(
    "classes", ["#7FB8D8", "#FFFFFF", "#F3C98B"]
)  # of BLUE and ORANGE
REACH = 1.7  # half the width of a decision map


def color_of(label):
    """Blue for the disk, orange for the annulus: a list for labels (N, 1)."""
    return [BLUE if value < 0 else ORANGE for value in label[:, 0].tolist()]


@lru_cache(maxsize=1)
def shown_points():
    """The points (400, 2) that the explorables show, 100 of the disk and 300 of the annulus, and
    their labels.
    """
    x, label = disk_in_annulus(100, 300, seed=7)
    return x.double(), label.double()


def verdict(output, label):
    """The Huber loss of outputs (N, 1), and how many of them have the wrong sign."""
    wrong = int(((output > 0) != (label > 0)).sum())
    return {"loss": float(torch.nn.functional.smooth_l1_loss(output, label)), "wrong": wrong}


def view(states, weight):
    """States (..., 2 + p) as points of a picture (..., 2), seen obliquely where there are extra
    dimensions.

    Their height is then the extra coordinate in which the readout, of `weight` (1, 2 + p), rises.
    """
    if states.shape[-1] == 2:
        return states
    rise = weight[0, 2:].to(states.dtype)
    height = states[..., 2:] @ (rise / rise.norm().clamp(min=1e-9))
    across, deep = states[..., 0], states[..., 1]
    return torch.stack([across + 0.45 * deep, height + 0.3 * deep], dim=-1)


def limits_of(states, weight):
    """Limits ((left, right), (low, high)) of a square picture of states (..., 2 + p), with a
    margin.
    """
    points = view(states, weight).reshape(-1, 2)
    low, high = points.amin(0), points.amax(0)
    half = 0.55 * float((high - low).max())
    return [(float(middle) - half, float(middle) + half) for middle in (low + high) / 2]


@torch.no_grad()
def decision_map(model, n=56):
    """The output on a grid (n, n) over the plane of inputs."""
    side = torch.linspace(-REACH, REACH, n, dtype=model.readout.weight.dtype)
    points = torch.stack(torch.meshgrid(side, side, indexing="xy"), dim=-1).reshape(-1, 2)
    return model(points).reshape(n, n)


def draw_map(output, *, ax):
    """The inputs colored by the output (n, n): blue is called disk, orange annulus, the line is
    where it is 0.
    """
    side = np.linspace(-REACH, REACH, len(output))
    levels = np.linspace(-1.2, 1.2, 9)
    ax.contourf(side, side, output.clamp(-1.1, 1.1).numpy(), levels=levels, cmap=CLASSES)
    if output.min() < 0 < output.max():
        ax.contour(side, side, output.numpy(), levels=[0], colors=[EXACT], linewidths=1.2)
    for radius in (0.5, 1, 1.5):
        circle = np.linspace(0, 2 * math.pi, 100)
        ax.plot(
            radius * np.cos(circle),
            radius * np.sin(circle),
            color=GRAY,
            linewidth=0.8,
            linestyle=":",
        )
    ax.set(xlabel="x₁", ylabel="x₂", xlim=(-REACH, REACH), ylim=(-REACH, REACH), aspect="equal")
    ax.grid(False)
    return ax


def draw_paths(states, label, weight, *, ax, limits, every=1):
    """Points (N, 2 + p) = states[-1] colored by their class; the states (T, N, 2 + p) of every so
    many lead there.
    """
    paths = view(states, weight)
    lines = paths[:, ::every]
    if len(lines) > 1:  # one line with gaps is much quicker than many lines
        gap = torch.full_like(lines[:1], math.nan)
        ax.plot(
            *torch.cat([lines, gap]).transpose(0, 1).reshape(-1, 2).T,
            color=GRAY,
            linewidth=0.5,
            alpha=0.6,
        )
    ax.scatter(*paths[-1].T, c=color_of(label), s=6, linewidths=0, zorder=2)
    flat = states.shape[-1] == 2
    ax.set(
        xlabel="y₁" if flat else "y₁, y₂ (seen obliquely)",
        ylabel="y₂" if flat else "extra dimension",
    )
    ax.set(xlim=limits[0], ylim=limits[1])
    return ax


def draw_output(states, label, readout, *, ax):
    """Final states (N, D): upward the output of `readout`, across the direction in which they
    spread most otherwise.
    """
    output, normal = readout(states), readout.weight / readout.weight.norm()
    rest = states - states.mean(0)
    rest = rest - (rest @ normal.T) * normal
    across = rest @ torch.linalg.svd(rest, full_matrices=False).Vh[0]
    ax.scatter(across, output[:, 0], c=color_of(label), s=5, linewidths=0, zorder=2)
    ax.axhline(0, color=EXACT, linewidth=1.2)
    ax.set(xlabel="across", ylabel="output", ylim=(-1.9, 1.9))
    return ax


@torch.no_grad()
def reflection_figure(model, history):
    """A figure: the paths of -1 and 1 among others, with their targets; in the plane, if there is
    one; the loss.
    """
    starts = torch.linspace(-2, 2, 17)[:, None]
    t = torch.linspace(0, 1, 101)
    y, two = model(starts, t), model(torch.tensor([[-1.0], [1.0]]), t)
    plane = y.shape[-1] > 1
    fig, axes = figure(ncols=2 + plane, size=(8.6, 3.0))
    axes[0].plot(t, y[..., 0], color=GRAY, linewidth=0.7, alpha=0.6)
    for i, color in enumerate((BLUE, VERMILLION)):
        axes[0].plot(t, two[:, i, 0], color=color, linewidth=2.2)
        axes[0].plot(
            1,
            1 - 2 * i,
            "x",
            color=color,
            markersize=9,
            markeredgewidth=2.2,
            clip_on=False,
            zorder=3,
        )
        if plane:
            axes[1].plot(*two[:, i].T, color=color, linewidth=2.2)
            axes[1].plot(*two[0, i], "o", color=color)
            axes[1].plot(1 - 2 * i, 0, "x", color=color, markersize=9, markeredgewidth=2.2)
            axes[1].set(xlabel="y₁", ylabel="y₂", xlim=(-2, 2), ylim=(-2, 2))
    axes[0].set(xlabel="t", ylabel="y₁" if plane else "y", xlim=(0, 1), ylim=(-2.1, 2.1))
    axes[-1].semilogy(history["loss"], color=GRAY)
    axes[-1].minorticks_off()
    exact_line([0, len(history)], [1, 1], ax=axes[-1], label=None)
    axes[-1].set(xlabel="update", ylabel="loss (MSE)", ylim=(1e-9, 30), xlim=(0, len(history)))
    axes[-1].text(len(history), 1.6, "1.0", ha="right", color=EXACT)
    return fig


@torch.no_grad()
def five_figures(model, history, x, label, before=None):
    """A figure of five: paths, final states, decision map; loss and NFE in training, also of a
    model `before`.
    """
    fig = blank((8.8, 5.4))
    top, bottom = fig.add_gridspec(2, 1, height_ratios=[3, 2])
    paths, final, plane = top.subgridspec(1, 3).subplots()
    loss, nfe = bottom.subgridspec(1, 2).subplots()
    some = slice(None, None, 4)
    states = model.ode(x[some], torch.linspace(0, 1, 31))
    limits = limits_of(states, model.readout.weight)
    draw_paths(states, label[some], model.readout.weight, ax=paths, limits=limits, every=9)
    draw_output(states[-1], label[some], model.readout, ax=final)
    draw_map(decision_map(model, 100), ax=plane)
    loss.set(yscale="log", ylim=(1e-4, 1), ylabel="loss (Huber)")
    loss.minorticks_off()
    nfe.set(ylim=(10, 45), ylabel="NFE of a solve")
    for ax, name in ((loss, "loss"), (nfe, "nfe")):
        for run, color, words in ((before, GRAY, "before"), (history, BLUE, "now")):
            if run is not None:
                (line,) = ax.plot(
                    range(15, len(run) - 15), running_mean(run[name], 31), color=color
                )
                if before is not None:
                    ax.set_xlim(0, 1.14 * len(run))
                    label_line(line, words)
        ax.set_xlabel("update")
    for ax, title in ((paths, "paths"), (final, "states at t = 1"), (plane, "decision map")):
        ax.set_title(title)
    return fig


@torch.no_grad()
def accurate(model, x):
    """The outputs (N,) of a classifier whose flow is solved accurately, whatever tolerance it was
    trained with.
    """
    x = x.to(model.readout.weight.dtype)
    return model.readout(
        odeint(model.ode.func, model.ode.augment(x), SPAN, rtol=1e-6, atol=1e-6)[-1]
    )[:, 0]


def around(model, n=3001, radius=1.25):
    """Angles and outputs on a circle in the middle of the annulus, twice refined where the outputs
    are least.
    """

    def walk(angle):
        return angle, accurate(
            model, radius * torch.stack([torch.cos(angle), torch.sin(angle)], dim=1)
        )

    walks, reach = [walk(torch.linspace(-math.pi, math.pi, n, dtype=torch.float64))], math.pi
    for _ in range(2):
        angle, output = walks[-1]
        reach *= 6 / n
        center = float(angle[output.argmin()])
        walks.append(walk(torch.linspace(center - reach, center + reach, n, dtype=torch.float64)))
    angle, order = torch.cat([angle for angle, _ in walks]).sort()
    return angle, torch.cat([output for _, output in walks])[order]


def ring_figure(models):
    """A figure: outputs on a walk around the ring, and around the lowest place of the first model;
    name -> model.
    """
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


def seeds_figure(runs=None):
    """A figure: loss and NFE over the epochs with the paper's settings, medians and ranges of ten
    seeds.
    """
    fig, axes = figure(ncols=2, size=(8.6, 3.2))
    epochs = np.arange(1, EPOCHS + 1)
    for ax, name in zip(axes, ("loss", "nfe")):
        ax.set(
            xlim=(0, 1.3 * EPOCHS),
            xlabel="epoch",
            ylabel={"loss": "loss (Huber)", "nfe": "NFE of a solve"}[name],
        )
        ax.set_yscale("log" if name == "loss" else "linear")
        ax.minorticks_off()
        for extra, color in ((0, VERMILLION), (5, BLUE)):
            values = (runs or stored())[f"{Setting(extra, paper=True).name}/{name}"]
            ax.fill_between(
                epochs, values.min(0), values.max(0), color=color, alpha=0.15, linewidth=0
            )
            (line,) = ax.plot(epochs, np.median(values, axis=0), color=color)
            label_line(line, f"{extra} extra")
    return fig


# Where the name of a penalty stands beside its last point, by extra dimensions: offset in points,
# alignment.
_PLACES: dict[tuple[str, int], dict[str, Any]] = {
    ("kinetic energy", 0): {"dx": -9, "ha": "right"},
    ("kinetic energy", 1): {"dx": -6, "dy": 14},
    ("Jacobian", 1): {"dx": -6, "dy": -14},
}


def penalty_figure(runs=None):
    """A figure: loss over NFE at a tight tolerance, for each penalty as its weight grows; 0 and 1
    extra dimensions.
    """
    fig, axes = figure(ncols=2, size=(8.8, 3.6), sharey=True)
    for ax, extra in zip(axes, (0, 1)):
        ax.set(xlabel="NFE at tolerance 1e-6", xlim=(0, 160), ylim=(4e-4, 0.7), yscale="log")
        ax.minorticks_off()
        ax.set_title(f"extra dimensions: {extra}")
        for (name, settings), color in zip(PENALTIES.items(), (BLUE, VERMILLION, GRAY)):
            tables = [measures(row._replace(extra=extra), runs) for row in (Setting(), *settings)]
            nfe, loss = (
                [np.median(table[key]) for table in tables] for key in ("nfe_tight", "test_loss")
            )
            ax.plot(nfe, loss, "-", color=color, linewidth=1.2)
            ax.scatter(nfe[1:], loss[1:], s=(20, 45, 80), color=color, zorder=2)
            label_line(
                (nfe[-1], loss[-1]),
                name,
                ax=ax,
                color=color,
                **{"dx": 9, **_PLACES.get((name, extra), {})},
            )
        ax.plot(nfe[0], loss[0], "s", color=EXACT, markersize=7, zorder=3)
    axes[0].set_ylabel("loss on new points")
    return fig
