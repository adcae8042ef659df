"""Lesson 08: what the penalties do to the paths, and what they save."""

from functools import lru_cache

import torch

from ...course.controls import choice, slider
from ...course.explorables import Explorable, explorable
from ...models import RegularizedODE
from ...plotting import BLUE, EXACT, VERMILLION
from .figures import decision_map, draw_map, draw_paths, limits_of, shown_points, verdict, view
from .runs import PENALTIES, Setting, model_of

_STRENGTHS = ("none", "weak", "medium", "strong")
_BARS = (("loss", "loss"), ("nfe", "NFE"), ("kinetic", "kinetic"), ("frobenius", "Jacobian"))


@explorable("08", "cheaper_paths")
def cheaper_paths():
    """Stored classifiers, trained with a penalty: paths, decision map, and what they cost; at any
    end time.
    """

    def compute(penalty, strength, extra, end):
        number = _STRENGTHS.index(strength)
        chosen = PENALTIES[penalty][number - 1] if number else Setting()
        now, plain = _flow(chosen._replace(extra=extra), end), _flow(Setting(extra), 1.0)
        return {
            "name": f"{penalty}, {strength}" if number else "no penalty",
            "extra": extra,
            "end": end,
            "ratios": [now[key] / plain[key] for key, _ in _BARS],
            "limits": _limits(extra),
            **now,
        }

    def draw(fig, data):
        left, middle, right = fig.subplots(1, 3, width_ratios=[5, 5, 4])
        draw_paths(
            data["states"], data["label"], data["weight"], ax=left, limits=data["limits"], every=4
        )
        draw_map(data["map"], ax=middle)
        right.set(
            xscale="log", xlim=(3e-4, 3e2), ylim=(3.5, -0.5), xlabel="ratio to no penalty, T = 1"
        )
        right.minorticks_off()
        right.set_xticks([1e-3, 1e-2, 1e-1, 1, 10], ["0.001", "", "0.1", "", "10"])
        right.set_yticks(range(len(_BARS)), [label for _, label in _BARS])
        right.axvline(1, color=EXACT, linewidth=1)
        for i, ratio in enumerate(data["ratios"]):
            color, end = (BLUE if ratio <= 1 else VERMILLION), min(max(ratio, 4e-4), 2.5e2)
            right.plot([1, end], [i, i], color=color, linewidth=5, solid_capstyle="butt")
            right.text(3e2, i - 0.2, f"{ratio:.2g}", color=color, ha="right")
        left.set_title(f"{data['name']}, T = {data['end']:.1f}\nextra dimensions: {data['extra']}")
        middle.set_title(
            f"loss {data['loss']:.4f}, NFE {data['nfe']}\n{data['wrong']} of 400 points wrong"
        )

    def describe(data):
        return (
            f"{data['name']}, extra dimensions: {data['extra']}, solved to T = {data['end']:.1f}: "
            f"loss {data['loss']:.3f}, {data['wrong']} of 400 points wrong, {data['nfe']} "
            "evaluations, "
            f"kinetic energy {data['kinetic']:.1f}."
        )

    return Explorable(
        compute,
        draw,
        describe,
        size=(8.8, 3.5),
        question="Predict first: paths with a tenth of the kinetic energy: how many evaluations do they save?",
        controls={
            "penalty": choice("penalty", list(PENALTIES)),
            "strength": choice("strength", list(_STRENGTHS), value="medium"),
            "extra": choice("extra dimensions", [0, 1]),
            "end": slider("end time T", 0.5, 1.5, value=1.0, step=0.1),
        },
    )


@lru_cache(maxsize=64)
@torch.no_grad()
def _flow(setting, end):
    """All that one setting shows, solved from 0 to `end`."""
    model, (x, label) = model_of(setting), shown_points()
    penalized = RegularizedODE(model.ode.func, rtol=1e-5, atol=1e-5)  # at 1e-3 the count is coarse
    torch.manual_seed(0)  # of the signs in the estimate
    path = penalized(model.ode.augment(x), torch.linspace(0, end, 21, dtype=torch.float64))
    return {
        **verdict(model.readout(path.y[-1]), label),
        "states": path.y,
        "label": label,
        "weight": model.readout.weight,
        "nfe": penalized.stats.nfe,
        "kinetic": float(path.kinetic.mean()),
        "frobenius": float(path.frobenius.mean()),
        "map": decision_map(_Until(model, end), 44),
    }


def _limits(extra):
    """Limits of the picture that hold the paths without a penalty, and those that go farthest."""
    plain, far = (
        _flow(s._replace(extra=extra), 1.0) for s in (Setting(), PENALTIES["Jacobian"][-1])
    )
    both = torch.cat([view(flow["states"], flow["weight"]).reshape(-1, 2) for flow in (plain, far)])
    return limits_of(both, None)


class _Until:
    """A classifier whose flow is read out at another time."""

    def __init__(self, model, end):
        self.model, self.end, self.readout = (
            model,
            torch.tensor([0.0, end], dtype=torch.float64),
            model.readout,
        )

    def __call__(self, x):
        return self.readout(self.model.ode(x, self.end)[-1])
