"""Lesson 08: how a flow separates a disk from the annulus around it, during training and along
time.
"""

from functools import lru_cache

import torch

from ...course.controls import choice, play, slider
from ...course.explorables import Explorable, explorable
from .figures import decision_map, draw_map, draw_paths, limits_of, shown_points, verdict
from .runs import FRAMES, Setting, model_of

TIMES = torch.linspace(0, 1, 21, dtype=torch.float64)


@explorable("08", "tunnel")
def tunnel():
    """Stored trainings, frame by frame: the points at time t, and which inputs are called disk."""

    def compute(extra, frame, t):
        flow, step = _flow(extra, frame), round(t * 20)
        return {
            "extra": extra,
            "t": t,
            "updates": FRAMES[frame],
            "limits": _limits(extra),
            **flow,
            "step": step,
        }

    def draw(fig, data):
        left, right = fig.subplots(1, 2)
        states = data["states"][: data["step"] + 1]
        draw_paths(states, data["label"], data["weight"], ax=left, limits=data["limits"], every=5)
        draw_map(data["map"], ax=right)
        left.set_title(
            f"extra dimensions: {data['extra']}, update {data['updates']}\nstates at t = "
            f"{data['t']:.2f}"
        )
        right.set_title(
            f"loss {data['loss']:.4f}, NFE {data['nfe']}\n{data['wrong']} of 400 points wrong"
        )

    def describe(data):
        return (
            f"extra dimensions: {data['extra']}, after {data['updates']} updates, at t = "
            f"{data['t']:.2f}: loss "
            f"{data['loss']:.3f}, {data['wrong']} of 400 points on the wrong side, {data['nfe']} "
            "evaluations."
        )

    return Explorable(
        compute,
        draw,
        describe,
        size=(8.2, 4.4),
        question="Predict first: in the end the tunnel through the ring is thin. How does it begin, thin or wide?",
        controls={
            "extra": choice("extra dimensions", [0, 1, 5]),
            "frame": play("training", len(FRAMES), value=len(FRAMES) - 1, milliseconds=400),
            "t": slider("t", 0.0, 1.0, value=1.0, step=0.05),
        },
    )


@lru_cache(maxsize=64)
@torch.no_grad()
def _flow(extra, frame):
    """All that one frame shows, at every time."""
    model, (x, label) = model_of(Setting(extra), frame), shown_points()
    states = model.ode(x, TIMES)
    nfe = model.ode.stats.nfe
    found = verdict(model.readout(states[-1]), label)
    return {
        **found,
        "states": states,
        "label": label,
        "weight": model.readout.weight,
        "nfe": nfe,
        "map": decision_map(model),
    }


def _limits(extra):
    """Limits of the picture that hold all states of the last frame."""
    last = _flow(extra, len(FRAMES) - 1)
    return limits_of(last["states"], last["weight"])
