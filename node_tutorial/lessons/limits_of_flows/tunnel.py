"""Lesson 08: how a flow separates a disk from the annulus around it, in training and along time.

Stored trainings, frame by frame: the points at time t, and which inputs are called disk.
"""

from functools import lru_cache
from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ...course.controls import choice, play, slider
from ...course.explorables import explorable
from .figures import (
    Limits,
    decision_map,
    draw_map,
    draw_paths,
    limits_of,
    shown_points,
    verdict,
    view,
)
from .runs import FRAMES, Setting, model_of

STEPS = 20  # of time, to t = 1


class Flow(NamedTuple):
    """A classifier at work: its states (21, 400, 2 + p), and the labels (400, 1) of their points.

    weight (1, 2 + p): of the readout; wrong: how many points; output (56, 56): the decision map.
    """

    states: Tensor
    label: Tensor
    weight: Tensor
    nfe: int
    loss: float
    wrong: int
    output: Tensor


class Tunnel(NamedTuple):
    """A frame of a training, shown up to time t, which is `step` steps."""

    extra: int
    updates: int
    t: float
    step: int
    flow: Flow
    limits: Limits


@lru_cache(maxsize=64)
@torch.no_grad()
def flow_of(extra: int, frame: int) -> Flow:
    """All that one frame shows, at every time."""
    model = model_of(Setting(extra), frame)
    x, label = shown_points()
    states = model.ode(x, torch.linspace(0, 1, STEPS + 1, dtype=torch.float64))
    nfe = model.ode.stats.nfe
    loss, wrong = verdict(model.readout(states[-1]), label)
    return Flow(states, label, model.readout.weight, nfe, loss, wrong, decision_map(model, 56))


def compute(extra: int, frame: int, t: float) -> Tunnel:
    last = flow_of(extra, len(FRAMES) - 1)
    return Tunnel(
        extra,
        FRAMES[frame],
        t,
        step=round(t * STEPS),
        flow=flow_of(extra, frame),
        limits=limits_of(view(last.states, last.weight)),
    )


def draw(fig: Figure, data: Tunnel) -> None:
    left, right = fig.subplots(1, 2)
    flow = data.flow
    states = flow.states[: data.step + 1]
    draw_paths(states, flow.label, flow.weight, ax=left, limits=data.limits, every=5)
    draw_map(flow.output, ax=right)
    left.set_title(
        f"extra dimensions: {data.extra}, update {data.updates}\nstates at t = {data.t:.2f}"
    )
    right.set_title(f"loss {flow.loss:.4f}, NFE {flow.nfe}\n{flow.wrong} of 400 points wrong")


def describe(data: Tunnel) -> str:
    flow = data.flow
    return (
        f"extra dimensions: {data.extra}, after {data.updates} updates, at t = {data.t:.2f}: "
        f"loss {flow.loss:.3f}, {flow.wrong} of 400 points on the wrong side, "
        f"{flow.nfe} evaluations."
    )


tunnel = explorable(
    compute,
    draw,
    describe,
    question="Predict first: in the end the tunnel through the ring is thin. "
    "How does it begin, thin or wide?",
    size=(8.2, 4.4),
    controls={
        "extra": choice("extra dimensions", [0, 1, 5]),
        "frame": play("training", len(FRAMES), value=len(FRAMES) - 1, milliseconds=400),
        "t": slider("t", 0.0, 1.0, value=1.0, step=0.05),
    },
)
