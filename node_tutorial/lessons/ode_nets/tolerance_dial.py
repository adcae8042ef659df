"""Lesson 07: the dial between accuracy and speed, at test time."""

import math

from matplotlib.ticker import NullLocator

from ...course.controls import choice, log_slider
from ...course.explorables import Explorable, explorable
from ...plotting import BLUE, GRAY, GREEN, ORANGE, label_line
from .runs import results

NETS = {
    "dopri5 at 1e-3": "ODE-Net",
    "one Euler step": "one Euler step",
    "dopri5 at 1e-3, with ReLU": "ReLU",
    "dopri5 at 1e-3, without norms": "no norms",
}
ADAPTIVE = {"bosh3": ORANGE, "dopri5": BLUE, "dopri8": GREEN}


@explorable("07", "tolerance_dial")
def tolerance_dial():
    """A trained net under another solver and tolerance: wrong answers, distance from the exact
    scores, evaluations.
    """

    def compute(tolerance, method, net):
        stored = results()["dial"]
        rows = stored["nets"][NETS[net]]
        place = min(
            range(len(stored["tolerances"])),
            key=lambda i: abs(math.log(stored["tolerances"][i] / tolerance)),
        )
        now = {key: values[place] for key, values in rows[method].items()}
        return {
            "rows": rows,
            "net": net,
            "method": method,
            "tolerance": stored["tolerances"][place],
            **now,
        }

    def describe(data):
        return (
            f"Trained with {data['net']}, tested with {data['method']} at "
            f"{data['tolerance']:.0e}: {data['nfe']} "
            f"evaluations, {data['wrong']} of 450 wrong; {data['changed']} answers differ from "
            "those of the exact "
            f"solution, the scores by {data['distance']:.0e}."
        )

    return Explorable(
        compute,
        _draw,
        describe,
        size=(9.2, 3.9),
        question="Predict first: from 1e-6 to 1e-1, how many evaluations are saved, and how many digits are lost?",
        controls={
            "tolerance": log_slider("tolerance in the test", 1e-6, 1.0, value=1e-3, format=".0e"),
            "method": choice("tested with", list(ADAPTIVE), value="dopri5"),
            "net": choice("trained with", list(NETS)),
        },
    )


def _draw(fig, data):
    left, right = fig.subplots(1, 2)
    for ax, what in ((left, "wrong"), (right, "distance")):
        lines = {}
        for name, row in data["rows"].items():
            color, now = ADAPTIVE.get(name, GRAY), name == data["method"]
            style = {"linewidth": 2.2} if now else {"linewidth": 1.0, "alpha": 0.8}
            (lines[name],) = ax.plot(
                row["nfe"], row[what], ".-", color=color, markersize=4, **style
            )
        ax.plot(data["nfe"], data[what], "o", color=ADAPTIVE[data["method"]], markersize=10)
        ax.set_xscale("log")
        ax.set(xlabel="evaluations of f", xlim=(0.8, 6000))
        ax.set_xticks([1, 10, 100, 1000], ["1", "10", "100", "1000"])
        ax.xaxis.set_minor_locator(NullLocator())
        if what == "distance":
            ax.set_yscale("log")
            ax.set(ylim=(1e-7, 20), ylabel="distance from the exact scores")
            ax.set_yticks([1e-6, 1e-4, 1e-2, 1], ["1e-6", "1e-4", "1e-2", "1"])
            ax.yaxis.set_minor_locator(NullLocator())
            for name, line in lines.items():
                text = {"euler": "Euler steps", "rk4_classic": "RK4 steps"}.get(name, name)
                label_line(line, text, weight="bold" if name == data["method"] else "normal")
        else:
            ax.set(ylim=(0, 40), ylabel="wrong, of 450")
    left.set_title(
        f"{data['method']} at {data['tolerance']:.0e}: NFE {data['nfe']}, {data['wrong']} wrong"
    )
    right.set_title(f"{data['changed']} answers changed, scores off by {data['distance']:.0e}")
