"""Lesson 08: what penalties do to the paths, and what they save.

Stored classifiers, trained with a penalty, and solved to any end time: paths, decision map, costs.
"""

from functools import lru_cache
from typing import NamedTuple

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ...course.controls import choice, slider
from ...course.explorables import explorable
from ...models import RegularizedODE
from ...plotting import BLUE, EXACT, VERMILLION
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
from .runs import PENALTIES, Setting, model_of

STRENGTHS = ("none", "weak", "medium", "strong")
TOLERANCE = 1e-5  # at 1e-3, that of the training, the count of evaluations is coarse


class Flow(NamedTuple):
    """A classifier at work: its states (21, 400, 2 + p), and the labels (400, 1) of their points.

    weight (1, 2 + p): of the readout; wrong: how many points; nfe, kinetic, frobenius: costs of the
    paths; output (44, 44): the decision map.
    """

    states: Tensor
    label: Tensor
    weight: Tensor
    loss: float
    wrong: int
    nfe: int
    kinetic: float
    frobenius: float
    output: Tensor


class Paths(NamedTuple):
    """A flow that was trained with a penalty; ratios: of loss and costs to those without one."""

    name: str
    extra: int
    end: float
    flow: Flow
    ratios: dict[str, float]
    limits: Limits


@lru_cache(maxsize=64)
@torch.no_grad()
def flow_of(setting: Setting, end: float) -> Flow:
    """All that one setting shows, solved from 0 to `end`."""
    model = model_of(setting)
    x, label = shown_points()
    penalized = RegularizedODE(model.ode.func, rtol=TOLERANCE, atol=TOLERANCE)
    torch.manual_seed(0)  # of the signs in the estimate
    path = penalized(model.ode.augment(x), torch.linspace(0, end, 21, dtype=torch.float64))
    loss, wrong = verdict(model.readout(path.y[-1]), label)
    span = torch.tensor([0.0, end], dtype=torch.float64)
    return Flow(
        states=path.y,
        label=label,
        weight=model.readout.weight,
        loss=loss,
        wrong=wrong,
        nfe=penalized.stats.nfe,
        kinetic=float(path.kinetic.mean()),
        frobenius=float(path.frobenius.mean()),
        output=decision_map(lambda x: model.readout(model.ode(x, span)[-1]), 44),
    )


def compute(penalty: str, strength: str, extra: int, end: float) -> Paths:
    number = STRENGTHS.index(strength)
    chosen = PENALTIES[penalty][number - 1] if number else Setting()
    now = flow_of(chosen._replace(extra=extra), end)
    plain = flow_of(Setting(extra), 1.0)
    return Paths(
        name=f"{penalty}, {strength}" if number else "no penalty",
        extra=extra,
        end=end,
        flow=now,
        ratios={
            "loss": now.loss / plain.loss,
            "NFE": now.nfe / plain.nfe,
            "kinetic": now.kinetic / plain.kinetic,
            "Jacobian": now.frobenius / plain.frobenius,
        },
        limits=_limits(extra),
    )


def _limits(extra: int) -> Limits:
    """Limits of the picture that hold the paths without a penalty, and those that go farthest."""
    settings = (Setting(), PENALTIES["Jacobian"][-1])
    flows = [flow_of(setting._replace(extra=extra), 1.0) for setting in settings]
    shown = [view(flow.states, flow.weight).reshape(-1, 2) for flow in flows]
    return limits_of(torch.cat(shown))


def draw(fig: Figure, data: Paths) -> None:
    left, middle, right = fig.subplots(1, 3, width_ratios=[5, 5, 4])
    flow = data.flow
    draw_paths(flow.states, flow.label, flow.weight, ax=left, limits=data.limits, every=4)
    draw_map(flow.output, ax=middle)
    _draw_ratios(right, data.ratios)
    left.set_title(f"{data.name}, T = {data.end:.1f}\nextra dimensions: {data.extra}")
    middle.set_title(f"loss {flow.loss:.4f}, NFE {flow.nfe}\n{flow.wrong} of 400 points wrong")


def _draw_ratios(ax: Axes, ratios: dict[str, float]) -> None:
    """A bar from 1 to each ratio, as far as the axis goes."""
    ax.set(xscale="log", xlim=(3e-4, 3e2), ylim=(3.5, -0.5), xlabel="ratio to no penalty, T = 1")
    ax.minorticks_off()
    ax.set_xticks([1e-3, 1e-2, 1e-1, 1, 10], ["0.001", "", "0.1", "", "10"])
    ax.set_yticks(range(len(ratios)), list(ratios))
    ax.axvline(1, color=EXACT, linewidth=1)
    for i, ratio in enumerate(ratios.values()):
        color = BLUE if ratio <= 1 else VERMILLION
        end = min(max(ratio, 4e-4), 2.5e2)
        ax.plot([1, end], [i, i], color=color, linewidth=5, solid_capstyle="butt")
        ax.text(3e2, i - 0.2, f"{ratio:.2g}", color=color, ha="right")


def describe(data: Paths) -> str:
    flow = data.flow
    return (
        f"{data.name}, extra dimensions: {data.extra}, solved to T = {data.end:.1f}: "
        f"loss {flow.loss:.3f}, {flow.wrong} of 400 points wrong, "
        f"{flow.nfe} evaluations, kinetic energy {flow.kinetic:.1f}."
    )


cheaper_paths = explorable(
    compute,
    draw,
    describe,
    question="Predict first: with less than a third of the kinetic energy, "
    "how many evaluations does a solve save?",
    size=(8.8, 3.5),
    controls={
        "penalty": choice("penalty", list(PENALTIES)),
        "strength": choice("strength", list(STRENGTHS), value="medium"),
        "extra": choice("extra dimensions", [0, 1]),
        "end": slider("end time T", 0.5, 1.5, value=1.0, step=0.1),
    },
)
